"""Exercises of deep dive D."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ...sampler import ddim_step, look_ahead, noise_from, predict_y_0
from ...schedule import NoiseSchedule, log_snr
from .grader import Answer, Exercise, images

_GAMMA_T, _GAMMA_BEFORE = (
    torch.tensor(0.3, dtype=torch.float64),
    torch.tensor(0.7, dtype=torch.float64),
)
_GAMMAS = NoiseSchedule.linear(12, 0.02, 0.5).gammas
_THREE = torch.tensor([0.9, 0.5, 0.05], dtype=torch.float64)


def _ddim(
    signal: Callable[[Tensor, Tensor], Tensor],
    noise: Callable[[Tensor, Tensor], Tensor],
) -> Answer:
    """A step with other factors for y_0_hat and eps_hat, functions of gamma_t and
    gamma_before.
    """

    def formula(
        y_t: Tensor, eps_hat: Tensor, gamma_t: Tensor, gamma_before: Tensor
    ) -> Tensor:
        return (
            signal(gamma_t, gamma_before).to(y_t) * predict_y_0(y_t, eps_hat, gamma_t)
            + noise(gamma_t, gamma_before).to(y_t) * eps_hat
        )

    return formula


def _right_ddim(
    y_t: Tensor, eps_hat: Tensor, gamma_t: Tensor, gamma_before: Tensor
) -> Tensor:
    return ddim_step(y_t, eps_hat, gamma_t / gamma_before, gamma_t)


def _without_roots_in_y_0(
    y_t: Tensor, eps_hat: Tensor, gamma_t: Tensor, gamma_before: Tensor
) -> Tensor:
    y_0 = (y_t - (1 - gamma_t).to(y_t) * eps_hat) / gamma_t.to(y_t)
    return (
        gamma_before.sqrt().to(y_t) * y_0 + (1 - gamma_before).sqrt().to(y_t) * eps_hat
    )


def _kept(gammas: Tensor, steps: int, first: int = 0, short: int = 0) -> Tensor:
    """The entries of `steps` + 1 whole numbers from `first` to T - `short`."""
    return gammas[
        torch.linspace(first, len(gammas) - 1 - short, steps + 1, dtype=torch.float64)
        .round()
        .long()
    ]


def _thinned_alphas(gammas: Tensor, steps: int) -> Tensor:
    alphas = torch.cat([gammas[:1], gammas[1:] / gammas[:-1]])
    return _kept(alphas, steps).cumprod(0)


def _step_with(y_t: Tensor, better: Tensor, gammas: Tensor) -> Tensor:
    return gammas[0].sqrt().to(y_t) * better + (1 - gammas[0]).sqrt().to(
        y_t
    ) * noise_from(y_t, better, gammas[1])


def _multistep(weight: Callable[[Tensor], Tensor]) -> Answer:
    """A multistep step, further by `weight`(gammas) times the last change of y_0."""

    def formula(y_t: Tensor, y_0: Tensor, y_0_before: Tensor, gammas: Tensor) -> Tensor:
        return _step_with(
            y_t, y_0 + weight(gammas).to(y_0) * (y_0 - y_0_before), gammas
        )

    return formula


def _right_multistep(
    y_t: Tensor, y_0: Tensor, y_0_before: Tensor, gammas: Tensor
) -> Tensor:
    return _step_with(y_t, look_ahead(y_0, y_0_before, gammas), gammas)


def _noise_left_behind(
    y_t: Tensor, y_0: Tensor, y_0_before: Tensor, gammas: Tensor
) -> Tensor:
    better, eps_hat = (
        look_ahead(y_0, y_0_before, gammas),
        noise_from(y_t, y_0, gammas[1]),
    )
    return gammas[0].sqrt().to(y_t) * better + (1 - gammas[0]).sqrt().to(y_t) * eps_hat


def _distances(gammas: Tensor) -> Tensor:
    """The next step's length over the last one's, in log-SNR."""
    snr = log_snr(gammas)
    return (snr[0] - snr[1]) / (snr[1] - snr[2])


EXERCISES: dict[str, Exercise] = {
    "D.1": Exercise(
        function="ddim",
        inputs=(images(2, 4, 1), images(2, 4, 2), _GAMMA_T, _GAMMA_BEFORE),
        right=_right_ddim,
        slips={
            (
                "this is y_t again: the clean picture is noised at the level"
                " it came from; gamma_before is where the step goes"
            ): (lambda y, e, g, b: y),
            (
                "this is the guess of the clean picture; the step stops on the"
                " way, at gamma_before, and puts noise back"
            ): lambda y, e, g, b: predict_y_0(y, e, g),
            (
                "both roots are missing in the last line: gamma and 1 - gamma"
                " are shares of power"
            ): _ddim(lambda g, b: b, lambda g, b: 1 - b),
            "the root of the signal's factor is missing": _ddim(
                lambda g, b: b, lambda g, b: (1 - b).sqrt()
            ),
            "the root of the noise's factor is missing": _ddim(
                lambda g, b: b.sqrt(), lambda g, b: 1 - b
            ),
            (
                "the noise is put back at the level gamma_t; there has to be"
                " less of it, sqrt(1 - gamma_before)"
            ): _ddim(lambda g, b: b.sqrt(), lambda g, b: (1 - g).sqrt()),
            (
                "the roots are missing in the guess of the clean picture: eq."
                " (3.6) is to be solved for y_0"
            ): (_without_roots_in_y_0),
            (
                "gamma_t and gamma_before have changed places: the step goes"
                " from gamma_t, which is smaller, to gamma_before"
            ): lambda y, e, g, b: _right_ddim(y, e, b, g),
        },
    ),
    "D.2": Exercise(
        function="fewer",
        inputs=(_GAMMAS, 4),
        right=_kept,
        slips={
            (
                "the last entry is not gamma_T: the table's last index is len(gammas)"
                " - 1, and sampling has to start from pure noise"
            ): lambda g, n: _kept(g, n, short=1),
            (
                "the first entry is not gamma_0 = 1, so the last step would"
                " not end at the clean picture"
            ): lambda g, n: _kept(g, n, first=1),
            (
                "these are the first entries of the table; the noise never gets"
                " strong, and gamma_T is far from 0"
            ): lambda g, n: g[: n + 1],
            (
                "these are the last entries of the table; take entries from"
                " the whole of it"
            ): lambda g, n: g[-(n + 1) :],
            (
                "the alphas were thinned out and multiplied; a long step keeps"
                " the product of all alphas it jumps over, so thin out the gammas"
            ): (_thinned_alphas),
            "the order is reversed: entry 0 is gamma_0 = 1": (
                lambda g, n: _kept(g, n).flip(0)
            ),
        },
    ),
    "D.3": Exercise(
        function="second_order",
        inputs=(images(2, 4, 3), images(2, 4, 4), images(2, 4, 5), _THREE),
        right=_right_multistep,
        slips={
            "this is DDIM: the guess of the step before is not used": _multistep(
                lambda g: torch.zeros_like(g[0])
            ),
            (
                "this follows the line to the end of the step; its mean over"
                " the step is found half-way, so the 2 is missing"
            ): _multistep(_distances),
            "this follows the line backwards: the change is y_0 - y_0_before": (
                _multistep(lambda g: -_distances(g) / 2)
            ),
            (
                "the two distances have changed places: the step to come is"
                " divided by the step that was"
            ): _multistep(lambda g: 1 / (2 * _distances(g))),
            "distances are measured in gamma; the line is straight in log-SNR": (
                _multistep(lambda g: (g[0] - g[1]) / (2 * (g[1] - g[2])))
            ),
            (
                "distances are measured in log gamma; the log-SNR is log(gamma"
                " / (1 - gamma))"
            ): _multistep(
                lambda g: (g[0].log() - g[1].log()) / (2 * (g[1].log() - g[2].log()))
            ),
            "the steps are taken to be equally long; they are not": _multistep(
                lambda g: torch.full_like(g[0], 0.5)
            ),
            (
                "the noise does not follow: it has to lead from the new guess"
                " to y_t, or the two no longer add up to y_t"
            ): (_noise_left_behind),
        },
    ),
}
