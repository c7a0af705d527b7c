# The verbs of this repository. `make` alone lists them.

# Which Python makes the environment, and the port of JupyterLab: both can be given, as in `make lab PORT=8899`.
# (Recipes call `.venv/bin/python -m tool`, not `.venv/bin/tool`: the latter's first line breaks on long paths and spaces.)
PYTHON ?= python3
PORT ?= 8888
CHAPTERS ?=
MACHINES ?=
VENV_PYTHON := .venv/bin/python

# Tests run in so many processes, each of which computes in one thread: two that share the cores spin for them.
JOBS ?= 2
ALONE := OMP_NUM_THREADS=1

# A Python that was named is the only one tried; plain python3 may be too old where a newer one lies beside it.
ifeq ($(origin PYTHON),file)
CANDIDATES := $(PYTHON) python3.13 python3.12 python3.11
else
CANDIDATES := $(PYTHON)
endif

.PHONY: help lab test test-machines lint sync html bench constraints
.DEFAULT_GOAL := help

help:  ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile

# The stamp is written last, so an installation that broke off is not taken for a whole one.
# --clear throws away a .venv that has no working pip, or whose Python is too old or gone.
.venv/.installed: pyproject.toml constraints.txt
	@rm -f $@; set -e; \
	if ! $(VENV_PYTHON) -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	  found=; \
	  for name in $(CANDIDATES); do \
	    if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$name; break; fi; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "sr3mini needs Python 3.11 or newer, and none of these is one: $(CANDIDATES). Install one, or name it as in: make lab PYTHON=python3.12" >&2; \
	    exit 1; \
	  fi; \
	  echo "Making .venv with $$("$$found" --version). The first installation takes a few minutes."; \
	  "$$found" -m venv --clear .venv; \
	fi; \
	$(VENV_PYTHON) -m pip install --disable-pip-version-check --editable '.[book,train,dev]' --constraint constraints.txt; \
	touch $@

# default_url, where a file name would do, puts the chapter into the printed address as well. Root needs a flag of its own
# (containers), and a browser is opened only where there is a screen. tools/lab: no question about news, no machinery in
# the list of files.
lab: .venv/.installed  ## open the book in JupyterLab; its address is printed (PORT=8899 for another port)
	@set -- --LabApp.default_url=/lab/tree/chapters/00_tour.ipynb --port=$(PORT); \
	if [ "$$(id -u)" = 0 ]; then set -- "$$@" --allow-root; fi; \
	if [ -z "$$DISPLAY$$WAYLAND_DISPLAY" ] && [ "$$(uname)" != Darwin ]; then set -- "$$@" --no-browser; fi; \
	JUPYTER_CONFIG_PATH=tools/lab exec $(VENV_PYTHON) -m jupyterlab "$$@"

test: lint  ## every check: style, types, tests, and every chapter's outputs against the stored ones
	$(ALONE) $(VENV_PYTHON) -m pytest -n $(JOBS) --dist loadfile tests/
	$(ALONE) $(VENV_PYTHON) -m pytest -n $(JOBS) --dist loadfile --nbval chapters/

test-machines: .venv/.installed  ## the chapters on machines that are not at hand, imitated (MACHINES="sse4 home" for two)
	$(VENV_PYTHON) tools/machines.py $(MACHINES)

lint: .venv/.installed  ## style, types, and who imports whom
	$(VENV_PYTHON) -m ruff format --check
	$(VENV_PYTHON) -m ruff check
	$(VENV_PYTHON) -m mypy
	$(VENV_PYTHON) -c 'from importlinter.cli import lint_imports_command as lint; lint()'

sync: .venv/.installed  ## chapter texts -> notebooks, run and stored (CHAPTERS=03_sampling_gamma for one)
	$(VENV_PYTHON) tools/book.py sync $(CHAPTERS)

html: .venv/.installed  ## the book as pages that need no Python and no network, in build/html
	$(VENV_PYTHON) tools/edition.py

bench: .venv/.installed  ## run every benchmark
	@set -e; for file in benchmarks/*.py; do echo "== $$file"; $(VENV_PYTHON) "$$file"; done

# A fresh environment without constraints tells the newest versions that go together. Give it the oldest Python that
# should do, since some packages ask for a newer one: `make constraints PYTHON=python3.11` on Debian 12, which has 3.11.2.
# Torch is named here because its version decides what the stored outputs look like and how much must be downloaded.
# Its +cpu or +cu… and the packages of one GPU maker are left out, so that the file holds on every machine.
TORCH ?= 2.13.0
constraints:  ## write constraints.txt anew from the newest versions (TORCH=2.13.0 for another torch)
	@set -e; folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	echo "torch==$(TORCH)" > "$$folder/torch.txt"; \
	$(PYTHON) -m venv "$$folder/venv"; \
	"$$folder/venv/bin/python" -m pip install --disable-pip-version-check --editable '.[book,train,dev]' --constraint "$$folder/torch.txt"; \
	{ echo "# The exact versions that the stored outputs were made with and that CI installs: everything that"; \
	  echo "#     pip install -e '.[book,train,dev]'"; \
	  echo "# brings into an empty environment of $$("$$folder/venv/bin/python" --version) (some newer versions need a newer Python)."; \
	  echo "# \`make constraints\` writes this file anew; run \`make sync\` and \`make test\` after it."; \
	  "$$folder/venv/bin/python" -m pip freeze --exclude-editable --exclude pip --exclude setuptools --exclude wheel \
	    | sed -e 's/+[a-z0-9.]*$$//' | grep -v -i -E '^(nvidia|cuda|triton)'; \
	} > "$$folder/constraints.txt"; \
	cp "$$folder/constraints.txt" constraints.txt
