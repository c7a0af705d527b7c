"""Equations of chapter 7 that are not the job of one room, and the exact laws behind
its figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from checks import (
    close,
    f64,
    randn,
    seeded,
)
from torch import Tensor

from sr3mini.book import own, plane
from sr3mini.book.exercises import EXERCISES
from sr3mini.book.exercises.grader import Exercise
from sr3mini.book.figures import (
    coin_step,
    pushed,
    residuals,
    reverse_density,
    reverse_variance,
    step_spread,
)
from sr3mini.data import letters
from sr3mini.degrade import downsample
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


def test_what_the_bad_guess_misses_is_independent_of_y_t_for_pure_noise() -> None:
    """y_0 - sqrt(gamma) y_t in terms of (y_0, eps), both N(0, 1): its variance is
    1 - gamma, and it is uncorrelated with y_t.
    """
    gamma = SCHEDULE.gammas[1:]
    y_t = torch.stack([gamma.sqrt(), (1 - gamma).sqrt()])
    miss = torch.stack([1 - gamma, -(gamma * (1 - gamma)).sqrt()])
    first = torch.stack([torch.ones_like(gamma), torch.zeros_like(gamma)])
    close(miss, first - gamma.sqrt() * y_t, 1e-15, "the line")
    close(miss.square().sum(0), 1 - gamma, 1e-15, "variance")
    close((miss * y_t).sum(0), 0 * gamma, 1e-15, "mean product with y_t")


@pytest.mark.parametrize("step", [(0.9, 0.5), (0.52, 0.5), (0.3, 0.1)])
def test_the_step_back_of_a_coin_is_bayes_rule(step: tuple[float, float]) -> None:
    """The two Gaussians of (7.1) against Bayes' rule on a grid, which deep dive C uses;
    the Gaussian beside them has their mean and variance, (7.3) and (7.4).
    """
    y = torch.linspace(-9, 9, 18_001, dtype=torch.float64)
    true, gaussian = coin_step(*step, 0.2, y)
    bayes, _ = reverse_density(*step, 0.2, y)
    close(true, bayes, 1e-6, "density")  # of float32 constants there
    for power in (0, 1, 2):
        moments = (torch.trapezoid(law * y**power, y)[None] for law in (true, gaussian))
        close(*moments, 1e-9, f"moment {power}")


def test_a_small_step_back_is_one_bell_and_a_large_one_is_not() -> None:
    y = torch.linspace(-4, 4, 8001, dtype=torch.float64)
    apart, humps = [], []
    for before in (0.9, 0.7, 0.6, 0.52, 0.505):
        true, gaussian = coin_step(before, 0.5, 0.2, y)
        apart.append(torch.trapezoid((true - gaussian).abs(), y).item())
        inside = true[1:-1]
        humps.append(int(((inside > true[:-2]) & (inside > true[2:])).sum()))
    assert (humps[0], humps[-1]) == (2, 1)
    assert apart == sorted(apart, reverse=True)
    assert apart[0] > 0.4
    assert apart[-1] < 0.01


def test_the_residuals_of_a_trajectory_are_those_of_its_guesses() -> None:
    x, y, off = randn(2, 1, 2, 2), randn(2, 1, 8, 8, seed=1), 0.25
    steps = [(2, y, None), (1, y, y + off), (0, y, y)]
    times, short, unlike = residuals(steps, x, y)
    assert times == [2, 1]  # each guess belongs to the y_t that it was made from
    assert short == pytest.approx([off, 0])
    apart = (downsample(y, 4) - x).square().mean().sqrt().item()
    assert unlike[1] == pytest.approx(apart)


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


def test_the_pixel_by_hand() -> None:
    """The numbers of sections 7.2 and 7.9: y_0 = 1, and y_t = 0 at t = 2 and 3."""
    schedule = NoiseSchedule.from_gammas(f64(0.9, 0.5, 0.1))
    for t, mean, variance in ((2, 0.843, 0.0889), (3, 0.6285, 0.4444)):
        alpha, gamma = schedule.alphas[t], schedule.gammas[t]
        eps = noise_from(f64(0.0), f64(1.0), gamma)
        close(
            posterior_step(f64(0.0), eps, alpha, gamma, None), f64(mean), 1e-3, "mean"
        )
        sigma = posterior_step(f64(0.0), f64(0.0), alpha, gamma, f64(1.0))
        close(sigma.square(), f64(variance), 1e-4, "variance")


def test_the_spread_of_a_step_is_that_of_the_joint_gaussian() -> None:
    """(7.4) for two pixels, where V[y_0 | y_t] is a matrix: y_{t-1} and y_t are jointly
    Gaussian, and mean and covariance follow without it.
    """
    mean, C = f64(0.4, -0.3), f64(0.5, 0.2, 0.2, 0.3).reshape(2, 2)
    alpha, gamma, before = (
        SCHEDULE.alphas[3],
        SCHEDULE.gammas[3],
        SCHEDULE.gammas[2],
    )
    earlier = before * C + (1 - before) * torch.eye(2).double()
    later = gamma * C + (1 - gamma) * torch.eye(2).double()
    gain = alpha.sqrt() * earlier @ torch.linalg.inv(later)
    y_t = randn(1, 2)
    f = GaussianOracle(mean, C)
    centre, spread = step_spread(f, ONE, y_t, alpha, gamma)
    wanted = before.sqrt() * mean + gain @ (y_t[0] - gamma.sqrt() * mean)
    close(centre, wanted, 1e-13, "mean")
    close(spread, earlier - alpha.sqrt() * gain @ earlier, 1e-13, "covariance")


def test_particles_fall_onto_the_line_with_the_shares_of_the_exact_answers() -> None:
    """And the width of a cluster lies between those of the two variances."""
    x, exact = torch.zeros(4000, 1), plane.answers(torch.zeros(4000, 1), seeded(1))
    schedule, width = NoiseSchedule.linear(50, 1e-3, 0.25), {}
    for rule in ("paper", "posterior"):
        how = {"generator": seeded(0), "variance": rule}
        y = sample(plane.oracle, x, schedule, (4000, 2), **how)  # type: ignore[arg-type]
        assert (y @ plane.D.T.float() - x).abs().max() < 1e-5
        upper, wanted = y[:, 0] < 0, exact[:, 0] < 0
        assert upper.double().mean().item() == pytest.approx(2 / 3, abs=0.03)
        close(y[upper].mean(0), exact[wanted].mean(0), 0.02, "centre of a cluster")
        width[rule] = y[upper].std(0)[0]
    right = exact[wanted].std(0)[0]
    assert width["posterior"] * 1.1 < right < width["paper"] / 1.1


# -- the reader's own SR3


class Counting(SimpleNamespace):
    """The book's functions, each with how often it was called."""

    def __init__(self) -> None:
        self.calls: dict[str, int] = {}
        builders = [e for e in EXERCISES.values() if e.builds]
        super().__init__(**{e.function: self.counted(e) for e in builders})

    def counted(self, exercise: Exercise) -> Callable[..., Tensor]:
        def function(*inputs: object) -> Tensor:
            self.calls[exercise.function] = self.calls.get(exercise.function, 0) + 1
            return exercise.right(*inputs)

        return function


