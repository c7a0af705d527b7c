"""Figures of chapter 2: schedules, and what they do to pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ...files.reading import to_bytes
from ...forward import diffuse, gamma_pdf
from ...schedule import NoiseSchedule, log_snr
from .base import BLUE, DPI, GREEN, GREY, ORANGE, RED, Picture, image_rows, legend_above

COLOURS = (BLUE, RED, GREEN, ORANGE, "#CC79A7", GREY)
SIDE = 192  # of the pictures beside the curves, in pixels: a multiple of 32 and of 96
STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))


def drawn_with_ends(
    x: Float[Tensor, "N 1 h w"], drawn: Mapping[float, Float[Tensor, "N 1 H W"]]
) -> Picture:
    """Letters as a network draws them for the same x, a row for each `end` of the
    schedule that it samples with.
    """
    grounds = ", ".join(
        f"{y.median().item():.2f} with end = {end:g}" for end, y in drawn.items()
    )
    alt = (
        f"Columns of {len(x)} letters: a few grey squares, and what the network draws"
        f" from them. The ground of the drawn rows, white at 1, lies at {grounds}."
    )
    rows = [(f"end = {end:g}", y) for end, y in drawn.items()]
    return image_rows([("given x", x), *rows], alt)


def schedule_families(schedules: Mapping[str, NoiseSchedule]) -> Picture:
    """Noise added in each step, level and log-SNR, all against t/T, one line a
    schedule.
    """
    figure = Figure(figsize=(7.4, 2.9), layout="constrained")
    axes = figure.subplots(1, 3)
    for (name, schedule), colour, style in zip(
        schedules.items(), COLOURS, STYLES, strict=False
    ):
        share = torch.arange(1, schedule.steps + 1) / schedule.steps
        for ax, values in zip(
            axes,
            (1 - schedule.alphas, schedule.gammas, log_snr(schedule.gammas)),
            strict=True,
        ):
            ax.plot(
                share,
                values[1:],
                color=colour,
                linestyle=style,
                linewidth=1.4,
                label=name,
            )
    axes[0].set(ylabel=r"$1-\alpha_t$", yscale="log", ylim=(5e-7, 2))
    axes[1].set(ylabel=r"$\gamma_t$", ylim=(-0.03, 1.03))
    axes[2].set(ylabel="log-SNR", ylim=(-21, 15), yticks=[-20, -10, 0, 10])
    for ax in axes:
        ax.set(
            xlabel="t / T",
            xlim=(-0.02, 1.02),
            xticks=[0, 0.5, 1],
            xticklabels=["0", "0.5", "1"],
        )
        ax.grid(alpha=0.3)
    legend_above(figure, axes[0], columns=3)
    ends = ", ".join(
        f"{name} at gamma_T = {schedule.gammas[-1].item():.0e}"
        for name, schedule in schedules.items()
    )
    alt = (
        f"Noise added per step, level and log-SNR of {len(schedules)} schedules against"
        f" t/T. All levels fall from 1; they end: {ends}."
    )
    return Picture(figure, alt)


def along_log_snr(
    pictures: Sequence[Float[Tensor, "C H W"]], ratios: Sequence[float]
) -> Picture:
    """Rows of pictures, each with noise of its own, one column a log-SNR."""
    levels = torch.tensor(ratios, dtype=torch.float64).sigmoid()
    titles = [f"λ = {ratio:g}" for ratio in ratios]
    alt = (
        f"Rows of pictures at log-SNR {', '.join(f'{r:g}' for r in ratios)}:"
        " clean at first, then grainy, then hard to make out; nothing but noise at the"
        " end."
    )
    return image_rows([("", row) for row in _noised(pictures, levels)], alt, titles)


def ends_of_schedules(
    pictures: Sequence[Float[Tensor, "C H W"]], gammas_T: Sequence[float]
) -> Picture:
    """Columns: pure noise, and y_T with the same noise for schedules that end at these
    levels.
    """
    levels = torch.tensor([0, *gammas_T], dtype=torch.float64)
    ends = [f"γ at T: {gamma:.3g}" for gamma in gammas_T]
    alt = (
        "Pure noise, which sampling starts from, beside the noised pictures that"
        f" training had at the end of schedules with {'; '.join(ends)}."
    )
    rows = [("", row) for row in _noised(pictures, levels)]
    return image_rows(rows, alt, ["pure noise", *ends], side=1.2)


def _noised(
    pictures: Sequence[Float[Tensor, "C H W"]], levels: Float[Tensor, " N"]
) -> list[Float[Tensor, "N C H W"]]:
    """Each picture at all levels, with one noise of its own."""
    generator, rows = torch.Generator().manual_seed(0), []
    for y_0 in pictures:
        eps = torch.randn(y_0.shape, generator=generator)
        several = (len(levels), *y_0.shape)
        rows.append(diffuse(y_0.expand(several), levels, eps.expand(several)))
    return rows


def schedule_view(
    schedule: NoiseSchedule,
    t: int,
    pictures: Sequence[Float[Tensor, "_C _H _W"]],
    title: str,
    note: str = "",
) -> Picture:
    """Noise per step, level, log-SNR and p(gamma) of a schedule, with step t marked,
    and beside them `pictures`, noised at t already.

    Margins by hand, no minor ticks, no formulas in the labels (they are parsed at each
    drawing): a slider draws this, and has to follow the hand.
    """
    figure = Figure(figsize=(7.4, 4.4), dpi=DPI)
    noise, level, ratio, density = (
        figure.add_axes((left, bottom, 0.255, 0.29))
        for bottom in (0.545, 0.12)
        for left in (0.075, 0.425)
    )
    _noise_by_step(noise, schedule, t)
    _level_by_step(level, schedule, t)
    _log_snr_by_step(ratio, schedule, t)
    _density_of_levels(density, schedule, t)
    for across, name in ((0.2025, "step t"), (0.5525, "level γ")):
        figure.text(across, 0.035, name, fontsize=9, ha="center")
    for position, picture in enumerate(pictures):
        figure.figimage(_enlarged(picture, SIDE), 535, 218 - 206 * position)
    place, end = _place(schedule, t), f"γ at T: {schedule.gammas[-1].item():.3g}"
    figure.text(0.02, 0.962, title, fontsize=9.5, va="center", weight="bold")
    figure.text(0.02, 0.908, f"t = {t}: {place}.   {end}.", fontsize=9, va="center")
    figure.text(0.98, 0.962, note, fontsize=9, va="center", ha="right", color=RED)
    alt = (
        f"{title[0].upper()}{title[1:]}: curves of the noise added in each step, the"
        f" level, the log-SNR and p(γ), and {len(pictures)} pictures noised at t = {t},"
        f" where {place}. {end}.{note and ' ' + note[0].upper() + note[1:] + '.'}"
    )
    return Picture(figure, alt)


def _place(schedule: NoiseSchedule, t: int) -> str:
    gamma = schedule.gammas[t]
    return (
        f"α = {schedule.alphas[t].item():.6g}, γ = {gamma.item():.3g} and log-SNR ="
        f" {_finite(log_snr(gamma).item())}"
    )


def _noise_by_step(ax: Axes, schedule: NoiseSchedule, t: int) -> None:
    _over_steps(ax, 1 - schedule.alphas, t)
    ax.set(yscale="log", ylim=(3e-7, 2))
    ticks = {1e-6: "1e-6", 1e-4: "1e-4", 1e-2: "0.01", 1.0: "1"}
    _plain(ax, "noise added, 1 − αₜ", [0, schedule.steps], ticks)


def _level_by_step(ax: Axes, schedule: NoiseSchedule, t: int) -> None:
    _over_steps(ax, schedule.gammas, t)
    ax.set(ylim=(-0.04, 1.04))
    ticks = {0.0: "0", 0.5: "0.5", 1.0: "1"}
    _plain(ax, "signal left, γₜ", [0, schedule.steps], ticks)


def _log_snr_by_step(ax: Axes, schedule: NoiseSchedule, t: int) -> None:
    _over_steps(ax, log_snr(schedule.gammas), t)
    ax.axhline(0, color=GREY, linewidth=0.8, linestyle=":")
    ax.set(ylim=(-21, 16))
    ticks = {-20.0: "−20", -10.0: "−10", 0.0: "0", 10.0: "10"}
    _plain(ax, "log-SNR", [0, schedule.steps], ticks)


def _over_steps(ax: Axes, values: Float[Tensor, " T_plus_1"], t: int) -> None:
    """`values` over the steps 1..T, with dots where these are few; step t in red."""
    last = len(values) - 1
    ax.plot(
        range(1, last + 1),
        values[1:],
        "-" if last > 60 else ".-",
        color=BLUE,
        linewidth=1.4,
        markersize=4,
    )
    if t > 0:
        ax.plot([t], [values[t]], "o", color=RED, markersize=7)
    ax.set(xlim=(-0.02 * last, 1.02 * last))


def _density_of_levels(ax: Axes, schedule: NoiseSchedule, t: int) -> None:
    """p(gamma) as steps, and a red line at gamma_t."""
    rising = schedule.gammas.flip(0)
    height = gamma_pdf(schedule, (rising[1:] + rising[:-1]) / 2)
    # what `stairs` draws, faster
    ax.plot(
        rising.repeat_interleave(2)[1:-1],
        height.repeat_interleave(2),
        color=BLUE,
        linewidth=1.2,
    )
    ax.axvline(schedule.gammas[t].item(), color=RED, linewidth=1.4)
    ax.set(yscale="log", ylim=(0.03, 2e5), xlim=(-0.03, 1.03))
    ticks = {0.1: "0.1", 10.0: "10", 1e3: "1000", 1e5: "1e5"}
    _plain(ax, "density p(γ) (chapter 3)", [0, 1], ticks)


def _enlarged(picture: Float[Tensor, "C H W"], side: int) -> np.ndarray:
    """(side, side, 3) bytes with a thin frame, each pixel of the picture a whole number
    of pixels wide.
    """
    times = side // picture.shape[-1]
    large = (
        to_bytes(picture)
        .expand(3, -1, -1)
        .permute(1, 2, 0)
        .repeat_interleave(times, 0)
        .repeat_interleave(times, 1)
    )
    return np.pad(large.numpy(), ((1, 1), (1, 1), (0, 0)))


def _plain(ax: Axes, title: str, x: Sequence[int], y: Mapping[float, str]) -> None:
    """A title, few ticks, plain labels."""
    # a y of its own spares Matplotlib a search for one
    ax.set_title(title, fontsize=9, pad=4, y=1)
    ax.set_xticks(x, [f"{value:g}" for value in x])
    ax.set_yticks(list(y), list(y.values()))
    ax.minorticks_off()
    ax.tick_params(labelsize=8)


def _finite(value: float) -> str:
    return "infinite" if np.isinf(value) else f"{value:.1f}"
