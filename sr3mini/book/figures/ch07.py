"""Figures of chapter 7: the reverse step, and the law of what it returns, followed
exactly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ...degrade import downsample
from ...loss import NoisePredictor
from ...sampler import noise_from, posterior_step, predict_y_0, reverse_step
from ...schedule import NoiseSchedule
from .. import plane as world
from .base import (
    BLUE,
    GREEN,
    ORANGE,
    RED,
    Picture,
    image_rows,
    legend_above,
    plain_ticks,
)
from .plane import plane


def reverse_variance(
    alpha_t: Float[Tensor, "..."],
    gamma_t: Float[Tensor, "..."],
    spread: Float[Tensor, "..."],
) -> Float[Tensor, "..."]:
    """V[y_{t-1} | y_t] of one pixel whose y_0 has the variance `spread` when y_t is
    known (tag 7.4).
    """
    gamma_before = (gamma_t / alpha_t).clamp(max=1)
    weight = gamma_before.sqrt() * (1 - alpha_t) / (1 - gamma_t)
    return (1 - gamma_before) * (1 - alpha_t) / (1 - gamma_t) + weight.square() * spread


def posterior_product(
    schedule: NoiseSchedule, t: int, y_0: float, y_t: float
) -> Picture:
    """One pixel: what y_0 says about y_{t-1}, what y_t says about it, and both
    together.
    """
    (a, v), (b, w), (mean, variance) = _three_laws(schedule, t, y_0, y_t)
    figure = Figure(figsize=(6.8, 3.0), layout="constrained")
    ax = figure.subplots()
    one = r"known from $y_0$: $N(\sqrt{\gamma_{t-1}}\,y_0,\ 1-\gamma_{t-1})$"
    other = (
        r"known from $y_t$: centre $y_t/\sqrt{\alpha_t}$, variance"
        r" $(1-\alpha_t)/\alpha_t$"
    )
    both = r"known from both: $q(y_{t-1}\,|\,y_0,y_t)$"
    _bell(ax, a, v, ORANGE, one)
    _bell(ax, b, w, GREEN, other)
    _bell(ax, mean, variance, BLUE, both)
    ax.set(
        xlabel=r"$y_{t-1}$",
        yticks=[],
        xlim=(-3.2, 3.2),
        ylim=(0, 1.75 / math.sqrt(2 * math.pi * variance)),
    )
    ax.legend(fontsize=8, loc="upper left")
    alt = (
        f"Three bell curves over y before step t = {t}. From y_0 = {y_0:g}: centre"
        f" {a:.2f}, variance {v:.2f}. From y_t = {y_t:g}: centre {b:.2f}, variance"
        f" {w:.2f}. Both together: centre {mean:.2f}, between the two, and variance"
        f" {variance:.2f}, narrower than either."
    )
    return Picture(figure, alt)


def _three_laws(
    schedule: NoiseSchedule, t: int, y_0: float, y_t: float
) -> list[tuple[float, float]]:
    """Centre and variance of y_{t-1} as y_0 gives them, as y_t does, and as both do."""
    alpha, gamma = schedule.alphas[t].item(), schedule.gammas[t].item()
    before = schedule.gammas[t - 1].item()
    mean = (
        math.sqrt(before) * (1 - alpha) * y_0 + math.sqrt(alpha) * (1 - before) * y_t
    ) / (1 - gamma)
    return [
        (math.sqrt(before) * y_0, 1 - before),
        (y_t / math.sqrt(alpha), (1 - alpha) / alpha),
        (mean, (1 - before) * (1 - alpha) / (1 - gamma)),
    ]


def _bell(ax: Axes, centre: float, variance: float, colour: str, label: str) -> None:
    """The density of N(centre, variance), and a dotted line at its centre."""
    peak = 1 / math.sqrt(2 * math.pi * variance)
    grid = torch.linspace(-3.2, 3.2, 400, dtype=torch.float64)
    ax.plot(grid, _density(grid, centre, variance), color=colour, label=label)
    ax.vlines(centre, 0, peak, color=colour, linewidth=0.8, linestyle=":")


def _density(
    y: Float[Tensor, " N"], mean: float | Tensor, variance: float | Tensor
) -> Float[Tensor, " N"]:
    """N(mean, variance) at the points `y`."""
    apart = (y - mean).square() / variance
    return torch.exp(-apart / 2) / (2 * math.pi * variance) ** 0.5


def reverse_variances(schedule: NoiseSchedule, variances: Sequence[float]) -> Picture:
    """True variance of y_{t-1} given y_t over 1 - alpha_t, for data N(0, v) with each
    v: 0 is a point mass.
    """
    t = torch.arange(1, schedule.steps + 1)
    alpha, gamma = schedule.alphas[t], schedule.gammas[t]
    figure = Figure(figsize=(6.4, 2.9), layout="constrained")
    ax = figure.subplots()
    for v, colour in zip(variances, (BLUE, GREEN, ORANGE, RED), strict=False):
        spread = v * (1 - gamma) / (gamma * v + 1 - gamma)
        label = "v = 0: a point mass" if v == 0 else f"v = {v:g}"
        ax.plot(
            t,
            reverse_variance(alpha, gamma, spread) / (1 - alpha),
            "o-",
            markersize=3,
            color=colour,
            label=label,
        )
    ax.set(
        xlabel="step t",
        ylabel="true variance of $y_{t-1}$\n" + r"given $y_t$, over $1-\alpha_t$",
        ylim=(-0.03, 1.08),
    )
    ax.legend(fontsize=8, title="data N(0, v)", title_fontsize=8)
    last = reverse_variance(alpha[1], gamma[1], 0 * gamma[1]).item() / (
        1 - alpha[1].item()
    )
    alt = (
        f"True variance of a reverse step over 1 - alpha_t for {schedule.steps} steps."
        " For data N(0, 1) it is 1 at every t. For a point mass it is near 1 at large"
        f" t and falls to {last:.2f} at t = 2 and 0 at t = 1. Other variances lie in"
        " between, the smaller the closer to the point mass; some rise again near"
        " t = 1."
    )
    return Picture(figure, alt)


def coin_step(
    gamma_before: float, gamma_t: float, y_t: float, y: Float[Tensor, " N"]
) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
    """Two densities of y_{t-1} given y_t at the points `y`, for a pixel that is +1 or
    -1: the true one, two Gaussians (tag 7.1) with the shares of +1 and -1; and the
    Gaussian with its mean and variance (tags 7.3 and 7.4).
    """
    given, gamma, before = (
        torch.tensor(value, dtype=torch.float64)
        for value in (y_t, gamma_t, gamma_before)
    )
    alpha, coins = gamma / before, torch.tensor([1.0, -1.0]).double()
    shares = (gamma.sqrt() * coins * given / (1 - gamma)).softmax(0)
    y_0 = (shares * coins).sum()

    given = given.expand(3)  # the two pictures, and their mean
    eps = noise_from(given, torch.stack([*coins, y_0]), gamma)
    up, down, mean = reverse_step(given, eps, alpha, gamma, None)
    known = reverse_variance(alpha, gamma, torch.zeros_like(y_0))
    both = reverse_variance(alpha, gamma, 1 - y_0.square())

    bells = _density(y, up, known), _density(y, down, known)
    true = shares[0] * bells[0] + shares[1] * bells[1]
    return true, _density(y, mean, both)


def coin_steps(steps: Sequence[tuple[float, float]], y_t: float) -> Picture:
    """The densities of `coin_step` for several steps (gamma_{t-1}, gamma_t)."""
    figure = Figure(figsize=(6.4, 2.9), layout="constrained")
    axes = figure.subplots(1, len(steps), squeeze=False)[0]
    y, shown = torch.linspace(-2.2, 2.2, 441, dtype=torch.float64), []
    for ax, (before, after) in zip(axes, steps, strict=True):
        true, gaussian = coin_step(before, after, y_t, y)
        ax.fill_between(y, true, color=BLUE, alpha=0.25, linewidth=0)
        ax.plot(y, true, color=BLUE, label=r"true $q(y_{t-1}\,|\,y_t)$")
        label = "Gaussian with its mean and variance"
        ax.plot(y, gaussian, "--", color=RED, label=label)
        ax.set(xlabel="$y_{t-1}$", yticks=[], ylim=(0, None))
        size = 1 - after / before
        ax.set_title(rf"$1-\alpha_t$ = {size:.2f}", fontsize=10)
        inside = true[1:-1]
        humps = int(((inside > true[:-2]) & (inside > true[2:])).sum())
        common = torch.trapezoid(torch.minimum(true, gaussian), y).item()
        shown.append(
            f"1 - alpha_t = {size:.2f}, humps: {humps}, area in common {common:.0%}"
        )
    legend_above(figure, axes[0], 2)
    alt = (
        f"The true density of y before the step, given y_t = {y_t:g} of a pixel that is"
        " +1 or -1, and the Gaussian with its mean and variance. "
        f"{'; '.join(shown)}."
    )
    return Picture(figure, alt)


def step_shapes(
    schedule: NoiseSchedule, t: int, y_t: tuple[float, float], x: float = 0.0
) -> Picture:
    """The plane with the true spread of y_{t-1} given x and y_t, an ellipse of one
    standard deviation, and beside it what the two rules draw, circles.
    """
    alpha, gamma = schedule.alphas[t], schedule.gammas[t]
    point, seen = torch.tensor([y_t]).double(), torch.tensor([[x]]).double()
    mean, spread = step_spread(world.oracle, seen, point, alpha, gamma)
    nothing, one = torch.zeros(1, 1).double(), torch.ones(1, 1).double()
    rules = {
        r"circle of $1-\alpha_t$": (reverse_step, ORANGE),
        "circle of the posterior's": (posterior_step, GREEN),
    }
    picture = plane(x, y_t=point)
    ax = picture.figure.axes[0]
    _oval(ax, mean, spread, BLUE, "-", "true spread of $y_{t-1}$")
    radii = []
    for name, (step, colour) in rules.items():
        radius = step(nothing, nothing, alpha, gamma, one).item()
        _oval(ax, mean, radius**2 * torch.eye(2).double(), colour, "--", name)
        radii.append(radius)
    ax.legend(fontsize=8, loc="upper right", framealpha=0.9)
    low, high = torch.linalg.eigvalsh(spread).sqrt().tolist()
    alt = (
        f"The plane of two pixels with the line of all y whose mean is {x:g}. Around"
        f" the mean of the step from y_{t} = ({y_t[0]:g}, {y_t[1]:g}) lies a long"
        f" ellipse, the true spread: {high:.2f} along the line and {low:.2f} across."
        f" The two rules draw circles of radius {radii[0]:.2f} and {radii[1]:.2f}."
    )
    return Picture(picture.figure, alt)


def step_spread(
    f: NoisePredictor,
    x: Float[Tensor, "1 n"],
    y_t: Float[Tensor, "1 d"],
    alpha_t: Float[Tensor, ""],
    gamma_t: Float[Tensor, ""],
) -> tuple[Tensor, Tensor]:
    """Mean (d,) and covariance (d, d) of y_{t-1} given x and y_t, from an exact f.

    Tag 7.4 with a matrix: V[y_0 | x, y_t] is (1 - gamma) / sqrt(gamma) times the slope
    of y_0_hat in y_t.
    """
    level = gamma_t[None]

    def guess(y: Tensor) -> Tensor:
        return predict_y_0(y[None], f(x, y[None], level), gamma_t)[0]

    slope = torch.autograd.functional.jacobian(guess, y_t[0])
    possible = (1 - gamma_t) / gamma_t.sqrt() * slope
    none = reverse_variance(alpha_t, gamma_t, 0 * gamma_t)
    weight = reverse_variance(alpha_t, gamma_t, 0 * gamma_t + 1) - none
    covariance = none * torch.eye(len(slope)).to(slope) + weight * possible
    return reverse_step(y_t, f(x, y_t, level), alpha_t, gamma_t, None)[0], covariance


def _oval(
    ax: Axes, centre: Tensor, covariance: Tensor, colour: str, style: str, label: str
) -> None:
    """One standard deviation in each direction around `centre`."""
    turn = torch.linspace(0, 2 * math.pi, 121).double()
    values, vectors = torch.linalg.eigh(covariance)
    circle = torch.stack([turn.cos(), turn.sin()], 1) * values.clamp(min=0).sqrt()
    ax.plot(*(centre + circle @ vectors.T).T, style, color=colour, label=label)


def letters_drawn(
    x: Float[Tensor, "B 1 h w"],
    drawn: Mapping[str, Float[Tensor, "B 1 H W"]],
    y: Float[Tensor, "B 1 H W"],
) -> Picture:
    """Rows of letters: what is given, the samples under their names, the originals."""
    alt = (
        f"Rows of {len(y)} letters: x, a few grey blocks; samples,"
        f" {'; '.join(drawn)}; and the originals."
    )
    return image_rows([("given x", x), *drawn.items(), ("original", y)], alt)


def own_letters(
    x: Float[Tensor, "B 1 h w"],
    samples: Float[Tensor, "K B 1 H W"],
    y: Float[Tensor, "B 1 H W"],
) -> Picture:
    """Letters drawn with the reader's own functions, between x and the originals."""
    rows = [(f"sample {k + 1}", each) for k, each in enumerate(samples)]
    alt = (
        f"Rows of {len(y)} letters: x of 4 x 4 pixels, {len(rows)} rows of letters that"
        " a small network drew from it, uneven but most of them legible, and the"
        " originals."
    )
    return image_rows([("given x", x), *rows, ("original", y)], alt, side=0.75)


