"""Graders: they accept the solution, and reject the untouched stub and every listed
slip with the message meant for it.
"""

from __future__ import annotations

import ast
import linecache
import runpy
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from project import ROOT
from torch import Tensor

from sr3mini import diffuse
from sr3mini.book.exercises import EXERCISES, check, mine, verdict

SOLUTIONS = ROOT / "chapters" / "solutions"
SLIPS = [
    (number, slip) for number, exercise in EXERCISES.items() for slip in exercise.slips
]


@pytest.mark.parametrize("number", EXERCISES)
def test_the_solution_is_accepted(number: str) -> None:
    of = number.partition(".")[0]
    file = f"ch{int(of):02}.py" if of.isdigit() else f"dive_{of.lower()}.py"
    solutions = runpy.run_path(str(SOLUTIONS / file))
    assert verdict(number, solutions[EXERCISES[number].function]) == "right."


@pytest.mark.parametrize(
    "file", sorted(SOLUTIONS.glob("*.py")), ids=lambda file: file.stem
)
def test_a_solution_is_written_out_and_not_borrowed_from_the_package(
    file: Path,
) -> None:
    """Of the package they take `downsample`, which exercise 0.2 allows, and nothing
    else.
    """
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = [
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    ]
    assert set(names) <= {"torch", "downsample"}


@pytest.mark.parametrize(
    "stub",
    [lambda *inputs: None, lambda *inputs: ...],
    ids=["the body is ...", "return ..."],
)
@pytest.mark.parametrize("number", EXERCISES)
def test_the_stub_is_not_done_yet(
    number: str, stub: object, capsys: pytest.CaptureFixture[str]
) -> None:
    check(number, stub)  # type: ignore[arg-type]
    assert (
        capsys.readouterr().out
        == f"Exercise {number}: not done yet: the function returns nothing.\n"
    )


@pytest.mark.parametrize(("number", "slip"), SLIPS)
def test_each_slip_is_called_by_its_name(number: str, slip: str) -> None:
    exercise = EXERCISES[number]
    assert (
        verdict(number, exercise.slips[slip]) == f"right shape, wrong values: {slip}."
    )


@pytest.mark.parametrize("number", EXERCISES)
def test_no_two_slips_are_the_same_answer_and_none_is_the_right_one(
    number: str,
) -> None:
    """Any two answers differ by more than the grader forgives, or have different
    shapes.
    """
    exercise = EXERCISES[number]
    answers = [
        formula(*exercise.inputs).double()
        for formula in (exercise.right, *exercise.slips.values())
    ]
    for one, other in combinations(answers, 2):
        assert one.shape != other.shape or (one - other).abs().max() > 1e-3


def test_an_answer_that_works_in_place_does_not_spoil_the_next_try() -> None:
    def in_place(y_0: Tensor, gamma: Tensor, eps: Tensor) -> Tensor:
        return y_0.zero_() + eps.zero_()

    assert "off by" in verdict("1.1", in_place)
    assert verdict("1.1", in_place) == verdict("1.1", in_place)
    assert EXERCISES["1.1"].inputs[0].abs().max() > 0.5  # type: ignore[attr-defined]


def test_there_is_no_exercise_9_9() -> None:
    with pytest.raises(KeyError):
        verdict("8.9", torch.zeros)


@pytest.mark.parametrize("number", EXERCISES)
def test_other_wrong_answers_are_told_how_far_off_they_are(number: str) -> None:
    right = EXERCISES[number].right
    assert verdict(number, lambda *inputs: right(*inputs) + 0.25).startswith(
        "right shape, wrong values: off by up to 0.25"
    )
    one_more = right(*EXERCISES[number].inputs)[None].shape
    assert verdict(number, lambda *inputs: right(*inputs)[None]).startswith(
        f"wrong shape: {tuple(one_more)}"
    )
    assert verdict(number, lambda *inputs: 3).endswith("returned int.")
    assert verdict(number, lambda *inputs: torch.ones(2) @ torch.ones(3)).startswith(
        "your function raised RuntimeError"
    )


# The reader's own SR3 -----------------------------------------------------------------


def written(folder: Path, text: str, name: str) -> Any:
    """A function whose source lies in a file, as that of a notebook's cell."""
    file = folder / "cell.py"
    file.write_text(text, encoding="utf-8")
    space: dict[str, Any] = {"diffuse": diffuse, "nn": torch.nn}
    exec(compile(text, str(file), "exec"), space)
    linecache.checkcache(str(file))
    return space[name]


RIGHT = """\
def noised(y_0, gamma, eps):
    level = gamma[:, None, None, None]
    return level.sqrt().to(y_0) * y_0 + (1 - level).sqrt().to(y_0) * eps
"""
LOSS = """\
def loss(f, x, y_0, gamma, eps):
    return (f(x, diffuse(y_0, gamma, eps), gamma) - eps).square().mean()
"""


def test_a_right_answer_is_kept_and_used_and_the_book_fills_the_gaps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Under its exercise's name, whatever she called it; another call replaces it."""
    monkeypatch.chdir(tmp_path)
    check("1.1", written(tmp_path, RIGHT, "noised"))
    check("6.1", written(tmp_path, LOSS, "loss"))
    check("1.1", written(tmp_path, RIGHT, "noised"))
    said = capsys.readouterr().out
    assert said.count("Kept as diffuse in my_sr3.py.") == 2
    assert "Kept as loss in my_sr3.py." in said
    own = mine()
    hers, books = capsys.readouterr().out.splitlines()
    assert hers == "yours: diffuse, loss"
    assert books.startswith("the book's: ")
    assert "diffuse" not in books
    assert "sample" in books
    assert (tmp_path / "my_sr3.py").read_text().count("def diffuse") == 1
    builders = {each.function for each in EXERCISES.values() if each.builds}
    assert set(vars(own)) == builders
    assert len(builders) == 8


def test_an_answer_that_needs_its_notebook_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = RIGHT.replace("gamma[:", "elsewhere(gamma)[:")
    answer = written(tmp_path, "def elsewhere(g): return g\n\n\n" + text, "noised")
    check("1.1", answer)
    said = capsys.readouterr().out
    assert "Not kept, since it is not right by itself" in said
    assert "'elsewhere' is not defined" in said
    mine()
    assert "yours: none yet" in capsys.readouterr().out

    check("1.1", written(tmp_path, RIGHT, "noised"))
    check("1.1", written(tmp_path, "def elsewhere(g): return g\n\n\n" + text, "noised"))
    capsys.readouterr()
    mine()  # the one that was right before is still there
    assert "yours: diffuse" in capsys.readouterr().out


def test_a_file_that_cannot_be_run_is_told_and_the_book_takes_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_sr3.py").write_text("def diffuse(:\n", encoding="utf-8")
    mine()
    said = capsys.readouterr().out
    assert "my_sr3.py could not be run (SyntaxError" in said
    assert "yours: none yet" in said


def test_levels_are_float64_and_a_picture_that_became_so_is_named() -> None:
    """Else the network of chapter 7, which is float32, would refuse it."""

    def uncast(y_0: Tensor, gamma: Tensor, eps: Tensor) -> Tensor:
        level = gamma[:, None, None, None]
        return level.sqrt() * y_0 + (1 - level).sqrt() * eps

    assert verdict("1.1", uncast).startswith("right values, but they are torch.float64")
