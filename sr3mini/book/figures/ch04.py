"""Figures of chapter 4: what shrinking does to a picture, and what it does not see."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from ...degrade import degradation_matrix, downsample
from .base import BLUE, GREY, RED, Picture, draw_image


def bicubic_kernel(s: Float[Tensor, "..."], a: float = -0.5) -> Float[Tensor, "..."]:
    """Weight of a pixel at the signed distance `s`, in pixels, same shape: Keys' cubic
    with the parameter `a`, 0 from |s| = 2 on (tag 4.6).
    """
    s = s.abs()
    near = (a + 2) * s**3 - (a + 3) * s**2 + 1
    far = a * (s**3 - 5 * s**2 + 8 * s - 4)
    return torch.where(s <= 1, near, torch.where(s < 2, far, 0.0))


def bicubic_weights(size: int = 32, factor: int = 4) -> Picture:
    """Left: with which weights one pixel of x is made from a line of y, antialiased and
    not. Right: the same pixel's row of D as a picture.
    """
    figure = Figure(figsize=(7.2, 2.7), layout="constrained")
    left, right = figure.subplots(1, 2, gridspec_kw={"width_ratios": [1.7, 1]})
    at = size // factor // 2 - 1
    # one pixel of a line is 1, the others 0
    lines = torch.eye(size, dtype=torch.float64).reshape(size, 1, size, 1)
    smooth = downsample(lines, size=(size // factor, 1))[:, 0, at, 0]
    sparse = F.interpolate(
        lines, size=(size // factor, 1), mode="bicubic", align_corners=False
    )[:, 0, at, 0]
    for weights, colour, label in (
        (smooth, BLUE, "antialiased, a = −0.5"),
        (sparse, RED, "not antialiased, a = −0.75"),
    ):
        touched = weights.abs() > 1e-12
        left.plot(
            torch.arange(size)[touched],
            weights[touched],
            "o-",
            color=colour,
            markersize=4,
            linewidth=1,
            label=label,
        )
    left.axhline(0, color=GREY, linewidth=0.8)
    left.axvspan(
        at * factor - 0.5,
        (at + 1) * factor - 0.5,
        color=GREY,
        alpha=0.15,
        linewidth=0,
        label="the pixels it covers",
    )
    left.set(
        xlabel="pixel of y along a line",
        ylabel="weight",
        xlim=(at * factor - 9, at * factor + 12),
        ylim=(-0.15, 1.1),
    )
    left.set_xticks(range(at * factor - 8, at * factor + 12, 4))
    left.legend(fontsize=8, loc="upper right")
    row = degradation_matrix(size, factor)[at * size // factor + at].reshape(
        1, size, size
    )
    draw_image(right, row / row.abs().max())
    right.set_title(
        f"row of D: white adds,\nblack subtracts (at most {row.max().item():.2f})",
        fontsize=9,
    )
    counts = [int((weights.abs() > 1e-12).sum()) for weights in (smooth, sparse)]
    alt = (
        f"Weights of one pixel of x over a line of y. Antialiased, {counts[0]} pixels"
        f" count, in a bell of up to {smooth.max().item():.2f} with two faint negative"
        f" lobes; not antialiased, {counts[1]} pixels, the middle two with"
        f" {sparse.max().item():.2f}, the outer two negative. Right: the row of D as a"
        " picture, a soft white spot in a thin dark frame on grey."
    )
    return Picture(figure, alt)


def null_space_walk(
    y: Float[Tensor, "1 S S"],
    step: Float[Tensor, "1 S S"],
    other: Float[Tensor, "1 S S"],
    share: float,
    names: tuple[str, str],
) -> Picture:
    """Two ways from `y` towards `other`, a `share` of the way: along `step`, which x
    does not see, and straight. Each with its x and the change of x.
    """
    figure = Figure(figsize=(6.2, 4.2))
    axes = figure.subplots(2, 3)
    figure.subplots_adjust(0.16, 0.02, 0.98, 0.87, wspace=0.08, hspace=0.08)
    x, factor, changes = downsample(y[None].double(), 4), 4, []
    for row, (label, way) in enumerate(
        (("in the\nnull space", step), ("straight", other.double() - y.double()))
    ):
        picture = y.double() + share * way
        small = downsample(picture[None], factor)
        change = (small - x)[0]
        changes.append(change.abs().max().item())
        for ax, image in zip(axes[row], (picture, small[0], 4 * change), strict=True):
            draw_image(ax, image)
        axes[row][0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
    for ax, title in zip(
        axes[0], ("picture", "its x", "change of x, times 4\n(grey: none)"), strict=True
    ):
        ax.set_title(title, fontsize=9)
    figure.suptitle(
        f"{share:.0%} of the way from {names[0]} to {names[1]}",
        fontsize=10,
        x=0.02,
        ha="left",
    )
    alt = (
        f"Two pictures, each {share:.0%} of the way from {names[0]} to {names[1]}. In"
        f" the null space x changes by at most {changes[0]:.2f}; straight from picture"
        f" to picture it changes by up to {changes[1]:.2f}."
    )
    return Picture(figure, alt)
