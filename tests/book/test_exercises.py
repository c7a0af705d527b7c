"""Graders: they accept the solution, and reject the untouched stub and every listed
slip with the message meant for it.
"""

from __future__ import annotations

import ast
import runpy
from itertools import combinations
from pathlib import Path

import pytest
import torch
from project import ROOT
from torch import Tensor

from sr3mini.book.exercises import EXERCISES, check, verdict

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
