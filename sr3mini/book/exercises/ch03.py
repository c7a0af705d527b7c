"""Exercises of chapter 3."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ...forward import diffuse, gamma_between, gamma_icdf
from ...schedule import NoiseSchedule
from .grader import Answer, Exercise, images


def _levels(schedule: NoiseSchedule, t: Tensor, u: Tensor, shift: int) -> Tensor:
    high, low = (
        schedule.gammas[(t - 1 + shift).clamp(min=0)],
        schedule.gammas[(t + shift).clamp(max=schedule.steps)],
    )
    return low + u * (high - low)


_SCHEDULE = NoiseSchedule.linear(5, 0.1, 0.7)
_T = torch.tensor([2, 3, 4, 3])
_U = torch.tensor([0.2, 0.9, 0.5, 0.4], dtype=torch.float64)
_Q = torch.tensor([0.05, 0.33, 0.5, 0.77, 0.98], dtype=torch.float64)
_LEVELS = torch.tensor([0.9, 0.5, 0.1], dtype=torch.float64)


def _roots(schedule: NoiseSchedule, t: Tensor, u: Tensor) -> Tensor:
    high, low = schedule.gammas[t - 1].sqrt(), schedule.gammas[t].sqrt()
    return (low + u * (high - low)).square()


def _coefficients(
    signal: Callable[[Tensor], Tensor], noise: Callable[[Tensor], Tensor]
) -> Answer:
    def formula(y_0: Tensor, gamma: Tensor, eps: Tensor) -> Tensor:
        level = gamma.to(y_0)[:, None, None, None]
        return signal(level) * y_0 + noise(level) * eps

    return formula


EXERCISES: dict[str, Exercise] = {
    "3.1": Exercise(
        function="level",
        inputs=(_SCHEDULE, _T, _U),
        right=gamma_between,
        slips={
            (
                "this is the segment of step t + 1; segment t lies between gammas[t]"
                " and gammas[t - 1]"
            ): lambda s, t, u: _levels(s, t, u, 1),
            (
                "this is the segment of step t - 1; the index is the paper's"
                " t, so segment t lies between gammas[t] and gammas[t - 1]"
            ): lambda s, t, u: _levels(s, t, u, -1),
            (
                "this is uniform in the square root of gamma, as in WaveGrad's"
                " code; interpolate gamma itself"
            ): (_roots),
            (
                "this uses alpha where gamma is wanted: alpha_t is what one"
                " step keeps, gamma_t what all t steps keep"
            ): (lambda s, t, u: s.alphas[t] + u * (s.alphas[t - 1] - s.alphas[t])),
            (
                "the law is right, but u runs downwards; at u = 0 the level"
                " should be gamma_t"
            ): lambda s, t, u: gamma_between(s, t, 1 - u),
            (
                "this returns the level of step t itself and leaves u out, so"
                " only T different levels are ever drawn"
            ): lambda s, t, u: s.gammas[t],
        },
    ),
    "3.2": Exercise(
        function="inverse_cdf",
        inputs=(_SCHEDULE, _Q),
        right=gamma_icdf,
        slips={
            "this counts the segments from t = 1; the lowest levels belong to t = T": (
                lambda s, q: gamma_between(
                    s, (q * s.steps).floor().long() + 1, q * s.steps % 1
                )
            ),
            "this falls while q rises: it is the level above which a share q lies": (
                lambda s, q: gamma_icdf(s, 1 - q)
            ),
            (
                "this jumps from level to level; inside a segment the CDF is"
                " a straight line, so its inverse is one too"
            ): lambda s, q: s.gammas[s.steps - (q * s.steps).floor().long()],
            (
                "this has T - 1 segments: the one between gamma_1 and gamma_0"
                " = 1 is missing"
            ): lambda s, q: gamma_between(
                s,
                s.steps - (q * (s.steps - 1)).floor().long(),
                q * (s.steps - 1) % 1,
            ),
        },
    ),
    "3.3": Exercise(
        function="noise",
        inputs=(images(3, 4, 3), _LEVELS, images(3, 4, 4)),
        right=diffuse,
        slips={
            (
                "both roots are missing: gamma and 1 - gamma are variances,"
                " and an image is scaled by the root"
            ): _coefficients(lambda g: g, lambda g: 1 - g),
            "the root of the signal's factor is missing": _coefficients(
                lambda g: g, lambda g: (1 - g).sqrt()
            ),
            "the root of the noise's factor is missing": _coefficients(
                lambda g: g.sqrt(), lambda g: 1 - g
            ),
            "gamma and 1 - gamma have changed places: gamma is the share of signal": (
                _coefficients(lambda g: (1 - g).sqrt(), lambda g: g.sqrt())
            ),
            (
                "the noise is scaled by the root of the root: the covariance"
                " is (1 - gamma) I, without a root, so its factor is sqrt(1"
                " - gamma)"
            ): _coefficients(lambda g: g.sqrt(), lambda g: (1 - g) ** 0.25),
            "every image got the first image's level; gamma has one entry an image": (
                lambda y_0, gamma, eps: diffuse(y_0, gamma[:1].expand(len(y_0)), eps)
            ),
        },
    ),
}
