"""Exercises of chapter 2."""

from __future__ import annotations

import torch
from torch import Tensor

from ...schedule import NoiseSchedule
from .grader import Exercise


def _ramp(T: int, start: float, end: float) -> Tensor:
    return torch.linspace(start, end, T, dtype=torch.float64)


def _with_one(table: Tensor) -> Tensor:
    return torch.cat([table.new_ones(1), table])


def _uneven(T: int, start: float, end: float) -> Tensor:
    """A ramp that takes T steps up from `start` instead of T - 1, so that `start`
    itself is left out.
    """
    return start + (end - start) * torch.arange(1, T + 1, dtype=torch.float64) / T


EXERCISES: dict[str, Exercise] = {
    "2.1": Exercise(
        function="linear",
        inputs=(6, 0.05, 0.4),
        right=lambda steps, start, end: NoiseSchedule.linear(steps, start, end).gammas,
        builds=True,
        slips={
            (
                "this is one step late: entry t holds the product up to alpha_{t-1};"
                " entry 1 should be alpha_1"
            ): lambda steps, start, end: _with_one(
                _with_one((1 - _ramp(steps, start, end)).cumprod(0)[:-1])
            ),
            (
                "this is the product of all T factors in every entry; gamma_t"
                " runs to t and not to T"
            ): lambda steps, start, end: _with_one(
                (1 - _ramp(steps, start, end)).prod().expand(steps)
            ),
            (
                "this adds the noise up, 1 minus the sum; each step keeps a"
                " share of what is left, so the shares multiply"
            ): lambda steps, start, end: _with_one(
                1 - _ramp(steps, start, end).cumsum(0)
            ),
            (
                "this is the exponential of minus the sum of the noise: the"
                " rule for a quick guess; multiply the alphas themselves"
            ): lambda steps, start, end: _with_one(
                (-_ramp(steps, start, end).cumsum(0)).exp()
            ),
            (
                "this multiplies 1 - alpha, the shares of noise; gamma is the"
                " product of alpha, the shares that are kept"
            ): lambda steps, start, end: _with_one(_ramp(steps, start, end).cumprod(0)),
            "this is alpha_t; gamma_t is the product of all alphas up to t": (
                lambda steps, start, end: _with_one(1 - _ramp(steps, start, end))
            ),
            "start and end have changed places: the noise added should rise": (
                lambda steps, start, end: NoiseSchedule.linear(steps, end, start).gammas
            ),
            "here alpha runs from start to end; start and end are 1 - alpha": (
                lambda steps, start, end: _with_one(_ramp(steps, start, end))
            ),
            (
                "the ramp should be start at t = 1, and end at t = T: T values"
                " are T - 1 intervals"
            ): lambda steps, start, end: _with_one(
                (1 - _uneven(steps, start, end)).cumprod(0)
            ),
            (
                "this is the root of gamma, which scales the signal; gamma itself"
                " is asked for"
            ): (
                lambda steps, start, end: NoiseSchedule.linear(
                    steps, start, end
                ).gammas.sqrt()
            ),
        },
    ),
}
