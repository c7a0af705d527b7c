"""Figures of deep dive F: faults made on purpose, and what they look like."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from ...metrics import sharpness
from ...schedule import NoiseSchedule
from ..failures import bias_by_step, grain
from .base import BLUE, GREEN, GREY, ORANGE, RED, Picture, image_rows, sample_sheet


def psnr_ladder(reached: Mapping[str, float]) -> Picture:
    """PSNR that wrong pictures of each kind reach: a dot a kind, in falling order."""
    ordered = sorted(reached.items(), key=lambda pair: pair[1])
    figure = Figure(figsize=(6.6, 0.28 * len(ordered) + 0.75), layout="constrained")
    ax = figure.subplots()
    for row, (_, value) in enumerate(ordered):
        ax.hlines(row, 0, value, color=GREY, linewidth=0.8)
        ax.plot(value, row, "o", color=BLUE, markersize=6)
        ax.text(value + 0.5, row, f"{value:.1f}", va="center", fontsize=9)
    ax.set(
        yticks=range(len(ordered)),
        xlabel="PSNR in dB",
        xlim=(0, 1.12 * ordered[-1][1]),
        ylim=(-0.6, len(ordered) - 0.4),
    )
    ax.set_yticklabels([name for name, _ in ordered], fontsize=9)
    ax.spines[["top", "right"]].set_visible(False)
    alt = (
        "PSNR that different answers reach, from low to high: "
        + "; ".join(f"{name}, {value:.1f} dB" for name, value in ordered)
        + "."
    )
    return Picture(figure, alt)


def bias_shifts(
    schedules: Sequence[NoiseSchedule], deviations: Sequence[float]
) -> Picture:
    """Left: how the shift by an error 1 in f adds up, in the order of the loop, for
    data of each deviation. Right: all of it, for each schedule.
    """
    figure = Figure(figsize=(7.4, 2.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    last, ends = schedules[-1], []
    for sigma, colour in zip(deviations, (RED, ORANGE, GREEN, BLUE), strict=False):
        so_far = -bias_by_step(last, sigma**2).flip(0).cumsum(0)
        left.plot(
            range(last.steps, 0, -1), so_far, color=colour, label=f"σ = {sigma:g}"
        )
        ends.append(f"{so_far[-1].item():.2g} for sigma = {sigma:g}")
    left.invert_xaxis()
    left.set(
        xlabel="step t, in the order of the loop",
        ylabel="shift of the picture so far, over −b",
    )
    left.legend(fontsize=8)
    grid = torch.linspace(0, 1, 101, dtype=torch.float64)
    for schedule, colour in zip(schedules, (RED, GREEN, BLUE), strict=False):
        total = [
            -bias_by_step(schedule, sigma**2).sum().item() for sigma in grid.tolist()
        ]
        right.plot(
            grid, total, color=colour, linewidth=1.2, label=f"T = {schedule.steps}"
        )
    right.plot(grid, math.pi * grid, ":", color=GREY, label="πσ")
    right.set(
        xlabel="σ, what the data leave open",
        ylabel="shift of the picture, over −b",
        xlim=(0, 1),
        ylim=(0, 3.3),
    )
    right.legend(fontsize=8)
    alt = (
        f"Left: the shift by a constant error of f grows along the loop of {last.steps}"
        f" steps and ends at {'; '.join(ends)}. The smaller sigma, the later it comes."
        " Right: the whole shift against sigma for T ="
        f" {', '.join(str(schedule.steps) for schedule in schedules)}: all lie close to"
        " the line pi sigma."
    )
    return Picture(figure, alt)


def snapshot_casts(
    steps: Sequence[int], raw: Float[Tensor, "N 3"], averaged: Float[Tensor, "N 3"]
) -> Picture:
    """The cast of red, green and blue at some training steps, with the weights as they
    were and with their average.
    """
    figure = Figure(figsize=(7.2, 2.6), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for ax, values, title in zip(
        axes,
        (raw, averaged),
        ("weights as they were", "their moving average"),
        strict=True,
    ):
        for channel, (colour, marker, name) in enumerate(
            ((RED, "s", "red"), (GREEN, "^", "green"), (BLUE, "o", "blue"))
        ):
            ax.plot(
                steps,
                values[:, channel],
                marker + "-",
                color=colour,
                markersize=5,
                linewidth=1,
                label=name,
            )
        ax.axhline(0, color=GREY, linewidth=0.8, linestyle=":")
        ax.set(xlabel="training step", xticks=list(steps))
        ax.set_title(title, fontsize=9)
    axes[0].set(ylabel="cast, on [−1, 1]")
    axes[0].legend(fontsize=8)
    alt = (
        f"Cast of red, green and blue at {len(steps)} training steps. With the weights"
        " as they were the three lines jump up and down, each on its own, up to"
        f" {raw.abs().max().item():.2f} away from 0; with the moving average, up to"
        f" {averaged.abs().max().item():.2f}."
    )
    return Picture(figure, alt)


def faulty(
    x: Float[Tensor, "B 1 h w"],
    y: Float[Tensor, "B 1 H W"],
    original: Float[Tensor, "B 1 H W"],
    numbers: str,
    alt: str,
    scale: int = 4,
) -> Picture:
    """What goes in, the sample, and the original, a column a picture, below a line of
    `numbers`; one axis only, which draws fast: for sliders.
    """
    factor = y.shape[-1] // x.shape[-1]
    rows = {
        "given x": x.repeat_interleave(factor, 2).repeat_interleave(factor, 3),
        "sample": y,
        "original": original,
    }
    return sample_sheet(rows, alt, scale, numbers)


def portraits(
    columns: Mapping[str, Tensor | Sequence[Tensor]], names: Sequence[str] = ("",)
) -> Picture:
    """A photograph (C, H, W), enlarged in several ways: a column each, or several of
    them in a column, whose rows have these `names`.
    """
    stacked = {
        title: each[None] if isinstance(each, Tensor) else torch.stack(list(each))
        for title, each in columns.items()
    }
    rows = [
        (name, torch.stack([each[row] for each in stacked.values()]))
        for row, name in enumerate(names)
    ]
    told = [
        f"{name} {title}".strip() + f", grain {left:.2f}"
        for title, each in stacked.items()
        for name, left in zip(names, grain(each).tolist(), strict=True)
    ]
    alt = f"The same portrait, enlarged in several ways: {'; '.join(told)}."
    return image_rows(rows, alt, list(columns), side=1.3)


def faults_side_by_side(
    rows: Mapping[str, Float[Tensor, "B C H W"]], first: int | None = None
) -> Picture:
    """A row of pictures for each fault; with `first`, so many of each."""
    some = {name: several[:first].clamp(-1, 1) for name, several in rows.items()}
    told = [
        f"{name}, brightness {(several.mean() + 1) / 2:.2f} and sharpness"
        f" {sharpness(several).mean():.3f}"
        for name, several in some.items()
    ]
    alt = f"The same pictures with and without faults, in rows: {'; '.join(told)}."
    return image_rows(list(some.items()), alt)
