"""Exercises of deep dive G."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ...schedule import NoiseSchedule
from .grader import Answer, Exercise, images

# entry 0 is step 1, as in DDPM code
_BETAS = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5], dtype=torch.float64)
_SCHEDULE = NoiseSchedule.from_betas(_BETAS)


def _step(
    signal: Callable[[Tensor], Tensor],
    noise: Callable[[Tensor], Tensor],
    shift: int = -1,
) -> Answer:
    def formula(y_before: Tensor, t: int, betas: Tensor, eps: Tensor) -> Tensor:
        beta = betas[t + shift]
        return signal(beta) * y_before + noise(beta) * eps

    return formula


def _law(
    signal: Callable[[Tensor], Tensor],
    noise: Callable[[Tensor], Tensor],
    shift: int = 0,
) -> Answer:
    """Factor of y_0 and variance, as functions of what t + shift steps keep."""

    def formula(betas: Tensor, t: int) -> Tensor:
        kept = (1 - betas[: t + shift]).prod()
        return torch.stack([signal(kept), noise(kept)])

    return formula


def _posterior(s: NoiseSchedule, before: Tensor) -> Tensor:
    return (1 - s.alphas[1:]) * (1 - before) / (1 - s.gammas[1:])


EXERCISES: dict[str, Exercise] = {
    "G.1": Exercise(
        function="one_step",
        inputs=(images(2, 4, 5).double(), 3, _BETAS, images(2, 4, 6).double()),
        right=_step(lambda b: (1 - b).sqrt(), lambda b: b.sqrt()),
        slips={
            (
                "the noise is scaled by beta_t; beta_t is its variance, so its"
                " factor is the root of beta_t"
            ): _step(lambda b: (1 - b).sqrt(), lambda b: b),
            (
                "the root is missing at the picture: 1 - beta_t is the share"
                " of power that is kept, and the factor is its root"
            ): _step(lambda b: 1 - b, lambda b: b.sqrt()),
            (
                "both roots are missing: beta_t and 1 - beta_t are shares of"
                " power, and the factors are their roots"
            ): _step(lambda b: 1 - b, lambda b: b),
            (
                "the picture is not scaled, so its power grows at every step;"
                " it is multiplied by the root of 1 - beta_t"
            ): _step(torch.ones_like, lambda b: b.sqrt()),
            (
                "picture and noise have changed places: a small beta_t means"
                " little noise"
            ): _step(lambda b: b.sqrt(), lambda b: (1 - b).sqrt()),
            (
                "this is step t + 1: the table begins with step 1, so step t"
                " is betas[t - 1]"
            ): _step(lambda b: (1 - b).sqrt(), lambda b: b.sqrt(), 0),
            (
                "this is step t - 1: the table begins with step 1, so step t"
                " is betas[t - 1]"
            ): _step(lambda b: (1 - b).sqrt(), lambda b: b.sqrt(), -2),
        },
    ),
    "G.2": Exercise(
        function="law_after",
        inputs=(_BETAS, 3),
        right=_law(torch.sqrt, lambda g: 1 - g),
        slips={
            "the product runs over the whole table, to T; gamma_t stops at step t": (
                lambda b, t: _law(torch.sqrt, lambda g: 1 - g)(b, len(b))
            ),
            "the product stops at step t - 1; gamma_t contains alpha_t": _law(
                torch.sqrt, lambda g: 1 - g, -1
            ),
            "the product goes one step too far, to t + 1": _law(
                torch.sqrt, lambda g: 1 - g, 1
            ),
            (
                "this is the law of the last step alone: alpha_t stands where"
                " gamma_t, the product, is wanted"
            ): lambda b, t: torch.stack([(1 - b[t - 1]).sqrt(), b[t - 1]]),
            (
                "the factor is right, but the second number is the deviation;"
                " the covariance is (1 - gamma_t) I, without a root"
            ): _law(torch.sqrt, lambda g: (1 - g).sqrt()),
            "the root is missing at the factor of y_0; gamma_t is a share of power": (
                _law(lambda g: g, lambda g: 1 - g)
            ),
            "the two numbers stand in each other's place": (
                lambda b, t: _law(torch.sqrt, lambda g: 1 - g)(b, t).flip(0)
            ),
            (
                "the variances of all steps are added up; but each step also"
                " shrinks the noise of the steps before it"
            ): lambda b, t: torch.stack([(1 - b[:t]).prod().sqrt(), b[:t].sum()]),
        },
    ),
    "G.3": Exercise(
        function="posterior_variance",
        inputs=(_SCHEDULE,),
        right=lambda s: _posterior(s, s.gammas[:-1]),
        slips={
            (
                "at t = 1 this reads the last entry of gamma instead of gamma_0"
                " = 1; all other steps are right"
            ): lambda s: _posterior(s, torch.cat([s.gammas[-1:], s.gammas[1:-1]])),
            (
                "this has gamma_t where gamma_{t-1} is wanted, so that the fraction"
                " cancels to 1"
            ): lambda s: _posterior(s, s.gammas[1:]),
            "alpha and gamma have changed places": (
                lambda s: (1 - s.gammas[1:]) * (1 - s.gammas[:-1]) / (1 - s.alphas[1:])
            ),
            "this is the deviation; leave the root out": (
                lambda s: _posterior(s, s.gammas[:-1]).sqrt()
            ),
            "the factor 1 - alpha_t, DDPM's beta_t, is missing": (
                lambda s: (1 - s.gammas[:-1]) / (1 - s.gammas[1:])
            ),
            "this has alpha_t where DDPM has beta_t; beta_t is 1 - alpha_t": (
                lambda s: s.alphas[1:] * (1 - s.gammas[:-1]) / (1 - s.gammas[1:])
            ),
            "this has alpha_{t-1} where DDPM has alpha-bar_{t-1}; alpha-bar is gamma": (
                lambda s: _posterior(s, s.alphas[:-1])
            ),
        },
    ),
}
