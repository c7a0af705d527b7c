"""Graders: they accept the solution, and reject the untouched stub and every listed slip with the message meant for it."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
import torch

from sr3mini.exercises import EXERCISES, check, verdict

SOLUTIONS = Path(__file__).resolve().parent.parent / "chapters" / "solutions"
NAMES = {"0.1": "best_guess", "0.2": "consistency_error", "3.1": "level", "3.2": "inverse_cdf", "3.3": "noise"}
SLIPS = [(number, slip) for number, exercise in EXERCISES.items() for slip in exercise.slips]


@pytest.mark.parametrize("number", EXERCISES)
def test_the_solution_is_accepted(number: str) -> None:
    solutions = runpy.run_path(str(SOLUTIONS / f"ch{int(number.split('.')[0]):02}.py"))
    assert verdict(number, solutions[NAMES[number]]) == "right."


@pytest.mark.parametrize("number", EXERCISES)
def test_the_stub_is_not_done_yet(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    check(number, lambda *inputs: None)
    assert capsys.readouterr().out == f"Exercise {number}: not done yet: the function returns nothing.\n"


@pytest.mark.parametrize(("number", "slip"), SLIPS)
def test_each_slip_is_called_by_its_name(number: str, slip: str) -> None:
    exercise = EXERCISES[number]
    assert verdict(number, exercise.slips[slip]) == f"right shape, wrong values: {slip}."


@pytest.mark.parametrize("number", EXERCISES)
def test_other_wrong_answers_are_told_how_far_off_they_are(number: str) -> None:
    right = EXERCISES[number].right
    assert verdict(number, lambda *inputs: right(*inputs) + 0.25).startswith("right shape, wrong values: off by up to 0.25")
    assert verdict(number, lambda *inputs: right(*inputs)[None]).startswith("wrong shape: (1, ")
    assert verdict(number, lambda *inputs: 3).endswith("returned int.")
    assert verdict(number, lambda *inputs: torch.ones(2) @ torch.ones(3)).startswith("your function raised RuntimeError")
