"""Chapter 5's slider."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ...forward import diffuse
from ...unet import UNet
from ..figures import Picture, feature_maps, walk
from .base import Playable, choice, slider

DRAWN = ("Conv2d", "Stage", "Down", "Up")  # of the layers that `walk` returns


def feature_maps_slider(
    f: UNet,
    x: Float[Tensor, "1 c h w"],
    y_0: Float[Tensor, "1 C H W"],
    gammas: Sequence[float],
) -> Playable:
    """One picture's way through the network, layer by layer, at one of a few levels,
    always with the same noise.
    """
    eps = torch.randn(y_0.shape, generator=torch.Generator().manual_seed(0))
    levels = {gamma: torch.tensor([gamma], dtype=torch.float64) for gamma in gammas}
    noisy = {gamma: diffuse(y_0, level, eps) for gamma, level in levels.items()}
    walks = {
        gamma: [
            layer for layer in walk(f, x, noisy[gamma], level) if layer.kind in DRAWN
        ]
        for gamma, level in levels.items()
    }
    count = len(walks[gammas[0]])

    def draw(layer: int, gamma: float) -> Picture:
        return feature_maps(walks[gamma][layer - 1], noisy[gamma], layer, count, gamma)

    return Playable(
        draw,
        {
            "layer": slider(3, 1, count, "layer"),
            "gamma": choice(gammas[0], list(gammas), "level γ"),
        },
    )
