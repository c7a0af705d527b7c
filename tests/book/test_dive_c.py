"""Equations of deep dive C that are not the job of one room."""

from __future__ import annotations

import math

import pytest
import torch
from checks import Law, close, f64, order, push, seeded
from torch import Tensor

from sr3mini import NoiseSchedule, reverse_step, sample
from sr3mini.book.figures import reverse_density, wrong_start_law
from sr3mini.oracle import GaussianOracle, MixtureOracle
from sr3mini.sampler import predict_y_0

SCHEDULES = {
    "linear": NoiseSchedule.linear(100, 1e-6, 0.1),
    "quadratic": NoiseSchedule.quadratic(30, 1e-4, 0.5),
    "constant": NoiseSchedule.constant(7, 0.5),
    "warmup": NoiseSchedule.warmup(50, 1e-3, 0.3),
    "fibonacci": NoiseSchedule.fibonacci(),
}


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_minus_log_gamma_T_is_between_the_sum_of_the_noise_and_that_plus_its_squares(
    schedule: NoiseSchedule,
) -> None:
    """(C.1), for schedules whose steps are at most 1/2."""
    noise = 1 - schedule.alphas[1:]
    reached = -schedule.gammas[-1].log()
    assert noise.max() <= 0.5 + 1e-15
    assert noise.sum() <= reached <= noise.sum() + noise.square().sum()


def noised(m: float, v: float, gamma: float) -> tuple[Tensor, Tensor]:
    """Mean and covariance of the pair (y_0, y_T), from y_T = sqrt(gamma) y_0 + sqrt(1 -
    gamma) eps alone.
    """
    root = math.sqrt(gamma)
    A = f64(1, 0, root, math.sqrt(1 - gamma)).reshape(2, 2)  # (y_0, eps) -> (y_0, y_T)
    return A @ f64(m, 0), A @ torch.diag(f64(v, 1)) @ A.T


def test_the_law_of_y_0_given_y_T_is_what_oracle_and_covariance_say() -> None:
    """(C.2): E[y_0 | y_T] is the oracle's noise solved for y_0; mean and variance are
    those of a conditioned pair.
    """
    m, v = 0.8, 0.25
    y_T = f64(-1.3, 0.4, 2.0)[:, None]
    for gamma in (0.605, 0.0056):
        S = gamma * v + 1 - gamma
        K = math.sqrt(gamma) * v / S
        given = m + K * (y_T - math.sqrt(gamma) * m)
        oracle = GaussianOracle(f64(m), f64(v)[:, None])
        close(
            predict_y_0(y_T, oracle(None, y_T, f64(gamma).expand(3)), f64(gamma)[0]),
            given,
            1e-13,
            "E[y_0 | y_T]",
        )
        mean, covariance = noised(m, v, gamma)
        slope = covariance[0, 1] / covariance[1, 1]
        close(
            mean[0] + slope * (y_T - mean[1]),
            given,
            1e-14,
            "mean of the pair, conditioned",
        )
        close(
            covariance[0, 0] - slope * covariance[1, 0],
            f64(v * (1 - gamma) / S)[0],
            1e-15,
            "variance",
        )


def test_algorithm_2_from_pure_noise_ends_at_the_wrong_law_of_the_formula() -> None:
    """(C.3): the exact law of the sampler's y_0 approaches it with order 1 in 1/T, at a
    gamma_T far from 0.
    """
    m, v, steps, errors = f64(0.8), f64(0.25), [100, 200, 400, 800], []
    oracle = GaussianOracle(m, v[:, None])
    for T in steps:
        schedule = NoiseSchedule.linear(T, 0.02 / T, 1 / T)
        start = Law(T, f64(0), f64(1)[:, None])
        *_, last = push(reverse_step, oracle, torch.zeros(1, 1), schedule, start)
        wanted = wrong_start_law(m, v, schedule.gammas[-1])
        assert 0.59 < schedule.gammas[-1] < 0.61
        errors.append(
            abs((last.mean - wanted.mean).item())
            + abs((last.covariance[0, 0] - wanted.variance[0]).item())
        )
    assert errors[-1] < 2e-3
    assert abs(order(errors, steps) - 1) < 0.1