def residuals(
    steps: Sequence[tuple[int, Tensor, Tensor | None]],
    x: Float[Tensor, "B 1 h w"],
    y: Float[Tensor, "B 1 H W"],
) -> tuple[list[int], list[float], list[float]]:
    """t of each guess of y_0 in a trajectory, from T down to 1; the root mean square of
    y - y_0; and that of D y_0 - x.
    """
    small = (x.shape[-2], x.shape[-1])
    times, short, unlike = [], [], []
    for t, _, y_0 in steps:
        if y_0 is not None:
            times.append(t + 1)  # made from y_{t+1}
            short.append((y - y_0).square().mean().sqrt().item())
            apart = downsample(y_0, size=small) - x
            unlike.append(apart.square().mean().sqrt().item())
    return times, short, unlike


def residual_curves(
    runs: Mapping[str, Sequence[tuple[int, Tensor, Tensor | None]]],
    x: Float[Tensor, "B 1 h w"],
    y: Float[Tensor, "B 1 H W"],
) -> Picture:
    """The `residuals` of trajectories against t, which falls as they go on."""
    figure = Figure(figsize=(6.4, 3.3), layout="constrained")
    ax, said = figure.subplots(), []
    styles = ((BLUE, 4.0), (ORANGE, 1.5))  # of curves that may lie on each other
    for (name, steps), (colour, wide) in zip(runs.items(), styles, strict=False):
        times, short, unlike = residuals(steps, x, y)
        for line, values, what in (
            ("-", short, r"$y-\hat y_0$"),
            ("--", unlike, r"$D\hat y_0-x$"),
        ):
            label = f"{what}, {name}"
            ax.plot(times, values, line, color=colour, linewidth=wide, label=label)
        said.append(
            f"{name}: y - y_0 from {short[0]:.2f} over {min(short):.2f} to"
            f" {short[-1]:.2f}; D y_0 - x from {unlike[0]:.2f} to {unlike[-1]:.2f}"
        )
    ax.set(yscale="log", xlabel="step t, from noise to picture", ylabel="rms")
    plain_ticks(ax, y=(0.05, 0.1, 0.2, 0.5))
    ax.invert_xaxis()
    legend_above(figure, ax, 2)
    alt = f"What is wrong with the guess, against the step. {'. '.join(said)}."
    return Picture(figure, alt)


