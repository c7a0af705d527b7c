"""Picture files of every kind that people keep, and what their corners show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sr3mini.data import (
    read_picture,
)

WHITE, BLACK, RED = (1, 1, 1), (-1, -1, -1), (1, -1, -1)


def corners(path: Path, channels: int | None = None) -> list[tuple[float, ...]]:
    """The first and the last pixel of a file, as it is read."""
    picture = read_picture(path, channels)
    return [
        tuple(round(v, 3) for v in picture[:, y, x].tolist())
        for y, x in ((0, 0), (-1, -1))
    ]


def two_pixels(mode: str, first: Any, second: Any) -> Image.Image:
    picture = Image.new(mode, (2, 1), first)
    picture.putpixel((1, 0), second)
    return picture


FILES: list[tuple[str, Image.Image, dict[str, Any], list[tuple[float, ...]]]] = [
    ("rgb.png", two_pixels("RGB", (255, 0, 0), (255, 255, 255)), {}, [RED, WHITE]),
    ("grey.png", two_pixels("L", 0, 255), {}, [(-1,), (1,)]),
    ("bits.png", two_pixels("1", 0, 1), {}, [(-1,), (1,)]),
    (
        "see-through.png",
        two_pixels("RGBA", (255, 0, 0, 0), (255, 0, 0, 255)),
        {},
        [WHITE, RED],
    ),
    (
        "half see-through.png",
        two_pixels("RGBA", (0, 0, 0, 0), (0, 0, 0, 51)),
        {},
        [WHITE, (0.6, 0.6, 0.6)],
    ),
    ("see-through grey.png", two_pixels("LA", (0, 0), (0, 255)), {}, [(1,), (-1,)]),
    (
        "palette.gif",
        two_pixels("RGB", (255, 0, 0), (0, 0, 0)).convert(
            "P", palette=Image.Palette.ADAPTIVE
        ),
        {},
        [RED, BLACK],
    ),
    (
        "palette.png",
        two_pixels("RGB", (255, 0, 0), (0, 0, 0)).convert(
            "P", palette=Image.Palette.ADAPTIVE
        ),
        {},
        [RED, BLACK],
    ),
    ("cmyk.tif", two_pixels("CMYK", (0, 0, 0, 0), (0, 255, 255, 0)), {}, [WHITE, RED]),
    (
        "16 bit.png",
        Image.fromarray(np.array([[0, 65535]], np.uint16)),
        {},
        [(-1,), (1,)],
    ),
    (
        "16 bit.tif",
        Image.fromarray(np.array([[0, 32768]], np.uint16)),
        {},
        [(-1,), (0,)],
    ),
    (
        "16 bit.pgm",
        Image.fromarray(np.array([[0, 65535]], np.uint16)),
        {},
        [(-1,), (1,)],
    ),
]


def noisy(path: Path, side: int = 32) -> bytes:
    """Write a picture that does not compress to nothing; its bytes."""
    Image.fromarray(
        np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    ).save(path)
    return path.read_bytes()
