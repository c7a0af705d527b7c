"""Figures of deep dive C: what a wrong end does, and why steps must be small."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from ...oracle import MixtureOracle
from ...sampler import reverse_step
from ...schedule import log_snr
from .base import BLUE, GREY, RED, Picture, image_rows


def wrong_ends(
    x: Float[Tensor, "B C h w"],
    drawn: Mapping[float, Float[Tensor, "B C H W"]],
    y: Float[Tensor, "B C H W"],
) -> Picture:
    """x, what was `drawn` for it by schedules that end at the levels that are its keys,
    and the originals.
    """
    rows = [(f"γ at T: {gamma:.2g}", samples) for gamma, samples in drawn.items()]
    ends = ", ".join(f"{gamma:.2g}" for gamma in drawn)
    alt = (
        f"Small pictures x, {len(y)} of them, samples from schedules that end at"
        f" gamma = {ends}, and the originals. The further the end is from 0, the"
        " fewer of the samples' sharp letters fit x."
    )
    return image_rows([("given x", x), *rows, ("original y", y)], alt)


class Law(NamedTuple):
    """Mean and variance of one Gaussian number."""

    mean: Tensor
    variance: Tensor


def wrong_start_law(
    mean: Float[Tensor, "..."],
    variance: Float[Tensor, "..."],
    gamma_T: Float[Tensor, "..."],
) -> Law:
    """Law of a perfect sampler's y_0 for data N(mean, variance), when it starts from
    N(0, 1) at level gamma_T (tags C.2 and C.3).
    """
    S = gamma_T * variance + 1 - gamma_T
    K = gamma_T.sqrt() * variance / S
    return Law(mean * (1 - gamma_T) / S, variance * (1 - gamma_T) / S + K.square())


def wrong_start(
    mean: float, variance: float, measured: Mapping[float, tuple[float, float]]
) -> Picture:
    """The law above against gamma_T, with the mean and standard deviation that were
    `measured`: {gamma_T: (mean, std)}.
    """
    gamma_T = torch.logspace(-5, -0.01, 200, dtype=torch.float64)
    law = wrong_start_law(
        torch.tensor(mean, dtype=torch.float64),
        torch.tensor(variance, dtype=torch.float64),
        gamma_T,
    )
    figure = Figure(figsize=(7.0, 2.6), layout="constrained")
    axes = figure.subplots(1, 2)
    rows = (
        ("mean of the samples", law.mean, mean, 0),
        ("their standard deviation", law.variance.sqrt(), variance**0.5, 1),
    )
    for ax, (label, values, true, which) in zip(axes, rows, strict=True):
        ax.axhline(true, color=GREY, linestyle="--", linewidth=1, label="data")
        ax.plot(gamma_T, values, color=BLUE, label="formula")
        ax.plot(
            list(measured),
            [pair[which] for pair in measured.values()],
            "o",
            color=RED,
            markersize=5,
            label="Algorithm 2",
        )
        ax.set(xlabel=r"$\gamma_T$ (logarithmic)", ylabel=label, xscale="log")
        ax.legend(fontsize=8)
    axes[0].set(ylim=(0, 1.1 * mean))
    axes[1].set(ylim=(0, 2.2 * variance**0.5))
    dots = "; ".join(
        f"at {gamma:.2g} mean {pair[0]:.2f}, deviation {pair[1]:.2f}"
        for gamma, pair in measured.items()
    )
    alt = (
        "Mean and standard deviation of samples against gamma_T, for data with mean"
        f" {mean:.2f} and deviation {variance**0.5:.2f}. Both curves lie on the data's"
        " value up to about 0.01; above it the mean falls towards 0 and the deviation"
        f" leaves its value. Measured: {dots}."
    )
    return Picture(figure, alt)


def reverse_density(
    gamma_before: float, gamma_t: float, y_t: float, y: Float[Tensor, " N"]
) -> tuple[Tensor, Tensor]:
    """p(y_{t-1} | y_t) at the points `y` for data that are +1 or -1, and the Gaussian
    that one step of Algorithm 2 draws from.
    """
    alpha = gamma_t / gamma_before
    signal, noise = gamma_before**0.5, 1 - gamma_before
    prior = sum(_normal(y, torch.tensor(sign * signal), noise) for sign in (1, -1)) / 2
    joint = prior * _normal(torch.tensor(y_t), alpha**0.5 * y, 1 - alpha)
    exact = joint / torch.trapezoid(joint, y)
    coins = MixtureOracle(
        torch.tensor([0.5, 0.5]), torch.tensor([[1.0], [-1.0]]), torch.zeros(2)
    )
    given, level, kept = (
        torch.tensor(value, dtype=torch.float64) for value in (y_t, gamma_t, alpha)
    )
    mean = reverse_step(
        given[None, None],
        coins(None, given[None, None], level[None]),
        kept,
        level,
        None,
    )
    return exact, _normal(y, mean[0, 0], 1 - alpha)


def _normal(y: Tensor, mean: Tensor, variance: float) -> Tensor:
    return (-(y - mean).square() / (2 * variance)).exp() / (2 * np.pi * variance) ** 0.5


def reverse_laws(steps: Sequence[tuple[float, float]], y_t: float) -> Picture:
    """What one step back has to draw from, and what the sampler draws from, for steps
    of several sizes (gamma_{t-1}, gamma_t).
    """
    figure = Figure(figsize=(7.2, 2.6), layout="constrained")
    axes = figure.subplots(1, len(steps), squeeze=False)[0]
    y = torch.linspace(-3, 3, 1201, dtype=torch.float64)
    shown = []
    for ax, (before, after) in zip(axes, steps, strict=True):
        exact, gaussian = reverse_density(before, after, y_t, y)
        size = (log_snr(torch.tensor(before)) - log_snr(torch.tensor(after))).item()
        common = torch.trapezoid(torch.minimum(exact, gaussian), y).item()
        shown.append(f"step of {size:.1f} in log-SNR: {common:.0%}")
        ax.fill_between(y, exact, color=BLUE, alpha=0.3, linewidth=0)
        ax.plot(y, exact, color=BLUE, linewidth=1.4, label=r"$p(y_{t-1}\,|\,y_t)$")
        ax.plot(
            y, gaussian, color=RED, linestyle="--", linewidth=1.4, label="Algorithm 2"
        )
        ax.set(
            xlabel=r"$y_{t-1}$",
            xlim=(-2.4, 2.4),
            yticks=[],
            ylim=(0, 1.35 * max(exact.max().item(), gaussian.max().item())),
        )
        ax.set_title(f"step of {size:.1f} in log-SNR", fontsize=9)
    axes[0].set_ylabel("density")
    axes[-1].legend(fontsize=8, loc="upper right")
    alt = (
        f"Density of y_(t-1) given y_t = {y_t:g} for data that are +1 or -1, and the"
        " Gaussian that Algorithm 2 draws from. Area that both curves cover,"
        f" {'; '.join(shown)}. Where it is small, the true density has two separate"
        " peaks and the Gaussian lies between them."
    )
    return Picture(figure, alt)
