"""Equations of deep dive A, and the exact laws behind its figures."""

from __future__ import annotations

import math

import pytest
import torch
from checks import (
    close,
    conditional_problem,
    f64,
    gaussian_problem,
    joint,
    push,
    randn,
    seeded,
    standard_normal,
)

from sr3mini import NoiseSchedule, denoising_loss, downsample, reverse_step
from sr3mini.book.figures import mean_and_median, pushed
from sr3mini.data import glyphs
from sr3mini.degrade import degradation_matrix
from sr3mini.oracle import ConditionalGaussianOracle, GaussianOracle, MixtureOracle
from sr3mini.sampler import posterior_step, predict_y_0, sample

WEIGHTS, MEANS, VARIANCES = f64(0.7, 0.3), f64(0.8, -1.0), f64(0.05, 0.2)


@pytest.mark.parametrize("gamma", [0.2, 0.8])
def test_the_mixture_oracle_is_the_conditional_mean_summed_over_all_pictures(
    gamma: float,
) -> None:
    """(A.4), and the y_0 that the expected noise leads to is the mean of the clean
    pictures.
    """
    y_t, y_0, mass = joint(gamma, WEIGHTS, MEANS, VARIANCES)
    inner = y_t.abs()[:, 0] < 3
    law = (mass / mass.sum(1, keepdim=True))[inner]
    oracle = MixtureOracle(WEIGHTS, MEANS[:, None], VARIANCES)
    eps_hat = oracle(None, y_t[inner], f64(gamma).expand(int(inner.sum())))
    eps = (y_t[inner] - math.sqrt(gamma) * y_0) / math.sqrt(1 - gamma)
    close(eps_hat[:, 0], (law * eps).sum(1), 1e-8, "E[eps | y_t]")
    close(
        predict_y_0(y_t[inner], eps_hat, f64(gamma)[0])[:, 0],
        (law * y_0).sum(1),
        1e-8,
        "E[y_0 | y_t]",
    )


@pytest.mark.parametrize("gamma", [0.05, 0.5, 0.99])
def test_the_residual_covariance_is_that_of_the_noise_once_y_t_is_known(
    gamma: float,
) -> None:
    """(A.2), from the joint covariance of (eps, y_t): V[eps] - C[eps, y_t] V[y_t]^{-1}
    C[y_t, eps].
    """
    oracle, _, sigma, _ = gaussian_problem()
    identity = torch.eye(4).double()
    left = identity - (1 - gamma) * torch.linalg.inv(
        gamma * sigma + (1 - gamma) * identity
    )
    close(oracle.residual_covariance(gamma), left, 1e-12, "V[eps | y_t]")


def test_the_slider_shows_the_two_numbers_of_the_text() -> None:
    alt = mean_and_median(0.7, 0.2).alt
    assert (
        "L2 predicts the noise -0.20, which leads to 0.40, and L1 predicts -0.50, which"
        " leads to 1.00" in alt
    )


def test_the_median_draws_too_few_of_the_less_probable_picture() -> None:
    """Both oracles of a white (0.7) or black (0.3) pixel draw white and black only."""
    schedule, black = NoiseSchedule.linear(100, 1e-4, 0.2), {}
    masses = f64(0.7, 0.3), f64(1, -1)[:, None], torch.zeros(2)
    for p in (2, 1):
        oracle, no_x = MixtureOracle(*masses, p=p), torch.zeros(1, 1).double()
        drawn = sample(oracle, no_x, schedule, (2000, 1), generator=seeded(0))
        close(drawn.abs(), torch.ones_like(drawn), 1e-6, "distance from grey")
        black[p] = (drawn < 0).double().mean().item()
    assert black[2] == pytest.approx(0.3, abs=0.03)
    assert black[1] < 0.25


