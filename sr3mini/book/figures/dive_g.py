"""Figures of deep dive G: what public code does to the law of the level."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from torch import Tensor

from ...forward import gamma_between
from ...schedule import NoiseSchedule
from .base import BLUE, GREEN, RED, Picture


def root_ratio(
    schedule: NoiseSchedule, t: Int[Tensor, "..."], u: Float[Tensor, "..."]
) -> Float[Tensor, "..."]:
    """Density of a draw uniform in sqrt(gamma) over that of the plain draw, a share `u`
    of the way up segment t (tag G.2).
    """
    high, low = schedule.gammas[t - 1], schedule.gammas[t]
    return (high.sqrt() + low.sqrt()) / (2 * gamma_between(schedule, t, u).sqrt())


def root_draw(schedules: Sequence[NoiseSchedule]) -> Picture:
    """`root_ratio` over the whole range of levels, for each schedule."""
    figure = Figure(figsize=(6.4, 2.6), layout="constrained")
    ax = figure.subplots()
    worst = []
    for schedule, colour in zip(schedules, (RED, BLUE, GREEN), strict=False):
        t = torch.arange(schedule.steps, 0, -1)[:, None]
        u = torch.linspace(0, 1, 41, dtype=torch.float64)
        gamma, ratio = (
            gamma_between(schedule, t, u).flatten(),
            root_ratio(schedule, t, u).flatten(),
        )
        ax.plot(gamma, ratio, color=colour, linewidth=1, label=f"T = {schedule.steps}")
        worst.append(
            f"T = {schedule.steps}: {ratio.min().item():.3f} to"
            f" {ratio.max().item():.3f}"
        )
    ax.set(
        xlabel=r"level $\gamma$ (logarithmic)",
        ylabel="density, root draw\nover plain draw",
        xscale="log",
        xlim=(3e-5, 1.05),
    )
    ax.legend(fontsize=8)
    alt = (
        "Within every segment a draw uniform in the square root of gamma favours the"
        " lower end. Ratio of densities, " + "; ".join(worst) + "."
    )
    return Picture(figure, alt)


def batch_means(
    per_image: Float[Tensor, " N"], per_batch: Float[Tensor, " N"], batch: int
) -> Picture:
    """Histograms of the mean level of a batch, when every image has its own t and when
    the batch shares one.
    """
    figure = Figure(figsize=(6.4, 2.5), layout="constrained")
    ax = figure.subplots()
    bins = np.linspace(0, 1, 51).tolist()
    ax.hist(
        per_batch.numpy(),
        bins,
        density=True,
        color=RED,
        alpha=0.6,
        label="one t per batch",
    )
    ax.hist(
        per_image.numpy(),
        bins,
        density=True,
        color=BLUE,
        alpha=0.6,
        label="one t per image",
    )
    ax.set(
        xlabel=f"mean level of a batch of {batch}",
        ylabel="share of batches",
        xlim=(0, 1),
        yticks=[],
    )
    ax.legend(fontsize=8)
    alt = (
        f"Mean level over batches of {batch}: with one t per image a narrow peak around"
        f" {per_image.mean().item():.2f}; with one t per batch it spreads over the"
        " whole range of gamma, with most batches near 0 and a small bump near 1."
    )
    return Picture(figure, alt)
