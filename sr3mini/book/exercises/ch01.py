"""Exercises of chapter 1."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ...forward import diffuse
from .grader import Answer, Exercise, images

_LEVELS = torch.tensor([0.9, 0.5, 0.1], dtype=torch.float64)


def _coefficients(
    signal: Callable[[Tensor], Tensor], noise: Callable[[Tensor], Tensor]
) -> Answer:
    def formula(y_0: Tensor, gamma: Tensor, eps: Tensor) -> Tensor:
        level = gamma.to(y_0)[:, None, None, None]
        return signal(level) * y_0 + noise(level) * eps

    return formula


EXERCISES: dict[str, Exercise] = {
    "1.1": Exercise(
        function="diffuse",
        inputs=(images(3, 4, 3), _LEVELS, images(3, 4, 4)),
        right=diffuse,
        builds=True,
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
