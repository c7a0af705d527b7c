"""Figures of chapter 1: independent noises add up, and a picture goes under in noise,
step by step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from torch import Tensor

from ...forward import diffuse
from ...schedule import NoiseSchedule
from .base import BLUE, GREEN, GREY, ORANGE, RED, Picture, draw_image, image_rows


def jumps(
    y_0: Float[Tensor, "N C H W"],
    eps: Float[Tensor, "N C H W"],
    schedule: NoiseSchedule,
    steps: Sequence[int],
) -> Picture:
    """Rows of pictures with the same noise `eps`, one column a step t: y_t in one jump
    from y_0.
    """
    levels = [schedule.gammas[t].expand(len(y_0)) for t in steps]
    columns = torch.stack([diffuse(y_0, gamma, eps) for gamma in levels], dim=1)
    alt = (
        f"Rows of pictures after {', '.join(str(t) for t in steps)} steps: ever more"
        " grain, nearly lost half-way, and nothing but noise at the end."
    )
    return image_rows([("", row) for row in columns], alt, [f"t = {t}" for t in steps])


def noise_sum(
    first: Float[Tensor, " N"], second: Float[Tensor, " N"], a: float, b: float
) -> Picture:
    """Left: pairs of independent noises, a round cloud, and the direction (a, b).
    Right: a first + b second beside N(0, a^2 + b^2).
    """
    figure = Figure(figsize=(7.2, 3.0), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.5])
    length = math.hypot(a, b)
    left.plot(first[:2000], second[:2000], ".", color=GREY, markersize=2, alpha=0.5)
    left.add_patch(Circle((0, 0), 2, fill=False, color=BLUE, linewidth=1.4))
    left.annotate(
        "",
        (3.2 * a / length, 3.2 * b / length),
        (-3.2 * a / length, -3.2 * b / length),
        arrowprops={"arrowstyle": "->", "color": RED, "lw": 2},
    )
    left.set(
        aspect="equal",
        xlim=(-4, 4),
        ylim=(-4, 4),
        xlabel=r"$\epsilon$",
        ylabel=r"$\epsilon'$",
    )
    values = a * first + b * second
    reach = 4 * (a + b)
    right.hist(
        values.numpy(),
        bins=np.linspace(-reach, reach, 81).tolist(),
        density=True,
        color=ORANGE,
        alpha=0.5,
        label=r"drawn $a\,\epsilon + b\,\epsilon'$",
    )
    _bell(right, length, reach, BLUE, "-", f"std {length:g}: variances added")
    _bell(right, a + b, reach, RED, "--", f"std {a + b:g}: deviations added")
    right.set(xlim=(-reach, reach), yticks=[], ylim=(0, 0.62 / length))
    right.legend(fontsize=8, loc="upper left")
    alt = (
        "Left: pairs of independent standard normal numbers form a round cloud, which"
        f" looks the same along the arrow ({a:g}, {b:g}) as along either axis. Right:"
        f" the histogram of {a:g} times the first plus {b:g} times the second follows"
        f" the normal density of variance {length**2:g}, and is clearly narrower than"
        f" the one of deviation {a + b:g}."
    )
    return Picture(figure, alt)


def _bell(
    ax: Axes,
    deviation: float,
    reach: float,
    colour: str,
    line: str,
    label: str | None = None,
) -> None:
    """The density of N(0, deviation^2)."""
    grid = np.linspace(-reach, reach, 301)
    ax.plot(
        grid,
        np.exp(-((grid / deviation) ** 2) / 2) / (deviation * math.sqrt(2 * math.pi)),
        line,
        color=colour,
        linewidth=1.6,
        label=label,
    )


def noised_step(
    y_0: Float[Tensor, "C H W"],
    y_t: Float[Tensor, "C H W"],
    t: int,
    schedule: NoiseSchedule,
    what: str,
) -> Picture:
    """y_t, the law of its noise beside the closed form, and the two numbers of the
    closed form over all steps, in both notations.
    """
    gamma = schedule.gammas[t].item()
    noise = y_t - math.sqrt(gamma) * y_0
    measured = noise.square().mean().item()
    # margins by hand: "constrained" lays everything out twice, and a slider draws this
    figure = Figure(figsize=(7.6, 2.8))
    left = figure.add_axes((0.01, 0.05, 192 / 760, 192 / 280))
    middle = figure.add_axes((0.30, 0.17, 0.31, 0.566))
    right = figure.add_axes((0.68, 0.17, 0.30, 0.566))
    _step_in_numbers(figure, t, gamma, measured)
    draw_image(left, y_t)
    _noise_law(middle, noise, gamma)
    _over_all_steps(right, schedule, t, measured)
    alt = (
        f"{what} after {t} of {schedule.steps} steps. The noise in it has a measured"
        f" variance of {measured:.2f}, where 1 - gamma_t = {1 - gamma:.2f}; the picture"
        f" itself is scaled by sqrt(gamma_t) = {math.sqrt(gamma):.2f}. Curves show both"
        " numbers for all steps."
    )
    return Picture(figure, alt)


def _step_in_numbers(figure: Figure, t: int, gamma: float, measured: float) -> None:
    """Above the axes: the step, and the closed form in both notations."""
    signal, noise = f"{math.sqrt(gamma):.3f}", f"{1 - gamma:.3f}"
    ddpm = rf"DDPM:  $\sqrt{{\bar\alpha_t}}$ = {signal},  $1-\bar\alpha_t$ = {noise}"
    sr3 = rf"SR3:    $\sqrt{{\gamma_t}}$ = {signal},  $1-\gamma_t$ = {noise}"
    figure.text(0.01, 0.86, f"step t = {t}", fontsize=11)
    figure.text(0.30, 0.90, ddpm, fontsize=10)
    figure.text(0.30, 0.80, sr3, fontsize=10)
    figure.text(
        0.68, 0.80, f"variance measured: {measured:.3f}", fontsize=10, color=RED
    )


def _noise_law(ax: Axes, noise: Float[Tensor, "C H W"], gamma: float) -> None:
    """A histogram of the noise, and the normal density of the closed form."""
    counts, edges = np.histogram(noise.numpy(), bins=64, range=(-4, 4))
    density = counts / (counts.sum() * (edges[1] - edges[0]))
    ax.stairs(density, edges, fill=True, color=ORANGE, alpha=0.6)
    if gamma < 1:
        _bell(ax, math.sqrt(1 - gamma), 4.0, BLUE, "-")
    ax.set(
        xlim=(-4, 4),
        yticks=[],
        xticks=[-2, 0, 2],
        xlabel=r"$y_t - \sqrt{\gamma_t}\,y_0$, all pixels",
    )


def _over_all_steps(ax: Axes, schedule: NoiseSchedule, t: int, measured: float) -> None:
    """The two numbers of the closed form as curves, with what was measured at t."""
    last = schedule.steps
    steps = torch.arange(0, last + 1, max(1, last // 200))
    ax.plot(steps, schedule.gammas[steps].sqrt(), color=GREEN)
    ax.plot(steps, 1 - schedule.gammas[steps], color=BLUE)
    ax.text(0.86 * last, 0.12, r"$\sqrt{\gamma_t}$", color=GREEN, fontsize=10)
    ax.text(0.78 * last, 0.84, r"$1-\gamma_t$", color=BLUE, fontsize=10)
    ax.axvline(t, color=GREY, linewidth=0.8)
    ax.plot([t], [measured], "x", color=RED, markersize=7)
    ax.set(
        xlabel="step t",
        xlim=(-0.02 * last, 1.02 * last),
        ylim=(-0.03, 1.1),
        yticks=[0, 1],
        xticks=[0, last],
    )
