r"""The one reader of picture files, for training and for use.

    read(file)             -> PictureFile: integers as they are stored, upright, and
                              what the file carries besides
    read_picture(file)     -> (C, H, W), float32 in [-1, 1]; -1 is black
    read_square(file, 64)  -> (C, 64, 64), uint8 in 0..255: how a picture waits, travels
                              and is trained on

All three decode by the same function. Pillow knows every kind of file, but of 16-bit
colours it keeps 8 bits: those imagecodecs (PNG) and tifffile read.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageCms, ImageFile, PngImagePlugin, TiffImagePlugin
from torch import Tensor

from ..degrade import downsample

Source = str | Path | bytes  # a file, or what is in one
LARGEST = 2**29  # pixels; far below what a small file can be made to unpack to
PILLOWS_LIMIT = Image.MAX_IMAGE_PIXELS
STRIP = 512  # rows made float at a time: 80 million pixels need no gigabytes
LUMA = torch.tensor([0.299, 0.587, 0.114])  # ITU-R BT.601, as in JPEG

# EXIF: description, maker, camera, software, time, artist, copyright
KEPT_TAGS = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)
KEPT_FOLDERS = (0x8769, 0x8825)  # of the exposure, and of the place
SIZE_TAGS = (0xA002, 0xA003)  # width and height, which change
ORIENTATION = 0x0112


class PictureFile(NamedTuple):
    """`colour` (h, w, 1 or 3), uint8 or uint16, not multiplied by alpha; `alpha` (h, w)
    of the same type, or None; `carried`: profile, EXIF, resolution, PNG's colour space,
    by Pillow's names.
    """

    colour: np.ndarray
    alpha: np.ndarray | None
    carried: dict[str, Any]

    @property
    def size(self) -> tuple[int, int]:
        """(h, w)"""
        return self.colour.shape[0], self.colour.shape[1]


def read(source: Source) -> PictureFile:
    """A picture file, or the bytes of one, of any kind that Pillow reads: upright,
    palettes looked up, CMYK turned to sRGB, the first frame of many (with a warning).

    16 bits stay 16, in grey and, of PNG and TIFF, in colour; floats become 16 bits.
    ValueError, in one sentence, when it is missing or no picture.
    """
    array, carried, frames = _decode(source)
    if frames > 1:
        said = f"{_name(source)} holds {frames} pictures; the first is taken"
        warnings.warn(said, stacklevel=2)
    if array.shape[2] in (1, 3):
        return PictureFile(array, None, carried)
    return PictureFile(array[..., :-1], array[..., -1], carried)


def read_picture(
    path: str | Path, channels: int | None = None
) -> Float[Tensor, "C H W"]:
    """A picture file as (C, H, W) in [-1, 1]: 1 channel for grey, 3 for colour, or the
    number asked for. What `read` reads, on white where it is transparent.
    """
    return _shown(decode(path), channels)


def read_square(
    source: Source, size: int, channels: int | None = None, name: str = ""
) -> UInt8[Tensor, "C S S"]:
    """The central square of a picture file, resized to `size` x `size` and rounded to 8
    bits: how a picture waits, travels and is trained on.

    `source` may be the file's bytes; then `name` stands for it in the ValueError. What
    `square` and `to_bytes` make of `read_picture`, with a tenth of the memory for a
    large picture.
    """
    return squared(decode(source, name), size, channels)


def decode(source: Source, name: str = "") -> np.ndarray:
    """The pixels of a picture file, (h, w, 1 to 4), as `read` finds them."""
    return _decode(source, name)[0]


def squared(
    array: np.ndarray, size: int, channels: int | None = None
) -> UInt8[Tensor, "C S S"]:
    """What `read_square` makes of `decode`'s pixels."""
    array = array[_middle(*array.shape[:2])]
    strips = (array[row : row + STRIP] for row in range(0, len(array), STRIP))
    parts = (_shown(strip, channels)[None] for strip in strips)
    narrow = [downsample(y, size=(y.shape[2], size)) for y in parts]
    return to_bytes(downsample(torch.cat(narrow, dim=2), size=(size, size))[0])


