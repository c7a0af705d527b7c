"""The sharp checks, as plain functions: each takes an implementation and raises
AssertionError when it is wrong.

The tests hand them the real functions. test_mutations hands them broken ones and wants
them to fail.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from project import FIXTURE
from public_code import weights
from safetensors.torch import load_file
from torch import Tensor
from torch.distributions import Normal

from sr3mini.bridges.janspiry import their_name
from sr3mini.degrade import degradation_matrix
from sr3mini.oracle import ConditionalGaussianOracle, GaussianOracle
from sr3mini.schedule import NoiseSchedule

Function = Callable[..., Any]


def seeded(seed: int) -> torch.Generator:
    """A generator of one's own."""
    return torch.Generator().manual_seed(seed)


def randn(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal numbers, float64."""
    return torch.randn(shape, dtype=torch.float64, generator=seeded(seed))


def f64(*values: float) -> Tensor:
    """The numbers as they are written: `torch.tensor(...).double()` would round them to
    float32 first.
    """
    return torch.tensor(values, dtype=torch.float64)


def close(actual: Tensor, wanted: Tensor, tolerance: float, what: str) -> None:
    """Every element within `tolerance`. NaN is never close; nothing is broadcast."""
    assert actual.shape == wanted.shape, (
        f"{what}: shape {tuple(actual.shape)}, not {tuple(wanted.shape)}"
    )
    error = (actual - wanted).abs().max().item()
    assert error <= tolerance, f"{what}: off by {error:.1e}, more than {tolerance:.0e}"


def order(errors: list[float], steps: list[int]) -> float:
    """How fast the error falls with T: minus the slope of log error against log T."""
    return -float(np.polyfit(np.log(steps), np.log(errors), 1)[0])


def curve(steps: int) -> NoiseSchedule:
    """gamma = exp(-tau/20 - 7 tau^2) at tau = t/T: one curve for every T, so that only
    the step size changes.
    """
    tau = torch.arange(1, steps + 1, dtype=torch.float64) / steps
    return NoiseSchedule.from_gammas((-tau / 20 - 7 * tau.square()).exp())


def flat_curve(steps: int) -> NoiseSchedule:
    """gamma = exp(-7 tau^4): ends as low as `curve`, and 1 - gamma_1 falls like 1/T^4,
    so that a first-order last step costs nothing.
    """
    tau = torch.arange(1, steps + 1, dtype=torch.float64) / steps
    return NoiseSchedule.from_gammas((-7 * tau.pow(4)).exp())


def joint(
    gamma: float, weights: Tensor, means: Tensor, variances: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """A mixture of Gaussians, noised, on a fine grid of (y_t, y_0): y_t (N, 1), y_0
    (M,), and the mass of each cell (N, M).
    """
    y_t = torch.linspace(-8, 8, 801, dtype=torch.float64)[:, None]
    y_0 = torch.linspace(-7, 7, 1401, dtype=torch.float64)
    part = Normal(means, variances.sqrt()).log_prob(y_0[:, None]).exp()
    step = Normal(math.sqrt(gamma) * y_0, math.sqrt(1 - gamma)).log_prob(y_t).exp()
    mass = (weights * part).sum(1) * step
    return y_t, y_0, mass / mass.sum()


# The law of y_t, pushed through a step exactly ----------------------------------------


class Law(NamedTuple):
    """Mean (d,) and covariance (d, d) of the sampler's y_t."""

    t: int
    mean: Tensor
    covariance: Tensor


def affine_map(
    step: Function, f: Function, x: Tensor, schedule: NoiseSchedule, t: int, d: int
) -> tuple[Tensor, Tensor, Tensor]:
    """A, b, N of y_{t-1} = A y_t + b + N z, found by handing the step the origin and
    the d basis vectors.
    """
    alpha_t, gamma_t = schedule.alphas[t], schedule.gammas[t]

    def moved(y_t: Tensor) -> Tensor:
        eps_hat = f(x.expand(len(y_t), -1), y_t, gamma_t.expand(len(y_t)))
        return step(y_t, eps_hat, alpha_t, gamma_t, None)

    basis, origin = torch.eye(d).double(), torch.zeros(1, d).double()
    b = moved(origin)
    N = step(0 * basis, 0 * basis, alpha_t, gamma_t, basis if t > 1 else None)
    return (moved(basis) - b).T, b[0], N.T


def push(
    step: Function, f: Function, x: Tensor, schedule: NoiseSchedule, start: Law
) -> Iterator[Law]:
    """The laws of y_{T-1}, ..., y_0 under the sampler, when y_T has the law `start` and
    f is affine in y_t. No Monte Carlo.
    """
    _, mean, covariance = start
    for t in range(schedule.steps, 0, -1):
        A, b, N = affine_map(step, f, x, schedule, t, len(mean))
        mean, covariance = A @ mean + b, A @ covariance @ A.T + N @ N.T
        yield Law(t - 1, mean, covariance)


def standard_normal(t: int, d: int) -> Law:
    return Law(t, torch.zeros(d).double(), torch.eye(d).double())


def check_standard_normal_is_exact(step: Function, steps: int = 10) -> None:
    """N(0, I) data, variance 1 - alpha_t: every marginal is N(0, I), and the noise-free
    last step leaves the variance alpha_1.
    """
    schedule, d = NoiseSchedule.linear(steps, 1e-4, 0.1), 2
    f, identity = GaussianOracle(torch.zeros(d), torch.eye(d)), torch.eye(d).double()
    *between, last = push(
        step, f, torch.zeros(1, 1), schedule, standard_normal(steps, d)
    )
    for law in between:
        close(law.covariance, identity, 5e-15, f"variance of y_{law.t}")
    close(
        last.covariance,
        schedule.alphas[1] * identity,
        3e-15,
        "variance of y_0 against alpha_1",
    )


def point_mass_errors(step: Function, steps: int = 100) -> tuple[float, float]:
    """How far the sampler's marginals are from N(sqrt(gamma_t) m, (1 - gamma_t) I): the
    worst for 0 < t < T, and at t = 0.
    """
    schedule, m = NoiseSchedule.linear(steps, 1e-4, 0.1), f64(0.7, -0.3)

    def true_law(t: int) -> Law:
        return Law(
            t,
            schedule.gammas[t].sqrt() * m,
            (1 - schedule.gammas[t]) * torch.eye(2).double(),
        )

    def error(law: Law) -> float:
        wanted = true_law(law.t)
        return max(
            (law.mean - wanted.mean).abs().max().item(),
            (law.covariance - wanted.covariance).abs().max().item(),
        )

    *between, last = push(
        step,
        GaussianOracle(m, torch.zeros(2, 2)),
        torch.zeros(1, 1),
        schedule,
        true_law(steps),
    )
    return max(map(error, between)), error(last)


def check_point_mass_is_exact(step: Function) -> None:
    """A point mass, the posterior's variance: every intermediate marginal is exact."""
    between, end = point_mass_errors(step)
    assert between <= 3e-15, f"an intermediate marginal is off by {between:.1e}"
    assert end <= 3e-16, f"y_0 is off by {end:.1e}"


class ConditionalProblem(NamedTuple):
    """4 x 4 images with smooth Gaussian statistics, seen as 2 x 2: p(y | x) is a
    Gaussian known in closed form.
    """

    D: Tensor
    x: Tensor
    covariance: Tensor  # of y, before x is seen
    oracle: ConditionalGaussianOracle


def conditional_problem() -> ConditionalProblem:
    i = torch.arange(4).double()
    along = torch.exp(-(i[:, None] - i).abs() / 2)
    D, mean, covariance = (
        degradation_matrix(4, 2),
        torch.linspace(-0.5, 0.5, 16, dtype=torch.float64),
        0.3 * torch.kron(along, along),
    )
    return ConditionalProblem(
        D, randn(1, 4) / 2, covariance, ConditionalGaussianOracle(mean, covariance, D)
    )


def conditional_end(step: Function, steps: int) -> Law:
    """The exact law of the sample at the end of Algorithm 2, for the problem above."""
    _, x, _, oracle = conditional_problem()
    # 1 - alpha_t shrinks like 1/T, and gamma_T stays below 4e-5
    schedule = NoiseSchedule.linear(steps, 0.2 / steps, 20 / steps)
    *_, last = push(step, oracle, x, schedule, standard_normal(steps, 16))
    return last


def check_conditional_gaussian(step: Function) -> None:
    """p(y | x) Gaussian, the SR3 case: D(mean) = x to rounding, no noise is left where
    x decides, covariance error of order 1 in 1/T.
    """
    D, x, _, oracle = conditional_problem()
    steps, errors = [100, 200, 400], []
    for T in steps:
        _, mean, covariance = conditional_end(step, T)
        close((D @ mean)[None], x, 5e-15, f"D(mean) against x, T = {T}")
        close(
            D @ covariance @ D.T,
            torch.zeros(4, 4).double(),
            1e-16,
            f"noise left in D y, T = {T}",
        )
        errors.append((covariance - oracle.posterior_covariance()).abs().max().item())
    assert abs(order(errors, steps) - 1) < 0.05, (
        f"the covariance error {errors} falls with order {order(errors, steps):.2f},"
        " not 1"
    )


# The loop -----------------------------------------------------------------------------


def shrinking(x: Tensor, y_t: Tensor, gamma: Tensor) -> Tensor:
    """Any function of x, y_t and gamma, one image at a time: what the loop hands over
    shows in what it returns.
    """
    return 0.3 * y_t + 0.2 * x + gamma.reshape(-1, 1, 1, 1)


def second_opinion(
    x: Tensor, alphas: list[float], method: str, variance: str, g: torch.Generator
) -> Iterator[Tensor]:
    """Algorithm 2, line by line in plain numbers, alphas[t - 1] = alpha_t; or DDIM's
    eq. 12; or DPM-Solver++'s Algorithm 2. Yields y_T, ..., y_0.
    """
    y = torch.randn(x.shape, dtype=x.dtype, generator=g)
    yield y
    seen: list[
        tuple[float, Tensor]
    ] = []  # half the log-SNR and the clean image of every step so far
    for t in range(len(alphas), 0, -1):
        alpha, gamma, before = (
            alphas[t - 1],
            math.prod(alphas[:t]),
            math.prod(alphas[: t - 1]),
        )
        eps = shrinking(x, y, torch.full((len(x),), gamma, dtype=x.dtype))
        mean = (y - (1 - alpha) / math.sqrt(1 - gamma) * eps) / math.sqrt(alpha)
        sigma = math.sqrt(
            1 - alpha
            if variance == "paper"
            else (1 - before) / (1 - gamma) * (1 - alpha)
        )
        if method == "ddim":
            y = (
                math.sqrt(before) * (y - math.sqrt(1 - gamma) * eps) / math.sqrt(gamma)
                + math.sqrt(1 - before) * eps
            )
        elif method == "multistep":
            seen.append(
                (
                    math.log(gamma / (1 - gamma)) / 2,
                    (y - math.sqrt(1 - gamma) * eps) / math.sqrt(gamma),
                )
            )
            h = math.log(before / (1 - before)) / 2 - seen[-1][0] if t > 1 else math.inf
            D = seen[-1][1]
            if 1 < t < len(alphas):
                r = (seen[-1][0] - seen[-2][0]) / h
                D = (1 + 1 / (2 * r)) * seen[-1][1] - 1 / (2 * r) * seen[-2][1]
            y = (
                math.sqrt((1 - before) / (1 - gamma)) * y
                - math.sqrt(before) * math.expm1(-h) * D
            )
        else:
            y = (
                mean + sigma * torch.randn(x.shape, dtype=x.dtype, generator=g)
                if t > 1
                else mean
            )
        yield y


def check_the_loop_is_algorithm_2(trajectory: Function) -> None:
    """Same generator, same y_T, ..., y_0 as the algorithm written out a second time,
    for each method and variance.
    """
    alphas, x = [0.99, 0.9, 0.8, 0.6, 0.5], randn(3, 1, 2, 2)
    schedule = NoiseSchedule.from_alphas(f64(*alphas))
    for method, variance in (
        ("ancestral", "paper"),
        ("ancestral", "posterior"),
        ("ddim", "paper"),
        ("multistep", "paper"),
    ):
        steps = list(
            trajectory(
                shrinking,
                x,
                schedule,
                x.shape,
                generator=seeded(1),
                method=method,
                variance=variance,
            )
        )
        assert [step.t for step in steps] == [5, 4, 3, 2, 1, 0]
        for step, y in zip(
            steps, second_opinion(x, alphas, method, variance, seeded(1)), strict=True
        ):
            close(
                step.y_t, y, 1e-14, f"{method}, variance of the {variance}: y_{step.t}"
            )


def check_the_last_step_adds_no_noise(trajectory: Function) -> None:
    """From a given y_T, one step does not depend on the generator; two steps do."""
    x = randn(1, 1, 2, 2)

    def ends(steps: int) -> list[Tensor]:
        schedule = NoiseSchedule.constant(steps, 0.3)
        return [
            list(
                trajectory(
                    shrinking, x, schedule, x.shape, generator=seeded(seed), y_T=x
                )
            )[-1].y_t
            for seed in (0, 1)
        ]

    assert torch.equal(*ends(1)), "noise was added at t = 1"
    assert not torch.equal(*ends(2)), "no noise was added at t = 2"


def flow_problem(gamma_T: Tensor) -> tuple[GaussianOracle, Tensor, Tensor]:
    """Correlated Gaussian data, a start y_T, and where the probability flow takes it:
    mean + sqrt(Sigma S_T^{-1}) (y_T - ...).
    """
    mean, covariance = f64(0.3, -0.2), f64(0.3, 0.1, 0.1, 0.2).reshape(2, 2)
    y_T = f64(1.0, -0.5)[None]
    values, vectors = torch.linalg.eigh(covariance)
    stretch = (values / (gamma_T * values + 1 - gamma_T)).sqrt()
    return (
        GaussianOracle(mean, covariance),
        y_T,
        mean + (y_T - gamma_T.sqrt() * mean) @ vectors * stretch @ vectors.T,
    )


def flow_order(
    sample: Function, method: str, schedule: Function, steps: list[int]
) -> float:
    """How fast the distance to the exact probability flow falls with T, from one y_T,
    over the schedules schedule(T).
    """
    oracle, y_T, y_0 = flow_problem(schedule(1).gammas[-1])
    return order(
        [
            (sample(oracle, y_T, schedule(T), (1, 2), method=method, y_T=y_T) - y_0)
            .abs()
            .max()
            .item()
            for T in steps
        ],
        steps,
    )


def check_ddim_has_order_1(sample: Function) -> None:
    """From one y_T, DDIM's distance to the exact probability flow falls like 1/T."""
    found = flow_order(sample, "ddim", curve, [50, 100, 200, 400])
    assert abs(found - 1) < 0.05, f"DDIM's error falls with order {found:.2f}, not 1"


def check_multistep_has_order_2(sample: Function) -> None:
    """From one y_T, the distance of the multistep solver to the exact probability flow
    falls like 1/T^2.
    """
    found = flow_order(sample, "multistep", flat_curve, [100, 200, 400, 800])
    assert abs(found - 2) < 0.08, (
        f"the multistep solver's error falls with order {found:.2f}, not 2"
    )


def check_the_search_ranks_by_score(search_schedule: Function) -> None:
    """The lowest score first, each with its own name; and of two schedules for the
    exact f, the one that reaches noise wins.
    """
    y, scores = randn(2, 1, 16, 16) / 5, iter([0.3, 0.1, 0.2])
    oracle = GaussianOracle(torch.zeros(256), torch.eye(256) / 25)
    ranking = search_schedule(
        oracle, y, y, dict.fromkeys("abc", curve(2)), lambda samples, y: next(scores)
    )
    assert list(ranking.items()) == [
        ("b", 0.1),
        ("c", 0.2),
        ("a", 0.3),
    ], f"ranked {ranking}"
    # the first quarter: gamma_T = 0.64, and y_T is pure noise all the same
    cut = NoiseSchedule.from_gammas(curve(100).gammas[1:26])
    ranking = search_schedule(
        oracle, y, y, {"cut": cut, "whole": curve(25)}, method="ddim"
    )
    assert list(ranking) == ["whole", "cut"], f"ranked {ranking}"
    assert ranking["cut"] > 2 * ranking["whole"]


# Schedule and levels ------------------------------------------------------------------


def check_gamma_is_the_running_product(from_alphas: Function) -> None:
    """gamma_t = alpha_1 ... alpha_t, in entry t, with gamma_0 = 1."""
    schedule = from_alphas(f64(0.5, 0.8, 0.9))
    close(schedule.gammas, f64(1, 0.5, 0.4, 0.36), 1e-16, "gamma_0..gamma_3")
    close(schedule.alphas, f64(1, 0.5, 0.8, 0.9), 0, "alpha_0..alpha_3")


def check_betas_are_what_is_not_kept(from_betas: Function) -> None:
    """alpha_t = 1 - beta_t, and gamma_t is DDPM's running product, where entry 0 of
    `betas` is step 1.
    """
    schedule = from_betas(f64(0.5, 0.2, 0.1))
    close(schedule.alphas, f64(1, 0.5, 0.8, 0.9), 1e-16, "alpha_0..alpha_3")
    close(schedule.gammas, f64(1, 0.5, 0.4, 0.36), 1e-16, "gamma_0..gamma_3")


DDPM = """
def sigma_q(t):
    return torch.sqrt(betas[t - 1] * (1 - alpha_bars[t - 2]) / (1 - alpha_bars[t - 1]))

def denoise(x_t, t, noise):
    i = t - 1
    mu = (
        x_t - betas[i] / torch.sqrt(1 - alpha_bars[i]) * eps_theta(x_t, t)
    ) / torch.sqrt(alphas[i])
    return mu + sigma_q(t) * noise
"""


def both_versions(to_sr3: Function) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the code above defines when it runs as it is, on DDPM's tables, and
    translated, on those of a schedule.
    """
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    alpha_bars, schedule = torch.cumprod(1 - betas, 0), NoiseSchedule.from_betas(betas)

    def f(x: Tensor, y_t: Tensor, gamma: Tensor) -> Tensor:
        return 0.3 * y_t + x + gamma

    def eps_theta(x_t: Tensor, t: int) -> Tensor:
        return f(torch.ones(()), x_t, alpha_bars[t - 1])

    ddpm = {
        "torch": torch,
        "betas": betas,
        "alphas": 1 - betas,
        "alpha_bars": alpha_bars,
        "eps_theta": eps_theta,
    }
    sr3 = {
        "torch": torch,
        "alphas": schedule.alphas,
        "gammas": schedule.gammas,
        "f": f,
        "x": torch.ones(()),
    }
    exec(DDPM, ddpm)
    exec(to_sr3(DDPM), sr3)
    return ddpm, sr3


def posterior_deviations(to_sr3: Function, t: int) -> tuple[Tensor, Tensor]:
    """sigma_q(t) by DDPM's code and by its translation."""
    ddpm, sr3 = both_versions(to_sr3)
    return ddpm["sigma_q"](t), sr3["sigma_q"](t)


def check_translated_code_computes_the_same(to_sr3: Function) -> None:
    """A whole reverse step (mean, deviation, network call) at every step from 2 on."""
    ddpm, sr3 = both_versions(to_sr3)
    x_t, noise = randn(5), randn(5, seed=1)
    for t in (2, 3, 10, 500, 999, 1000):
        close(
            sr3["denoise"](x_t, t, noise),
            ddpm["denoise"](x_t, t, noise),
            1e-12,
            f"the reverse step at t = {t}",
        )


def check_diffuse_weighs_by_the_roots(diffuse: Function) -> None:
    """The signal gets sqrt(gamma) and the noise sqrt(1 - gamma), each image its own:
    together they keep the power.
    """
    gamma, one = f64(0.0, 0.04, 0.36, 1.0), torch.ones(4, 3).double()
    close(
        diffuse(one, gamma, 0 * one),
        f64(0.0, 0.2, 0.6, 1.0)[:, None] * one,
        1e-15,
        "weight of y_0",
    )
    close(
        diffuse(0 * one, gamma, one),
        f64(1.0, 0.96**0.5, 0.8, 0.0)[:, None] * one,
        1e-15,
        "weight of eps",
    )


def check_the_level_is_the_inverse_cdf(gamma_between: Function) -> None:
    """With t and u handed in, the level is the one below which a share (T - t + u)/T of
    p(gamma) lies.
    """
    schedule = NoiseSchedule.linear(2000, 1e-6, 1e-2)
    T = schedule.steps
    t = torch.arange(1, T + 1)[:, None].expand(T, 11)
    u = torch.linspace(0, 1, 11, dtype=torch.float64).expand(T, 11)
    # F is piecewise linear with F(gamma_t) = 1 - t/T, so its inverse is interpolation
    # in the table read backwards
    wanted = np.interp((T - t + u) / T, np.arange(T + 1) / T, schedule.gammas.flip(0))
    close(
        gamma_between(schedule, t, u),
        torch.from_numpy(wanted),
        1e-12,
        "gamma against the inverse CDF",
    )


def segments(schedule: NoiseSchedule, gamma: Tensor) -> Tensor:
    """The t with gamma_t <= gamma < gamma_{t-1}, by counting."""
    return (gamma[..., None] < schedule.gammas).sum(-1)


def check_every_segment_is_drawn(sample_gamma: Function) -> None:
    """Each of the T segments holds a share 1/T of the levels, the first, [gamma_1,
    gamma_0], and the last included.
    """
    schedule, n = NoiseSchedule.linear(5, 0.02, 0.5), 20_000
    share = (
        segments(schedule, sample_gamma(schedule, (n,), generator=seeded(0))).bincount(
            minlength=6
        )[1:]
        / n
    )
    close(
        share,
        torch.full((5,), 0.2),
        5 * math.sqrt(0.2 * 0.8 / n),
        "share of each segment",
    )


def check_every_image_has_its_own_level(sample_gamma: Function) -> None:
    """t is drawn per image: in a batch of 64, neighbours in the batch are no neighbours
    in time.
    """
    schedule = NoiseSchedule.linear(2000, 1e-6, 1e-2)
    t = segments(schedule, sample_gamma(schedule, (64,), generator=seeded(0)))
    assert len(t.unique()) > 50, f"a batch of 64 holds {len(t.unique())} different t"


def check_levels_are_resolved(sinusoids: Function) -> None:
    """Any two of the 2001 levels of the training schedule differ by more than 0.05 in
    some feature, the smallest steps near gamma = 1 included.
    """
    features = sinusoids(NoiseSchedule.linear(2000, 1e-6, 1e-2).gammas).double()
    apart = (
        torch.cdist(features, features, p=math.inf)
        .fill_diagonal_(math.inf)
        .min()
        .item()
    )
    assert apart > 0.05, f"two levels differ by {apart:.1e} at most in any feature"


# The network --------------------------------------------------------------------------


def check_the_level_embedding(embedding: Function) -> None:
    """Sines, then cosines, of the log-SNR at 32 frequencies from 0.1 to 100 in equal
    ratios; then Linear, SiLU, Linear. Clamped to [-20, 20].
    """
    level = embedding(8)
    gamma = f64(0.0, 1e-12, 0.2, 0.5, 0.999, 1.0)
    log_snr = f64(-20, -20, math.log(0.25), 0, math.log(999), 20)
    angles = (
        log_snr[:, None] * f64(*[0.1 * 1000 ** (k / 31) for k in range(32)])
    ).float()
    features = torch.cat([angles.sin(), angles.cos()], dim=1)
    # float32 angles of up to 2000
    close(level.sinusoids(gamma), features, 1e-3, "sinusoids")
    first, _, second = level.mlp
    close(
        level(gamma),
        second(torch.nn.functional.silu(first(level.sinusoids(gamma)))),
        1e-6,
        "MLP",
    )


def check_the_residual_block(block: Function) -> None:
    """(skip(h) + conv2(SiLU((1 + scale) norm2(conv1(SiLU(norm1(h)))) + shift))) /
    sqrt(2), scale and shift one number a channel.
    """
    silu = torch.nn.functional.silu
    for outputs in (8, 4):
        b, h, e = (
            block(8, outputs, 5, groups=4, dropout=0.0),
            randn(2, 8, 6, 6).float(),
            randn(2, 5, seed=1).float(),
        )
        told = b.scale_shift(e).reshape(2, 2, outputs, 1, 1)
        branch = b.conv2(
            silu((1 + told[:, 0]) * b.norm2(b.conv1(silu(b.norm1(h)))) + told[:, 1])
        )
        close(
            b(h, e),
            ((h if outputs == 8 else b.skip(h)) + branch) / math.sqrt(2),
            1e-5,
            f"a block from 8 to {outputs} channels",
        )


# Loss and oracles ---------------------------------------------------------------------


def gaussian_problem() -> tuple[GaussianOracle, Tensor, Tensor, Tensor]:
    """The oracle of correlated N(m, Sigma), m, Sigma, and a root L of it: Sigma = L
    L^T.
    """
    L, m = randn(4, 4) / 2, randn(4, seed=1)
    return GaussianOracle(m, L @ L.T), m, L @ L.T, L


def check_the_loss_reaches_its_floor(
    loss: Function, p: int, gamma: float = 0.4
) -> None:
    """p = 2: tr(gamma Sigma S^{-1})/d, S = gamma Sigma + (1 - gamma) I. p = 1:
    sqrt(2/pi) E sqrt(var). Both reached by the oracle.

    The residual f - eps is linear in (y_0 - m, eps), so its second moments are sums
    over basis vectors: exact for p = 2. For p = 1, |residual| of every basis vector
    cannot be added, so the loss is averaged over 20,000 draws.
    """
    oracle, m, sigma, L = gaussian_problem()
    variance = (
        gamma
        * sigma
        @ torch.linalg.inv(gamma * sigma + (1 - gamma) * torch.eye(4).double())
    )
    if p == 2:
        y_0, eps = (
            torch.cat([m + L.T, m.expand(4, 4)]),
            torch.cat([torch.zeros(4, 4), torch.eye(4)]).double(),
        )
        many, wanted, tolerance = len(eps), variance.trace() / 4, 1e-15
    else:
        y_0, eps = m + randn(20_000, 4, seed=1) @ L.T, randn(20_000, 4, seed=2)
        many, wanted, tolerance = (
            1,
            (2 / math.pi * variance.diagonal()).sqrt().mean(),
            0.005,
        )
    reached = many * loss(oracle, y_0, y_0, f64(gamma).expand(len(eps)), eps, p=p)
    close(reached, wanted, tolerance, f"L{p} loss of the oracle against its floor")
    assert abs(oracle.floor(gamma, p) - wanted) < 1e-12, (
        f"floor(p = {p}) says {oracle.floor(gamma, p):.6f}, not {wanted:.6f}"
    )


def check_the_gaussian_oracle_is_the_conditional_law(
    oracle: Function, gamma: float = 0.4
) -> None:
    """E[eps | y_t] = C S^{-1} (y_t - sqrt(gamma) m) and V[eps | y_t] = I - C S^{-1} C,
    with C = sqrt(1 - gamma) I the covariance of eps and y_t.
    """
    _, m, sigma, _ = gaussian_problem()
    f, y_t, identity = oracle(m, sigma), randn(5, 4, seed=2), torch.eye(4).double()
    inverse = torch.linalg.inv(gamma * sigma + (1 - gamma) * identity)
    close(
        f(None, y_t, f64(gamma).expand(5)),
        math.sqrt(1 - gamma) * (y_t - math.sqrt(gamma) * m) @ inverse,
        1e-12,
        "E[eps | y_t]",
    )
    left = identity - (1 - gamma) * inverse
    close(f.residual_covariance(gamma), left, 1e-12, "V[eps | y_t]")
    for p, wanted in (
        (2, left.trace() / 4),
        (1, (2 / math.pi * left.diagonal()).sqrt().mean()),
    ):
        assert abs(f.floor(gamma, p) - wanted) < 1e-12, (
            f"floor(p = {p}) says {f.floor(gamma, p):.6f}, not {wanted:.6f}"
        )


def constant_that_minimises(loss: Function, p: int) -> float:
    """The best answer, on a grid of 0.01, where y_t = 0 came from +1 (7 images of 10)
    or from -1 (3 of 10) at gamma = 0.2.
    """
    y_0 = f64(*[1] * 7, *[-1] * 3)[:, None]
    gamma, eps = f64(0.2).expand(10), -y_0 / 2  # sqrt(0.2) y_0 + sqrt(0.8) eps = 0
    grid = [i / 100 for i in range(-100, 101)]
    return min(
        grid,
        key=lambda c: loss(
            lambda x, y_t, gamma: 0 * y_t + c, y_0, y_0, gamma, eps, p=p
        ).item(),
    )


def check_l1_finds_the_median_and_l2_the_mean(loss: Function) -> None:
    """Two unequal point masses, gamma = 0.2, y_t = 0: the L2 optimum is -0.20, the L1
    optimum -0.50.
    """
    assert constant_that_minimises(loss, 2) == -0.2
    assert constant_that_minimises(loss, 1) == -0.5


def check_the_oracle_knows_median_and_mean(oracle: Function) -> None:
    """The mixture oracle gives the same two numbers: mean -0.20 for p = 2, median -0.50
    for p = 1.
    """
    masses = f64(0.7, 0.3), f64(1.0, -1.0)[:, None], torch.zeros(2).double()
    for p, wanted in ((2, -0.2), (1, -0.5)):
        best = oracle(*masses, p=p)(None, torch.zeros(1, 1).double(), f64(0.2))
        close(best, f64(wanted)[None], 1e-12, f"optimum of L{p}")


def mixture() -> tuple[Tensor, Tensor, Tensor]:
    """Weights, means (3 in the plane) and variances, one of them a point mass."""
    return (
        f64(0.5, 0.3, 0.2),
        f64(1.0, 0.0, -1.0, 0.5, 0.2, -2.0).reshape(3, 2),
        f64(0.1, 0.0, 0.5),
    )


def mixture_log_density(y_t: Tensor, gamma: Tensor) -> Tensor:
    """The log density of the noised mixture as torch.distributions computes it."""
    weights, means, variances = mixture()
    gamma = gamma[:, None]
    spread = (
        (gamma * variances + 1 - gamma).sqrt()[..., None].expand(*gamma.shape[:1], 3, 2)
    )
    parts = torch.distributions.Independent(
        torch.distributions.Normal(gamma[..., None].sqrt() * means, spread), 1
    )
    return torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(weights.expand(len(gamma), 3)), parts
    ).log_prob(y_t)


