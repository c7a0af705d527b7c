r"""The one reader of picture files, for training and for use.

    read(file)             -> PictureFile: numbers as they are stored, upright, which
                              of them are black and white, what the file carries
    read_picture(file)     -> (C, H, W), float32 in [-1, 1]; -1 is black
    read_square(file, 64)  -> (C, 64, 64), uint8 in 0..255: how a picture waits, travels
                              and is trained on

All three decode by the same function, and take the same `bounds`: the values that are
black and white, where the file's type does not tell them (see `ranges`).
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from ..degrade import downsample
from .decoding import Decoded, Source, decode, named
from .ranges import Range, from_stored

STRIP = 512  # rows made float at a time: 80 million pixels need no gigabytes
LUMA = torch.tensor([0.299, 0.587, 0.114])  # ITU-R BT.601, as in JPEG


class PictureFile(NamedTuple):
    """`colour` (h, w, 1 or 3) of any type, not multiplied by alpha; `alpha` (h, w),
    uint8 or uint16, or None; `carried`: profile, EXIF, resolution, PNG's colour space,
    by Pillow's names; `bounds`: the colours' black and white, None for all of a type.
    """

    colour: np.ndarray
    alpha: np.ndarray | None
    carried: dict[str, Any]
    bounds: Range | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(h, w)"""
        return self.colour.shape[0], self.colour.shape[1]


def read(source: Source, bounds: Range | None = None) -> PictureFile:
    """A picture file, or the bytes of one, of any kind that Pillow or tifffile reads:
    upright, palettes looked up, CMYK turned to sRGB, the first frame of many.

    Every number stays as it is stored. What has to be left out is told in a warning.
    ValueError, in one sentence, when it is missing or no picture, or when it does not
    tell what is black and white and `bounds` are not given.
    """
    array, bounds, carried, remarks = decode(source, given=bounds)
    for remark in remarks:
        warnings.warn(f"{named(source)} {remark}", stacklevel=2)
    if array.shape[2] in (1, 3):
        return PictureFile(array, None, carried, bounds)
    return PictureFile(array[..., :-1], array[..., -1], carried, bounds)


def read_picture(
    path: str | Path, channels: int | None = None, bounds: Range | None = None
) -> Float[Tensor, "C H W"]:
    """A picture file as (C, H, W) in [-1, 1]: 1 channel for grey, 3 for colour, or the
    number asked for. What `read` reads, on white where it is transparent.
    """
    picture = read(path, bounds)
    alpha = () if picture.alpha is None else (picture.alpha,)
    return _shown(np.dstack([picture.colour, *alpha]), picture.bounds, channels)


def read_square(
    source: Source,
    size: int,
    channels: int | None = None,
    name: str = "",
    bounds: Range | None = None,
) -> UInt8[Tensor, "C S S"]:
    """The central square of a picture file, resized to `size` x `size` and rounded to 8
    bits: how a picture waits, travels and is trained on.

    `source` may be the file's bytes; then `name` stands for it in the ValueError. What
    `square` and `to_bytes` make of `read_picture`, with a tenth of the memory for a
    large picture.
    """
    return squared(decode(source, name, bounds), size, channels)


def squared(
    picture: Decoded, size: int, channels: int | None = None
) -> UInt8[Tensor, "C S S"]:
    """What `read_square` makes of `decode`'s pixels."""
    array = picture.array[_middle(*picture.array.shape[:2])]
    strips = (array[row : row + STRIP] for row in range(0, len(array), STRIP))
    parts = (_shown(strip, picture.bounds, channels)[None] for strip in strips)
    narrow = [downsample(y, size=(y.shape[2], size)) for y in parts]
    return to_bytes(downsample(torch.cat(narrow, dim=2), size=(size, size))[0])


def from_bytes(image: UInt8[Tensor, "..."]) -> Float[Tensor, "..."]:
    """0..255 -> [-1, 1], float32."""
    return image.float() / 127.5 - 1


def to_bytes(image: Float[Tensor, "..."]) -> UInt8[Tensor, "..."]:
    """[-1, 1] -> 0..255, rounded to the nearest and clipped."""
    levels = (image.detach().cpu().float() + 1) * 127.5
    return levels.round().clamp(0, 255).to(torch.uint8)


def square(image: Float[Tensor, "C H W"], size: int) -> Float[Tensor, "C S S"]:
    """The central square, resized to `size` x `size` with the book's one bicubic."""
    middle = image[:, *_middle(*image.shape[1:])]
    return downsample(middle[None], size=(size, size))[0].clamp(-1, 1)


def _middle(height: int, width: int) -> tuple[slice, slice]:
    """The rows and columns of the central square."""
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return slice(top, top + side), slice(left, left + side)


def luma(image: Float[Tensor, "*B 3 H W"]) -> Float[Tensor, "*B 1 H W"]:
    """The brightness of colours."""
    return torch.tensordot(image.movedim(-3, -1), LUMA, dims=1).unsqueeze(-3)


def on_white(
    colour: Float[Tensor, "C H W"], alpha: Float[Tensor, "1 H W"]
) -> Float[Tensor, "C H W"]:
    """What is seen of `colour` before white; all in [-1, 1], alpha too: -1 is clear."""
    return 1 + (colour - 1) * (alpha + 1) / 2


def _shown(
    array: np.ndarray, bounds: Range | None, channels: int | None
) -> Float[Tensor, "C H W"]:
    clear = array.shape[2] in (2, 4)
    image = from_stored(array[..., :-1] if clear else array, bounds)
    if clear:
        image = on_white(image, from_stored(array[..., -1:]))
    if channels == 1 and len(image) == 3:
        image = luma(image)
    return image if channels is None else image.expand(channels, -1, -1)
