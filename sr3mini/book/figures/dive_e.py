"""Figures of deep dive E: letters spoilt alike, the trade-off on two points, the mean
of K samples, two alternatives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from .base import BLUE, GREEN, GREY, ORANGE, RED, Picture, image_rows


def blur(
    y: Float[Tensor, "B C H W"], sigma: Float[Tensor, " B"]
) -> Float[Tensor, "B C H W"]:
    """Each picture blurred by its own Gaussian of `sigma` > 0 pixels; beyond the edge
    lies white.
    """
    place = torch.arange(-8, 9).to(y)
    bell = (-place.square() / (2 * sigma[:, None].to(y).square())).exp()
    # (B C, 17)
    bell = (bell / bell.sum(1, keepdim=True)).repeat_interleave(y.shape[1], 0)
    # (1, B C, H + 16, W + 16)
    flat = torch.nn.functional.pad(y, (8, 8, 8, 8), value=1.0).flatten(0, 1)[None]
    across = torch.nn.functional.conv2d(flat, bell[:, None, None], groups=len(bell))
    return torch.nn.functional.conv2d(
        across, bell[:, None, :, None], groups=len(bell)
    ).reshape(y.shape)


def spoilt(
    y: Float[Tensor, "B C H W"], seed: int = 0
) -> dict[str, Float[Tensor, "B C H W"]]:
    """Four ways to spoil a picture, each with the same squared error as moving it one
    pixel to the right: their PSNR is equal.
    """
    shifted = torch.roll(y, 1, -1)
    wanted = (shifted - y).square().flatten(1).mean(1)
    noise = torch.randn(y.shape, generator=torch.Generator().manual_seed(seed)).to(y)
    ways: dict[str, Callable[[Tensor], Tensor]] = {
        "blurred": lambda strength: blur(y, 0.01 + 8 * strength),
        "noisy": (
            lambda strength: (y + 4 * strength[:, None, None, None] * noise).clamp(
                -1, 1
            )
        ),
        "faded": lambda strength: y * (1 - strength)[:, None, None, None],
    }
    return {
        "shifted": shifted,
        **{name: _as_far(way, y, wanted) for name, way in ways.items()},
    }


def _as_far(way: Callable[[Tensor], Tensor], y: Tensor, wanted: Tensor) -> Tensor:
    """The strength in [0, 1] of each picture at which its squared error is `wanted`, by
    halving the interval 30 times.
    """
    low, high = torch.zeros_like(wanted), torch.ones_like(wanted)
    for _ in range(30):
        middle = (low + high) / 2
        weak = (way(middle) - y).square().flatten(1).mean(1) < wanted
        low, high = torch.where(weak, middle, low), torch.where(weak, high, middle)
    return way(high)


def equal_errors(
    ways: Mapping[str, Float[Tensor, "N C H W"]], characters: str
) -> Picture:
    """Some letters, a row each, and what was done to them, a column each."""
    rows = [("", torch.stack(several)) for several in zip(*ways.values(), strict=True)]
    alt = (
        f"The letters {', '.join(characters)}, a row each, and in columns:"
        f" {', '.join(ways)}."
    )
    return image_rows(rows, alt, list(ways))


def least_error(w: float, distance: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """The lowest mean squared error of an answer that the best judge recognises with
    probability (1 + distance)/2 (tag E.4).

    The right answers to x are +1 with probability `w` >= 1/2 and -1 with 1 - w;
    `distance` of the two laws, in [0, 1] (tag E.3).
    """
    variance = 4 * w * (1 - w)
    return variance + torch.maximum(
        variance - 4 * w * w * distance, 4 * (1 - w) ** 2 * (1 - distance)
    )


def estimators(
    w: float, count: int, seed: int = 0
) -> tuple[Float[Tensor, " count"], Float[Tensor, " count"]]:
    """Distance and mean squared error of `count` answers of every kind: -1, +1 or a
    grey, with random probabilities.
    """
    generator = torch.Generator().manual_seed(seed)
    chances = torch.rand(count, 3, dtype=torch.float64, generator=generator) ** 2
    chances = chances / chances.sum(1, keepdim=True)
    grey = 2 * torch.rand(count, dtype=torch.float64, generator=generator) - 1
    values = torch.stack([torch.ones_like(grey), -torch.ones_like(grey), grey], 1)
    real = torch.tensor([w, 1 - w, 0.0], dtype=torch.float64)
    mean, variance = 2 * w - 1, 4 * w * (1 - w)
    return (chances - real).abs().sum(1) / 2, variance + (
        chances * (values - mean).square()
    ).sum(1)


def tradeoff(weights: Sequence[float] = (0.5, 0.8), count: int = 300) -> Picture:
    """What can be had on two points: squared error against the best judge's share of
    right guesses, and many estimators.
    """
    figure = Figure(figsize=(7.4, 3.3), layout="constrained")
    panels = figure.subplots(1, len(weights), squeeze=False, sharey=True)[0]
    for ax, w in zip(panels, weights, strict=True):
        _least_error_curve(ax, w)
        _estimator_dots(ax, w, count)
        _two_ends(ax)
        ax.set(xlabel="best judge guesses right, %", xlim=(50, 100), ylim=(0.75, 2.75))
        ax.set_title(f"w = {w:g}", fontsize=9)
    panels[0].set_ylabel("squared error / V")
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        fontsize=8,
        loc="outside lower center",
        ncols=5,
        columnspacing=1.2,
        handletextpad=0.5,
    )
    alt = (
        "Two right answers, +1 with probability w ="
        f" {' and '.join(f'{w:g}' for w in weights)}. Squared error over V against the"
        " best judge's share of right guesses: the least error falls from 2 at 50 % to"
        " 1 at 100 %, along a straight line where w = 0.5 and along a broken one"
        " otherwise. Drawing a right answer sits at one end of it, the mean at the"
        f" other, and {count} random estimators all lie on or above it."
    )
    return Picture(figure, alt)


def _least_error_curve(ax: Axes, w: float) -> None:
    """The least error over V, and below it what no answer reaches."""
    distance = torch.linspace(0, 1, 101, dtype=torch.float64)
    guessed = (1 + distance) / 2 * 100
    curve = least_error(w, distance) / (4 * w * (1 - w))
    ax.fill_between(
        guessed, 0.75, curve, color=ORANGE, alpha=0.3, linewidth=0, label="out of reach"
    )
    ax.plot(guessed, curve, color=BLUE, label="least error (E.4)")


def _estimator_dots(ax: Axes, w: float, count: int) -> None:
    distance, error = estimators(w, count)
    ax.plot(
        (1 + distance) / 2 * 100,
        error / (4 * w * (1 - w)),
        ".",
        color=GREY,
        markersize=3,
        label=f"{count} estimators",
    )


def _two_ends(ax: Axes) -> None:
    """The two answers at the ends of the curve, drawn over the frame."""
    for guessed, error, marker, colour, label in (
        (50, 2, "s", GREEN, "draw a right answer"),
        (100, 1, "D", RED, "return the mean"),
    ):
        ax.plot(
            [guessed],
            [error],
            marker,
            color=colour,
            markersize=7,
            label=label,
            clip_on=False,
            zorder=5,
        )


def mean_of_k(
    counts: Sequence[int], errors: Sequence[float], sharp: Sequence[float], rival: float
) -> Picture:
    """Left: squared error of the mean of K samples over that of endlessly many, beside
    1 + 1/K, and that of a rival. Right: sharpness, originals being 1.
    """
    figure = Figure(figsize=(7.2, 2.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    K = torch.linspace(1, max(counts), 100)
    left.plot(K, 1 + 1 / K, color=BLUE, label="1 + 1/K, an exact sampler")
    left.plot(counts, errors, "o", color=RED, label="measured")
    left.axhline(rival, color=GREY, linewidth=1, linestyle=":")
    left.text(
        max(counts),
        rival + 0.02,
        "regression",
        ha="right",
        va="bottom",
        fontsize=8,
        color=GREY,
    )
    left.set(
        xlabel="K, samples in the mean",
        ylabel="squared error / A",
        xticks=list(counts),
        ylim=(min(rival, 1) - 0.12, 2.1),
    )
    left.legend(fontsize=8)
    right.plot(counts, [100 * share for share in sharp], "o-", color=GREEN)
    right.axhline(100, color=GREY, linewidth=1, linestyle=":")
    right.text(
        max(counts), 100.2, "originals", ha="right", va="bottom", fontsize=8, color=GREY
    )
    right.set(
        xlabel="K, samples in the mean",
        ylabel="sharpness, % of originals",
        xticks=list(counts),
    )
    right.set_ylim(right.get_ylim()[0], 102)
    alt = (
        f"The mean of K samples, K from {counts[0]} to {counts[-1]}. Its squared error,"
        " over that of endlessly many, falls near the curve 1 + 1/K, from about"
        f" {errors[0]:.1f} to about {errors[-1]:.1f}; the regression network lies at"
        f" about {rival:.1f}. Its sharpness falls too, from {100 * sharp[0]:.0f} % to"
        f" {100 * sharp[-1]:.0f} % of that of the originals."
    )
    return Picture(figure, alt)


def alternatives(
    x: Float[Tensor, "1 C h w"],
    left: Float[Tensor, "1 C H W"],
    right: Float[Tensor, "1 C H W"],
    names: tuple[str, str],
    alt: str,
) -> Picture:
    """Two pictures of one x, and x between them with its pixels enlarged."""
    scale = left.shape[-1] // x.shape[-1]
    middle = x.repeat_interleave(scale, -1).repeat_interleave(scale, -2)
    return image_rows(
        [("", torch.cat([left, middle, right]))],
        alt,
        [names[0], "given x", names[1]],
        side=1.7,
    )