def check_the_mixture_oracle_is_the_score(oracle: Function) -> None:
    """f = -sqrt(1 - gamma) times the gradient of log p(y_t) by autograd, in float64;
    the last point lies 1000 deviations out.
    """
    y_t = torch.cat([3 * randn(6, 2), torch.tensor([[600.0, -800.0]])]).requires_grad_()
    gamma = torch.linspace(0.01, 0.99, 7).double().flip(0)
    (score,) = torch.autograd.grad(mixture_log_density(y_t, gamma).sum(), y_t)
    wanted = -(1 - gamma).sqrt()[:, None] * score
    exact = oracle(*mixture())
    close(
        exact(None, y_t.detach(), gamma) / wanted,
        torch.ones(7, 2).double(),
        1e-11,
        "oracle over score",
    )
    density = exact.log_density(y_t.detach(), gamma) / mixture_log_density(
        y_t.detach(), gamma
    )
    close(
        density, torch.ones(7).double(), 1e-12, "log density over torch.distributions'"
    )


def check_a_regression_network_is_told_nothing_but_x(regress: Function) -> None:
    """What it gets as y_t and as gamma is 0 in every element, and what it answers is
    returned as it is.
    """
    x = randn(2, 1, 2, 2)
    answer = regress(
        lambda *shown: (
            1 + shown[1] + shown[2].reshape(-1, 1, 1, 1) + 0 * shown[0].sum()
        ),
        x,
        (2, 1, 4, 4),
    )
    close(
        answer,
        torch.ones(2, 1, 4, 4).double(),
        0,
        "answer of a network that adds up what it is shown to 1",
    )


