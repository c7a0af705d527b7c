"""Exercises of chapter 2."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...schedule import NoiseSchedule, log_snr
from .grader import Exercise


def _ramp(T: int, start: float, end: float) -> Tensor:
    return torch.linspace(start, end, T, dtype=torch.float64)


def _with_one(table: Tensor) -> Tensor:
    return torch.cat([table.new_ones(1), table])


def _drops(measure: Tensor) -> Tensor:
    return -measure[1:].diff()


def _uneven(T: int, start: float, end: float) -> Tensor:
    """A ramp that takes T steps up from `start` instead of T - 1, so that `start`
    itself is left out.
    """
    return start + (end - start) * torch.arange(1, T + 1, dtype=torch.float64) / T


EXERCISES: dict[str, Exercise] = {
    "2.1": Exercise(
        function="linear_gammas",
        inputs=(6, 0.05, 0.4),
        right=lambda T, start, end: NoiseSchedule.linear(T, start, end).gammas,
        slips={
            (
                "this is one step late: entry t holds the product up to alpha_{t-1};"
                " entry 1 should be alpha_1"
            ): lambda T, start, end: _with_one(
                _with_one((1 - _ramp(T, start, end)).cumprod(0)[:-1])
            ),
            (
                "this is the product of all T factors in every entry; gamma_t"
                " runs to t and not to T"
            ): lambda T, start, end: _with_one(
                (1 - _ramp(T, start, end)).prod().expand(T)
            ),
            (
                "this adds the noise up, 1 minus the sum; each step keeps a"
                " share of what is left, so the shares multiply"
            ): lambda T, start, end: _with_one(1 - _ramp(T, start, end).cumsum(0)),
            (
                "this is the exponential of minus the sum of the noise: the"
                " rule for a quick guess; multiply the alphas themselves"
            ): lambda T, start, end: _with_one((-_ramp(T, start, end).cumsum(0)).exp()),
            (
                "this multiplies 1 - alpha, the shares of noise; gamma is the"
                " product of alpha, the shares that are kept"
            ): lambda T, start, end: _with_one(_ramp(T, start, end).cumprod(0)),
            "this is alpha_t; gamma_t is the product of all alphas up to t": (
                lambda T, start, end: _with_one(1 - _ramp(T, start, end))
            ),
            "start and end have changed places: the noise added should rise": (
                lambda T, start, end: NoiseSchedule.linear(T, end, start).gammas
            ),
            "here alpha runs from start to end; start and end are 1 - alpha": (
                lambda T, start, end: _with_one(_ramp(T, start, end))
            ),
            (
                "the ramp should be start at t = 1, and end at t = T: T values"
                " are T - 1 intervals"
            ): lambda T, start, end: _with_one((1 - _uneven(T, start, end)).cumprod(0)),
            (
                "this is the root of gamma, which scales the signal; gamma itself"
                " is asked for"
            ): (
                lambda T, start, end: NoiseSchedule.linear(T, start, end).gammas.sqrt()
            ),
        },
    ),
    "2.2": Exercise(
        function="log_snr_steps",
        inputs=(NoiseSchedule.linear(6, 0.05, 0.4).gammas,),
        right=lambda gammas: _drops(log_snr(gammas)),
        slips={
            (
                "this is the step in log gamma; the log-SNR is the log of gamma"
                " / (1 - gamma)"
            ): lambda gammas: _drops(gammas.log()),
            "the ratio is upside down: signal over noise is gamma / (1 - gamma)": (
                lambda gammas: _drops(-log_snr(gammas))
            ),
            (
                "this is half of it: the ratio of the standard deviations; the"
                " SNR is a ratio of powers, without roots"
            ): (lambda gammas: _drops(log_snr(gammas)) / 2),
            "this is in tens, a logarithm to base 10; take the natural one": (
                lambda gammas: _drops(log_snr(gammas)) / math.log(10)
            ),
            "this is in decibels; take the natural logarithm": (
                lambda gammas: _drops(log_snr(gammas)) * 10 / math.log(10)
            ),
            "this is the step in the SNR itself, without the logarithm": (
                lambda gammas: _drops(gammas / (1 - gammas))
            ),
            "this is the step in gamma": _drops,
            "these are the steps in the noise's log power alone, log(1 - gamma)": (
                lambda gammas: _drops(-torch.log(1 - gammas))
            ),
        },
    ),
    "2.3": Exercise(
        function="end_for",
        inputs=(
            torch.tensor([2000.0, 100.0, 50.0], dtype=torch.float64),
            0.01,
            torch.tensor([1e-9, 5e-3, 0.02], dtype=torch.float64),
        ),
        right=lambda T, start, gamma_T: -2 * gamma_T.log() / T - start,
        slips={
            (
                "the factor 2 is missing: the mean of start and end, not end"
                " alone, times T is the sum"
            ): (lambda T, start, gamma_T: -gamma_T.log() / T - start),
            "the factor 2 is on the wrong side": (
                lambda T, start, gamma_T: -gamma_T.log() / (2 * T) - start
            ),
            "start should be taken off, not added: start and end share the noise": (
                lambda T, start, gamma_T: -2 * gamma_T.log() / T + start
            ),
            "start is left out; it counts when it is not tiny": (
                lambda T, start, gamma_T: -2 * gamma_T.log() / T
            ),
            "the logarithm has base 10; (2.5) has the natural one": (
                lambda T, start, gamma_T: -2 * gamma_T.log10() / T - start
            ),
            (
                "the sign is wrong: the logarithm of gamma_T is negative, and"
                " end is positive"
            ): (lambda T, start, gamma_T: 2 * gamma_T.log() / T - start),
            (
                "this uses 1 - gamma_T for the logarithm: the sum of the noise"
                " is no power of the noise"
            ): (lambda T, start, gamma_T: 2 * (1 - gamma_T) / T - start),
        },
    ),
}
