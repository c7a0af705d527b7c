"""Figures of chapter 6: what the loss teaches, what the bound would weigh, and a
training watched against its floor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from ...schedule import log_snr
from .base import BLUE, GREEN, GREY, ORANGE, Picture, levels_above

LINES = ("--", ":", "-.")


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