# Metrics ------------------------------------------------------------------------------


def check_diversity_is_the_unbiased_deviation_on_0_to_1(diversity: Function) -> None:
    """Two pixels with the values -1, 0, 1 and 0, 0, 0.6 in three samples: variances 1
    and 0.12, halved pictures, one root at the end.
    """
    samples = f64(-1, 0, 0, 0, 1, 0.6).reshape(3, 1, 1, 1, 2)
    close(diversity(samples), f64(math.sqrt((1 + 0.12) / 2 / 4)), 1e-15, "diversity")


def check_consistency_is_the_papers(consistency: Function) -> None:
    """White instead of black is 1 off on [0, 1], which is 1e5; each picture of a batch
    gets its own number.
    """
    y = torch.tensor([1.0, -1.0]).double()[:, None, None, None].expand(2, 1, 8, 8)
    close(
        consistency(y, -torch.ones(2, 1, 2, 2).double()),
        f64(1e5, 0),
        1e-6,
        "consistency",
    )


def check_the_fool_rate_counts_mistakes(fool_rate: Function) -> None:
    """One mistake and one tie in four pairs: 3/8, give or take sqrt(3/8 * 5/8 / 4)."""
    rate, error = fool_rate(f64(1, 2, 3, 4), f64(0, 3, 3, 3))
    close(
        f64(rate, error),
        f64(0.375, math.sqrt(0.375 * 0.625 / 4)),
        1e-15,
        "fool rate and its error",
    )