def test_the_readers_own_sr3_uses_the_functions_of_the_exercises() -> None:
    """A few steps of training, and samples: shapes, and who is called. `diffuse` is
    called by `loss`, and `reverse_step` by `sample`, if they are hers.
    """
    functions = Counting()
    f = own.train(functions, steps=3)
    x, samples, y = own.draw(functions, f, "Ag")
    assert (x.shape, samples.shape) == ((2, 1, 4, 4), (2, 2, 1, 16, 16))
    assert y.shape == (2, 1, 16, 16)
    assert samples.abs().max() <= 1
    used = {"linear", "draw_gamma", "condition", "modulate", "loss", "sample"}
    assert used == set(functions.calls)
    assert functions.calls["loss"] == 3


def test_the_readers_own_sr3_sees_capitals_through_the_noise_of_the_camera() -> None:
    functions, seen = Counting(), []
    loss = functions.loss

    def watched(f: object, x: Tensor, y_0: Tensor, *others: Tensor) -> Tensor:
        seen.append((x, y_0))
        return loss(f, x, y_0, *others)

    functions.loss = watched
    f = own.train(functions, steps=4)
    x, y_0 = (torch.cat(each) for each in zip(*seen, strict=True))
    noise = x - downsample(y_0, own.FACTOR)
    assert noise.std().item() == pytest.approx(own.NOISE, rel=0.05)

    world = letters(own.SIZE)
    nearest = torch.cdist(y_0.flatten(1), world.batch(range(len(world))).flatten(1))
    capitals = [c.isupper() for c in world.characters]
    assert nearest[:, torch.tensor(capitals)].min(1).values.max() < 0.05

    x, _, y = own.draw(functions, f, "ARMGSXBQ")
    drawn = (x - downsample(y, own.FACTOR)).std().item()
    assert drawn == pytest.approx(own.NOISE, rel=0.3)
