"""Equations of chapter 6 that are not the job of one room, and its exact answers."""

from __future__ import annotations

import math

import pytest
import torch
from checks import close, f64, joint, randn

from sr3mini import denoising_loss, diffuse, downsample
from sr3mini.data import letters
from sr3mini.degrade import camera, degradation_matrix
from sr3mini.oracle import (
    ConditionalGaussianOracle,
    GaussianOracle,
    MixtureOracle,
    PicturesOracle,
)
from sr3mini.sampler import predict_y_0

WEIGHTS, MEANS, VARIANCES = f64(0.7, 0.3), f64(0.8, -1.0), f64(0.05, 0.2)


@pytest.mark.parametrize("gamma", [0.2, 0.8])
def test_the_squared_loss_is_a_floor_plus_the_distance_to_the_conditional_mean(
    gamma: float,
) -> None:
    """(6.2), by summing over a grid: for any f, E (f - eps)^2 = E (eps - E[eps |
    y_t])^2 + E (f - E[eps | y_t])^2.
    """
    y_t, y_0, mass = joint(gamma, WEIGHTS, MEANS, VARIANCES)
    eps = (y_t - math.sqrt(gamma) * y_0) / math.sqrt(1 - gamma)
    best = (mass * eps).sum(1, keepdim=True) / mass.sum(1, keepdim=True)
    floor = (mass * (eps - best).square()).sum()
    for f in (best, 0 * y_t, y_t, torch.tanh(3 * y_t) - 0.2):
        close(
            (mass * (f - eps).square()).sum(),
            floor + (mass * (f - best).square()).sum(),
            1e-12,
            "loss against floor plus excess",
        )


def test_the_guess_is_off_by_what_the_noise_is_off_over_the_signal() -> None:
    """(6.3): for any answer f, the squares of both errors differ by the factor (1 -
    gamma) / gamma.
    """
    y_0, eps, f = (
        randn(3, 1, 4, 4),
        randn(3, 1, 4, 4, seed=1),
        randn(3, 1, 4, 4, seed=2),
    )
    for gamma in f64(0.0001, 0.3, 0.99):
        y_t = diffuse(y_0, gamma.expand(3), eps)
        off = (predict_y_0(y_t, f, gamma) - y_0).square().mean()
        wanted = (1 - gamma) / gamma * (f - eps).square().mean()
        close(off / wanted, f64(1.0)[0], 1e-11, "one over the other")


def test_exercise_6_2_has_the_numbers_of_its_answer() -> None:
    """Two point masses at gamma = 1/2: f, and the spread of eps."""
    masses = f64(0.5, 0.5), f64(1.0, -1.0)[:, None], torch.zeros(2)
    y_t, gamma = f64(0.0, 0.5**0.5)[:, None], f64(0.5, 0.5)
    f = MixtureOracle(*masses)(None, y_t, gamma)
    close(f[:, 0], f64(0.0, 0.24), 0.005, "f")
    guess = predict_y_0(y_t, f, gamma[0])
    close(guess[:, 0], f64(0.0, 0.76), 0.005, "guess")
    spread = (1 - guess.square()) * gamma[:, None] / (1 - gamma[:, None])
    close(spread[:, 0], f64(1.0, 0.42), 0.005, "spread of eps")


def test_on_letters_nothing_beats_the_exact_answer() -> None:
    """At every level its loss is below that of the best linear f, and of any small
    change to it.
    """
    y = letters(16).batch(range(744)).double()
    low, sigma = downsample(y, 4), 20 / 255
    exact = PicturesOracle(y, low, sigma)
    x, eps = camera(low, sigma, range(744)), randn(*y.shape)
    for gamma in (0.001, 0.1, 0.5):
        level = f64(gamma).expand(744)
        best = denoising_loss(exact, x, y, level, eps)
        for other in (
            lambda x, y_t, gamma: 0.99 * exact(x, y_t, gamma),
            lambda x, y_t, gamma: exact(x, y_t, gamma) + 0.01,
            lambda x, y_t, gamma: exact(0 * x, y_t, gamma),
        ):
            assert denoising_loss(other, x, y, level, eps) > best


def test_what_a_noisy_x_leaves_open_is_what_dive_a_gets_from_a_longer_y() -> None:
    """Section 6.7 solves with the covariance of x; dive A counts the noise of x as more
    numbers of y. Both are the covariance of y, given x.
    """
    y, sigma = randn(200, 64), 0.3
    S, D, low = y.T.cov(), degradation_matrix(8, 4), torch.eye(4).double()
    of_x = D @ S @ D.T + sigma**2 * low
    left_open = S - S @ D.T @ torch.linalg.solve(of_x, D @ S)
    longer = ConditionalGaussianOracle(
        torch.zeros(68).double(),
        torch.block_diag(S, sigma**2 * low),
        torch.cat([D, low], dim=1),
    )
    wanted = longer.posterior_covariance()[:64, :64]
    close(left_open, wanted, 1e-12, "what x leaves open")


def test_no_linear_f_beats_the_scale_of_section_6_7() -> None:
    """Fitted to the very pictures by least squares, at one level, with many draws."""
    y = letters(16).batch(range(744)).double()[..., ::4, ::4]
    sigma, gamma, level = 0.1, 0.3, f64(0.3).expand(744 * 40)
    S, D = y.flatten(1).T.cov(), degradation_matrix(4, 2)
    of_x = D @ S @ D.T + sigma**2 * torch.eye(4).double()
    left_open = S - S @ D.T @ torch.linalg.solve(of_x, D @ S)
    floor = GaussianOracle(torch.zeros(16).double(), left_open).floor(gamma)

    y_0, eps = y.repeat(40, 1, 1, 1), randn(744 * 40, 1, 4, 4)
    x = downsample(y_0, 2) + sigma * randn(744 * 40, 1, 2, 2, seed=1)
    shown = [x.flatten(1), diffuse(y_0, level, eps).flatten(1)]
    inputs = torch.cat([*shown, torch.ones(len(x), 1).double()], dim=1)
    linear = torch.linalg.lstsq(inputs, eps.flatten(1)).solution
    loss = (inputs @ linear - eps.flatten(1)).square().mean().item()
    assert loss == pytest.approx(floor, rel=0.02)
