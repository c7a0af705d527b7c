"""`pytest --nbval chapters/` takes rounding for no difference, and nothing else."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import jupytext
import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook, new_output

CONFTEST = Path(__file__).parents[2] / "chapters" / "conftest.py"

ALIKE = [  # stored, printed[, tolerance]
    ("SSIM 0.84", "SSIM 0.85"),
    ("SSIM 0.84, PSNR 26.7", "SSIM 0.83, PSNR 26.8"),
    ("1.2e-05", "1.3e-05"),
    ("1e-05", "9.9e-06"),
    ("9.99e-06", "1.00e-05"),
    ("6e-14", "5e-14"),
    ("20.1e-5", "20.2e-5"),
    ("1.5E+03", "1.6E+03"),
    ("0.0", "-0.0"),
    ("-0.0", "0.1"),
    ("−0.25", "-0.26"),
    ("+0.11 and +0.5", "+0.12 and +0.6"),
    ("-0", "0"),
    ("0", "1e-17"),
    ("a | 9.99 | b", "a |10.00 | b"),
    (" 9.99 99.99\n", "10.00 100.00\n"),
    ("[ 0.50 -0.00]", "[0.50 0.00]"),
    ("9.99", "10"),
    ("0.8", "0.81"),
    ("0.80", "0.8"),
    ("1,234.5 bytes", "1,234.6 bytes"),
    ("999.9 bytes", "1,000.0 bytes"),
    ("1,211,553 numbers", "1211553 numbers"),
    ("37%, 4 %, 0.5%", "38%, 3 %, 0.6%"),
    ("0.84dB x=0.5,0.5 (0.5) 0.5: 0.5.", "0.85dB x=0.6,0.6 (0.6) 0.6: 0.6."),
    (
        "0.9 nan -inf True 8x8 glyphs_8_32 2.13.0",
        "1.0 nan -inf True 8x8 glyphs_8_32 2.13.0",
    ),
    ("t = 3: 20.0", "t = 3: 20.9", 0.05),
    ("-2.000e-05", "-1.901e-05", 0.05),
    ("50 %", "52 %", 0.05),
    ("0.01", "0.02", 0.05),
]
UNLIKE = [
    ("loss 0.84", "gain 0.84"),
    ("False", "True"),
    ("below 0.84", "above 0.84"),
    ("0.84 dB", "0.84 db"),
    ("0.84", "0.84 (worse)"),
    ("0.84\n0.91\n", "0.84\n"),
    ("0.84\n\n0.91", "0.84\n0.91"),
    ("0.84", "0.84 0.84"),
    ("0.84", ""),
    ("", "0.84"),
    ("a  b", "a b"),
    ("    return 0.5", "  return 0.5"),
    ("0.84", "-0.84"),
    ("-0.01", "0.01"),
    ("-2e-05", "2e-05"),
    ("5 - 0.3", "5 -0.3"),
    ("0.84", "0.86"),
    ("0.84", "0.82"),
    ("26.7 26.7 26.7", "26.7 26.7 26.9"),
    ("1.2e-05", "1.4e-05"),
    ("1.2e-05", "1.2e-04"),
    ("1.2e-05", "1.2e+05"),
    ("1.2e-05", "1.2"),
    ("0.84", "nan"),
    ("nan", "0.84"),
    ("0.84", "inf"),
    ("-inf", "inf"),
    ("0.84", "True"),
    ("0.84", "0.8"),
    ("0.8", "0.84"),
    ("0.84", "0.841592"),
    ("0.84", "1"),
    ("12 letters", "13 letters"),
    ("12 letters", "11 letters"),
    ("1,211,553 numbers", "1,211,554 numbers"),
    ("1 letters", "-1 letters"),
    ("32x32", "32x33"),
    ("glyphs_8_32", "glyphs_8_33"),
    ("torch 2.13.0", "torch 2.13.1"),
    ("4d3d7e42", "4d3d7e43"),
    ("7e233c39", "8e233c39"),
    ("37%", "37"),
    ("37%", "39%"),
    ("37%", "-37%"),
    ("at 12:30", "at 12:31"),
    ("t = 3: 20.0", "t = 3: 21.1", 0.05),
    ("t = 3: 20.0", "t = 4: 20.0", 0.5),
    ("t = 3: 20.0", "t = 3: -20.0", 0.99),
    ("t = 3: 20.0", "t = 3: 20.0 dB", 0.5),
]


@pytest.fixture(scope="module")
def differences():
    """The function of chapters/conftest.py, a file that pytest alone can import."""
    spec = importlib.util.spec_from_file_location("chapters_conftest", CONFTEST)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda *row: list(module.differences(*row))


@pytest.mark.parametrize("row", ALIKE, ids=str)
def test_rounding_is_no_difference(differences, row):
    assert differences(*row) == []


@pytest.mark.parametrize("row", UNLIKE, ids=str)
def test_anything_else_is_a_difference(differences, row):
    assert differences(*row) != []


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (
            ("0.84 1", "0.87 1"),
            "0.84 is stored, 0.87 was printed, 0.01 apart is allowed",
        ),
        (("1 b", "2 b"), "1 is stored, 2 was printed, 0 apart is allowed"),
        (
            ("4.0", "4.4", 0.05),
            "4.0 is stored, 4.4 was printed, 0.200 apart is allowed",
        ),
        (("a 1 b 2", "a 1 c 2"), "'b' is stored, 'c' was printed"),
        (("a 1", "a 1 b 2"), "'' is stored, 'b' was printed"),
        (("1", "1 2"), "'(end)' is stored, '' was printed"),
    ],
    ids=str,
)
def test_a_difference_names_both(differences, row, told):
    assert differences(*row) == [told]


def test_every_number_that_differs_is_named(differences):
    assert len(differences("0.1 0.2 0.3 0.4", "0.3 0.2 0.5 0.4")) == 2


# -- the same through `pytest --nbval`, in a made-up folder of chapters


def printing(stored: str, printed: str, tolerance: object = 0) -> NotebookNode:
    """A cell that prints one thing while another is stored."""
    outputs = [new_output("stream", text=stored)] if stored else []
    return cell(f"print({printed!r}, end='')", outputs, tolerance)


def cell(source: str, outputs: list[NotebookNode], tolerance: object = 0):
    metadata = {"tolerance": tolerance} if tolerance else {}
    return new_code_cell(source, execution_count=1, outputs=outputs, metadata=metadata)


def result(source: str, stored: str) -> NotebookNode:
    """A cell whose last line is its output."""
    data = {"text/plain": stored}
    return cell(source, [new_output("execute_result", data, execution_count=1)])


def table(stored: str) -> NotebookNode:
    """A cell that shows 0.84 in HTML."""
    data = {"text/plain": "<IPython.core.display.HTML object>", "text/html": stored}
    source = "from IPython.display import HTML\ndisplay(HTML('<b>0.84</b>'))"
    return cell(source, [new_output("display_data", data)])


AGREE = [
    *(printing(*row) for row in ALIKE),
    result("[0.5, 12]", "[0.6, 12]"),
    table("<b>0.85</b>"),
]
DIFFER = [
    *(printing(*row) for row in UNLIKE),
    result("[0.5, 12]", "[0.7, 12]"),
    result("[0.5, 12]", "[0.5, 13]"),
    result("True", "False"),
    result("None", "0.5"),
    table("<b>0.86</b>"),
    table("<i>0.84</i>"),
    cell("import sys; print('new!', file=sys.stderr)", []),
    printing("0.84", "0.84", tolerance="5e-2"),
    printing("0.84", "0.84", tolerance=5),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> tuple[dict[str, list[int]], str]:
    """The cells that pass and those that fail, {"file PASSED": […]}, and the report.

    The command stands in another folder than the chapters, and has nothing on its path.
    """
    folder = tmp_path_factory.mktemp("book") / "chapters"
    (folder / "deeper").mkdir(parents=True)
    shutil.copy(CONFTEST, folder)
    notebooks = {"agree": AGREE, "differ": DIFFER, "deeper/a": AGREE[:1] + DIFFER[:1]}
    for name, cells in notebooks.items():
        nbformat.write(new_notebook(cells=cells), folder / f"{name}.ipynb")

    flags = ["--nbval", "-rpf", "-p", "no:cacheprovider", "--color=no"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *flags, str(folder)],
        cwd=tmp_path_factory.mktemp("elsewhere"),
        env={name: os.environ[name] for name in os.environ if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
    )
    cells = defaultdict(list)
    line = r"^(PASSED|FAILED) (?:.*/)?(\w+)\.ipynb::Cell (\d+)"
    for outcome, name, number in re.findall(line, done.stdout, re.MULTILINE):
        cells[f"{name} {outcome}"].append(int(number))
    return dict(cells), done.stdout + done.stderr


def test_nbval_passes_what_is_alike_and_fails_what_is_not(run):
    cells, report = run
    assert cells == {
        "agree PASSED": list(range(len(AGREE))),
        "differ FAILED": list(range(len(DIFFER))),
        "a PASSED": [0],  # the folder below is covered too
        "a FAILED": [1],
    }, report


@pytest.mark.parametrize(
    "told",
    [
        "0.84 is stored, 0.86 was printed, 0.01 apart is allowed",
        "'False' is stored, 'True' was printed",
        "tolerance is '5e-2', not a share like 0.05",
        "tolerance is 5, not a share like 0.05",
    ],
)
def test_the_report_names_both(run, told):
    assert told in run[1]


def test_a_chapters_text_can_state_the_tolerance():
    """And keeps it on the way to the notebook and back."""
    text = "```{code-cell} ipython3\n:tolerance: 0.05\n\n0.5\n```\n"
    notebook = jupytext.reads(text, fmt="md:myst")
    assert notebook.cells[0].metadata == {"tolerance": 0.05}
    assert text in jupytext.writes(notebook, fmt="md:myst")
