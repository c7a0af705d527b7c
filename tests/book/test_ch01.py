"""Equations of chapter 1 that are not the job of one room."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import jupytext
import pytest
import torch
from checks import close, f64
from project import ROOT
from torch import nn

from sr3mini import NoiseSchedule, diffuse
from sr3mini.book import figures, plane

SCHEDULE = NoiseSchedule.from_betas(f64(0.1, 0.3, 0.2, 0.4))


def weights(step: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Factors of picture and noise in diffuse at this level, found by handing it one
    without the other.
    """
    one, zero = torch.ones(1, 2).double(), torch.zeros(1, 2).double()
    return diffuse(one, step[None], zero), diffuse(zero, step[None], one)


def test_one_step_has_mean_sqrt_alpha_y_and_covariance_1_minus_alpha() -> None:
    """(1.1): diffuse is linear in the noise, with the matrix c I, so the covariance c^2
    I is known without drawing anything.
    """
    y_before, basis = f64(0.3, -0.8), torch.eye(2).double()
    for t in range(1, 5):
        alpha = SCHEDULE.alphas[t].expand(2)
        mean = diffuse(y_before.expand(2, 2), alpha, 0 * basis)
        close(
            mean,
            math.sqrt(SCHEDULE.alphas[t]) * y_before.expand(2, 2),
            1e-15,
            f"mean of step {t}",
        )
        matrix = diffuse(0 * basis, alpha, basis)
        close(
            matrix @ matrix.T,
            (1 - SCHEDULE.alphas[t]) * basis,
            1e-15,
            f"covariance of step {t}",
        )


def test_t_steps_are_one_jump_with_gamma_in_the_place_of_alpha() -> None:
    """(1.2): the factors of y_0 and of every single noise after t calls of diffuse,
    against one call.
    """
    signal, noises = torch.ones(1, 2).double(), []
    for t in range(1, 5):
        keep, add = weights(SCHEDULE.alphas[t])
        signal, noises = keep * signal, [*(keep * noise for noise in noises), add]
        one_jump_signal, one_jump_noise = weights(SCHEDULE.gammas[t])
        close(signal, one_jump_signal, 1e-15, f"factor of y_0 after {t} steps")
        close(
            torch.stack(noises).square().sum(0),
            one_jump_noise.square(),
            1e-15,
            f"variance after {t} steps",
        )


def bell(value: torch.Tensor, deviation: float) -> torch.Tensor:
    """The density of N(0, deviation^2)."""
    return torch.exp(-(value / deviation).square() / 2) / (
        deviation * math.sqrt(2 * math.pi)
    )


def test_the_sum_of_two_independent_noises_is_normal_with_the_variances_added() -> None:
    """(1.3): the density of the sum by integrating over the first noise (a trapezoid
    sum of Gaussians is exact to rounding), for diffuse's two factors too.
    """
    grid, at = (
        torch.linspace(-24, 24, 4801, dtype=torch.float64),
        f64(-3.0, -0.5, 0.0, 1.2, 4.0),
    )
    of_diffuse = [weight[0, 0].item() for weight in weights(f64(0.36)[0])]
    for a, b in ((0.6, 1.7), of_diffuse):
        density = torch.trapezoid(bell(grid, a) * bell(at[:, None] - grid, b), grid)
        close(
            density, bell(at, math.hypot(a, b)), 1e-14, f"density of {a} eps + {b} eps'"
        )
    close(
        f64(math.hypot(*of_diffuse)),
        f64(1.0),
        1e-15,
        "deviation of diffuse(noise, level, noise)",
    )


def test_the_variance_pushed_through_every_step_is_exactly_1_minus_gamma() -> None:
    """(1.4) in exact fractions for DDPM's 1000 steps, and the table of the schedule
    against the exact product.
    """
    betas = [
        Fraction(1, 10_000) + Fraction(t, 999) * Fraction(199, 10_000)
        for t in range(1000)
    ]
    gammas = NoiseSchedule.from_alphas(
        1 - torch.tensor([float(beta) for beta in betas], dtype=torch.float64)
    ).gammas
    variance, product = Fraction(0), Fraction(1)
    for t, beta in enumerate(betas, start=1):
        variance, product = (1 - beta) * variance + beta, product * (1 - beta)
        assert variance == 1 - product
        assert abs(gammas[t].item() / float(product) - 1) < 1e-12


def test_the_pixel_by_hand() -> None:
    """Section 1.6: alphas and variances of the table."""
    pixel = NoiseSchedule.from_gammas(f64(0.9, 0.5, 0.1))
    close(pixel.alphas[1:], f64(0.9, 5 / 9, 1 / 5), 1e-15, "alphas")
    variance = f64(0)[0]
    for t, wanted in enumerate((0.1, 0.5, 0.9), start=1):
        variance = pixel.alphas[t] * variance + 1 - pixel.alphas[t]
        close(variance, f64(wanted)[0], 1e-15, f"variance after {t} steps")


@pytest.fixture(scope="module")
def cells() -> list[str]:
    """The code of section 1.8, as the chapter prints it."""
    text = ROOT / "chapters" / "01_from_beta_to_alpha.md"
    found, inside = [], False
    for cell in jupytext.read(text, fmt="md:myst").cells:
        if cell.cell_type == "markdown" and "## 1." in cell.source:
            inside = "## 1.8" in cell.source
        elif cell.cell_type == "code" and inside:
            found.append(cell.source)
    return found


def test_the_whole_of_sr3_is_at_most_forty_lines(cells: list[str]) -> None:
    """Network, training and sampling; blank lines are not counted."""
    core = [cell for cell in cells if "def " in cell]
    assert len(core) == 3
    lines = [line for cell in core for line in cell.splitlines() if line.strip()]
    assert len(lines) <= 40


def test_the_forty_lines_draw_both_right_answers_two_to_one(cells: list[str]) -> None:
    """The chapter's own code, trained: each cluster with its share, hardly anything
    between them, on the line D y = 0, and as wide as the data.
    """
    space: dict[str, Any] = {
        "torch": torch, "nn": nn, "plane": plane, "figures": figures
    }  # fmt: skip
    threads = torch.get_num_threads()
    try:
        for cell in cells:
            exec(cell, space)
    finally:
        torch.set_num_threads(threads)
    y = space["answers"].double()
    left = y[:, 0] < 0
    assert abs(left.double().mean().item() - 2 / 3) < 0.05
    assert (y.abs().amin(1) > 0.3).double().mean() > 0.97
    assert y.mean(1).square().mean().sqrt() < 0.12
    for cluster, centre in ((y[left], plane.CENTRES[0]), (y[~left], plane.CENTRES[1])):
        assert (cluster.mean(0) - centre).abs().max() < 0.05
        along = (cluster @ plane.ALONG).std()
        assert 0.5 * plane.SPREAD < along < 2.5 * plane.SPREAD
