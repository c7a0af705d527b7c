"""Exercises of deep dive A."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .grader import Exercise


def _expected(y_t: Tensor, gamma: Tensor, m: Tensor, variance: Tensor) -> Tensor:
    return (
        (1 - gamma).sqrt() * (y_t - gamma.sqrt() * m) / (gamma * variance + 1 - gamma)
    )


def _left(variances: Tensor, gamma: Tensor) -> Tensor:
    """V[eps | y_t] of each pixel at each level, (G, d)."""
    level = gamma[:, None]
    return level * variances / (level * variances + 1 - level)


def _floors(v: Tensor) -> Tensor:
    return torch.stack([v.mean(1), (2 / math.pi * v).sqrt().mean(1)])


_LEVELS = torch.tensor([0.9, 0.5, 0.1], dtype=torch.float64)
_SCALARS = (
    torch.tensor([1.2, -0.4, 0.3, 0.8], dtype=torch.float64),
    torch.tensor([0.9, 0.5, 0.2, 0.05], dtype=torch.float64),
    torch.tensor(0.5, dtype=torch.float64),
    torch.tensor(0.3, dtype=torch.float64),
)
_VARIANCES = torch.tensor([0.02, 0.3, 1.5], dtype=torch.float64)

EXERCISES: dict[str, Exercise] = {
    "A.1": Exercise(
        function="expected_noise",
        inputs=_SCALARS,
        right=_expected,
        slips={
            "the root over 1 - gamma is missing in front": (
                lambda y, g, m, v: (1 - g).sqrt() * _expected(y, g, m, v)
            ),
            "the mean of y_t is sqrt(gamma) m; here the root is missing": (
                lambda y, g, m, v: _expected(y + (g.sqrt() - g) * m, g, m, v)
            ),
            "m is left out: what has to be explained by noise is y_t minus its mean": (
                lambda y, g, m, v: _expected(y, g, 0 * m, v)
            ),
            (
                "this divides by the root of S, the deviation of y_t; divide"
                " by S, its variance"
            ): (lambda y, g, m, v: _expected(y, g, m, v) * (g * v + 1 - g).sqrt()),
            (
                "in S, gamma and 1 - gamma have changed places: S = gamma v + 1 - gamma"
            ): lambda y, g, m, v: (
                (1 - g).sqrt() * (y - g.sqrt() * m) / ((1 - g) * v + g)
            ),
            "this is E[y_0 | y_t], the clean value; the question is about the noise": (
                lambda y, g, m, v: (
                    m + g.sqrt() * v / (g * v + 1 - g) * (y - g.sqrt() * m)
                )
            ),
            (
                "this is the noise that would lead from m to y_t; only if v"
                " = 0 is it certain that y_0 = m"
            ): lambda y, g, m, v: _expected(y, g, m, 0 * v),
            (
                "this is the score, the slope of log p(y_t); the noise"
                " is -sqrt(1 - gamma) times it"
            ): lambda y, g, m, v: -_expected(y, g, m, v) / (1 - g).sqrt(),
        },
    ),
    "A.2": Exercise(
        function="floors",
        inputs=(_VARIANCES, _LEVELS),
        right=lambda variances, gamma: _floors(_left(variances, gamma)),
        slips={
            "these are the sums over the pixels; the loss is a mean over elements": (
                lambda s, g: _floors(_left(s, g)) * len(s)
            ),
            (
                "row 0 is right; in row 1 the root has to be taken of each pixel's"
                " variance, before the mean"
            ): lambda s, g: torch.stack(
                [_left(s, g).mean(1), (2 / math.pi * _left(s, g).mean(1)).sqrt()]
            ),
            "row 0 is right; in row 1 the factor sqrt(2/pi) is missing": (
                lambda s, g: torch.stack(
                    [_left(s, g).mean(1), _left(s, g).sqrt().mean(1)]
                )
            ),
            "row 0 is right; in row 1 the factor is 2/pi, without its root": (
                lambda s, g: torch.stack(
                    [_left(s, g).mean(1), 2 / math.pi * _left(s, g).sqrt().mean(1)]
                )
            ),
            "the two rows have changed places: row 0 belongs to p = 2": (
                lambda s, g: _floors(_left(s, g)).flip(0)
            ),
            (
                "gamma and 1 - gamma have changed places: at gamma near 1 the"
                " floor is high, because there the picture hides the noise"
            ): lambda s, g: _floors(_left(s, 1 - g)),
            (
                "this is built on S, the variance of y_t; what is left of the"
                " noise once y_t is known is gamma v / S"
            ): lambda s, g: _floors(g[:, None] * s + 1 - g[:, None]),
            (
                "this is built on V[y_0 | y_t], what is left of the picture;"
                " the loss is about the noise"
            ): lambda s, g: _floors(_left(s, g) * (1 - g[:, None]) / g[:, None]),
        },
    ),
}
