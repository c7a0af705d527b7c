"""Figures of chapter 9: a head start, what a training costs, watches over and
survives, and the full run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from PIL import Image
from torch import Tensor

from ...model.checkpoint import WEIGHTS
from ...schedule import log_snr
from ...training.plan import Plan
from .base import BLUE, DPI, GREEN, GREY, ORANGE, RED, Picture, image_rows, lines_across

BETA_1, BETA_2 = 0.9, 0.999  # of Adam: how much of its two averages a step keeps
SKY, YELLOW, PINK = "#56B4E9", "#F0E442", "#CC79A7"
PARTS = {
    "weights": BLUE,
    "average": SKY,
    "optimizer": GREEN,
    "gradients": YELLOW,
    "gradients for DDP": PINK,
    "gathered": GREY,
    "activations": ORANGE,
}


def rotation(
    gamma: Float[Tensor, "..."], s: float
) -> tuple[Float[Tensor, "..."], Float[Tensor, "..."]]:
    """cos and sin of the angle by which detail and noise are turned at level gamma:
    sqrt(gamma) s and sqrt(1 - gamma), over the root of v (tag I.3).
    """
    v = gamma * s**2 + 1 - gamma
    return gamma.sqrt() * s / v.sqrt(), ((1 - gamma) / v).sqrt()


def error_in_picture(gamma: Float[Tensor, "..."], s: float) -> Float[Tensor, "..."]:
    """How far an error 1 of the U-Net moves the guessed picture: s sin(phi) with a head
    start of s > 0, sqrt((1 - gamma) / gamma) without, s = 0 (tag I.4).
    """
    return s * rotation(gamma, s)[1] if s > 0 else ((1 - gamma) / gamma).sqrt()


def spike_jump(c: float) -> float:
    """How many learning rates Adam moves a weight by one gradient that is c times as
    large as usual (tag I.5).
    """
    return c / math.sqrt(1 + (1 - BETA_2) * (c**2 - 1))


def spike_memory(c: float) -> float:
    """For how many steps after it Adam's steps stay below half of their usual size; 0
    if they never do (tag I.6).
    """
    return max(
        0.0, math.log(max(1.0, (1 - BETA_2) * (c**2 - 1) / 3)) / -math.log(BETA_2)
    )


def head_start(s: float) -> Picture:
    """Left: the squares of `rotation` over the level. Right: what an error 1 of the
    U-Net does to the guessed picture, with the head start and without.
    """
    gammas = torch.linspace(-10, 12, 221, dtype=torch.float64).sigmoid()
    level = log_snr(gammas)
    cos, sin = rotation(gammas, s)
    figure = Figure(figsize=(7.4, 2.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(
        level,
        sin.square(),
        color=ORANGE,
        label=r"$\sin^2\varphi$: of $-\rho$, the detail",
    )
    left.plot(
        level,
        cos.square(),
        color=BLUE,
        linestyle="--",
        label=r"$\cos^2\varphi$: of $\epsilon$, the noise",
    )
    left.set(
        xlabel="log-SNR: noise on the left",
        ylabel="share of what F is asked for",
        ylim=(-0.03, 1.3),
    )
    left.legend(fontsize=8, loc="upper center")
    plain, started = error_in_picture(gammas, 0.0), error_in_picture(gammas, s)
    right.plot(level, plain, color=RED, linestyle="--", label="plain start")
    right.plot(level, started, color=GREEN, label=f"head start, s = {s:g}")
    right.set(
        xlabel="log-SNR: noise on the left",
        ylabel=r"error of $\hat y_0$ (logarithmic)",
        yscale="log",
    )
    right.legend(fontsize=8)
    alt = (
        "Left: where the picture is all noise, the U-Net is asked for the detail, and"
        " where it is almost clean, for the noise; in between for both. Right: an"
        f" error of 1 moves the guessed picture by up to {plain[0].item():.0f} with the"
        " plain start, more the noisier it is, and by at most"
        f" {started.max().item():.2f} with the head start."
    )
    return Picture(figure, alt)


def watched(
    logs: Mapping[str, Sequence[Mapping[str, float]]], lines: Mapping[str, float]
) -> Picture:
    """The loss in the metrics.jsonl of trainings, on a logarithmic axis, and named
    values as horizontal lines.
    """
    figure = Figure(figsize=(7.2, 3.0), layout="constrained")
    ax = figure.subplots()
    for colour, marker, (name, log) in zip(
        (RED, BLUE, GREEN), "so^", logs.items(), strict=False
    ):
        ax.plot(
            [row["step"] for row in log],
            [row["loss"] for row in log],
            marker + "-",
            color=colour,
            markersize=4,
            label=name,
        )
    lines_across(ax, lines)
    ax.set(
        xlabel="training step",
        ylabel="loss, mean of 20 steps",
        yscale="log",
        ylim=(None, 4 * max(lines.values())),
    )
    ax.legend(fontsize=8, ncols=2, loc="upper right")
    ends = "; ".join(
        f"{name} ends at {log[-1]['loss']:.2g}" for name, log in logs.items()
    )
    named = ", ".join(f"{name} at {value:.2g}" for name, value in lines.items())
    return Picture(
        figure,
        f"The loss of {len(logs)} trainings over their steps, on a logarithmic axis,"
        f" with lines for {named}: {ends}.",
    )


def spikes(losses: Mapping[str, Sequence[float]], at: int, window: int = 50) -> Picture:
    """Losses of trainings that meet one spoilt batch at step `at`: means of `window`
    steps before and after it, the batch itself left out.
    """
    figure = Figure(figsize=(7.2, 3.0), layout="constrained")
    ax = figure.subplots()
    late = {}
    for colour, style, (name, values) in zip(
        (RED, BLUE, GREEN), ("-", "-", "--"), losses.items(), strict=False
    ):
        kept = torch.tensor(values, dtype=torch.float64)
        for part, start in ((kept[:at], 0), (kept[at + 1 :], at + 1)):
            means = part[: len(part) // window * window].reshape(-1, window).mean(1)
            middles = start + window * (torch.arange(len(means)) + 0.5)
            ax.plot(
                middles,
                means,
                style,
                marker=".",
                color=colour,
                linewidth=1.4,
                label=name if start == 0 else None,
            )
        late[name] = kept[-4 * window :].mean().item()
    ax.axvline(at, color=GREY, linewidth=1, linestyle=":", label="the spoilt batch")
    ax.set(xlabel="training step", ylabel=f"loss, means of {window} steps")
    _logarithmic(ax)
    ax.legend(fontsize=8)
    best = min(late.values())
    ends = "; ".join(
        f"{name}, {value / best:.2f} times the lowest" for name, value in late.items()
    )
    return Picture(
        figure,
        f"The loss of {len(losses)} trainings on a logarithmic axis; at step {at} there"
        f" is a spoilt batch. At the end: {ends}.",
    )


def memory_bar(cost: Plan) -> Picture:
    """What lies in the memory of one device at its fullest moment, part by part,
    against the memory there is; the time in the line above.
    """
    figure = Figure(figsize=(7.0, 1.75))  # margins by hand: a slider draws this
    ax = figure.add_axes((0.03, 0.27, 0.94, 0.28))
    left, gb = 0.0, 1e9
    for name, size in cost.memory.items():
        if size > 0:
            ax.barh(
                0,
                size / gb,
                left=left,
                color=PARTS[name],
                edgecolor="white",
                linewidth=0.5,
                label=name,
            )
            left += size / gb
    ax.axvline(cost.room / gb, color="black", linewidth=2)
    ax.set(
        yticks=[],
        xlim=(0, 1.04 * max(left, cost.room / gb)),
        xlabel="GB on each device; the black line is what can be used",
    )
    ax.xaxis.label.set_fontsize(8.5)
    ax.tick_params(labelsize=8)
    ax.spines[["left", "top", "right"]].set_visible(False)
    place: dict[str, Any] = {
        "loc": "upper left",
        "bbox_to_anchor": (0.02, 0.85),
        "ncols": 6,
        "columnspacing": 1,
        "handlelength": 1,
        "handletextpad": 0.4,
    }
    figure.legend(*ax.get_legend_handles_labels(), fontsize=8, frameon=False, **place)
    verdict, colour = ("fits", "black") if cost.fits else ("does not fit", RED)
    headline = (
        f"{cost.preset.name}, {cost.gpus} × {cost.kind}, {cost.batch} pictures at a"
        f" time: {readable_hours(cost.hours)}, {verdict}"
    )
    figure.text(0.03, 0.88, headline, fontsize=9.5, weight="bold", color=colour)
    largest = max(cost.memory, key=lambda name: cost.memory[name])
    alt = (
        f"Training {cost.preset.name} on {cost.gpus} {cost.kind}, {cost.batch} pictures"
        f" at a time on each: {readable_hours(cost.hours)}. A bar of"
        f" {rounded(cost.bytes / gb)} GB, most of it {largest}, against"
        f" {rounded(cost.room / gb)} GB that can be used: it {verdict}."
    )
    return Picture(figure, alt)


def readable_hours(hours: float) -> str:
    """A time to two digits that count, in hours, days or years."""
    unit, size = next(
        (unit, size)
        for unit, size in (("years", 24 * 365), ("days", 24), ("hours", 1))
        if hours >= 2 * size or size == 1
    )
    return f"{rounded(hours / size)} {unit}"


def rounded(value: float) -> str:
    """To two digits that count, without an exponent: 313 -> 310, 4.58 -> 4.6."""
    return f"{float(f'{value:.2g}'):,.10g}"


def full_run(run: Mapping[str, Any]) -> Picture:
    """The loss of a stored training, in up to five parts, over the pictures seen, on
    logarithmic axes: `run["parts"]`, each with its `name` and `log` = [[pictures seen,
    mean of the last losses], ...].
    """
    figure = Figure(figsize=(7.2, 2.9), layout="constrained")
    ax = figure.subplots()
    told = []
    colours = (BLUE, RED, GREEN, ORANGE, PINK)
    for part, colour in zip(run["parts"], colours, strict=False):
        seen, losses = zip(*part["log"], strict=True)
        ax.plot(seen, losses, color=colour, linewidth=1.5, label=part["name"])
        told.append(f"{part['name']}, from {losses[0]:.2g} down to {losses[-1]:.2g}")
    ax.set(xlabel="pictures seen", ylabel="loss", xscale="log")
    _logarithmic(ax)
    ax.grid(color="#dddddd", linewidth=0.6)
    ax.legend(frameon=False)
    alt = f"The loss over the pictures seen, on logarithmic axes: {'; '.join(told)}."
    return Picture(figure, alt)


def _logarithmic(ax: Axes) -> None:
    """A logarithmic vertical axis of less than two decades, with plain numbers."""
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    ticks = [
        value
        for value in (
            0.01,
            0.015,
            0.02,
            0.03,
            0.05,
            0.07,
            0.1,
            0.15,
            0.2,
            0.3,
            0.5,
            0.7,
            1.0,
        )
        if low <= value <= high
    ]
    ax.set_yticks(ticks, [f"{value:g}" for value in ticks])
    ax.yaxis.set_minor_locator(NullLocator())


def pairs(
    x: Float[Tensor, "N C h w"],
    made: Float[Tensor, "N C H W"],
    y: Float[Tensor, "N C H W"],
) -> Picture:
    """What is given, what was made of it, the original, and three times what is
    missing.
    """
    rows = [("given x", x), ("made of x", made), ("original y", y)]
    rows.append(("3 (y − made)", 3 * (y - made)))
    alt = (
        f"Held-out pieces of a photograph, {len(x)} of them: x of"
        f" {x.shape[-1]}x{x.shape[-1]} pixels, what was made of it, the original, and"
        " their difference times three, grey with edges in it."
    )
    return image_rows(rows, alt, side=0.75)


def starts(rows: Mapping[str, Float[Tensor, "_N _C _H _W"]]) -> Picture:
    """Held-out pieces as networks draw them that began in different places."""
    alt = (
        f"Held-out pieces, in rows: {', '.join(rows)}. The network with the plain start"
        " draws coloured noise; the untrained head start the blurred picture under"
        " noise; the trained one the picture with some grain."
    )
    return image_rows(list(rows.items()), alt)


def photographs_sheet() -> Picture:
    """The stored sheet of the full run of chapter 9: its eight columns in two halves,
    with the names of the rows and the numbers of the columns.
    """
    rows = ("x", "bicubic", "sample 1", "sample 2", "sample 3", "original")
    columns = 8
    with Image.open(WEIGHTS.parent / "runs" / "photos_16_64.png") as opened:
        # 64 values a colour: the eye sees no difference, and the file is smaller
        pixels = np.asarray(opened.convert("RGB")) & 0xFC
    side = pixels.shape[1] // columns
    left, above = 0.95, 0.3  # inches, for names and numbers
    across, high = pixels.shape[1] / DPI, 2 * pixels.shape[0] / DPI  # two dots a pixel
    figure = Figure(figsize=(left + across, 2 * (above + high)))
    width, height = figure.get_size_inches()
    halves = np.split(pixels, 2, axis=1)
    for bottom, half, first in zip((above + high, 0), halves, (1, 5), strict=True):
        ax = figure.add_axes(
            (left / width, bottom / height, across / width, high / height)
        )
        ax.imshow(half, interpolation="nearest")
        numbers = [str(first + n) for n in range(columns // 2)]
        ax.set_xticks([side * (n + 0.5) for n in range(columns // 2)], numbers)
        ax.set_yticks([side * (n + 0.5) for n in range(len(rows))], rows)
        ax.tick_params(length=0, labelsize=12, labeltop=True, labelbottom=False)
        ax.spines[:].set_visible(False)
    return Picture(
        figure,
        "Eight held-out photographs of clothes, groceries and faces, a column each, in"
        " two halves of four. From top to bottom: x of 16x16 pixels; the bicubic"
        " enlargement, blurred; three samples of 64x64 pixels, sharper, which differ"
        " from each other in small things; the originals.",
    )
