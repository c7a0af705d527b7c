"""The plane, which looks the same wherever it is shown: pixels y_1 and y_2, the data,
the line of all y that fit x, and their mean.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from ...sampler import Step
from .. import plane as world
from .base import BLUE, DPI, GREEN, GREY, ORANGE, RED, Picture

EDGE = 1.6  # the plane is shown from -EDGE to EDGE
COLOURS = (GREEN, RED, BLUE)
FRAMES = 25  # of an animation
COLOURS_KEPT = 16  # in it: it is stored in the notebook
PAUSE, HOLD = 80, 1500  # milliseconds of a frame, and of the last one


def plane(
    x: float | None = None,
    cloud: Float[Tensor, "N 2"] | None = None,
    **points: Float[Tensor, "_ 2"],
) -> Picture:
    """The plane with its `cloud` of data (500 points unless others are given), the line
    of an `x` and the mean on it, and sets of points under their names ("_" reads as a
    blank, except in y_t).
    """
    figure, ax = empty_plane(x, cloud)
    for colour, (name, several) in zip(COLOURS, points.items(), strict=False):
        ax.scatter(
            several[:, 0],
            several[:, 1],
            s=9,
            color=colour,
            label="$y_t$" if name == "y_t" else name.replace("_", " "),
        )
    ax.legend(loc="upper right", fontsize=8, framealpha=0.9)
    said = [f"{len(y)} points named {name}" for name, y in points.items()]
    return Picture(figure, _alt(x, said).replace("_", " "))


def plane_fall(x: float, steps: Sequence[Step]) -> Picture:
    """An animation of particles y_t that fall onto the line of `x`, from the steps of a
    `trajectory`; where pictures do not move, the last frame is seen.
    """
    shown = [steps[round(i * (len(steps) - 1) / (FRAMES - 1))] for i in range(FRAMES)]
    figure, ax = empty_plane(x)
    first = shown[0].y_t
    particles = ax.scatter(first[:, 0], first[:, 1], s=9, color=GREEN, label="y_t")
    ax.legend(loc="upper right", fontsize=8, framealpha=0.9)
    frames = []
    for step in [shown[-1], *shown]:  # the first is what a still shows
        particles.set_offsets(step.y_t.numpy())
        ax.set_title(f"t = {step.t}", fontsize=9, loc="left")
        frames.append(_rendered(figure))
    few = frames[0].quantize(COLOURS_KEPT, dither=Image.Dither.NONE)
    frames = [each.quantize(palette=few, dither=Image.Dither.NONE) for each in frames]
    count = len(shown[0].y_t)
    alt = _alt(x, [f"{count} particles that start as noise and end on the line"])
    return Film(figure, alt, frames)


def plane_strip(x: float, steps: Sequence[Step], shown: Sequence[int]) -> Picture:
    """Some stages of `plane_fall` beside each other: y_t at the steps `shown`."""
    figure = Figure(figsize=(6.6, 1.65), layout="constrained")
    by_t = {step.t: step.y_t for step in steps}
    for ax, t in zip(figure.subplots(1, len(shown)), shown, strict=True):
        line = torch.tensor([-2 * EDGE, 2 * EDGE])
        ax.plot(line, 2 * x - line, color=BLUE, linewidth=1)
        ax.scatter(by_t[t][:, 0], by_t[t][:, 1], s=1.5, color=GREEN)
        ax.set(xlim=(-EDGE, EDGE), ylim=(-EDGE, EDGE), aspect="equal")
        ax.set(xticks=[], yticks=[])
        ax.set_title(f"t = {t}", fontsize=11)
    times, count = ", ".join(map(str, shown)), len(by_t[shown[0]])
    alt = (
        f"The plane at t = {times}: {count} particles"
        f" that start as noise and end on the line of all y whose mean is {x:g}."
    )
    return Picture(figure, alt)


class Film(Picture):
    """A `Picture` that moves: an animated PNG, which browsers play."""

    def __init__(self, figure: Figure, alt: str, frames: list[Image.Image]) -> None:
        super().__init__(figure, alt)
        object.__setattr__(self, "frames", frames)

    def png(self) -> bytes:
        still, *frames = self.frames  # type: ignore[attr-defined]
        buffer = io.BytesIO()
        times = [PAUSE] * (len(frames) - 1) + [HOLD]
        how = {"save_all": True, "default_image": True, "duration": times, "loop": 0}
        still.save(buffer, "PNG", append_images=frames, **how)
        return buffer.getvalue()


def empty_plane(
    x: float | None, cloud: Float[Tensor, "N 2"] | None = None
) -> tuple[Figure, Axes]:
    """The plane with what is always there."""
    figure = Figure(figsize=(4.6, 4.6), layout="constrained")
    ax = figure.subplots()
    if cloud is None:
        cloud = world.draw(500, torch.Generator().manual_seed(0))[1]
    ax.scatter(
        cloud[:, 0],
        cloud[:, 1],
        s=5,
        color=GREY,
        alpha=0.35,
        linewidths=0,
        label="data",
    )
    if x is not None:
        line = torch.tensor([-2 * EDGE, 2 * EDGE])
        ax.plot(line, 2 * x - line, color=BLUE, linewidth=1.2, label=f"D y = {x:g}")
        mean = world.mean(torch.tensor([[x]]))[0]
        of = "mean of p(y | x)"
        ax.scatter(mean[0], mean[1], s=45, marker="s", color=ORANGE, zorder=3, label=of)
    ax.set(xlim=(-EDGE, EDGE), ylim=(-EDGE, EDGE), aspect="equal")
    ax.set_xlabel("first pixel, $y_1$", fontsize=9)
    ax.set_ylabel("second pixel, $y_2$", fontsize=9)
    return figure, ax


def _alt(x: float | None, said: list[str]) -> str:
    parts = ["A cloud of data in four clusters"]
    if x is not None:
        parts.append(f"the falling line of all y whose mean is {x:g}")
        parts.append("the mean of those of them that data can be, as a square")
    return f"The plane of two pixels: {', '.join([*parts, *said])}."


def _rendered(figure: Figure) -> Image.Image:
    """One frame."""
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(DPI)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
