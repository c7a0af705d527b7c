"""Equations of chapter 3 that are not the job of one room."""

from __future__ import annotations

import torch
from checks import close, f64

from sr3mini import NoiseSchedule, diffuse, gamma_cdf
from sr3mini.forward import gamma_between, gamma_pdf

PIXEL = NoiseSchedule.from_gammas(f64(0.9, 0.5, 0.1))


def test_the_pixels_draw_by_hand_is_the_packages() -> None:
    """Section 3.3: t = 2 and u = 0.25 give 0.6, and with eps = -0.5 the noisy pixel."""
    gamma = gamma_between(PIXEL, torch.tensor([2]), f64(0.25))
    close(gamma, f64(0.6), 1e-15, "gamma")
    y_t = diffuse(f64(1)[None], gamma, f64(-0.5)[None])
    close(y_t, f64(0.458)[None], 5e-4, "y_t")


def test_the_pixels_density_and_median_by_hand() -> None:
    """Section 3.4 and exercise 3.2: heights 3.33, 0.83, 0.83, and F(0.7) = 0.5."""
    close(
        gamma_pdf(PIXEL, f64(0.95, 0.7, 0.3)),
        f64(1 / 0.3, 1 / 1.2, 1 / 1.2),
        1e-14,
        "heights",
    )
    close(gamma_cdf(PIXEL, f64(0.7, 0.9)), f64(1 / 2, 2 / 3), 1e-15, "F")


def test_the_cdf_at_the_level_of_step_t_is_1_minus_t_over_T() -> None:
    """(3.5)"""
    paper = NoiseSchedule.linear(2000, 1e-6, 1e-2)
    t = torch.arange(2001, dtype=torch.float64)
    close(gamma_cdf(paper, paper.gammas), 1 - t / 2000, 1e-12, "F(gamma_t)")


def test_the_density_of_the_papers_levels_is_high_at_both_ends() -> None:
    """Section 3.7: there a step changes the level little."""
    paper = NoiseSchedule.linear(2000, 1e-6, 1e-2)
    low, middle, high = gamma_pdf(paper, f64(1e-4, 0.5, 0.9999)).tolist()
    assert low > 20 * middle
    assert high > 20 * middle