def from_bytes(image: UInt8[Tensor, "..."]) -> Float[Tensor, "..."]:
    """0..255 -> [-1, 1], float32."""
    return image.float() / 127.5 - 1


def to_bytes(image: Float[Tensor, "..."]) -> UInt8[Tensor, "..."]:
    """[-1, 1] -> 0..255, rounded to the nearest and clipped."""
    levels = (image.detach().cpu().float() + 1) * 127.5
    return levels.round().clamp(0, 255).to(torch.uint8)


def from_integers(array: np.ndarray) -> Float[Tensor, "C H W"]:
    """(H, W, C) of uint8 or uint16 -> [-1, 1], float32."""
    values = torch.from_numpy(array.astype(np.float32)).permute(2, 0, 1)
    return values / (np.iinfo(array.dtype).max / 2) - 1


def to_integers(image: Float[Tensor, "C H W"], depth: np.dtype) -> np.ndarray:
    """[-1, 1] -> (H, W, C) of uint8 or uint16, rounded to the nearest and clipped."""
    top = np.iinfo(depth).max
    levels = (image.permute(1, 2, 0) + 1) * (top / 2)
    return levels.round_().clamp_(0, top).numpy().astype(depth)


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


def _shown(array: np.ndarray, channels: int | None) -> Float[Tensor, "C H W"]:
    image = from_integers(array)
    if len(image) in (2, 4):
        image = on_white(image[:-1], image[-1:])
    if channels == 1 and len(image) == 3:
        image = luma(image)
    return image if channels is None else image.expand(channels, -1, -1)


# Decoding -----------------------------------------------------------------------------


def _name(source: Source) -> str:
    return "standard input" if isinstance(source, bytes) else str(source)


def _decode(source: Source, name: str = "") -> tuple[np.ndarray, dict[str, Any], int]:
    """(h, w, 1 to 4) of uint8 or uint16, upright; what the file carries; how many
    pictures it holds. Everything that can be wrong with a file is told here.
    """
    try:
        with _large_ones_allowed(), Image.open(_stream(source)) as opened:
            frames = getattr(opened, "n_frames", 1)
            array, picture = _integers(source, opened)
            exif = opened.getexif()
            upright = _upright(array, exif.get(ORIENTATION, 1))
            return upright, _carried(picture.info, exif), frames
    # a damaged file makes the libraries raise nearly anything: struct.error,
    # SyntaxError, IndexError...
    except Exception as error:
        told = getattr(error, "strerror", None) or str(error).rstrip(".")
        if isinstance(error, Image.UnidentifiedImageError):
            told = "no known picture format"
        raise ValueError(
            f"{name or _name(source)} could not be read as a picture"
            f" ({told or type(error).__name__})"
        ) from error


@contextlib.contextmanager
def _large_ones_allowed() -> Iterator[None]:
    """Pillow refuses pictures of more than 89 million pixels, which a result of ours
    can have. Those who want less lower Image.MAX_IMAGE_PIXELS. Pillow's remarks on a
    damaged file are kept quiet, since they do not name it.
    """
    usual = Image.MAX_IMAGE_PIXELS
    if usual == PILLOWS_LIMIT:
        Image.MAX_IMAGE_PIXELS = LARGEST
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = usual


def _stream(source: Source) -> io.BytesIO | str | Path:
    return io.BytesIO(source) if isinstance(source, bytes) else source


def _integers(
    source: Source, opened: ImageFile.ImageFile
) -> tuple[np.ndarray, Image.Image]:
    """(h, w) or (h, w, 1 to 4) as it is stored, and the picture whose profile belongs
    to it.
    """
    deep = _deep_colours(source, opened)
    if deep is not None:
        return deep, opened

    opened.load()
    picture: Image.Image = opened
    if picture.mode.startswith(("I", "F")):
        return _deep_grey(np.asarray(picture)), picture
    if picture.has_transparency_data:
        grey = picture.mode in ("1", "L", "LA", "La")
        picture = picture.convert("LA" if grey else "RGBA")
    elif picture.mode == "1":
        picture = picture.convert("L")
    elif picture.mode not in ("L", "RGB"):
        picture = _to_rgb(picture)
    return np.asarray(picture), picture


