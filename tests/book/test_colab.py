"""A chapter alone, in an environment that holds nothing but a kernel: what Colab gives
a reader, without its packages.

The set-up cell must install sr3mini from the address it is given, here this clone, and
the rest of the chapter must run on that. It takes a minute or two, nearly all of it
pip's. Skipped where pip reaches no package index, unless CI is set.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from project import ROOT

CHAPTER = ROOT / "chapters" / "03_sampling_gamma.ipynb"
RUN = (
    f"import nbclient, nbformat; nb = nbformat.read('{CHAPTER.name}', 4);"
    " nbclient.execute(nb, timeout=900); nbformat.write(nb, 'run.ipynb')"
)
WHERE = (
    "import sr3mini, importlib.metadata as m; print(sr3mini.__file__);"
    " print(m.distribution('sr3mini').read_text('direct_url.json'))"
)


@pytest.fixture
def python(tmp_path):
    """Runs the Python of a new environment with ipykernel and nbclient, in an otherwise
    empty folder.
    """
    (tmp_path / "alone").mkdir()
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("JUPYTER", "PYTHON", "VIRTUAL_ENV"))
    }
    environment |= {
        f"JUPYTER_{kind}_DIR": str(tmp_path / kind)
        for kind in ("CONFIG", "DATA", "RUNTIME")
    }
    environment |= {
        "SR3MINI_ADDRESS": str(ROOT),
        "PIP_CONSTRAINT": str(ROOT / "constraints.txt"),
    }
    environment["PIP_COMPILE"] = "0"  # most of what is installed is never imported

    def run(*arguments):
        command = [str(tmp_path / "venv" / "bin" / "python"), *arguments]
        return subprocess.run(
            command,
            cwd=tmp_path / "alone",
            env=environment,
            capture_output=True,
            text=True,
            timeout=1200,
        )

    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    installed = run("-m", "pip", "install", "--quiet", "ipykernel", "nbclient")
    if installed.returncode:
        reason = (
            "pip could not install even a kernel, so no package index is in reach:"
            f" {installed.stderr.strip().splitlines()[-1]}"
        )
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    yield run
    # pytest keeps the folders of three runs; these few files are most of the size, and
    # the rest is slow to delete.
    for libraries in (tmp_path / "venv").glob("lib/python*/site-packages/torch/lib"):
        shutil.rmtree(libraries)


def test_a_chapter_alone_installs_what_it_needs(python, tmp_path):
    assert python("-c", "import sr3mini").returncode != 0, (
        "the environment is not empty"
    )
    shutil.copy(CHAPTER, tmp_path / "alone")
    ran = python("-c", RUN)
    assert ran.returncode == 0, ran.stderr[-3000:]

    place, address = python("-c", WHERE).stdout.strip().split("\n", 1)
    assert Path(place).is_relative_to(tmp_path / "venv")
    assert ROOT.as_uri() in address
    assert "editable" not in address

    code = [
        cell
        for cell in nbformat.read(tmp_path / "alone" / "run.ipynb", as_version=4).cells
        if cell.cell_type == "code"
    ]
    assert "setup" in code[0].metadata.tags
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert any(cell.outputs for cell in code[1:])
