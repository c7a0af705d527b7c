"""Figures of deep dive B: what the bound on the likelihood weighs."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from ...schedule import NoiseSchedule
from .base import BLUE, GREEN, ORANGE, Picture


def bound_weight(
    schedule: NoiseSchedule, variance: Literal["paper", "posterior"] = "paper"
) -> Float[Tensor, " T"]:
    """w_t for t = 1..T, what the variational bound multiplies E||eps - f||^2 with (tag
    B.5).

    (1 - alpha_t)^2 / (2 s_t^2 alpha_t (1 - gamma_t)), where s_t^2 is the variance of
    the sampler's step: 1 - alpha_t, as in the paper, or the posterior's, which is 0 at
    t = 1: that entry is infinite.
    """
    alphas, gammas, before = (
        schedule.alphas[1:],
        schedule.gammas[1:],
        schedule.gammas[:-1],
    )
    s2 = (
        1 - alphas
        if variance == "paper"
        else (1 - before) * (1 - alphas) / (1 - gammas)
    )
    return (1 - alphas) ** 2 / (2 * s2 * alphas * (1 - gammas))


def bound_weights(schedule: NoiseSchedule) -> Picture:
    """`bound_weight` over t for both variances, beside the flat weight of the loss,
    drawn with the same total as the paper's.
    """
    paper, posterior = bound_weight(schedule), bound_weight(schedule, "posterior")
    figure = Figure(figsize=(6.4, 2.8), layout="constrained")
    ax = figure.subplots()
    t = torch.arange(1, schedule.steps + 1)
    ax.plot(t, paper, color=BLUE, label=r"bound, $s_t^2 = 1-\alpha_t$")
    ax.plot(
        t[1:],
        posterior[1:],
        color=ORANGE,
        linestyle="--",
        label=r"bound, $s_t^2 = \sigma_t^2$",
    )
    ax.axhline(
        paper.mean().item(), color=GREEN, linestyle=":", label="loss (6.1): all alike"
    )
    ax.set(
        xlabel="step t (logarithmic)",
        ylabel=r"weight $w_t$",
        xscale="log",
        yscale="log",
        xlim=(0.9, 1.1 * schedule.steps),
    )
    ax.legend(fontsize=8)
    share = (paper[:100].sum() / paper.sum()).item()
    alt = (
        f"The weight of the bound over the {schedule.steps} steps, on logarithmic axes:"
        f" {paper[0].item():.1f} at t = 1, falling to {paper.min().item():.4f} at t ="
        f" {int(paper.argmin()) + 1} and rising a little after that. The first hundred"
        f" steps hold {share:.0%} of it. With the posterior's variance the curve is"
        " higher over the first steps and the same after that. The weight of the loss"
        " is a flat line."
    )
    return Picture(figure, alt)