def test_a_linear_f_has_the_gaussian_floor_as_its_loss_on_glyphs_too() -> None:
    """Glyphs are no Gaussian, but with their mean and covariance the loss of the oracle
    is its floor.
    """
    y_0 = glyphs("train", 16).batch(torch.arange(0, 40_000, 10)).double()
    y_0 = y_0 + 0.05 * randn(*y_0.shape, seed=1)  # no corner is white in all of them
    flat, n = y_0.flatten(1), len(y_0)
    D = degradation_matrix(16, 2)
    oracle = ConditionalGaussianOracle(flat.mean(0), flat.T.cov(), D)
    x, eps = downsample(y_0, 2), randn(*y_0.shape)
    for gamma in (0.01, 0.5, 0.99):
        loss = denoising_loss(oracle, x, y_0, f64(gamma).expand(n), eps)
        assert loss.item() == pytest.approx(oracle.centred.floor(gamma), rel=0.05)


ONE = torch.ones(1, 1).double()


def test_conditioning_on_x_is_minimising_over_its_null_space() -> None:
    """(A.7), another way: y = y* + N c with D y* = x and D N = 0; c is Gaussian with
    the precision N^T Sigma^-1 N.
    """
    D, x, covariance, oracle = conditional_problem()
    start, precision = torch.linalg.pinv(D) @ x[0], torch.linalg.inv(covariance)
    N = torch.linalg.svd(D).Vh[4:].T
    spread = torch.linalg.inv(N.T @ precision @ N)
    mean = start - N @ spread @ N.T @ precision @ (start - oracle.prior_mean)
    close(oracle.posterior_mean(x)[0], mean, 1e-13, "E[y | x]")
    close(oracle.posterior_covariance(), N @ spread @ N.T, 1e-13, "V[y | x]")


@pytest.mark.parametrize("step", [reverse_step, posterior_step])
def test_the_pushed_laws_are_those_that_the_checks_find(step: object) -> None:
    """The same laws as checks.push, which was written for the tests: T + 1 of them, the
    start included.
    """
    _, x, _, oracle = conditional_problem()
    schedule = NoiseSchedule.linear(25, 0.01, 0.5)
    start = standard_normal(25, 16)
    laws = pushed(step, oracle, x, schedule, (start.mean, start.covariance))  # type: ignore[arg-type]
    assert len(laws) == 26
    for (mean, covariance), law in zip(
        laws[1:], push(step, oracle, x, schedule, start), strict=True
    ):  # type: ignore[arg-type]
        close(mean, law.mean, 1e-14, f"mean of y_{law.t}")
        close(covariance, law.covariance, 1e-14, f"covariance of y_{law.t}")


def test_the_pushed_law_is_that_of_many_samples() -> None:
    """And the same as drawing: 100,000 samples of correlated data."""
    mean, covariance, n = f64(0.4, -0.3), f64(0.5, 0.2, 0.2, 0.3).reshape(2, 2), 100_000
    oracle, schedule = (
        GaussianOracle(mean, covariance),
        NoiseSchedule.linear(10, 0.05, 0.7),
    )
    drawn = sample(
        oracle, torch.zeros(n, 1).double(), schedule, (n, 2), generator=seeded(0)
    )
    exact, spread = pushed(
        reverse_step,
        oracle,
        ONE,
        schedule,
        (torch.zeros(2).double(), torch.eye(2).double()),
    )[-1]
    close(drawn.mean(0), exact, 0.01, "mean")
    close(drawn.T.cov(), spread, 0.01, "covariance")


def test_noise_in_x_is_one_more_unknown() -> None:
    """Pixels and noise as one Gaussian, seen through x = D y + noise: what is left of
    the pixels is Sigma - Sigma D^T (D Sigma D^T + sigma^2 I)^-1 D Sigma.
    """
    D, _, sigma, _ = conditional_problem()
    low = torch.eye(len(D)).double()
    seen = ConditionalGaussianOracle(
        torch.zeros(len(sigma) + len(D)),
        torch.block_diag(sigma, 0.04 * low),
        torch.cat([D, low], dim=1),
    )
    left = seen.posterior_covariance()[: len(sigma), : len(sigma)]
    gain = sigma @ D.T @ torch.linalg.inv(D @ sigma @ D.T + 0.04 * low)
    close(left, sigma - gain @ D @ sigma, 1e-12, "V[y | x]")
