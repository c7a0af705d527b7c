"""Equations of chapter 2 that are not the job of one room."""

from __future__ import annotations

import math

import pytest
from checks import close, f64, randn, seeded

from sr3mini import NoiseSchedule, diffuse, downsample, load, log_snr, sample
from sr3mini.data import letters
from sr3mini.degrade import camera


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


def test_letters_are_drawn_on_grey_when_too_much_signal_is_expected_at_T() -> None:
    """The opening: `end` = 0.01 with 100 steps leaves gamma_T at 0.6, and the paper
    grey; with 0.2 it is white, and each picture is near one of the letters.
    """
    world = letters()
    y = world.batch([world.find(character) for character in "gmR85h"])
    x = camera(downsample(y, 8), 20 / 255, seeds=range(6))
    f, drawn = load("letters_4_32"), {}
    for end in (0.01, 0.2):
        drawn[end] = sample(
            f,
            x,
            NoiseSchedule.linear(100, 1e-6, end),
            y.shape,
            generator=seeded(3),
            variance="posterior",
            clip=True,
        )
    assert (drawn[0.01].flatten(1).median(1).values < 0.9).all()
    assert (drawn[0.2].flatten(1).median(1).values > 0.9).all()
    every = world.batch(range(len(world)))
    nearest = {
        end: (y[:, None] - every).square().mean((2, 3, 4)).amin(1)
        for end, y in drawn.items()
    }
    assert (nearest[0.2] < 0.06).all()
    assert nearest[0.01].mean() > 4 * nearest[0.2].mean()
