"""Draws the picture of the README, with the shipped weights: python chapters/readme_picture.py"""

from __future__ import annotations

from pathlib import Path

import torch

from sr3mini import downsample, upsample
from sr3mini.checkpoint import load
from sr3mini.data import glyphs, write_picture
from sr3mini.evaluate import draw

LETTERS = [("R", "DejaVuSerif"), ("a", "DejaVuSans"), ("g", "DejaVuSerif-Italic"), ("8", "DejaVuSans"), ("Ä", "DejaVuSerif")]
LETTERS += [("k", "DejaVuSerif-Bold"), ("S", "DejaVuSansMono"), ("5", "DejaVuSerif"), ("m", "DejaVuSansMono"), ("W", "DejaVuSans")]


def main() -> None:
    f, test = load("glyphs_8_32"), glyphs("test")
    y = test.batch([test.find(character, style) for character, style in LETTERS])
    x = downsample(y, 4)
    pixels = torch.nn.functional.interpolate(x, size=(32, 32), mode="nearest")
    rows = torch.cat([pixels[None], upsample(x, 4)[None], draw(f, x, seeds=range(3)), y[None]])  # (6, N, 1, 32, 32)
    rows = torch.nn.functional.pad(rows, (2, 2, 2, 2), value=1.0)
    picture = rows.permute(2, 0, 3, 1, 4).reshape(1, len(rows) * 36, len(LETTERS) * 36)
    large = torch.nn.functional.interpolate(picture[None], scale_factor=2, mode="nearest")[0]
    write_picture(large, Path(__file__).with_name("readme.png"))


if __name__ == "__main__":
    main()
