"""Figures of deep dive D: where schedules spend their steps, the search, the flow, the
order of a method, quality against calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ...oracle import GaussianOracle, MixtureOracle
from ...sampler import Method, even_log_snr, trajectory
from ...schedule import NoiseSchedule, log_snr
from .base import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RED,
    Picture,
    image_rows,
    legend_above,
    levels_above,
    plain_ticks,
)

METHODS = {
    "paper": ("paper's variance", GREY, "s"),
    "posterior": ("posterior", BLUE, "o"),
    "ddim": ("DDIM", ORANGE, "^"),
    "multistep": ("multistep", GREEN, "D"),
}
LEVELS = {"respaced": "-", "even": "--"}
# what is measured, and the ticks of its axis
METRICS = {
    "edge distance": (0.005, 0.01, 0.02, 0.05),
    "consistency": (3, 10, 30, 100, 300),
}


def level_rows(schedules: Mapping[str, NoiseSchedule]) -> Picture:
    """One row a schedule: a dot at the log-SNR of each of its levels gamma_1..gamma_T,
    noise on the left.
    """
    figure = Figure(figsize=(7.0, 0.75 + 0.42 * len(schedules)), layout="constrained")
    ax = figure.subplots()
    for row, schedule in enumerate(schedules.values()):
        levels = log_snr(schedule.gammas[1:])
        ax.plot(
            levels,
            [row] * len(levels),
            "o" if len(levels) < 40 else "|",
            color=BLUE,
            markersize=6,
        )
    ax.set(
        yticks=range(len(schedules)),
        yticklabels=list(schedules),
        xlabel=r"log-SNR (above: the level $\gamma$)",
        xlim=(-11, 15),
    )
    ax.set_ylim(len(schedules) - 0.5, -0.5)
    ax.grid(axis="x", alpha=0.3)
    levels_above(ax)
    ends = "; ".join(
        f"{name}, {schedule.steps} levels from"
        f" {log_snr(schedule.gammas[-1]).item():.0f} to"
        f" {log_snr(schedule.gammas[1]).item():.0f}"
        for name, schedule in schedules.items()
    )
    return Picture(
        figure, f"Log-SNR of the levels of {len(schedules)} schedules: {ends}."
    )


def glyphs_by_calls(
    x: Float[Tensor, "B 1 h w"],
    drawn: Mapping[str, Float[Tensor, "B 1 H W"]],
    y: Float[Tensor, "B 1 H W"],
) -> Picture:
    """Rows of glyphs: what is given, the samples under their method and number of
    calls, the originals.
    """
    alt = (
        f"Rows of {len(y)} glyphs: x, the originals, and between them samples with the"
        f" variance and the number of calls: {'; '.join(drawn)}. The paper's variance"
        " leaves speckles at 25 calls; the posterior's is clean there, a little softer"
        " with 5 calls, grainy and broken with 2."
    )
    rows = [("given x", x), *drawn.items(), ("original", y)]
    return image_rows(rows, alt, side=0.8)


def search_map(
    scores: Mapping[tuple[float, float], float], unit: float = 1e-3
) -> Picture:
    """The score of every (start, end) as a table of coloured cells, in units of `unit`;
    the lowest has a frame.
    """
    starts, ends = (
        sorted({start for start, _ in scores}),
        sorted({end for _, end in scores}),
    )
    best = min(scores, key=lambda pair: scores[pair])
    figure = Figure(
        figsize=(1.6 + 0.9 * len(ends), 0.9 + 0.45 * len(starts)), layout="constrained"
    )
    ax = figure.subplots()
    table = np.array([[scores[start, end] / unit for end in ends] for start in starts])
    ax.imshow(np.log(table), cmap="Blues", aspect="auto")
    for (row, column), value in np.ndenumerate(table):
        ax.text(
            column,
            row,
            f"{value:.1f}",
            ha="center",
            va="center",
            fontsize=9,
            color="white" if value > np.sqrt(table.min() * table.max()) else "black",
        )
    row, column = starts.index(best[0]), ends.index(best[1])
    ax.plot(
        np.array([-1, 1, 1, -1, -1]) * 0.47 + column,
        np.array([-1, -1, 1, 1, -1]) * 0.46 + row,
        color=RED,
        linewidth=2,
    )
    ax.set(xlabel=r"end, $1-\alpha_T$", ylabel=r"start, $1-\alpha_1$")
    ax.set_xticks(range(len(ends)), [f"{end:g}" for end in ends])
    ax.set_yticks(range(len(starts)), [f"{start:g}" for start in starts])
    alt = (
        f"Table of the score for {len(starts)} starts and {len(ends)} ends. The lowest"
        f" is at start {best[0]:g}, end {best[1]:g}, with a shallow valley around it;"
        f" the highest is at start {max(scores, key=lambda pair: scores[pair])[0]:g},"
        f" end {max(scores, key=lambda pair: scores[pair])[1]:g}."
    )
    return Picture(figure, alt)


def gaussian_flow(
    oracle: GaussianOracle,
    y_t: Float[Tensor, "B d"],
    gamma_t: Float[Tensor, ""],
    gamma: Float[Tensor, ""],
) -> Float[Tensor, "B d"]:
    """Where the probability flow of Gaussian data carries y_t, from the level `gamma_t`
    to `gamma`: c / sqrt(S) stays the same (tag D.3).
    """
    along = (y_t.double() - gamma_t.sqrt() * oracle.mean) @ oracle.vectors
    ratio = (gamma * oracle.values + 1 - gamma) / (
        gamma_t * oracle.values + 1 - gamma_t
    )
    return gamma.sqrt() * oracle.mean + (along * ratio.sqrt()) @ oracle.vectors.T


def flow_lines(
    oracle: MixtureOracle, starts: Float[Tensor, " N"], calls: int
) -> Picture:
    """The probability flow of a one-dimensional mixture from each of `starts`, and
    DDIM's path with `calls` calls beside it.
    """
    y_T = starts.double()[:, None]
    fine = even_log_snr(400, 0.9999, 1e-3)
    coarse = even_log_snr(calls, 0.99, 1e-3)
    figure = Figure(figsize=(7.0, 3.0), layout="constrained")
    ax = figure.subplots()
    y = torch.linspace(-2.6, 2.6, 261, dtype=torch.float64)
    levels = torch.linspace(-7, 9, 161, dtype=torch.float64).sigmoid()
    density = torch.stack(
        [
            oracle.log_density(y[:, None], level.expand(len(y))).exp()
            for level in levels
        ],
        1,
    )
    bands = (density.sqrt() * 6).round() / 6  # few greys: bands that a PNG stores well
    ax.imshow(
        bands.numpy(),
        extent=(-7, 9, -2.6, 2.6),
        origin="lower",
        aspect="auto",
        cmap="Greys",
        vmax=2.2,
        interpolation="nearest",
    )
    drawn: list[tuple[NoiseSchedule, str, str, Method, str]] = [
        (fine, "-", BLUE, "multistep", "flow"),
        (coarse, "o--", RED, "ddim", f"DDIM, {calls} calls"),
    ]
    for schedule, style, colour, method, label in drawn:
        shape = tuple(y_T.shape)
        steps = trajectory(oracle, y_T, schedule, shape, method=method, y_T=y_T)
        path = torch.stack([step.y_t[:, 0] for step in steps])
        # the clean end, where the log-SNR is infinite, stands at the right edge
        levels = log_snr(schedule.gammas).clamp(max=9).flip(0)
        lines = ax.plot(
            levels.numpy(),
            path.numpy(),
            style,
            color=colour,
            linewidth=1.2,
            markersize=3.5,
            clip_on=False,
        )
        lines[0].set_label(label)
    ax.set(
        xlabel="log-SNR: noise on the left, clean numbers at the right edge",
        ylabel=r"$y_t$",
        xlim=(-7, 9),
        ylim=(-2.6, 2.6),
    )
    ax.legend(fontsize=8, loc="upper right")
    alt = (
        f"Paths of {len(starts)} numbers from noise to data with {len(oracle.means)}"
        " bumps, over the density of the noised data. The flow's lines never cross;"
        f" they part and run into the bumps. DDIM's paths with {calls} calls are chains"
        " of straight pieces that leave the lines where these bend."
    )
    return Picture(figure, alt)


def error_orders(
    steps: Sequence[int],
    errors: Mapping[str, Sequence[float]],
    orders: Mapping[str, float],
) -> Picture:
    """Error against the number of steps, both logarithmic, one line a method, its slope
    beside it.
    """
    figure = Figure(figsize=(5.6, 3.0), layout="constrained")
    ax = figure.subplots()
    for (name, values), colour, marker in zip(
        errors.items(), (ORANGE, GREEN, BLUE), "^Do", strict=False
    ):
        ax.plot(
            steps,
            values,
            marker=marker,
            color=colour,
            label=f"{name}: order {orders[name]:.2f}",
            markersize=5,
        )
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="T, number of calls",
        ylabel="distance to the exact flow",
    )
    plain_ticks(ax, x=steps)
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8)
    slopes = " and ".join(
        f"that of {name} with order {orders[name]:.2f}" for name in errors
    )
    return Picture(
        figure,
        f"Errors for {steps[0]} to {steps[-1]} calls are straight lines on logarithmic"
        f" axes: {slopes} in 1/T.",
    )


def quality_by_calls(
    rows: Sequence[Mapping[str, str | int | float]], calls: Sequence[int]
) -> Picture:
    """Edge distance and consistency against the number of calls, one line for each
    method and list of levels.
    """
    figure = Figure(figsize=(7.0, 3.4), layout="constrained")
    axes = figure.subplots(1, 2)
    shown = [row for row in rows if row["calls"] in calls]
    for ax, (metric, ticks) in zip(axes, METRICS.items(), strict=True):
        _metric_by_calls(ax, shown, metric)
        ax.set(xscale="log", yscale="log", xlabel="network calls")
        ax.set_title(f"{metric} (logarithmic)", fontsize=9)
        plain_ticks(ax, calls, ticks)
        ax.grid(alpha=0.3)
    legend_above(figure, axes[0], columns=4)
    best = {
        call: min(
            (row for row in shown if row["calls"] == call),
            key=lambda row: float(row["edge distance"]),
        )
        for call in calls
    }
    lowest = "; ".join(
        f"with {call} calls {METHODS[str(row['method'])][0]} on {row['levels']} levels"
        for call, row in best.items()
    )
    alt = (
        "Edge distance and consistency of four methods on two lists of levels, for"
        f" {calls[0]} to {calls[-1]} calls. Lowest in edge distance: {lowest}. On even"
        " levels DDIM comes down and the multistep solver goes up until they meet."
    )
    return Picture(figure, alt)


def _metric_by_calls(
    ax: Axes, rows: Sequence[Mapping[str, str | int | float]], metric: str
) -> None:
    """One line for each method, in its colour, and list of levels, in its style."""
    for method, (label, colour, marker) in METHODS.items():
        for levels, style in LEVELS.items():
            line = [
                row
                for row in rows
                if row["method"] == method and row["levels"] == levels
            ]
            ax.plot(
                [row["calls"] for row in line],
                [row[metric] for row in line],
                style,
                marker=marker,
                color=colour,
                markersize=4,
                label=f"{label}, {levels}",
            )
