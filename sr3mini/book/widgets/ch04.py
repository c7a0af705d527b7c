"""Chapter 4's slider."""

from __future__ import annotations

from collections.abc import Sequence

from ...data import Glyphs
from ...degrade import camera, downsample
from ...oracle import PicturesOracle
from ..figures import Picture, open_letters
from .base import Playable, choice, slider


def open_letters_slider(world: Glyphs, wanted: Sequence[str]) -> Playable:
    """What x leaves open of a letter, exactly, in a world of known pictures: more with
    every grey level of camera noise (of 255; σ is 2/255 of our scale for each).
    """
    y = world.batch(range(len(world)))
    small = downsample(y, 8)

    def draw(noise: int, letter: str) -> Picture:
        sigma, row = 2 * noise / 255, world.find(letter)
        x = camera(small[row : row + 1], sigma, seeds=[row])
        return open_letters(PicturesOracle(y, small, sigma), x, world.characters)

    controls = {
        "noise": slider(10, 1, 40, "grey levels"),
        "letter": choice(wanted[0], list(wanted), "letter"),
    }
    return Playable(draw, controls)
