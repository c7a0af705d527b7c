"""Figures of deep dive H: the slope of the log density, on the plane."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from matplotlib.figure import Figure

from ...oracle import MixtureOracle
from .base import BLUE, Picture

EDGE = 1.9  # the plane is shown from -EDGE to EDGE
ARROWS = 11  # along each side


def score_arrows(oracle: MixtureOracle, gammas: Sequence[float]) -> Picture:
    """The density of the plane's noisy points at each of the levels `gammas`, in grey,
    and arrows along its score; longer arrows are drawn shorter than they are.
    """
    figure = Figure(figsize=(2.5 * len(gammas), 3.0), layout="constrained")
    axes = figure.subplots(1, len(gammas), sharey=True, squeeze=False)[0]
    for ax, gamma in zip(axes, gammas, strict=True):
        fine, coarse = _grid(81), _grid(ARROWS)
        level = torch.tensor([gamma], dtype=torch.float64)
        density = oracle.log_density(fine, level.expand(len(fine))).exp()
        grey = (density / density.max()).sqrt().reshape(81, 81)
        bands = (grey * 8).round() / 8  # few greys: bands that a PNG stores well
        edges = (-EDGE, EDGE, -EDGE, EDGE)
        ax.imshow(bands.numpy(), extent=edges, origin="lower", cmap="Greys", vmax=2)
        score = -oracle(None, coarse, level.expand(len(coarse))) / (1 - gamma) ** 0.5
        size = score.norm(dim=1, keepdim=True)
        arrows = score / (1 + size)  # at most 1 long
        ax.quiver(*coarse.T, *arrows.T, color=BLUE, scale=9, width=0.008)
        ax.set_title(rf"$\gamma$ = {gamma:g}", fontsize=9)
        ax.set(xticks=[-1, 0, 1], yticks=[-1, 0, 1])
        ax.set_xlabel("first pixel", fontsize=8)
    axes[0].set_ylabel("second pixel", fontsize=8)
    alt = (
        f"The plane of two pixels at {len(gammas)} levels, gamma ="
        f" {', '.join(f'{gamma:g}' for gamma in gammas)}: the density of noisy points"
        " in grey, one broad hill where there is much noise and four clusters where"
        " there is little, and arrows that point uphill."
    )
    return Picture(figure, alt)


def _grid(side: int) -> torch.Tensor:
    """side x side points of the plane, row by row, (side^2, 2)."""
    line = torch.linspace(-EDGE, EDGE, side, dtype=torch.float64)
    down, across = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([across.flatten(), down.flatten()], 1)
