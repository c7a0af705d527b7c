"""Equations of chapter 6 that are not the job of one room."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from checks import close, f64, gaussian_problem, randn, seeded
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from sr3mini import NoiseSchedule, denoising_loss, downsample, log_snr, reverse_step
from sr3mini.book.figures import bound_weight, mean_and_median
from sr3mini.data import glyphs
from sr3mini.degrade import degradation_matrix
from sr3mini.oracle import ConditionalGaussianOracle, GaussianOracle, MixtureOracle
from sr3mini.sampler import posterior_step, predict_y_0, sample

WEIGHTS, MEANS, VARIANCES = f64(0.7, 0.3), f64(0.8, -1.0), f64(0.05, 0.2)
SCHEDULE = NoiseSchedule.from_alphas(f64(0.9, 0.7, 0.4))
Y_0 = f64(0.6)


def joint(gamma: float) -> tuple[Tensor, Tensor, Tensor]:
    """A mixture of two Gaussians on a fine grid of (y_t, y_0): y_t (N, 1), y_0 (M,),
    and the mass of each cell (N, M).
    """
    y_t, y_0 = (
        torch.linspace(-8, 8, 801, dtype=torch.float64)[:, None],
        torch.linspace(-7, 7, 1401, dtype=torch.float64),
    )
    prior = (
        WEIGHTS * Normal(MEANS, VARIANCES.sqrt()).log_prob(y_0[:, None]).exp()
    ).sum(1)
    mass = (
        prior * Normal(math.sqrt(gamma) * y_0, math.sqrt(1 - gamma)).log_prob(y_t).exp()
    )
    return y_t, y_0, mass / mass.sum()


@pytest.mark.parametrize("gamma", [0.2, 0.8])
def test_the_squared_loss_is_a_floor_plus_the_distance_to_the_conditional_mean(
    gamma: float,
) -> None:
    """(6.2), by summing over a grid: for any f, E (f - eps)^2 = E (eps - E[eps |
    y_t])^2 + E (f - E[eps | y_t])^2.
    """
    y_t, y_0, mass = joint(gamma)
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


@pytest.mark.parametrize("gamma", [0.2, 0.8])
def test_the_mixture_oracle_is_the_conditional_mean_summed_over_all_pictures(
    gamma: float,
) -> None:
    """(6.6), and (6.9): the y_0 that the expected noise leads to is the mean of the
    clean pictures.
    """
    y_t, y_0, mass = joint(gamma)
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
    """(6.4), from the joint covariance of (eps, y_t): V[eps] - C[eps, y_t] V[y_t]^{-1}
    C[y_t, eps].
    """
    oracle, _, sigma, _ = gaussian_problem()
    identity = torch.eye(4).double()
    left = identity - (1 - gamma) * torch.linalg.inv(
        gamma * sigma + (1 - gamma) * identity
    )
    close(oracle.residual_covariance(gamma), left, 1e-12, "V[eps | y_t]")


def normal(mean: Tensor, variance: Tensor) -> Normal:
    return Normal(mean, variance.sqrt())


def posterior(t: int, y_t: Tensor, y_0: Tensor) -> Normal:
    """q(y_{t-1} | y_0, y_t) by `posterior_step`: its mean, and its deviation as what z
    = 1 adds.
    """
    alpha, gamma = SCHEDULE.alphas[t], SCHEDULE.gammas[t]
    eps = (y_t - gamma.sqrt() * y_0) / (1 - gamma).sqrt()
    mean = posterior_step(y_t, eps, alpha, gamma, None)
    return Normal(
        mean, posterior_step(y_t, eps, alpha, gamma, torch.ones_like(y_t)) - mean
    )


@pytest.mark.parametrize("t", [2, 3])
def test_the_posterior_is_the_product_of_the_two_steps_up_to_a_constant(t: int) -> None:
    """(6.12): log q(y_t | y_{t-1}) + log q(y_{t-1} | y_0) - log q(y_{t-1} | y_0, y_t)
    does not depend on y_{t-1}; it is log q(y_t | y_0).
    """
    alpha, gamma, before = (
        SCHEDULE.alphas[t],
        SCHEDULE.gammas[t],
        SCHEDULE.gammas[t - 1],
    )
    y_t, y = f64(-0.3)[None], torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    step = normal(alpha.sqrt() * y, 1 - alpha).log_prob(y_t)
    prior = normal(before.sqrt() * Y_0, 1 - before).log_prob(y)
    wanted = normal(gamma.sqrt() * Y_0, 1 - gamma).log_prob(y_t)
    close(
        step + prior - posterior(t, y_t, Y_0).log_prob(y),
        wanted.expand(9, 1),
        1e-12,
        "log q(y_t | y_0)",
    )


def kl(
    mean: Tensor, variance: Tensor, other_mean: Tensor, other_variance: Tensor
) -> Tensor:
    """(6.13) for one element."""
    return (mean - other_mean).square() / (2 * other_variance) + (
        (other_variance / variance).log() + variance / other_variance - 1
    ) / 2


def test_kl_of_two_gaussians_is_the_formula_of_the_chapter() -> None:
    """(6.13), against torch.distributions; with equal variances only the distance of
    the means is left.
    """
    m, n, v, w = (
        randn(5),
        randn(5, seed=1),
        randn(5, seed=2).exp(),
        randn(5, seed=3).exp(),
    )
    close(kl(m, v, n, w), kl_divergence(normal(m, v), normal(n, w)), 1e-13, "KL")
    close(kl(m, v, n, v), (m - n).square() / (2 * v), 1e-13, "KL of equal variances")


@pytest.mark.parametrize("variance", ["paper", "posterior"])
def test_each_term_of_the_bound_is_its_weight_times_the_squared_error_of_the_noise(
    variance: str,
) -> None:
    """(6.14): KL(f) - KL(eps) = w_t (eps - f)^2 for t >= 2; for t = 1 the same with
    -log p(y_0 | y_1) (needs a variance above 0).
    """
    weights = bound_weight(SCHEDULE, variance)  # type: ignore[arg-type]
    y_t, f = f64(-0.3)[None], f64(0.4)[None]
    for t in (1, 2, 3) if variance == "paper" else (2, 3):
        alpha, gamma, before = (
            SCHEDULE.alphas[t],
            SCHEDULE.gammas[t],
            SCHEDULE.gammas[t - 1],
        )
        eps = (y_t - gamma.sqrt() * Y_0) / (1 - gamma).sqrt()
        s2 = (
            1 - alpha
            if variance == "paper"
            else (1 - before) * (1 - alpha) / (1 - gamma)
        )

        def term(
            noise: Tensor,
            t: int = t,
            alpha: Tensor = alpha,
            gamma: Tensor = gamma,
            s2: Tensor = s2,
        ) -> Tensor:
            model = normal(reverse_step(y_t, noise, alpha, gamma, None), s2)
            return (
                -model.log_prob(Y_0)
                if t == 1
                else kl_divergence(posterior(t, y_t, Y_0), model)
            )

        close(
            term(f) - term(eps), weights[t - 1] * (eps - f).square(), 1e-12, f"term {t}"
        )


def test_the_posterior_weight_is_infinite_at_step_1_and_near_the_papers_later() -> None:
    schedule = NoiseSchedule.linear(2000, 1e-6, 1e-2)
    paper, exact = bound_weight(schedule), bound_weight(schedule, "posterior")
    assert exact[0] == math.inf
    close(paper[:1], f64(0.5), 1e-6, "w_1")
    close(
        (exact / paper)[100:],
        torch.ones(1900).double(),
        0.03,
        "one weight over the other, t > 100",
    )


def chain(schedule: NoiseSchedule) -> tuple[list[Tensor], list[Tensor]]:
    """The model's step y_{t-1} ~ N(a_t y_t + b_t, 1 - alpha_t) for t = 1..T, f being a
    Gaussian oracle that is a bit wrong on purpose.
    """
    f = GaussianOracle(f64(0.3), f64(0.4)[None])

    def mean(y: Tensor, t: int) -> Tensor:
        return reverse_step(
            y,
            f(None, y, schedule.gammas[t].expand(len(y))),
            schedule.alphas[t],
            schedule.gammas[t],
            None,
        )

    slopes, offsets = [f64(0.0)], [f64(0.0)]
    for t in range(1, schedule.steps + 1):
        at_0, at_1 = mean(f64(0.0)[None], t)[0], mean(f64(1.0)[None], t)[0]
        slopes.append(at_1 - at_0)
        offsets.append(at_0)
    return slopes, offsets


def test_the_bound_is_above_minus_log_p_and_is_its_sum_of_terms() -> None:
    """(6.10) and (6.11), without sampling, for one y_0: everything is Gaussian, so
    every expectation follows from first and second moments.
    """
    T, alphas, gammas = SCHEDULE.steps, SCHEDULE.alphas, SCHEDULE.gammas
    a, b = chain(SCHEDULE)
    mean, variance = f64(0.0), f64(1.0)  # of y_T under the model, pushed down to y_0
    for t in range(T, 0, -1):
        mean, variance = a[t] * mean + b[t], a[t].square() * variance + 1 - alphas[t]
    minus_log_p = -normal(mean, variance).log_prob(Y_0)

    def entropy(v: Tensor) -> Tensor:
        return (2 * math.pi * math.e * v).log() / 2

    def missed(t: int) -> Tensor:
        """E (y_{t-1} - a_t y_t - b_t)^2 under q, given y_0, with y_t = sqrt(alpha_t)
        y_{t-1} + sqrt(1 - alpha_t) noise.
        """
        kept, v = 1 - a[t] * alphas[t].sqrt(), 1 - gammas[t - 1]
        return (
            (kept * gammas[t - 1].sqrt() * Y_0 - b[t]).square()
            + kept.square() * v
            + a[t].square() * (1 - alphas[t])
        )

    # (6.10): E_q log q(y_1, ..., y_T | y_0) - E_q log p(y_0, ..., y_T)
    log_q = -sum(entropy(1 - alphas[t]) for t in range(1, T + 1))
    log_p_end = (
        -((2 * f64(math.pi)).log() + gammas[T] * Y_0.square() + 1 - gammas[T]) / 2
    )
    log_p_steps = -sum(
        ((2 * math.pi * (1 - alphas[t])).log() + missed(t) / (1 - alphas[t])) / 2
        for t in range(1, T + 1)
    )
    bound = log_q - log_p_end - log_p_steps
    assert bound > minus_log_p + 0.01

    # (6.11): KL of the ends, KLs of the steps (the mean over y_t by Gauss-Hermite
    # quadrature, exact for squares), and the last step
    points, w = (
        torch.from_numpy(array) for array in np.polynomial.hermite_e.hermegauss(5)
    )
    w = w / w.sum()

    def average(t: int, term: object) -> Tensor:
        y_t = gammas[t].sqrt() * Y_0 + (1 - gammas[t]).sqrt() * points
        return (w * term(y_t)).sum()  # type: ignore[operator]

    def step(t: int) -> Tensor:
        return average(
            t,
            lambda y_t: kl_divergence(
                posterior(t, y_t, Y_0), normal(a[t] * y_t + b[t], 1 - alphas[t])
            ),
        )

    ends = kl_divergence(
        normal(gammas[T].sqrt() * Y_0, 1 - gammas[T]), Normal(f64(0.0), f64(1.0))
    )
    last = average(
        1, lambda y_1: -normal(a[1] * y_1 + b[1], 1 - alphas[1]).log_prob(Y_0)
    )
    close(
        ends + step(2) + step(3) + last, bound, 1e-12, "sum of terms against the bound"
    )


def test_the_slider_shows_the_two_numbers_of_the_text() -> None:
    alt = mean_and_median(0.7, 0.2).alt
    assert (
        "L2 predicts the noise -0.20, which leads to 0.40, and L1 predicts -0.50, which"
        " leads to 1.00" in alt
    )


def test_the_weight_of_the_bound_is_half_a_step_of_the_log_snr() -> None:
    schedule = NoiseSchedule.linear(2000, 1e-6, 1e-2)
    half_steps = -log_snr(schedule.gammas[100:]).diff() / 2
    ratio = bound_weight(schedule)[100:] / half_steps
    close(ratio, torch.ones_like(ratio), 0.02, "one over the other, t > 100")


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
