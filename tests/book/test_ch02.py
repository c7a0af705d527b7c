"""Equations of chapter 2 that are not the job of one room."""

from __future__ import annotations

import math

import pytest
from checks import close, f64, randn

from sr3mini import NoiseSchedule, diffuse, log_snr


def test_a_noised_picture_is_the_picture_plus_noise_of_the_size_that_log_snr_says() -> (
    None
):
    """(2.3)"""
    y_0, eps, gamma = randn(4, 3), randn(4, 3, seed=1), f64(0.999999, 0.5, 0.1, 1e-5)
    scaled = diffuse(y_0, gamma, eps) / gamma.sqrt()[:, None]
    close(
        (scaled - y_0) / eps,
        (-log_snr(gamma) / 2).exp()[:, None].expand(4, 3),
        1e-9,
        "noise beside the picture",
    )


@pytest.mark.parametrize(
    ("T", "start", "end"), [(2000, 1e-6, 1e-2), (1000, 1e-4, 0.02), (100, 1e-6, 0.1)]
)
def test_a_linear_schedule_ends_near_the_exponential_of_minus_T_times_the_mean_noise(
    T: int, start: float, end: float
) -> None:
    """(2.4) and (2.5): below the rule, and by a share that the squares of (C.1)
    allow.
    """
    rule, gamma_T = (
        math.exp(-T * (start + end) / 2),
        NoiseSchedule.linear(T, start, end).gammas[-1].item(),
    )
    assert rule * math.exp(-T * end**2 / 2) < gamma_T < rule