def check_luma_is_matlabs(luma: Function) -> None:
    """rgb2ycbcr's Y of black, white, the three primaries and an orange: round(16 +
    (65.481 R + 128.553 G + 24.966 B) / 255).
    """
    levels = f64(
        0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 255, 0, 0, 0, 255, 200, 100, 50
    ).reshape(6, 3, 1, 1)
    close(
        (luma(levels / 127.5 - 1).flatten() + 1) * 127.5,
        f64(16, 235, 81, 145, 41, 123),
        1e-12,
        "Y",
    )


def check_the_border_is_left_out(without_border: Function) -> None:
    """Two pixels at each of the four sides of 8 x 10."""
    image = randn(1, 1, 12, 14)
    close(without_border(image, 2), image[:, :, 2:10, 2:12], 0, "what is left")
    close(without_border(image, 0), image, 0, "nothing left out")


# Degradation --------------------------------------------------------------------------


def check_downsample_is_linear(downsample: Function) -> None:
    """D(a y + b y') = a D y + b D y', far outside [-1, 1] too: nothing clips, nothing
    rounds.
    """
    y, other = randn(2, 3, 12, 8), 5 * randn(2, 3, 12, 8, seed=1)
    close(
        downsample(2 * y - 3 * other, 4),
        2 * downsample(y, 4) - 3 * downsample(other, 4),
        1e-14,
        "D(2 y - 3 y')",
    )


