"""Equations of chapter 7 that are not the job of one room, and the exact laws behind
its figures.
"""

from __future__ import annotations

import math

import pytest
import torch
from checks import (
    close,
    f64,
    mixture,
    order,
    randn,
    seeded,
)
from torch import Tensor

from sr3mini import downsample, load, trajectory, upsample
from sr3mini.book.figures import pushed, reverse_variance
from sr3mini.data import glyphs
from sr3mini.metrics import consistency, psnr
from sr3mini.model.network import Network
from sr3mini.oracle import GaussianOracle, MixtureOracle
from sr3mini.sampler import (
    noise_from,
    posterior_step,
    predict_y_0,
    reverse_step,
    sample,
)
from sr3mini.schedule import NoiseSchedule

SCHEDULE = NoiseSchedule.linear(5, 0.1, 0.7)
ONE = torch.ones(1, 1).double()


def normal(u: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """The density of N(mean, variance) at u."""
    return (
        torch.exp(-(u - mean).square() / (2 * variance))
        / (2 * math.pi * variance).sqrt()
    )


@pytest.mark.parametrize("t", [2, 3, 5])
def test_the_posterior_is_bayes_rule_on_a_grid(t: int) -> None:
    """(7.1): the product of the two densities over its own area, with no square
    completed, has the mean and the variance of the step.
    """
    y_0, y_t, alpha, gamma, before = (
        f64(0.8)[0],
        f64(-0.4)[0],
        SCHEDULE.alphas[t],
        SCHEDULE.gammas[t],
        SCHEDULE.gammas[t - 1],
    )
    u = torch.linspace(-12, 12, 200_001, dtype=torch.float64)
    weight = normal(y_t, alpha.sqrt() * u, 1 - alpha) * normal(
        u, before.sqrt() * y_0, 1 - before
    )
    weight = weight / weight.sum()
    mean = (weight * u).sum()
    eps = noise_from(y_t[None], y_0[None], gamma)
    close(posterior_step(y_t[None], eps, alpha, gamma, None), mean[None], 1e-12, "mean")
    sigma = posterior_step(f64(0), f64(0), alpha, gamma, f64(1))
    close(sigma.square(), (weight * (u - mean).square()).sum()[None], 1e-12, "variance")


def test_at_the_last_step_the_posterior_is_a_point() -> None:
    """(7.1) at t = 1: the mean is y_0, whatever y_1 is, and the variance 0."""
    y_0, y_1 = randn(3, 2), randn(3, 2, seed=1)
    alpha_1 = SCHEDULE.alphas[1]
    close(
        posterior_step(
            y_1, noise_from(y_1, y_0, alpha_1), alpha_1, alpha_1, randn(3, 2, seed=2)
        ),
        y_0,
        1e-14,
        "y_0",
    )


@pytest.mark.parametrize("t", [1, 2, 5])
def test_the_mean_of_algorithm_2_is_the_posterior_mean_at_the_guess(t: int) -> None:
    """(7.3): put y_0_hat into the weighted mean of (7.1)."""
    y_t, eps_hat, alpha, gamma, before = (
        randn(3, 2),
        randn(3, 2, seed=1),
        SCHEDULE.alphas[t],
        SCHEDULE.gammas[t],
        SCHEDULE.gammas[t - 1],
    )
    y_0 = predict_y_0(y_t, eps_hat, gamma)
    mean = (before.sqrt() * (1 - alpha) * y_0 + alpha.sqrt() * (1 - before) * y_t) / (
        1 - gamma
    )
    close(reverse_step(y_t, eps_hat, alpha, gamma, None), mean, 1e-14, "mean")


@pytest.mark.parametrize("v", [0.0, 0.03, 0.5, 1.0, 4.0])
def test_the_variance_of_the_step_back_is_that_of_the_joint_gaussian(v: float) -> None:
    """(7.4): for y_0 ~ N(0, v), y_{t-1} and y_t are jointly Gaussian, and the variance
    left is V - cov^2 / V'.
    """
    alpha, gamma, before = (
        SCHEDULE.alphas[1:],
        SCHEDULE.gammas[1:],
        SCHEDULE.gammas[:-1],
    )
    earlier, later = before * v + 1 - before, gamma * v + 1 - gamma
    wanted = earlier - alpha * earlier.square() / later
    close(
        reverse_variance(alpha, gamma, v * (1 - gamma) / later),
        wanted,
        1e-15,
        "V[y_{t-1} | y_t]",
    )


def test_the_two_variances_are_the_two_extremes() -> None:
    """(7.4) is the variance of `reverse_step` for N(0, I) and that of `posterior_step`
    for a point; pictures in [-1, 1] lie in between on average.
    """
    alpha, gamma = SCHEDULE.alphas[3], SCHEDULE.gammas[3]
    paper, posterior = (
        step(0 * ONE, 0 * ONE, alpha, gamma, ONE).square()[0]
        for step in (reverse_step, posterior_step)
    )
    close(reverse_variance(alpha, gamma, 1 - gamma)[None], paper, 1e-15, "N(0, I)")
    close(reverse_variance(alpha, gamma, 0 * gamma)[None], posterior, 1e-15, "a point")
    masses = f64(0.3, 0.7), f64(1.0, -0.8)[:, None], torch.zeros(2).double()
    y_t = torch.linspace(-8, 8, 20_001, dtype=torch.float64)
    density = (
        MixtureOracle(*masses).log_density(y_t[:, None], gamma.expand(len(y_t))).exp()
    )
    guess = predict_y_0(
        y_t[:, None],
        MixtureOracle(*masses)(None, y_t[:, None], gamma.expand(len(y_t))),
        gamma,
    )[:, 0]
    # of a variable with two values: (high - mean)(mean - low)
    spread = ((1.0 - guess) * (guess + 0.8)).clamp(min=0)
    average = (density * reverse_variance(alpha, gamma, spread)).sum() / density.sum()
    assert posterior.item() + 1e-3 < average.item() < paper.item() - 1e-3


def test_the_step_goes_along_the_score() -> None:
    """(7.8), with the gradient of log q(y_t) by autograd."""
    y_t, z, gamma, alpha = (
        randn(6, 2).requires_grad_(),
        randn(6, 2, seed=1),
        f64(0.4).expand(6),
        f64(0.7)[0],
    )
    f = MixtureOracle(*mixture())
    (score,) = torch.autograd.grad(f.log_density(y_t, gamma).sum(), y_t)
    wanted = (y_t + (1 - alpha) * score) / alpha.sqrt() + (1 - alpha).sqrt() * z
    close(
        reverse_step(y_t.detach(), f(None, y_t.detach(), gamma), alpha, gamma[0], z),
        wanted.detach(),
        1e-13,
        "y_{t-1}",
    )


def test_a_small_step_is_a_step_of_the_reverse_equation() -> None:
    """(7.9): what is left out falls with the square of 1 - alpha_t, and half of the
    drift is a Langevin step.
    """
    y_t, z, gamma = randn(6, 2), randn(6, 2, seed=1), f64(0.4).expand(6)
    eps_hat = MixtureOracle(*mixture())(None, y_t, gamma)
    score = -eps_hat / (1 - gamma[0]).sqrt()

    def left_out(h: float) -> float:
        step = reverse_step(y_t, eps_hat, f64(1 - h)[0], gamma[0], z)
        flow, langevin = h / 2 * (y_t + score), h / 2 * score + math.sqrt(h) * z
        return (step - y_t - flow - langevin).abs().max().item()

    sizes = [1000, 2000, 4000]
    assert abs(order([left_out(1 / n) for n in sizes], sizes) - 2) < 0.01


def test_a_wrong_start_is_forgotten_like_the_root_of_gamma() -> None:
    """N(0, I) data: of a mean of 1/2 the share sqrt(gamma_T) is left, of the variance's
    error the share gamma_T.
    """
    oracle, before = GaussianOracle(torch.zeros(1), torch.eye(1)), SCHEDULE
    mean, covariance = pushed(reverse_step, oracle, ONE, before, (f64(0.5), ONE / 12))[
        -2
    ]
    # the last step adds no noise, so look before it
    left = before.gammas[-1] / before.gammas[1]
    close(mean, left.sqrt()[None] / 2, 1e-15, "mean of y_1")
    close(covariance, 1 + left * (ONE / 12 - 1), 1e-15, "variance of y_1")


def test_noise_at_the_end_adds_its_variance_to_the_error() -> None:
    """E (y_0 + sqrt(1 - alpha_1) z - y)^2 is 1 - alpha_1 more than without z, exactly,
    for z = +1 and -1 alike.
    """
    y, y_0, alpha_1 = randn(50), randn(50, seed=1), SCHEDULE.alphas[1]
    errors = [(y_0 + (1 - alpha_1).sqrt() * z - y).square() for z in (1.0, -1.0)]
    close(
        (errors[0] + errors[1]) / 2,
        (y_0 - y).square() + 1 - alpha_1,
        1e-14,
        "squared error",
    )


def test_clipping_spoils_data_that_leave_the_range() -> None:
    """N(0, 1) data and their exact f."""
    f = GaussianOracle(torch.zeros(1), torch.eye(1))
    schedule, spread = NoiseSchedule.linear(25, 0.01, 0.5), {}
    for clip in (False, True):
        drawn = sample(
            f, torch.zeros(5000, 1), schedule, (5000, 1), generator=seeded(0), clip=clip
        )
        spread[clip] = drawn.var().item()
    assert spread[False] == pytest.approx(schedule.alphas[1].item(), rel=0.06)
    assert spread[True] < 0.6


# -- what the chapter shows with the trained network


@pytest.fixture(scope="module")
def f() -> Network:
    return load("glyphs_8_32")


@pytest.fixture(scope="module")
def y() -> Tensor:
    test = glyphs("test")
    return test.batch([test.find(character) for character in "Rga5"])


def generators() -> list[torch.Generator]:
    return [seeded(seed) for seed in range(4)]


def grain(picture: Tensor, y: Tensor) -> Tensor:
    """How far pixels that are white for certain are from white, root mean square."""
    ground = upsample(downsample(y, 4), 4) > 0.98
    return (picture - 1)[ground].square().mean().sqrt()


def test_noise_at_t_1_and_a_missing_step_are_grain(f: Network, y: Tensor) -> None:
    schedule, x = f.preset.sampling_schedule(), downsample(y, 4)
    *_, before, last = trajectory(
        f, x, schedule, y.shape, generator=generators(), variance="posterior"
    )
    noisy = last.y_t + (1 - schedule.alphas[1]).sqrt() * randn(*y.shape)
    assert grain(last.y_t, y) < 0.02
    assert grain(noisy, y) > 0.1
    assert grain(before.y_t, y) > 0.1
    assert psnr(last.y_t, y).mean() - psnr(noisy.float(), y).mean() > 1


def test_with_few_steps_the_papers_variance_leaves_grain(f: Network, y: Tensor) -> None:
    """More steps take it away, and so does the posterior's variance."""
    x, pictures, left, close_to, fits = downsample(y, 4), {}, {}, {}, {}
    for variance, steps in (("paper", 25), ("paper", 100), ("posterior", 25)):
        schedule = f.preset.sampling_schedule(steps)
        picture = sample(
            f, x, schedule, y.shape, generator=generators(), variance=variance
        )
        pictures[variance, steps] = picture
        left[variance, steps] = grain(picture, y)
        close_to[variance, steps] = psnr(picture.clamp(-1, 1), y).mean()
        fits[variance, steps] = consistency(picture.clamp(-1, 1), x).mean()
    assert left["posterior", 25] < 0.02
    assert left["paper", 25] > 0.08
    assert left["paper", 100] < left["paper", 25] / 2
    assert close_to["posterior", 25] - close_to["paper", 25] > 2
    assert fits["paper", 25] > 20 * fits["posterior", 25]

    # a cut at white is one-sided, and darkens the ground
    speckled = pictures["paper", 25]
    ground = upsample(x, 4) > 0.98
    darker = [(1 - each[ground]).mean() for each in (speckled, speckled.clamp(-1, 1))]
    assert darker[0] < 0.02
    assert darker[1] > 0.03


def test_clipping_mends_a_network_that_sees_too_much_noise(
    f: Network, y: Tensor
) -> None:
    def spoilt(x: Tensor, y_t: Tensor, gamma: Tensor) -> Tensor:
        return f(x, y_t, gamma) + 0.1

    x, schedule, reached = downsample(y, 4), f.preset.sampling_schedule(), {}
    for clip in (False, True):
        picture = sample(
            spoilt,
            x,
            schedule,
            y.shape,
            generator=generators(),
            variance="posterior",
            clip=clip,
        )
        reached[clip] = psnr(picture.clamp(-1, 1), y).mean()
    assert reached[True] - reached[False] > 4
