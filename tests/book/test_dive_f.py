"""Equations of deep dive F that are not the job of one room."""

from __future__ import annotations

import math

import pytest
import torch
from checks import close, f64, randn, seeded

from sr3mini.book.failures import unrelated, vitals
from sr3mini.degrade import downsample
from sr3mini.metrics import consistency
from sr3mini.oracle import GaussianOracle
from sr3mini.sampler import posterior_step, reverse_step
from sr3mini.schedule import NoiseSchedule

SCHEDULE = NoiseSchedule.linear(5, 0.1, 0.7)


@pytest.mark.parametrize("t", [1, 2, 5])
@pytest.mark.parametrize("variance", [0.0, 0.3, 1.0, 5.0])
def test_a_step_multiplies_a_deviation_by_root_alpha_and_the_ratio_of_the_variances(
    t: int, variance: float
) -> None:
    """(F.4): two y_t that are 1 apart are this far apart after the step, under both
    rules.
    """
    oracle, alpha, gamma, before = (
        GaussianOracle(f64(0.7), f64(variance)[None]),
        SCHEDULE.alphas[t],
        SCHEDULE.gammas[t],
        SCHEDULE.gammas[t - 1],
    )
    y_t = f64(-0.2, 0.8)[:, None]
    for step in (reverse_step, posterior_step):
        low, high = step(y_t, oracle(None, y_t, gamma.expand(2)), alpha, gamma, None)
        wanted = (
            alpha.sqrt()
            * (before * variance + 1 - before)
            / (gamma * variance + 1 - gamma)
        )
        close(high - low, wanted[None], 1e-14, "factor")


@pytest.mark.parametrize("s", [0.05, 0.2])
def test_clipped_noise_darkens_white_by_one_over_the_root_of_two_pi(s: float) -> None:
    """(F.6): the cast of a white page with noise s, as it is shown; the noise has the
    grain s.
    """
    page = torch.ones(1, 1, 512, 512)
    now = vitals(
        page + s * torch.randn(page.shape, generator=seeded(0)),
        downsample(page, 4),
        page,
    )
    assert now["cast"] == pytest.approx(-s / math.sqrt(2 * math.pi), rel=0.02)
    assert now["grain"] == pytest.approx(s, rel=0.02)


def test_clipping_takes_half_of_the_squared_error_of_noise_on_black_and_white() -> None:
    """Noise at t = 1 costs 4/(1 - alpha_1) before clipping, and half of it after."""
    s, half = 0.2, torch.ones(256, 256)
    half[:, :128] = -1
    noisy = half + s * torch.randn(half.shape, generator=seeded(0))
    assert (noisy - half).square().mean() == pytest.approx(s**2, rel=0.02)
    shown = noisy.clamp(-1, 1)
    assert (shown - half).square().mean() == pytest.approx(s**2 / 2, rel=0.02)


def test_a_picture_of_something_else_has_the_consistency_of_F_3() -> None:
    """What a model that ignores x reaches: 1e5 times (F.3) for small pictures, over
    4, by going through all pairs of y and x.
    """
    y = randn(6, 1, 16, 16)
    x = downsample(y, 4)
    pairs = torch.stack([consistency(y.roll(k, 0), x) for k in range(6)])
    close(pairs.mean(), 1e5 * unrelated(x) / 4, 1e-8, "consistency")