def check_the_unseen_part_has_no_x(degrade: Any) -> None:
    """D n = 0, and what was taken away is D^T times something: orthogonal to every
    picture without x.
    """
    y = randn(1, 1, 8, 8)
    n, other = degrade.unseen(y, 4), degrade.unseen(randn(1, 1, 8, 8, seed=1), 4)
    close(degrade.downsample(n, 4), torch.zeros(1, 1, 2, 2).double(), 1e-14, "D n")
    close(((y - n) * other).sum(), torch.zeros(()).double(), 1e-13, "<y - n, n'>")


def check_downsample_is_pillows(downsample: Function) -> None:
    """Equal to Pillow's bicubic on float pictures: whole factors, other ratios, and
    sides that are not alike.
    """
    for (height, width), (h, w) in (
        ((32, 32), (8, 8)),
        ((17, 23), (5, 7)),
        ((16, 40), (8, 10)),
    ):
        y = randn(1, 1, height, width).float()
        pillow = Image.fromarray(y[0, 0].numpy()).resize(
            (w, h), Image.Resampling.BICUBIC
        )
        assert pillow.mode == "F"
        close(
            downsample(y, size=(h, w))[0, 0],
            torch.from_numpy(np.array(pillow)),
            1e-6,
            f"{height}x{width} to {h}x{w} against Pillow",
        )


