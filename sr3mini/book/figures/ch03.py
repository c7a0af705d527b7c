"""Figures of chapter 3: the law of the level, and levels made visible."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ...forward import gamma_cdf, gamma_pdf
from ...schedule import NoiseSchedule
from .base import BLUE, GREEN, GREY, ORANGE, RED, Picture, image_rows, plain_ticks


def gamma_segments(schedule: NoiseSchedule) -> Picture:
    """The levels gamma_0..gamma_T on a line, falling with t, and the T segments between
    neighbours.
    """
    gammas = schedule.gammas.numpy()
    figure = Figure(figsize=(6.4, 2.6), layout="constrained")
    ax = figure.subplots()
    ax.plot(range(len(gammas)), gammas, "o-", color=BLUE, markersize=5)
    for t in range(1, len(gammas)):
        ax.axhspan(
            gammas[t],
            gammas[t - 1],
            color=ORANGE if t % 2 else GREEN,
            alpha=0.25,
            linewidth=0,
        )
        ax.text(
            -0.55,
            (gammas[t] + gammas[t - 1]) / 2,
            f"segment {t}",
            va="center",
            fontsize=8,
        )
    ax.set(
        xlabel="step t",
        ylabel=r"$\gamma_t$, share of signal left",
        xlim=(-0.6, len(gammas) - 0.7),
        ylim=(0, 1.03),
    )
    ax.set_xticks(range(len(gammas)))
    spans = ", ".join(
        f"[{gammas[t]:.2f}, {gammas[t - 1]:.2f}]" for t in range(1, len(gammas))
    )
    alt = (
        f"Gamma falls from 1 at t = 0 to {gammas[-1]:.2f} at t = {schedule.steps}."
        f" Bands between neighbours, one per step, tile the axis: {spans}."
    )
    return Picture(figure, alt)


def gamma_law(
    schedule: NoiseSchedule,
    draws: Float[Tensor, " N"] | None = None,
    limit: NoiseSchedule | None = None,
) -> Picture:
    """Left: the density p(gamma) as steps, with a histogram of `draws`. Right: its CDF,
    straight between the levels. In grey both for `limit`, a schedule of many steps.
    """
    gammas = schedule.gammas.flip(0)
    height = gamma_pdf(schedule, (gammas[1:] + gammas[:-1]) / 2)
    # margins by hand: "constrained" lays everything out twice, and a slider draws this
    figure = Figure(figsize=(7.2, 2.7))
    left, right = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.075, right=0.98, bottom=0.19, top=0.96, wspace=0.26)
    if draws is not None:
        _histogram(left, draws, gammas)
    if limit is not None:
        _smooth(left, right, limit)
    _staircase(left, height, gammas)
    left.legend(fontsize=8, loc="upper center")
    _cdf(right, schedule)
    middle = gamma_cdf(schedule, torch.tensor(0.5, dtype=torch.float64)).item()
    followed = "" if draws is None else ", followed by a histogram of draws"
    if limit is not None:
        followed += (
            f" around the smooth curve of {limit.steps} steps, which is high at both"
            " ends"
        )
    alt = (
        f"Density and CDF of the level for a schedule of {schedule.steps} steps that"
        f" ends at gamma_T = {schedule.gammas[-1].item():.2g}. The density is a"
        f" staircase between {height.min().item():.2g} and"
        f" {height.max().item():.2g}{followed}; the CDF is a chain of straight pieces"
        f" between the levels; {middle:.0%} of the levels lie below 0.5."
    )
    return Picture(figure, alt)


def _histogram(
    ax: Axes, draws: Float[Tensor, " N"], gammas: Float[Tensor, " T_plus_1"]
) -> None:
    """The draws, in bins that keep to the levels where these are few."""
    few = len(gammas) <= 61
    ax.hist(
        draws.numpy(),
        bins=_within(gammas, 60) if few else np.linspace(0, 1, 61).tolist(),
        density=True,
        color=ORANGE,
        alpha=0.5,
        label=f"{len(draws):,} draws",
    )


def _staircase(
    ax: Axes, height: Float[Tensor, " T"], gammas: Float[Tensor, " T_plus_1"]
) -> None:
    """The density between the levels, on a logarithmic axis where it is steep."""
    ax.stairs(
        height.numpy(),
        gammas.numpy(),
        color=BLUE,
        label=r"density $p(\gamma)$",
        linewidth=1.4,
    )
    ax.set(xlabel=r"level $\gamma$", xlim=(-0.02, 1.02))
    if height.max() > 10 or ax.get_yscale() == "log":
        ax.set(yscale="log", ylim=(0.2, 2000))
        plain_ticks(ax, y=[1, 10, 100, 1000])
    else:
        ax.set(ylim=(0, 1.25 * height.max().item()))


def _smooth(density: Axes, cdf: Axes, schedule: NoiseSchedule) -> None:
    """Density (logarithmic) and CDF of a schedule of many steps, as curves."""
    gammas = schedule.gammas.flip(0)
    middles = (gammas[1:] + gammas[:-1]) / 2
    density.plot(
        middles,
        gamma_pdf(schedule, middles),
        color=GREY,
        linewidth=1,
        label=f"T = {schedule.steps}",
    )
    density.set(yscale="log")
    cdf.plot(gammas, gamma_cdf(schedule, gammas), color=GREY, linewidth=1)


def _cdf(ax: Axes, schedule: NoiseSchedule) -> None:
    """The CDF of the level, with a dot at each level where these are few."""
    grid = torch.linspace(0, 1, 801, dtype=torch.float64)
    ax.plot(grid, gamma_cdf(schedule, grid), color=BLUE)
    if schedule.steps <= 30:
        levels = schedule.gammas.flip(0)
        ax.plot(levels, gamma_cdf(schedule, levels), "o", color=RED, markersize=4)
    ax.set(
        xlabel=r"level $\gamma$",
        ylabel="CDF",
        xlim=(-0.02, 1.02),
        ylim=(-0.02, 1.02),
        yticks=[0, 0.25, 0.5, 0.75, 1],
    )


def _within(ends: Float[Tensor, " N"], bins: int) -> list[float]:
    """About `bins` histogram edges on [0, 1] that never straddle one of the `ends`."""
    neighbours = zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)
    pieces = [
        np.linspace(low, high, max(2, round((high - low) * bins) + 1))[:-1]
        for low, high in neighbours
    ]
    return [*np.concatenate(pieces).tolist(), ends[-1].item()]


def training_batch(
    y_0: Float[Tensor, "B C H W"],
    gammas: Float[Tensor, " B"],
    y_t: Float[Tensor, "B C H W"],
) -> Picture:
    """Pictures above their noised versions, each at the level that was drawn for it."""
    said = ", ".join(f"{gamma:.2f}" for gamma in gammas.tolist())
    alt = (
        f"A batch of {len(y_0)} pictures, and below each its noised version. Their"
        f" levels gamma: {said}. The higher the level, the more can be seen."
    )
    titles = [f"γ = {gamma:.2f}" for gamma in gammas.tolist()]
    return image_rows([("$y_0$", y_0), ("$y_t$", y_t)], alt, titles)
