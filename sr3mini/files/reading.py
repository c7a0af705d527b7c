r"""Picture files of any kind as tensors, and tensors as files that are never half
written.

A picture is a float32 tensor (C, H, W) in [-1, 1]; -1 is black. As bytes, where it
waits or travels, it is uint8 in 0..255.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps
from torch import Tensor

from ..degrade import downsample

# rows that are made float at a time: a picture of 80 million pixels needs no gigabytes
STRIP = 512


def read_picture(
    path: str | Path, channels: int | None = None
) -> Float[Tensor, "C H W"]:
    """A picture file of any mode as (C, H, W) in [-1, 1]: 1 channel for grey, 3 for
    colour, or the number asked for.

    Turned upright by its EXIF tag; a palette is looked up, CMYK converted, transparency
    laid on white, the first frame of an animation taken. ValueError, in one sentence,
    when the file is missing or no picture.
    """
    return _to_tensor(_open(path), channels)


def read_square(
    source: str | Path | bytes, size: int, channels: int | None = None, name: str = ""
) -> UInt8[Tensor, "C S S"]:
    """The central square of a picture file, resized to `size` x `size` and rounded to 8
    bits: how a picture waits, travels and is trained on.

    `source` may be the file's bytes; then `name` stands for it in the ValueError. What
    `square` and `to_bytes` make of `read_picture`, with a tenth of the memory for a
    large picture.
    """
    return read_square_and_side(source, size, channels, name)[0]


def read_square_and_side(
    source: str | Path | bytes, size: int, channels: int | None = None, name: str = ""
) -> tuple[UInt8[Tensor, "C S S"], int]:
    """The same, and the side that the square had before it was resized."""
    picture = _open(source, name)
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    picture = picture.crop((left, top, left + side, top + side))
    if (
        side == size
        and picture.mode == ("L" if channels == 1 else "RGB")
        and not picture.has_transparency_data
    ):  # a prepared picture
        return (
            torch.from_numpy(np.array(picture))
            .reshape(size, size, -1)
            .permute(2, 0, 1)
            .contiguous(),
            side,
        )
    height = side if _deep(picture) else STRIP
    strips = [
        picture.crop((0, row, side, min(row + height, side)))
        for row in range(0, side, height)
    ]
    narrow = [
        downsample(_to_tensor(strip, channels)[None], size=(strip.height, size))
        for strip in strips
    ]
    return to_bytes(downsample(torch.cat(narrow, dim=2), size=(size, size))[0]), side


def from_bytes(image: UInt8[Tensor, "..."]) -> Float[Tensor, "..."]:
    """0..255 -> [-1, 1], float32."""
    return image.float() / 127.5 - 1


def to_bytes(image: Float[Tensor, "..."]) -> UInt8[Tensor, "..."]:
    """[-1, 1] -> 0..255, rounded to the nearest and clipped."""
    return (
        ((image.detach().cpu().float() + 1) * 127.5)
        .round()
        .clamp(0, 255)
        .to(torch.uint8)
    )


def square(image: Float[Tensor, "C H W"], size: int) -> Float[Tensor, "C S S"]:
    """The central square, resized to `size` x `size` with the book's one bicubic."""
    side = min(image.shape[-2:])
    top, left = (image.shape[-2] - side) // 2, (image.shape[-1] - side) // 2
    return downsample(
        image[None, :, top : top + side, left : left + side], size=(size, size)
    )[0].clamp(-1, 1)


def _open(source: str | Path | bytes, name: str = "") -> Image.Image:
    """The picture, upright and unpacked; ValueError in one sentence."""
    if not isinstance(source, bytes):
        path = Path(source)
        if not path.exists():
            raise ValueError(
                f"{path} is a link that leads nowhere"
                if path.is_symlink()
                else f"{path} does not exist"
            )
        if path.is_dir():
            raise ValueError(f"{path} is a folder, not a picture")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # Pillow's remarks on a damaged file do not name it; the error below does
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(
                io.BytesIO(source) if isinstance(source, bytes) else source
            ) as opened:
                picture = ImageOps.exif_transpose(opened)
                picture.load()
                return picture
    # a damaged file makes Pillow raise nearly anything: struct.error, SyntaxError,
    # IndexError...
    except Exception as error:
        raise ValueError(
            f"{name or source!s} could not be read as a picture ({_reason(error)})"
        ) from error


def _deep(picture: Image.Image) -> bool:
    """16 or 32 bits a pixel, whose range only the whole picture tells."""
    return picture.mode.startswith(("I", "F"))


def _to_tensor(picture: Image.Image, channels: int | None) -> Tensor:
    if _deep(
        picture
    ):  # 16- or 32-bit grey: Pillow's own conversion to 8 bits would clip it
        values = np.asarray(picture, dtype=np.float32)
        largest = values.max(initial=0)
        top = (
            65535.0
            if picture.mode.startswith("I;16") or largest > 255
            else 1.0
            if picture.mode == "F" and largest <= 1
            else 255.0
        )
        tensor = torch.from_numpy(values / top * 2 - 1).clamp(-1, 1)[None]
        return tensor.expand(channels or 1, -1, -1).clone()
    grey = picture.mode in ("1", "L", "LA") if channels is None else channels == 1
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(
            Image.new("RGBA", picture.size, "white"), picture
        )
    array = np.array(picture.convert("L" if grey else "RGB"))
    return from_bytes(
        torch.from_numpy(array).reshape(*array.shape[:2], -1).permute(2, 0, 1)
    )


def _reason(error: BaseException) -> str:
    return (
        "no known picture format"
        if type(error).__name__ == "UnidentifiedImageError"
        else str(error).rstrip(".") or type(error).__name__
    )
