r"""The one place that puts pictures side by side.

side_by_side(panels)  pictures under their titles and above their notes
stacked(rows)         rows below each other
sheet(x, drawn)       a row of input, bicubic and samples
framed(rows)          a tensor: rows of pictures of one size, two white pixels
                      around each
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

from ..degrade import upsample
from .writing import to_pillow

SIDE = 1024  # largest side of a picture on a sheet


class Panel(NamedTuple):
    """A picture in [-1, 1] with what is written above and below it."""

    title: str
    image: Float[Tensor, "C H W"]
    note: str = ""


def side_by_side(
    panels: Sequence[Panel], heading: str = "", side: int = SIDE
) -> Image.Image:
    """The panels beside each other, all of the last one's size. That is shrunk to
    `side`; small pictures get larger pixels, so that the titles fit.
    """
    height, width = panels[-1].image.shape[-2:]
    scale = min(side / max(height, width), max(1, 128 // max(height, width)))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    top, bottom = 34 if heading else 22, 30 if any(p.note for p in panels) else 6
    column = max(size[0], 96) + 8

    whole = (len(panels) * column + 8, top + size[1] + bottom)
    canvas = Image.new("RGB", whole, "white")
    pen = ImageDraw.Draw(canvas)
    pen.text((8, 4), heading.encode("ascii", "backslashreplace").decode(), fill="gray")
    for place, (title, image, note) in enumerate(panels):
        left, shrinks = 8 + place * column, size[0] < image.shape[-1]
        way = Image.Resampling.LANCZOS if shrinks else Image.Resampling.NEAREST
        canvas.paste(to_pillow(image).convert("RGB").resize(size, way), (left, top))
        pen.text((left, top - 16), title, fill="black")
        pen.text((left, top + size[1] + 4), note, fill="black")
    return canvas


def stacked(rows: Sequence[Image.Image]) -> Image.Image:
    """Rows below each other, on white."""
    width, height = max(each.width for each in rows), sum(each.height for each in rows)
    canvas, top = Image.new("RGB", (width, height), "white"), 0
    for each in rows:
        canvas.paste(each, (0, top))
        top += each.height
    return canvas


def sheet(
    x: Float[Tensor, "C h w"], drawn: Float[Tensor, "K C H W"], name: str = "SR3"
) -> Image.Image:
    """Side by side: the input with its pixels enlarged, bicubic, and every sample, each
    under its name.
    """
    bicubic = upsample(x[None], size=(drawn.shape[-2], drawn.shape[-1]))[0]
    titles = [f"{name} #{k}" for k in range(1, len(drawn) + 1)]
    samples = map(Panel, titles if len(drawn) > 1 else [name], drawn)
    return side_by_side([Panel("input", x), Panel("bicubic", bicubic), *samples])


def framed(rows: Float[Tensor, "rows N C H W"]) -> Float[Tensor, "C height width"]:
    """One picture of rows of N pictures, two white pixels around each."""
    rows = torch.nn.functional.pad(rows, (2, 2, 2, 2), value=1.0)
    count, _, channels, height, _ = rows.shape
    return rows.permute(2, 0, 3, 1, 4).reshape(channels, count * height, -1)
