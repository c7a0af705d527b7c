"""Figures of deep dive A: mean against median, and samplers followed exactly."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ...loss import NoisePredictor
from ...oracle import GaussianOracle, MixtureOracle
from ...sampler import posterior_step, reverse_step
from ...schedule import NoiseSchedule
from .base import BLUE, GREEN, GREY, RED, Picture, plain_ticks

ReverseStep = Callable[..., Tensor]
Law = tuple[Tensor, Tensor]


def mean_and_median(share: float, gamma: float) -> Picture:
    """Two point masses, +1 with probability `share` and -1: left the density of y_t at
    level `gamma`, right y_0 as L2 and L1 guess it from y_t.
    """
    masses = (
        torch.tensor([share, 1 - share], dtype=torch.float64),
        torch.tensor([[1.0], [-1.0]], dtype=torch.float64),
        torch.zeros(2, dtype=torch.float64),
    )
    y_t = torch.linspace(-2.5, 2.5, 201, dtype=torch.float64)[:, None]
    level = torch.full((len(y_t),), gamma, dtype=torch.float64)
    noises = [MixtureOracle(*masses, p=p)(None, y_t, level)[:, 0] for p in (2, 1)]
    guesses = [
        (y_t[:, 0] - math.sqrt(1 - gamma) * noise) / math.sqrt(gamma)
        for noise in noises
    ]

    figure = Figure(figsize=(5.4, 2.1))  # margins by hand: a slider draws this
    left, right = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.1, right=0.985, bottom=0.215, top=0.96, wspace=0.3)
    _two_bumps(left, share, y_t, level)
    _two_guesses(right, y_t, guesses)
    middle = len(y_t) // 2
    alt = (
        f"Two possible pictures, +1 with probability {share:g} and -1, noised at gamma"
        f" = {gamma:.2f}. Left, the density of y_t, the sum of two bumps around"
        f" {math.sqrt(gamma):.2f} and {-math.sqrt(gamma):.2f}. Right, the clean picture"
        " as it is guessed from y_t: L2's guess rises smoothly, L1's is always either"
        f" -1 or +1. At y_t = 0 L2 predicts the noise {noises[0][middle].item():.2f},"
        f" which leads to {guesses[0][middle].item():.2f}, and L1 predicts"
        f" {noises[1][middle].item():.2f}, which leads to"
        f" {guesses[1][middle].item():.2f}."
    )
    return Picture(figure, alt)


def _two_bumps(
    ax: Axes, share: float, y_t: Float[Tensor, "N 1"], level: Float[Tensor, " N"]
) -> None:
    """The density of y_t, and what each of the two masses gives to it."""
    density = torch.zeros_like(level)
    for m, weight, colour in ((1, share, GREEN), (-1, 1 - share, GREY)):
        mass = MixtureOracle(torch.ones(1), torch.tensor([[float(m)]]), torch.zeros(1))
        part = weight * mass.log_density(y_t, level).exp()
        density += part
        ax.plot(
            y_t, part, color=colour, linewidth=1.1, linestyle="--", label=f"from {m:+d}"
        )
    ax.plot(y_t, density, color=BLUE, linewidth=1.6, label="sum")
    ax.set(
        xlabel=r"$y_t$",
        ylabel=r"density $p(y_t)$",
        xlim=(-2.5, 2.5),
        ylim=(0, 1.45 * density.max().item()),
    )
    ax.legend(
        fontsize=8,
        loc="upper left",
        ncols=3,
        handlelength=1,
        handletextpad=0.4,
        columnspacing=0.7,
    )


def _two_guesses(
    ax: Axes, y_t: Float[Tensor, "N 1"], guesses: Sequence[Float[Tensor, " N"]]
) -> None:
    """L2's guess of y_0 and L1's, for every y_t."""
    l2, l1 = guesses
    ax.plot(y_t, l2, color=BLUE, linewidth=1.6, label="L2: mean")
    ax.plot(y_t, l1, color=RED, linewidth=1.6, linestyle="--", label="L1: median")
    ax.set(
        xlabel=r"$y_t$",
        ylabel=r"guess $\hat y_0$",
        xlim=(-2.5, 2.5),
        ylim=(-1.3, 1.3),
        yticks=[-1, 0, 1],
    )
    ax.legend(fontsize=8, loc="lower right")


def pushed(
    step: ReverseStep,
    f: NoisePredictor,
    x: Float[Tensor, "1 n"],
    schedule: NoiseSchedule,
    law: Law,
) -> list[Law]:
    """Mean (d,) and covariance (d, d) of y_T, ..., y_0, float64, when y_T has `law` and
    f is affine in y_t. No random numbers.
    """
    mean, covariance = law
    # the origin and d unit vectors
    points = torch.cat([mean.new_zeros(1, len(mean)), torch.eye(len(mean)).to(mean)])
    nothing, one = points[:1, :1], points[:1, :1] + 1
    laws = [law]
    for t in range(schedule.steps, 0, -1):
        alpha_t, gamma_t = schedule.alphas[t], schedule.gammas[t]
        eps_hat = f(x.expand(len(points), -1), points, gamma_t.expand(len(points)))
        moved = step(points, eps_hat, alpha_t, gamma_t, None)
        M, b = (moved[1:] - moved[0]).T, moved[0]
        noise = step(
            nothing, nothing, alpha_t, gamma_t, one if t > 1 else None
        ).square()
        mean, covariance = (
            M @ mean + b,
            M @ covariance @ M.T + noise * torch.eye(len(mean)).to(mean),
        )
        laws.append((mean, covariance))
    return laws


def exact_marginals(schedule: NoiseSchedule) -> Picture:
    """Variance of the sampler's y_t over the true one, for N(0, 1) data and for a point
    mass, under both variance rules.
    """
    figure = Figure(figsize=(7.2, 2.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    zero, one = torch.zeros(1, dtype=torch.float64), torch.eye(1, dtype=torch.float64)
    levels = schedule.gammas.flip(0)[:-1]  # of y_T, ..., y_1
    worst = {}
    for ax, v, what in (
        (left, one, "data N(0, 1)"),
        (right, 0 * one, "data: one point"),
    ):
        truth = levels * v.item() + 1 - levels
        for step, colour, style, rule in (
            (reverse_step, RED, "o-", r"$1-\alpha_t$"),
            (posterior_step, BLUE, "s-", "posterior's"),
        ):
            laws = pushed(
                step, GaussianOracle(zero, v), one, schedule, (zero, truth[0] * one)
            )
            ratio = (
                torch.stack([covariance[0, 0] for _, covariance in laws[:-1]]) / truth
            )
            ax.plot(
                range(schedule.steps, 0, -1),
                ratio,
                style,
                color=colour,
                markersize=3,
                label=rule,
            )
            worst[what, rule] = ratio[-1].item()
        _towards_the_picture(ax, what)
    left.set(ylabel="variance of $y_t$ over the true one")
    left.legend(fontsize=8, title="variance rule", title_fontsize=8, loc="lower left")
    point, normal = (
        worst["data: one point", r"$1-\alpha_t$"],
        worst["data N(0, 1)", "posterior's"],
    )
    alt = (
        "Variance of the sampler's y_t over the true one while t falls from"
        f" {schedule.steps} to 1. Data N(0, 1): with 1 - alpha_t the ratio is 1"
        f" throughout, with the posterior's variance it falls to {normal:.1f}. A point"
        " mass: with the posterior's variance it is 1 throughout, with 1 - alpha_t it"
        f" rises to {point:.1f}."
    )
    return Picture(figure, alt)


def _towards_the_picture(ax: Axes, title: str) -> None:
    """Steps on the axis in the order of the loop: T on the left, 1 on the right."""
    ax.axhline(1, color=GREY, linewidth=0.8, linestyle=":")
    ax.set(xlabel="step t, in the order of the loop")
    ax.set_title(title, fontsize=9)
    ax.invert_xaxis()


def covariance_order(
    steps: Sequence[int], paper: Sequence[float], posterior: Sequence[float]
) -> Picture:
    """Error of the sample's covariance against T under both variance rules, both
    logarithmic, beside a line of slope -1.
    """
    figure = Figure(figsize=(5.6, 2.9), layout="constrained")
    ax = figure.subplots()
    ax.loglog(
        steps, posterior, "s-", color=BLUE, markersize=4, label="posterior's variance"
    )
    ax.loglog(
        steps, paper, "o-", color=RED, markersize=4, label=r"variance $1-\alpha_t$"
    )
    ax.loglog(
        steps,
        [0.6 * paper[0] * steps[0] / T for T in steps],
        ":",
        color=GREY,
        label="slope −1",
    )
    ax.set(xlabel="number of steps T", ylabel="error of the covariance")
    plain_ticks(ax, x=steps)
    ax.legend(fontsize=8)
    slope, other = (
        math.log(errors[-1] / errors[-2]) / math.log(steps[-1] / steps[-2])
        for errors in (paper, posterior)
    )
    alt = (
        "Largest error in the covariance of the sample against the number of steps,"
        f" {steps[0]} to {steps[-1]}, both logarithmic. With the variance 1 - alpha_t a"
        f" nearly straight line, whose slope ends at {slope:.1f}; with the posterior's"
        f" variance a line above it, whose slope ends at {other:.1f}."
    )
    return Picture(figure, alt)
