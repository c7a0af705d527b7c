"""Exercises of chapter 6."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ...forward import diffuse
from .grader import Answer, Exercise, images


def _network(x: Tensor, y_t: Tensor, gamma: Tensor) -> Tensor:
    """Any f: what it is shown shows in what it returns."""
    return (
        0.6 * y_t
        + 0.3 * x.mean((1, 2, 3), keepdim=True)
        + 0.4 * gamma.to(y_t)[:, None, None, None]
    )


Noised = Callable[[Tensor, Tensor, Tensor], Tensor]


def _loss(
    noised: Noised = diffuse,
    told: Answer = lambda gamma: gamma,
    target: str = "eps",
    error: Answer = lambda miss: miss.square().mean(),
) -> Answer:
    """The loss, with one thing done differently."""

    def formula(
        f: Answer, x: Tensor, y_0: Tensor, gamma: Tensor, eps: Tensor
    ) -> Tensor:
        wanted = {"eps": eps, "y_0": y_0}[target]
        return error(f(x, noised(y_0, gamma, eps), told(gamma)) - wanted)

    return formula


def _one_level(gamma: Tensor) -> Tensor:
    return gamma[:1].expand(len(gamma))


def _without_roots(y_0: Tensor, gamma: Tensor, eps: Tensor) -> Tensor:
    level = gamma.to(y_0)[:, None, None, None]
    return level * y_0 + (1 - level) * eps


_LEVELS = torch.tensor([0.9, 0.5, 0.1], dtype=torch.float64)
_BATCH = (_network, images(3, 2, 0), images(3, 4, 1), _LEVELS, images(3, 4, 2))

EXERCISES: dict[str, Exercise] = {
    "6.1": Exercise(
        function="loss",
        inputs=_BATCH,
        right=_loss(),
        slips={
            "y_t lacks its roots: it is sqrt(gamma) y_0 + sqrt(1 - gamma) eps": (
                _loss(noised=_without_roots)
            ),
            (
                "gamma and 1 - gamma have changed places in y_t: gamma is the"
                " share of signal"
            ): _loss(noised=lambda y, g, e: diffuse(y, 1 - g, e)),
            "this compares f with y_0; the network is asked for the noise": _loss(
                target="y_0"
            ),
            (
                "this is the sum over the elements; take their mean, or pictures"
                " of different sizes cannot be compared"
            ): _loss(error=lambda miss: miss.square().sum()),
            (
                "this is the sum over the elements of a picture; take the mean"
                " over them as well"
            ): _loss(error=lambda miss: miss.square().sum((1, 2, 3)).mean()),
            "these are absolute errors, p = 1; square them": _loss(
                error=lambda miss: miss.abs().mean()
            ),
            "the errors are not squared, so opposite signs cancel": _loss(
                error=lambda miss: miss.mean()
            ),
            "this is the root of the mean square; the loss is the mean square": _loss(
                error=lambda miss: miss.square().mean().sqrt()
            ),
            "the network was shown the clean picture y_0; show it y_t": _loss(
                noised=lambda y, g, e: y
            ),
            (
                "every picture got the first picture's level; gamma has one"
                " entry a picture"
            ): _loss(
                noised=lambda y, g, e: diffuse(y, _one_level(g), e), told=_one_level
            ),
            "the network was told the root of gamma; in this book it is told gamma": (
                _loss(told=lambda gamma: gamma.sqrt())
            ),
        },
        builds=True,
    ),
}
