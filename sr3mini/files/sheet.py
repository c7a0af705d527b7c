r"""Pictures side by side."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

from ..degrade import upsample
from .reading import to_bytes


def sheet(
    x: Float[Tensor, "C h w"], drawn: Float[Tensor, "K C H W"], name: str = "SR3"
) -> Image.Image:
    """Side by side: the input with its pixels enlarged, bicubic, and every sample, each
    under its name.
    """
    size = drawn.shape[-2:]
    nearest = torch.nn.functional.interpolate(x[None], size=size, mode="nearest")[0]
    bicubic = upsample(x[None], size=(size[0], size[1]))[0].clamp(-1, 1)
    samples = [
        (f"{name} #{k}" if len(drawn) > 1 else name, y)
        for k, y in enumerate(drawn, start=1)
    ]
    panels = [("input", nearest), ("bicubic", bicubic), *samples]
    scale = max(
        1, 128 // max(size)
    )  # small results are shown with larger pixels, so that the captions fit
    height, width = max(size[0] * scale, 1), max(size[1] * scale, 64)
    canvas = Image.new("RGB", (len(panels) * (width + 8) + 8, height + 28), "white")
    pen = ImageDraw.Draw(canvas)
    for column, (title, image) in enumerate(panels):
        array = to_bytes(image).permute(1, 2, 0).numpy()
        picture = Image.fromarray(
            np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array
        )
        left = 8 + column * (width + 8)
        pen.text((left, 6), title, fill="black")
        canvas.paste(
            picture.resize(
                (size[1] * scale, size[0] * scale), Image.Resampling.NEAREST
            ),
            (left, 22),
        )
    return canvas


def framed(rows: Float[Tensor, "rows N C H W"]) -> Float[Tensor, "C height width"]:
    """One picture of rows of N pictures, two white pixels around each."""
    rows = torch.nn.functional.pad(rows, (2, 2, 2, 2), value=1.0)
    return rows.permute(2, 0, 3, 1, 4).reshape(
        rows.shape[2], len(rows) * rows.shape[-2], -1
    )