def test_the_wrong_law_is_the_right_one_when_nothing_of_the_picture_is_left() -> None:
    """(C.3) at gamma_T -> 0, and at gamma_T = 1, where the sampler returns the noise it
    was given.
    """
    m, v = f64(0.8, -0.3), f64(0.25, 1.5)
    law = wrong_start_law(m, v, f64(1e-12, 1e-12))
    close(law.mean, m, 1e-11, "mean")
    close(law.variance, v, 1e-11, "variance")
    law = wrong_start_law(m, v, f64(1, 1))
    close(law.mean, 0 * m, 0, "mean at 1")
    close(law.variance, f64(1, 1), 1e-15, "variance at 1")


def test_what_the_first_step_hides_has_the_variance_start() -> None:
    """(C.4): V[y_0 | y_1] = (1 - gamma_1)/gamma_1 V[eps | y_1], and it is start up to a
    share start/v.
    """
    v = 0.25
    for start in (1e-6, 1e-4):
        gamma_1 = NoiseSchedule.linear(100, start, 0.1).gammas[1].item()
        hidden = (
            (1 - gamma_1)
            / gamma_1
            * GaussianOracle(f64(0.8), f64(v)[:, None])
            .residual_covariance(gamma_1)
            .item()
        )
        assert hidden == pytest.approx(
            v * (1 - gamma_1) / (gamma_1 * v + 1 - gamma_1), rel=1e-9
        )
        assert hidden == pytest.approx(start, rel=1.01 * start / v)


def test_the_reverse_density_is_bayes_rule_and_a_small_step_makes_it_a_gaussian() -> (
    None
):
    """Against a histogram of pairs (y_{t-1}, y_t) with y_t near the given value; and by
    its area and the distance of the two laws.
    """
    y = torch.linspace(-4, 4, 2001, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    before, after, y_t = 0.97, 0.4, 0.3
    sign = torch.randint(0, 2, (4_000_000,), generator=generator) * 2 - 1
    earlier = before**0.5 * sign + (1 - before) ** 0.5 * torch.randn(
        len(sign), generator=generator
    )
    later = (after / before) ** 0.5 * earlier + (
        1 - after / before
    ) ** 0.5 * torch.randn(len(sign), generator=generator)
    met = earlier[(later - y_t).abs() < 0.02]
    exact, gaussian = reverse_density(before, after, y_t, y)
    assert torch.trapezoid(exact * (y > 0), y).item() == pytest.approx(
        (met > 0).double().mean().item(), abs=0.01
    )
    assert torch.trapezoid(exact * y, y).item() == pytest.approx(
        met.double().mean().item(), abs=0.02
    )
    for law in (exact, gaussian):
        assert torch.trapezoid(law, y).item() == pytest.approx(1, abs=1e-6)
    apart = [
        torch.trapezoid((a - b).abs(), y).item()
        for a, b in (
            reverse_density(*step, y_t, y)
            for step in ((0.51, 0.5), (0.6, 0.5), (before, after))
        )
    ]
    assert apart[0] < 0.05 < apart[1] < 0.5 < apart[2]


def test_steps_that_are_too_large_leave_black_and_white_pixels_grey() -> None:
    """Section C.4, with the exact f: what is wrong comes from the steps alone."""
    coins = MixtureOracle(f64(0.5, 0.5), f64(1, -1)[:, None], f64(0, 0))
    long = NoiseSchedule.linear(2000, 1e-6, 1e-2)
    nothing, apart = torch.zeros(2000, 1).double(), []
    for T in (4, 16, 50):
        drawn = sample(coins, nothing, long.respaced(T), (2000, 1), generator=seeded(0))
        apart.append((drawn.abs() - 1).abs().mean().item())
    assert apart[0] > 0.25
    assert apart[1] < 0.01
    assert apart[2] < 1e-9
