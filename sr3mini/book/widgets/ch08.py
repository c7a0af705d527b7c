"""Chapter 8's slider: the noisier x is, the more it leaves open."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...degrade import camera, downsample
from ...metrics import sharpness
from ...oracle import PicturesOracle
from ..figures import Picture, answer_sheet
from .base import Playable, stops

GREYS = (2, 5, 10, 15, 20, 40)  # noise on x, of 255


def openness_slider(
    y: Float[Tensor, "N C H W"],
    chosen: Int[Tensor, " n"],
    characters: str,
    factor: int = 8,
) -> Playable:
    """Exact answers in a world of the pictures y, as x gets noisier: those at the
    `chosen` places are shown, and all are measured.
    """
    small = downsample(y, factor)

    def draw(noise: int) -> Picture:
        sigma = 2 * noise / 255
        x = camera(small, sigma, seeds=range(len(y)))
        exact = PicturesOracle(y, small, sigma)
        generator = torch.Generator().manual_seed(0)
        mean, drawn = exact.mean(x), exact.draw(x, generator)
        numbers = f"exact mean {_measured(mean, y)}; exact draw {_measured(drawn, y)}"
        rows = {
            "given x": x.repeat_interleave(factor, 2).repeat_interleave(factor, 3),
            "exact mean": mean,
            "exact draw": drawn,
            "another": exact.draw(x, generator),
            "original": y,
        }
        some = {name: several[chosen] for name, several in rows.items()}
        return answer_sheet(some, characters, numbers)

    places: list[tuple[str, object]] = [(f"{grey}/255", grey) for grey in GREYS]
    return Playable(draw, {"noise": stops(10, places, "noise on x")})


def _measured(answer: Tensor, y: Tensor) -> str:
    decibels = 10 * torch.log10(4 / (answer - y).square().mean())
    return f"{decibels:.1f} dB, sharpness {sharpness(answer).mean():.3f}"
