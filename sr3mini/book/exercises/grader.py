r"""The grader: it runs an answer on small inputs and names the mistake.

It knows the usual slips: each is written down as another, wrong, formula, and an answer
that equals it gets its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor

Answer = Callable[..., Tensor]


@dataclass(frozen=True)
class Exercise:
    """The function to complete, inputs to try, the right formula, and the slips: what
    to say -> the formula that makes this slip.
    """

    function: str
    inputs: tuple[object, ...]
    right: Answer
    slips: Mapping[str, Answer]
    builds: bool = False  # a part of the reader's own SR3: `mine` collects it


def grade(exercise: Exercise, answer: Answer) -> str:
    """One sentence: "right", or what is wrong with the answer."""
    right = exercise.right(*deepcopy(exercise.inputs))
    try:
        # an answer that works in place must not spoil the next try
        given = answer(*deepcopy(exercise.inputs))
    except (
        Exception
    ) as error:  # whatever a reader's code raises becomes part of the verdict
        return f"your function raised {type(error).__name__}: {error}"
    if given is None or given is ...:
        return "not done yet: the function returns nothing."
    if not isinstance(given, Tensor):
        return (
            f"the function should return a tensor, and returned {type(given).__name__}."
        )
    if given.shape != right.shape:
        return f"wrong shape: {tuple(given.shape)} instead of {tuple(right.shape)}."
    if close(given, right) and given.dtype != right.dtype:
        return (
            f"right values, but they are {given.dtype} and should be {right.dtype}:"
            " levels are float64, pictures float32; cast the factors, .to(y_0)."
        )
    if close(given, right):
        return "right."
    for slip, formula in exercise.slips.items():
        wrong = formula(*deepcopy(exercise.inputs))
        if wrong.shape == given.shape and close(given, wrong):
            return f"right shape, wrong values: {slip}."
    return (
        "right shape, wrong values: off by up to"
        f" {(given.double() - right.double()).abs().max().item():.2g}."
    )


def close(a: Tensor, b: Tensor) -> bool:
    """Equal but for rounding."""
    return torch.allclose(a.double(), b.double(), rtol=1e-5, atol=1e-6)


def images(count: int, size: int, seed: int) -> Tensor:
    """Grey pictures of random pixels in [-1, 1], (count, 1, size, size), to try an
    answer on.
    """
    return (
        torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(seed))
        * 2
        - 1
    )