def check_blur_is_a_gaussian(degrade: Any) -> None:
    """A single bright pixel becomes exp(-d^2 / 2 sigma^2) over its sum, each image with
    its own sigma; a flat image stays flat to its border.
    """
    x = torch.zeros(2, 2, 21, 21).double()
    x[:, :, 10, 10] = 1
    sigma = f64(1.5, 0.5)
    profile = torch.exp(
        -0.5 * (torch.arange(-10, 11).double() / sigma[:, None]) ** 2
    ) * (torch.arange(-10, 11).abs() <= (3 * sigma).ceil()[:, None])
    profile /= profile.sum(1, keepdim=True)
    close(
        degrade.blur(x, sigma),
        (profile[:, :, None] * profile[:, None])[:, None].expand_as(x),
        1e-15,
        "a blurred pixel",
    )
    close(
        degrade.blur(torch.ones(1, 1, 3, 5).double(), f64(2)),
        torch.ones(1, 1, 3, 5).double(),
        1e-14,
        "a blurred flat image",
    )


def check_as_file_is_what_8_bits_keep(degrade: Any) -> None:
    """Clipped, and moved to the nearest of 256 levels that stand 2/255 apart."""
    close(
        degrade.as_file(f64(-1.2, -1, 0.6 / 127.5 - 1, 1 / 255, 1, 1.3)),
        f64(-1, -1, 1 / 127.5 - 1, 1 / 255, 1, 1),
        1e-15,
        "x after a file",
    )


