"""Figures of chapter 6: the best guess, first samples, and a training read against its
floor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from ...schedule import log_snr
from .base import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RED,
    Picture,
    image_rows,
    levels_above,
    lines_across,
    sample_sheet,
)
from .plane import EDGE, empty_plane


def best_guesses(
    gammas: Float[Tensor, " N"],
    y_t: Float[Tensor, "N 1 H W"],
    guess: Float[Tensor, "N 1 H W"],
) -> Picture:
    """One picture noised to each of `gammas`, and below it the guess of y_0 that the
    best f makes from it.
    """
    alt = (
        f"A letter at {len(gammas)} levels, gamma from {gammas[0].item():g} to"
        f" {gammas[-1].item():g}. Above, y_t: noise on the left, the letter on the"
        " right. Below, the guess of the best f: a grey smear on the left, then a"
        " mixture of few letters, then one sharp letter."
    )
    columns = [f"{gamma:g}" for gamma in gammas.tolist()]
    columns[0] = rf"$\gamma$ = {columns[0]}"
    rows = [("$y_t$", y_t / y_t.abs().amax((1, 2, 3), keepdim=True))]
    return image_rows([*rows, (r"best $\hat y_0$", guess)], alt, columns, side=1.0)


def plane_guesses(
    x: float, y_t: Float[Tensor, "N 2"], guess: Float[Tensor, "N 2"]
) -> Picture:
    """The plane with noisy points `y_t`, and arrows from twelve of them to the `guess`
    of y_0 that the best f makes from each.
    """
    figure, ax = empty_plane(x)
    chosen = (y_t.abs().amax(1) < EDGE).nonzero()[:12, 0]
    (left, low), (right, high) = y_t[chosen].T, guess[chosen].T
    ax.scatter(y_t[:, 0], y_t[:, 1], s=6, color=GREEN, alpha=0.25, linewidths=0)
    ax.scatter(left, low, s=18, color=GREEN, zorder=3, label="$y_t$")
    of = r"guess $\hat y_0$ of the best f"
    ax.scatter(right, high, s=18, color=RED, zorder=4, label=of)
    ax.quiver(
        left,
        low,
        right - left,
        high - low,
        angles="xy",
        scale_units="xy",
        scale=1,
        width=0.004,
        color="black",
        alpha=0.7,
        zorder=5,
    )
    ax.legend(loc="upper right", fontsize=8, framealpha=0.9)
    off = ((right + high) / 2 - x).abs().max().item()
    between = ((right - high).abs() < 1).sum().item()
    alt = (
        f"The plane of two pixels with the data and the line of all y whose mean is"
        f" {x:g}. Arrows lead from {len(chosen)} noisy points y_t to the guesses of the"
        f" best f: their means are at most {off:.3f} from {x:g}, and {between} of them"
        " lie between the clusters."
    )
    return Picture(figure, alt)


def first_samples(
    x: Float[Tensor, "N 1 h w"],
    drawn: Mapping[str, Float[Tensor, "N 1 H W"]],
    exact: Float[Tensor, "N 1 H W"],
    y: Float[Tensor, "N 1 H W"],
) -> Picture:
    """What networks draw for x, a labelled row each, above exact answers and the
    originals.
    """
    alt = (
        f"Rows of {len(x)} letters: x, {x.shape[-1]} pixels wide; what is drawn for it,"
        f" {', '.join(drawn)}: noise at first, at the end sharp strokes, some of them"
        " letters; then exact answers, which are letters; then the originals."
    )
    rows = [("given x", x), *drawn.items(), ("exact answers", exact), ("originals", y)]
    return image_rows(rows, alt, side=0.75)


def guesses_sheet(
    rows: Mapping[str, Float[Tensor, "N 1 H W"]],
    gamma: float,
    losses: tuple[float, float],
) -> Picture:
    """Noisy pictures at one level, guesses of the best f and of a network, originals;
    above them the `losses` of both.
    """
    best, ours = losses
    said = f"γ = {gamma:.4f}: loss {ours:.5f}, of the best f {best:.5f}"
    alt = f"Letters at {said}. Rows: {', '.join(rows)}."
    return sample_sheet(rows, alt, scale=4, headline=said)


def training_curve(
    losses: Sequence[float], lines: Mapping[str, float], window: int = 50
) -> Picture:
    """The loss of every step as a dot, its mean over the last `window` steps as a
    curve, and named values as horizontal lines.
    """
    values = torch.tensor(losses, dtype=torch.float64)
    moving = values.unfold(0, window, 1).mean(1)
    figure = Figure(figsize=(5.6, 2.8), layout="constrained")
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
    lines_across(ax, lines)
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
    figure = Figure(figsize=(5.6, 3.2), layout="constrained")
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
        ylim=(0.3 * floor[0].item(), 2.0),  # a floor may fall to 0
    )
    ax.legend(fontsize=8, loc="center right")
    levels_above(ax, r"$\gamma$ = {:g}", fontsize=8)
    *_, values = measured.values()
    middle = len(gammas) // 2
    places = " and ".join(
        f"{(values[i] / floor[i]).item():.1f} times it at gamma ="
        f" {gammas[i].item():.2g}"
        for i in (0, middle)
    )
    alt = (
        f"Loss at {len(gammas)} levels, on a logarithmic axis. {name} is highest,"
        f" {floor.max().item():.2g}, at gamma = {gammas[floor.argmax()].item():.2g}."
        f" With it: {', '.join(measured)}. The last of these is {places}."
    )
    return Picture(figure, alt)
