"""Exercises of deep dive C."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...schedule import NoiseSchedule, log_snr
from .grader import Exercise


def _drops(measure: Tensor) -> Tensor:
    return -measure[1:].diff()


EXERCISES: dict[str, Exercise] = {
    "C.1": Exercise(
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
    "C.2": Exercise(
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
