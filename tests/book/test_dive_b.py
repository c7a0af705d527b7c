"""Equations of deep dive B: the bound on the likelihood."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from checks import close, f64, randn
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from sr3mini import NoiseSchedule, log_snr, reverse_step
from sr3mini.book.figures import bound_weight
from sr3mini.oracle import GaussianOracle
from sr3mini.sampler import posterior_step

SCHEDULE = NoiseSchedule.from_alphas(f64(0.9, 0.7, 0.4))
Y_0 = f64(0.6)


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
    """(B.3): log q(y_t | y_{t-1}) + log q(y_{t-1} | y_0) - log q(y_{t-1} | y_0, y_t)
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
    """(B.4) for one element."""
    return (mean - other_mean).square() / (2 * other_variance) + (
        (other_variance / variance).log() + variance / other_variance - 1
    ) / 2


def test_kl_of_two_gaussians_is_the_formula_of_the_chapter() -> None:
    """(B.4), against torch.distributions; with equal variances only the distance of
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
    """(B.5): KL(f) - KL(eps) = w_t (eps - f)^2 for t >= 2; for t = 1 the same with
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
    """(B.1) and (B.2), without sampling, for one y_0: everything is Gaussian, so
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

    # (B.1): E_q log q(y_1, ..., y_T | y_0) - E_q log p(y_0, ..., y_T)
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

    # (B.2): KL of the ends, KLs of the steps (the mean over y_t by Gauss-Hermite
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


def test_the_weight_of_the_bound_is_half_a_step_of_the_log_snr() -> None:
    schedule = NoiseSchedule.linear(2000, 1e-6, 1e-2)
    half_steps = -log_snr(schedule.gammas[100:]).diff() / 2
    ratio = bound_weight(schedule)[100:] / half_steps
    close(ratio, torch.ones_like(ratio), 0.02, "one over the other, t > 100")
