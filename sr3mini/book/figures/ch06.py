"""Figures of chapter 6: what the loss teaches, what the bound would weigh, and a
training watched against its floor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ...oracle import MixtureOracle
from ...schedule import NoiseSchedule, log_snr
from .base import BLUE, GREEN, GREY, ORANGE, RED, Picture, levels_above

LINES = ("--", ":", "-.")


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


def bound_weight(
    schedule: NoiseSchedule, variance: Literal["paper", "posterior"] = "paper"
) -> Float[Tensor, " T"]:
    """w_t for t = 1..T, what the variational bound multiplies E||eps - f||^2 with (tag
    6.14).

    (1 - alpha_t)^2 / (2 s_t^2 alpha_t (1 - gamma_t)), where s_t^2 is the variance of
    the sampler's step: 1 - alpha_t, as in the paper, or the posterior's, which is 0 at
    t = 1: that entry is infinite.
    """
    alphas, gammas, before = (
        schedule.alphas[1:],
        schedule.gammas[1:],
        schedule.gammas[:-1],
    )
    s2 = (
        1 - alphas
        if variance == "paper"
        else (1 - before) * (1 - alphas) / (1 - gammas)
    )
    return (1 - alphas) ** 2 / (2 * s2 * alphas * (1 - gammas))


def bound_weights(schedule: NoiseSchedule) -> Picture:
    """`bound_weight` over t for both variances, beside the flat weight of the loss,
    drawn with the same total as the paper's.
    """
    paper, posterior = bound_weight(schedule), bound_weight(schedule, "posterior")
    figure = Figure(figsize=(6.4, 2.8), layout="constrained")
    ax = figure.subplots()
    t = torch.arange(1, schedule.steps + 1)
    ax.plot(t, paper, color=BLUE, label=r"bound, $s_t^2 = 1-\alpha_t$")
    ax.plot(
        t[1:],
        posterior[1:],
        color=ORANGE,
        linestyle="--",
        label=r"bound, $s_t^2 = \sigma_t^2$",
    )
    ax.axhline(
        paper.mean().item(), color=GREEN, linestyle=":", label="loss (6.1): all alike"
    )
    ax.set(
        xlabel="step t (logarithmic)",
        ylabel=r"weight $w_t$",
        xscale="log",
        yscale="log",
        xlim=(0.9, 1.1 * schedule.steps),
    )
    ax.legend(fontsize=8)
    share = (paper[:100].sum() / paper.sum()).item()
    alt = (
        f"The weight of the bound over the {schedule.steps} steps, on logarithmic axes:"
        f" {paper[0].item():.1f} at t = 1, falling to {paper.min().item():.4f} at t ="
        f" {int(paper.argmin()) + 1} and rising a little after that. The first hundred"
        f" steps hold {share:.0%} of it. With the posterior's variance the curve is"
        " higher over the first steps and the same after that. The weight of the loss"
        " is a flat line."
    )
    return Picture(figure, alt)


def training_curve(
    losses: Sequence[float], lines: Mapping[str, float], window: int = 50
) -> Picture:
    """The loss of every step as a dot, its mean over the last `window` steps as a
    curve, and named values as horizontal lines.
    """
    values = torch.tensor(losses, dtype=torch.float64)
    moving = values.unfold(0, window, 1).mean(1)
    figure = Figure(figsize=(7.2, 3.0), layout="constrained")
    ax = figure.subplots()
    steps = range(1, len(values) + 1)
    ax.plot(
        steps, values, ".", color=ORANGE, markersize=2, alpha=0.6, label="one batch"
    )
    ax.plot(
        steps[window - 1 :],
        moving,
        color=BLUE,
        linewidth=1.6,
        label=f"mean of the last {window}",
    )
    for style, (name, value) in zip(LINES, lines.items(), strict=False):
        ax.axhline(
            value,
            color=GREY,
            linestyle=style,
            linewidth=1.1,
            label=f"{name}: {value:.3g}",
        )
    ax.set(
        xlabel="training step",
        ylabel="loss (logarithmic)",
        yscale="log",
        xlim=(0, len(values)),
        ylim=(None, 12 * values.max().item()),
    )
    ax.legend(fontsize=8, ncols=3, loc="upper right")
    named = "; ".join(f"{name}, {value:.2g}" for name, value in lines.items())
    alt = (
        f"The loss of {len(values)} training steps on a logarithmic axis: dots for"
        " single batches, scattered far up and down, and a curve for the mean of the"
        f" last {window}. It drops steeply at first and then falls slowly. Horizontal"
        f" lines: {named}. The curve ends at {moving[-1].item():.2g}."
    )
    return Picture(figure, alt)


def loss_by_level(
    gammas: Float[Tensor, " N"],
    floor: Float[Tensor, " N"],
    measured: Mapping[str, Float[Tensor, " N"]],
    name: str,
) -> Picture:
    """The loss at each level `gammas`, over the log-SNR: a `floor` called `name` as a
    black line, and one curve with dots for each in `measured`.
    """
    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    ax = figure.subplots()
    level = log_snr(gammas)
    ax.plot(level, floor, color="black", linewidth=1.4, label=name)
    for colour, marker, (label, values) in zip(
        (GREY, ORANGE, BLUE, GREEN), "^so^", measured.items(), strict=False
    ):
        ax.plot(
            level,
            values,
            marker + "-",
            color=colour,
            markersize=4,
            linewidth=1,
            label=label,
        )
    ax.set(
        xlabel="log-SNR: noise on the left, picture on the right",
        ylabel="loss (logarithmic)",
        yscale="log",
    )
    ax.legend(fontsize=8, loc="lower right")
    levels_above(ax, r"$\gamma$ = {:g}", fontsize=8)
    *_, values = measured.values()
    middle = len(gammas) // 2
    places = " and ".join(
        f"{(values[i] / floor[i]).item():.1f} times it at gamma ="
        f" {gammas[i].item():.2g}"
        for i in (0, middle)
    )
    alt = (
        f"Loss at {len(gammas)} levels, on a logarithmic axis. {name} rises from almost"
        f" 0 where all is noise to {floor.max().item():.2g} where almost none is left."
        f" With it: {', '.join(measured)}. The last of these is {places}."
    )
    return Picture(figure, alt)
