r"""Graders for the exercises of the book: they run an answer on small inputs and name the mistake.

    check("3.1", answer)     prints what is right or wrong with it
    verdict("3.1", answer)   the same sentence, as a string

A grader knows the usual slips: each is written down as another, wrong, formula, and an answer that equals it gets its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor

from .degrade import upsample
from .forward import diffuse, gamma_between, gamma_icdf
from .metrics import consistency
from .schedule import NoiseSchedule

Answer = Callable[..., Tensor]


@dataclass(frozen=True)
class Exercise:
    """Inputs to try, the right formula, and the slips: what to say -> the formula that makes this slip."""

    inputs: tuple[object, ...]
    right: Answer
    slips: Mapping[str, Answer]


def check(number: str, answer: Answer) -> None:
    """Print the verdict on an answer to exercise `number`, such as "3.1"."""
    print(f"Exercise {number}: {verdict(number, answer)}")


def verdict(number: str, answer: Answer) -> str:
    """One sentence: "right", or what is wrong with the answer. KeyError when there is no such exercise."""
    exercise = EXERCISES[number]
    right = exercise.right(*exercise.inputs)
    try:
        given = answer(*deepcopy(exercise.inputs))  # an answer that works in place must not spoil the next try
    except Exception as error:  # whatever a reader's code raises becomes part of the verdict
        return f"your function raised {type(error).__name__}: {error}"
    if given is None or given is ...:
        return "not done yet: the function returns nothing."
    if not isinstance(given, Tensor):
        return f"the function should return a tensor, and returned {type(given).__name__}."
    if given.shape != right.shape:
        return f"wrong shape: {tuple(given.shape)} instead of {tuple(right.shape)}."
    if _close(given, right):
        return "right."
    for slip, formula in exercise.slips.items():
        wrong = formula(*exercise.inputs)
        if wrong.shape == given.shape and _close(given, wrong):
            return f"right shape, wrong values: {slip}."
    return f"right shape, wrong values: off by up to {(given.double() - right.double()).abs().max().item():.2g}."


def _close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a.double(), b.double(), rtol=1e-5, atol=1e-6)


def _images(count: int, size: int, seed: int) -> Tensor:
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def _levels(schedule: NoiseSchedule, t: Tensor, u: Tensor, shift: int) -> Tensor:
    high, low = schedule.gammas[(t - 1 + shift).clamp(min=0)], schedule.gammas[(t + shift).clamp(max=schedule.steps)]
    return low + u * (high - low)


_SCHEDULE = NoiseSchedule.linear(5, 0.1, 0.7)
_T = torch.tensor([2, 3, 4, 3])
_U = torch.tensor([0.2, 0.9, 0.5, 0.4], dtype=torch.float64)
_Q = torch.tensor([0.05, 0.33, 0.5, 0.77, 0.98], dtype=torch.float64)
_LEVELS = torch.tensor([0.9, 0.5, 0.1], dtype=torch.float64)


def _roots(schedule: NoiseSchedule, t: Tensor, u: Tensor) -> Tensor:
    high, low = schedule.gammas[t - 1].sqrt(), schedule.gammas[t].sqrt()
    return (low + u * (high - low)).square()


def _coefficients(signal: Callable[[Tensor], Tensor], noise: Callable[[Tensor], Tensor]) -> Answer:
    def formula(y_0: Tensor, gamma: Tensor, eps: Tensor) -> Tensor:
        level = gamma.to(y_0)[:, None, None, None]
        return signal(level) * y_0 + noise(level) * eps

    return formula


EXERCISES: dict[str, Exercise] = {
    "0.1": Exercise(
        inputs=(_images(5, 4, 0),),
        right=lambda samples: samples.mean(0),
        slips={
            "this is the median of each pixel; it has the lowest expected absolute error, and the question asks for the squared one": (
                lambda s: s.median(0).values
            ),
            "this is one of the answers; it is right by itself, but the mean is closer to all the others": lambda s: s[0],
            "this is the sum; divide it by the number of answers": lambda s: s.sum(0),
        },
    ),
    "0.2": Exercise(
        inputs=(_images(3, 16, 1), _images(3, 4, 2)),
        right=consistency,
        slips={
            "the pictures lie in [-1, 1], and the paper measures on [0, 1]: halve the difference before you square it": lambda y, x: 4 * consistency(y, x),
            "right but for the unit: the paper counts in 1e-5": lambda y, x: consistency(y, x) / 1e5,
            "this compares the enlarged x with y; shrink y and compare there, or every missing detail counts as an error": lambda y, x: (
                ((upsample(x, 4) - y) / 2).square().flatten(1).mean(1) * 1e5
            ),
            "this is the root of the mean squared error; leave the root out": lambda y, x: (consistency(y, x) / 1e5).sqrt() * 1e5,
            "this is the sum over the pixels; take their mean": lambda y, x: consistency(y, x) * x[0].numel(),
        },
    ),
    "3.1": Exercise(
        inputs=(_SCHEDULE, _T, _U),
        right=gamma_between,
        slips={
            "this is the segment of step t + 1; segment t lies between gammas[t] and gammas[t - 1]": lambda s, t, u: _levels(s, t, u, 1),
            "this is the segment of step t - 1; the index is the paper's t, so segment t lies between gammas[t] and gammas[t - 1]": lambda s, t, u: _levels(
                s, t, u, -1
            ),
            "this is uniform in the square root of gamma, as in WaveGrad's code; interpolate gamma itself": _roots,
            "this uses alpha where gamma is wanted: alpha_t is what one step keeps, gamma_t what all t steps keep": lambda s, t, u: s.alphas[t]
            + u * (s.alphas[t - 1] - s.alphas[t]),
            "the law is right, but u runs downwards; at u = 0 the level should be gamma_t": lambda s, t, u: gamma_between(s, t, 1 - u),
            "this returns the level of step t itself and leaves u out, so only T different levels are ever drawn": lambda s, t, u: s.gammas[t],
        },
    ),
    "3.2": Exercise(
        inputs=(_SCHEDULE, _Q),
        right=gamma_icdf,
        slips={
            "this counts the segments from t = 1; the lowest levels belong to t = T": lambda s, q: gamma_between(
                s, (q * s.steps).floor().long() + 1, q * s.steps % 1
            ),
            "this falls while q rises: it is the level above which a share q lies": lambda s, q: gamma_icdf(s, 1 - q),
            "this jumps from level to level; inside a segment the CDF is a straight line, so its inverse is one too": lambda s, q: s.gammas[
                s.steps - (q * s.steps).floor().long()
            ],
            "this has T - 1 segments: the one between gamma_1 and gamma_0 = 1 is missing": lambda s, q: gamma_between(
                s, s.steps - (q * (s.steps - 1)).floor().long(), q * (s.steps - 1) % 1
            ),
        },
    ),
    "3.3": Exercise(
        inputs=(_images(3, 4, 3), _LEVELS, _images(3, 4, 4)),
        right=diffuse,
        slips={
            "both roots are missing: gamma and 1 - gamma are variances, and an image is scaled by the root": _coefficients(lambda g: g, lambda g: 1 - g),
            "the root of the signal's factor is missing": _coefficients(lambda g: g, lambda g: (1 - g).sqrt()),
            "the root of the noise's factor is missing": _coefficients(lambda g: g.sqrt(), lambda g: 1 - g),
            "gamma and 1 - gamma have changed places: gamma is the share of signal": _coefficients(lambda g: (1 - g).sqrt(), lambda g: g.sqrt()),
            "the noise is scaled by the root of the root: the covariance is (1 - gamma) I, without a root, so its factor is sqrt(1 - gamma)": _coefficients(
                lambda g: g.sqrt(), lambda g: (1 - g) ** 0.25
            ),
            "every image got the first image's level; gamma has one entry an image": lambda y_0, gamma, eps: diffuse(y_0, gamma[:1].expand(len(y_0)), eps),
        },
    ),
}
