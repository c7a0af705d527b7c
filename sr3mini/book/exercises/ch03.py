"""Exercises of chapter 3."""

from __future__ import annotations

import torch
from torch import Tensor

from ...schedule import NoiseSchedule
from .grader import Exercise

_GAMMAS = NoiseSchedule.linear(5, 0.1, 0.7).gammas
_T = torch.tensor([2, 3, 4, 3])
_U = torch.tensor([0.2, 0.9, 0.5, 0.4], dtype=torch.float64)


def _between(gammas: Tensor, t: Tensor, u: Tensor, shift: int = 0) -> Tensor:
    """A share u of the way up segment t + shift, or the nearest that there is."""
    high = gammas[(t - 1 + shift).clamp(min=0)]
    low = gammas[(t + shift).clamp(max=len(gammas) - 1)]
    return low + u * (high - low)


EXERCISES: dict[str, Exercise] = {
    "3.1": Exercise(
        function="draw_gamma",
        inputs=(_GAMMAS, _T, _U),
        right=_between,
        builds=True,
        slips={
            (
                "this is the segment of step t + 1; segment t lies between gammas[t]"
                " and gammas[t - 1]"
            ): lambda gammas, t, u: _between(gammas, t, u, 1),
            (
                "this is the segment of step t - 1; the index is the paper's"
                " t, so segment t lies between gammas[t] and gammas[t - 1]"
            ): lambda gammas, t, u: _between(gammas, t, u, -1),
            (
                "this is uniform in the square root of gamma, as in WaveGrad's"
                " code; interpolate gamma itself"
            ): lambda gammas, t, u: _between(gammas.sqrt(), t, u).square(),
            (
                "the distribution is right, but u runs downwards; at u = 0 the level"
                " should be gamma_t"
            ): lambda gammas, t, u: _between(gammas, t, 1 - u),
            (
                "this returns the level of step t itself and leaves u out, so"
                " only T different levels are ever drawn"
            ): lambda gammas, t, u: gammas[t],
            (
                "this is uniform between gamma_T and 1, in one stage: t is left out,"
                " and every segment gets what belongs to its width, not 1/T"
            ): lambda gammas, t, u: gammas[-1] + u * (1 - gammas[-1]),
        },
    ),
}
