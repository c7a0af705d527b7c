"""Draws the picture of the README, with the shipped weights:
`python tools/readme_picture.py`.
"""

from __future__ import annotations

from pathlib import Path

import torch

from sr3mini.data import glyphs, write_picture
from sr3mini.model.checkpoint import load
from sr3mini.upscaling.draw import grid

LETTERS = [
    ("R", "DejaVuSerif"),
    ("a", "DejaVuSans"),
    ("g", "DejaVuSerif-Italic"),
    ("8", "DejaVuSans"),
    ("Ä", "DejaVuSerif"),
]
LETTERS += [
    ("k", "DejaVuSerif-Bold"),
    ("S", "DejaVuSansMono"),
    ("5", "DejaVuSerif"),
    ("m", "DejaVuSansMono"),
    ("W", "DejaVuSans"),
]


def main() -> None:
    f, test = load("glyphs_8_32"), glyphs("test")
    y = test.batch([test.find(character, style) for character, style in LETTERS])
    large = torch.nn.functional.interpolate(
        grid(f, y)[None], scale_factor=2, mode="nearest"
    )[0]
    write_picture(large, Path(__file__).resolve().parent.parent / "data" / "readme.png")


if __name__ == "__main__":
    main()
