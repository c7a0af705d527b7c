"""`make test-machines` imitates machines, and tells what chapters print on them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import machines  # tools/machines.py, which pyproject.toml puts on the path
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

CELLS = [  # what a cell does, and the output that is stored
    ("import os, sys; print(os.environ['OMP_NUM_THREADS'], 'threads')", "2 threads\n"),
    ("print(os.path.exists(os.path.expanduser('~')), 'home')", "True home\n"),
    ("import matplotlib.font_manager", ""),  # which has a lot to say without a home
    ("print('torch' in sys.modules)", "True\n"),
    ("import torch; print(torch.backends.mkldnn.enabled)", "False\n"),
    ("open('missing')", ""),
]


@pytest.fixture
def book(tmp_path, monkeypatch):
    """Two chapters, the second of which is broken."""
    shutil.copy(machines.CHAPTERS / "conftest.py", tmp_path)
    cells = []
    for source, printed in CELLS:
        outputs = [new_output("stream", text=printed)] if printed else []
        cells.append(new_code_cell(source, execution_count=1, outputs=outputs))
    nbformat.write(new_notebook(cells=cells), tmp_path / "01_first.ipynb")
    (tmp_path / "02_second.ipynb").write_text("no notebook")
    monkeypatch.setattr(machines, "CHAPTERS", tmp_path)


def test_the_table_says_what_failed_where_and_why(book, capfd):
    assert machines.main(["mkldnn", "home", "--chapters", "01"]) == 1
    table = capfd.readouterr().out.split("\n\nmachine ")[1].splitlines()
    first, missing = "01_first, cell", "FileNotFoundError: [Errno 2] No such file"
    assert re.fullmatch(r"mkldnn +\d+ +5 +1", table[1])
    assert re.fullmatch(r"home +\d+ +1 +5", table[2])
    assert [line.split(" or ")[0] for line in table[3:]] == [
        f"mkldnn: {first} 5: {missing}",
        f"home: {first} 0: 2 is stored, 1 was printed, 0 apart is allowed",
        f"home: {first} 1: 'True home\\n' is stored, 'False home\\n' was printed",
        f"home: {first} 3: 'True\\n' is stored, 'False\\n' was printed",
        f"home: {first} 4: 'False\\n' is stored, 'True\\n' was printed",
        f"home: {first} 5: {missing}",
    ]


def test_a_chapter_that_cannot_be_read_is_a_failure(book, capfd):
    assert machines.main(["own", "--chapters", "02"]) == 1
    assert "own: pytest: ended with status" in capfd.readouterr().out


def test_every_setting_that_makes_a_difference_is_covered():
    settings = [machine.environment for machine in machines.MACHINES.values()]
    values = {name: {each.get(name, "") for each in settings} for name in settings[1]}
    assert values["ATEN_CPU_CAPABILITY"] == {"", "default", "avx2"}
    assert values["ONEDNN_MAX_CPU_ISA"] == {"", "SSE41", "AVX2"}
    assert values["OMP_NUM_THREADS"] == {"1", "2", "4"}
    assert values["LANG"] == {"", "C", "ja_JP.UTF-8"}
    assert {each.get("MPLBACKEND", "") for each in settings} == {"", None, "agg"}
    assert any(machine.elsewhere for machine in machines.MACHINES.values())


def test_a_machine_changes_its_own_variables_only(tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "svg")
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    before = dict(os.environ)
    own = machines.environment(machines.MACHINES["own"], tmp_path)
    assert "MPLBACKEND" not in own
    assert own["OMP_NUM_THREADS"] == "2"
    assert own["PATH"] == before["PATH"]
    home = machines.environment(machines.MACHINES["home"], tmp_path)
    assert home["HOME"] == f"{tmp_path}/file/home"
    assert home["MPLBACKEND"] == "svg"
    assert dict(os.environ) == before


def test_japanese_is_spoken_where_it_can_be_made(tmp_path):
    machines.furnish(tmp_path)
    if not (tmp_path / "locales" / machines.JAPANESE).exists():
        pytest.skip("localedef, or what it makes locales from, is missing here")
    environment = machines.environment(machines.MACHINES["avx2"], tmp_path)
    said = subprocess.run(["locale"], env=environment, capture_output=True, text=True)
    assert f'LC_TIME="{machines.JAPANESE}"' in said.stdout
    assert said.stderr == ""


def test_the_command_lists_machines_and_refuses_others(book, capsys):
    assert machines.main(["--list"]) == 0
    assert capsys.readouterr().out.count("\n") == len(machines.MACHINES)
    with pytest.raises(SystemExit):
        machines.main(["vax"])
    assert "there is no machine vax; there are own, sse4" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="no chapter's name starts with 07 or 08"):
        machines.main(["own", "--chapters", "07", "08"])