# The layout of the best-known public SR3 code -----------------------------------------


def public_fixture(network: Function) -> tuple[Any, dict[str, Tensor]]:
    """A small network with the weights of a checkpoint that this code wrote, and what
    it returned for given inputs.
    """
    f = network(
        image_channels=3,
        condition_channels=3,
        channels=32,
        multipliers=(1, 2),
        blocks=1,
        attention=(1,),
        groups=32,
    )
    theirs = weights()
    f.load_state_dict({name: theirs[their_name(name)] for name in f.state_dict()})
    return f.eval().requires_grad_(False), load_file(FIXTURE / "expected.safetensors")


def check_the_ddpm_layout_is_that_codes(network: Function) -> None:
    """The noise that it predicted for two pictures at two levels."""
    f, expected = public_fixture(network)
    close(
        f(
            expected["condition"],
            expected["y_t"],
            expected["sqrt_gamma"][:, 0].square(),
        ),
        expected["eps"],
        1e-6,
        "the predicted noise",
    )


def check_every_picture_is_taken_once_an_epoch(rows: Callable[..., Tensor]) -> None:
    """With a batch that does not divide n, and with one that holds several epochs; no
    epoch's order is another's.
    """
    for n, batch in ((30, 4), (12, 30)):
        taken = torch.cat(
            [rows(n, batch, 0, step) for step in range(-(-4 * n // batch))]
        )
        epochs = taken[: 4 * n].reshape(4, n)
        assert (epochs.sort(1).values == torch.arange(n)).all(), (
            "a picture was taken twice in an epoch, or not at all"
        )
        assert len({tuple(epoch) for epoch in epochs.tolist()}) == 4, (
            "two epochs have the same order"
        )


# Windows ------------------------------------------------------------------------------


def check_windows_share_every_pixel(shares: Function) -> None:
    """At every pixel the weights of the windows add up to 1, and a window that another
    one covers begins with next to nothing.
    """
    for places, window, length in (
        ([0], 7, 7),
        ([0, 4, 8], 8, 16),
        ([0, 2, 4, 6], 8, 14),
        ([0, 12], 16, 28),
    ):
        weights, total = shares(places, window, length), torch.zeros(length)
        for place, weight in zip(places, weights, strict=True):
            total[place : place + window] += weight
        close(total, torch.ones(length), 1e-6, "sum of the weights")
        assert all((weight > 0).all() for weight in weights), (
            "a window leaves out a pixel of its own"
        )
        for weight in weights[1:]:
            assert weight[0] < 0.02, "a window begins with a step"
            assert (weight[: window // 2].diff() > -1e-6).all(), (
                "a window does not rise towards its middle"
            )


def check_a_tiled_network_sums_what_its_windows_show(
    tiled: Function, shares: Function, starts: Function
) -> None:
    """The weighted sum over windows, written out by hand, for a network that tells
    where it looks: a batch of two, each with its own level.
    """

    def f(x: Tensor, y_t: Tensor, gamma: Tensor) -> Tensor:
        near = x.repeat_interleave(4, -1).repeat_interleave(4, -2)
        return y_t.cumsum(-1) / 10 + near * gamma[:, None, None, None]

    x, y_t = (
        torch.rand(2, 1, *size, generator=seeded(0)) for size in ((8, 11), (32, 44))
    )
    gamma, wanted = torch.tensor([0.3, 0.6]), torch.zeros(2, 1, 32, 44)
    tops, lefts = starts(32, 16, 8, 4), starts(44, 16, 8, 4)
    down, across = shares(tops, 16, 32), shares(lefts, 16, 44)
    for top, rows in zip(tops, down, strict=True):
        for left, columns in zip(lefts, across, strict=True):
            low = x[..., top // 4 : top // 4 + 4, left // 4 : left // 4 + 4]
            high = y_t[..., top : top + 16, left : left + 16]
            answer = f(low, high, gamma) * rows[:, None] * columns
            wanted[..., top : top + 16, left : left + 16] += answer
    for at_once in (None, 1, 2, 100):
        summed = tiled(f, 16, at_once=at_once)(x, y_t, gamma)
        close(summed, wanted, 1e-5, "tiled against by hand")