def trajectory_residuals(
    y_t: Float[Tensor, "B 1 H W"],
    y_0: Float[Tensor, "B 1 H W"],
    short: Float[Tensor, "B 1 H W"],
    unlike: Float[Tensor, "B 1 h w"],
    when: str,
) -> Picture:
    """Four rows: y_t, the guess of y_0 made from it, what this guess lacks, y - y_0,
    and three times D y_0 - x; there 0 is mid grey.
    """
    side = y_t.shape[-1]
    enlarged = unlike.repeat_interleave(side // unlike.shape[-1], 2).repeat_interleave(
        side // unlike.shape[-1], 3
    )
    rows = [
        (r"$y_t$", y_t),
        (r"$\hat y_0$", y_0),
        (r"$y-\hat y_0$", short),
        (r"$3\,(D\hat y_0-x)$", 3 * enlarged),
    ]
    gap, across = 4, len(y_t) * (side + 4) - 4
    sheet = torch.ones(len(rows) * (side + gap) - gap, across)
    for row, (_, images) in enumerate(rows):
        for column, image in enumerate(images):
            top, left = row * (side + gap), column * (side + gap)
            sheet[top : top + side, left : left + side] = (
                image[0].clamp(-1, 1) * 10
            ).round() / 10  # few greys are quick to store
    # two screen pixels a pixel: crisp, and small to store
    width, height = (
        0.02 * across,
        0.02 * len(sheet),
    )
    figure = Figure(figsize=(width + 2, height + 0.3))
    ax = figure.add_axes(
        (
            1.1 / (width + 2),
            0.05 / (height + 0.3),
            width / (width + 2),
            height / (height + 0.3),
        )
    )
    ax.imshow(sheet.numpy(), cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
    ax.set_axis_off()
    size = {
        "short": short.square().mean().sqrt().item(),
        "unlike": unlike.square().mean().sqrt().item(),
    }
    remarks = ["", "", f"rms {size['short']:.2f}", f"rms {size['unlike']:.3f}"]
    for row, ((label, _), remark) in enumerate(zip(rows, remarks, strict=True)):
        middle = row * (side + gap) + side / 2
        ax.text(-3, middle, label, ha="right", va="center", fontsize=10)
        ax.text(across + 3, middle, remark, ha="left", va="center", fontsize=9)
    ax.set_title(when, fontsize=9)
    alt = (
        f"{when}: y_t, the guess of the clean picture made from it, what the guess"
        " lacks, and how far its small version is from x."
    )
    return Picture(figure, alt)
