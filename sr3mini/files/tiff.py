r"""TIFF: a frame for nearly any pixels. Its tags are looked at first: bits, kind of
numbers, colours, planes, further channels, further pictures. What this package cannot
keep whole is refused by the name of its layout; nothing is dropped.
"""

from __future__ import annotations

import io
import logging
import math
from typing import Any, NamedTuple

import numpy as np

from .ranges import Range, Unfit

COLOURS = {"MINISBLACK": 1, "MINISWHITE": 1, "RGB": 3}
PILLOWS = {"PALETTE": 1, "SEPARATED": 4, "YCBCR": 3, "CIELAB": 3}  # of 8 bits
ALPHA = {1: "associated", 2: "not associated"}  # whether colours are multiplied by it
LARGEST = 2**29  # pixels; far below what a small file can be made to unpack to

# what both remark on a damaged file does not name it
for _library in ("tifffile", "PIL"):
    logging.getLogger(_library).addHandler(logging.NullHandler())


class Pixels(NamedTuple):
    """`array` (h, w, 1 to 4) as stored, alpha last; how it is to be turned; its black
    and white, where the file tells them.
    """

    array: np.ndarray
    orientation: int = 1
    stated: Range | None = None


def tiff_pixels(stream: io.BytesIO | io.BufferedReader) -> Pixels | None:
    """What a TIFF holds; None for what Pillow reads whole. ValueError that names the
    layout of what neither does.
    """
    import tifffile

    stream.seek(0)
    with tifffile.TiffFile(stream) as tiff:
        page = tiff.pages.first
        _demand_one_picture(tiff, page)
        if not _is_ours(page):
            return None
        _demand_channels(page)
        parts = math.prod(page.chunked)
        # tifffile fills with 0 what is not there
        if len(page.dataoffsets) < parts or not all(page.databytecounts[:parts]):
            raise Unfit(f"lacks some of its {parts} strips or tiles, and is damaged")
        array = page.asarray()
        if page.axes == "SYX":
            array = array.transpose(1, 2, 0)
        tag = page.tags.get(274)
        array = _plain(page, array.reshape(*array.shape[:2], -1))
        return Pixels(array, 1 if tag is None else tag.value, _stated(page))


def _stated(page: Any) -> Range | None:
    """The range of 9 to 15 bits in 16, which the tags tell."""
    bits = page.bitspersample
    return None if bits % 8 == 0 else (0.0, 2.0**bits - 1)


def _demand_one_picture(tiff: Any, page: Any) -> None:
    """ValueError for a stack, and for a preview with the true picture behind it."""
    behind = [*tiff.pages[1:], *(page.pages or ())]
    larger = [it for it in behind if _area(it) > _area(page)]
    if larger or "DNGVersion" in page.tags:
        raise Unfit(
            f"begins with a preview of {page.imagewidth}x{page.imagelength} before its"
            " true picture, as the raw files of cameras do: develop it first, to TIFF"
            " or PNG"
        )
    further = [it for it in tiff.pages[1:] if not it.is_reduced]
    images = (tiff.imagej_metadata or {}).get("images", 1)
    count = max(1 + len(further), images, page.imagedepth)
    if count > 1:
        raise Unfit(
            f"holds {count} pictures, a stack: write each into a file of its own, such"
            " as with tiffsplit"
        )


def _area(page: Any) -> int:
    return page.imagewidth * page.imagelength


def _is_ours(page: Any) -> bool:
    """Whether tifffile reads it, not Pillow; ValueError for what neither does."""
    colours, bits = _name(page), page.bitspersample
    if page.dtype is None or page.dtype.kind not in "uif":
        raise Unfit(f"holds {colours} in numbers of an unknown kind: save it anew")
    if _area(page) > LARGEST:
        raise Unfit(f"holds {_area(page)} pixels, and {LARGEST} are the most")
    if colours in COLOURS:
        return bits >= 8 or page.samplesperpixel > 1
    whole = bits <= 8 and page.dtype.kind == "u" and not page.extrasamples
    if not whole or page.samplesperpixel != PILLOWS.get(colours):
        raise Unfit(
            f"holds {page.samplesperpixel} channels of {bits} bits as {colours}, of"
            " which some would be lost: save it as grey or RGB"
        )
    return False


def _demand_channels(page: Any) -> None:
    """ValueError unless there are colours, and at most an alpha beside them."""
    extra = page.samplesperpixel - COLOURS[_name(page)]
    known = [int(kind) for kind in page.extrasamples if int(kind) in ALPHA]
    if extra == 0 or extra == len(known) == 1:
        return
    raise Unfit(
        f"holds {page.samplesperpixel} channels, {extra} of which are neither colours"
        " nor transparency: write each channel into a file of its own, such as with"
        " gdal_translate -b 1 or tifffile, or remove them"
    )


def _plain(page: Any, array: np.ndarray) -> np.ndarray:
    """0 as black, colours not multiplied by their alpha."""
    usable, whole = COLOURS[_name(page)], array.dtype.kind == "u"
    if array.shape[2] > usable and page.bitspersample not in (8, 16):
        bits = f"{page.bitspersample} bits, {array.dtype}"
        raise Unfit(f"holds transparency in {bits}: save it with 8 or 16 bits")
    top = 2**page.bitspersample - 1
    colour, alpha = array[..., :usable], array[..., usable:]
    if _name(page) == "MINISWHITE":
        if not whole:
            raise Unfit(f"holds {array.dtype} with 0 as white: save it with 0 as black")
        colour = (top - colour).astype(array.dtype)
    if [int(kind) for kind in page.extrasamples] == [1]:
        share = np.maximum(alpha, 1) / top
        colour = np.rint((colour / share).clip(0, top)).astype(array.dtype)
    return np.concatenate([colour, alpha], axis=2)


def _name(page: Any) -> str:
    return getattr(page.photometric, "name", str(page.photometric))