def _deep_colours(source: Source, opened: ImageFile.ImageFile) -> np.ndarray | None:
    """The pixels of a 16-bit PNG, or of a TIFF with 16-bit colours whose alpha, if any,
    they are not multiplied by; None for other files.
    """
    if isinstance(opened, PngImagePlugin.PngImageFile):
        import imagecodecs

        if ";16" not in str(opened.tile[0].args):
            return None
        whole = source if isinstance(source, bytes) else Path(source).read_bytes()
        return imagecodecs.png_decode(whole)

    if isinstance(opened, TiffImagePlugin.TiffImageFile):
        import tifffile

        if opened.mode not in ("RGB", "RGBA") or opened.tag_v2[258][0] != 16:
            return None
        with tifffile.TiffFile(_stream(source)) as tiff:
            page = tiff.pages.first
            if page.extrasamples not in ((), (tifffile.EXTRASAMPLE.UNASSALPHA,)):
                return None
            array = page.asarray()
            return array if page.axes == "YXS" else array.transpose(1, 2, 0)
    return None


def _upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """(h, w, channels), turned as EXIF tells."""
    array = array.reshape(*array.shape[:2], -1)
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return array


def _deep_grey(values: np.ndarray) -> np.ndarray:
    """Grey of 16 or 32 bits or of floats -> uint16. Floats go up to 1 if none is
    larger; whole numbers up to 255 are taken for 8 bits.
    """
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        return values.astype(np.uint16)
    largest, top = values.max(initial=0), 255
    if largest > 255:
        top = 65535
    elif values.dtype == np.float32 and largest <= 1:
        top = 1
    return np.rint(np.nan_to_num(values).clip(0, top) * (65535 / top)).astype(np.uint16)


def _to_rgb(picture: Image.Image) -> Image.Image:
    """RGB from CMYK, Lab and what else there is; by the file's own profile if it has
    one. The profile is then used up.
    """
    profile, converted = picture.info.get("icc_profile"), None
    if profile and picture.mode in ("CMYK", "LAB"):
        # a broken profile: Pillow's own conversion is better than none
        with contextlib.suppress(ImageCms.PyCMSError):
            own, sRGB = io.BytesIO(profile), ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(picture, own, sRGB, outputMode="RGB")

    converted = converted or picture.convert("RGB")
    converted.info = {**picture.info}
    if picture.mode not in ("P", "PA", "RGBX"):
        converted.info.pop("icc_profile", None)
    return converted


# What a file carries besides its pixels -----------------------------------------------


def _carried(info: dict[Any, Any], exif: Image.Exif) -> dict[str, Any]:
    dpi = tuple(map(float, info.get("dpi", ())))
    found = {
        "icc_profile": info.get("icc_profile"),
        "exif": _kept(exif),
        "dpi": dpi if all(0 < side < 1e6 for side in dpi) else None,
        "gamma": info.get("gamma"),
        "chromaticity": info.get("chromaticity"),
    }
    carried = {name: value for name, value in found.items() if value}
    if "srgb" in info and "icc_profile" not in carried:  # a PNG has one of the two
        carried["srgb"] = info["srgb"]
    return carried


def _kept(old: Image.Exif) -> bytes:
    """Who took the picture, when, where and how; without the orientation, the sizes and
    the preview, which would be wrong. b"" if there is nothing.
    """
    new = Image.Exif()
    for tag in KEPT_TAGS:
        if tag in old:
            new[tag] = old[tag]
    for folder in KEPT_FOLDERS:
        entries = old.get_ifd(folder)
        kept = {tag: entries[tag] for tag in entries if tag not in SIZE_TAGS}
        if kept:
            new[folder] = kept
    try:
        return new.tobytes() if len(new) else b""
    # entries that Pillow reads but cannot write: rather without them than not at all
    except Exception:
        return b""
