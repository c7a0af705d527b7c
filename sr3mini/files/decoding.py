r"""From the bytes of a picture file to its pixels, as they are stored.

Pillow knows every kind of file, but of 16-bit colours it keeps 8 bits, and of TIFF it
drops and twists more: PNG with 16 bits imagecodecs reads, TIFF tifffile. What none of
them reads whole is refused.
"""

from __future__ import annotations

import contextlib
import io
import stat
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageCms, ImageFile

from .kinds import HEAD, TIFF, advice, formats
from .ranges import Range, Unfit, bounds_of, outside, told
from .tiff import LARGEST, Pixels, tiff_pixels

Source = str | Path | bytes  # a file, or what is in one
Stream = io.BytesIO | io.BufferedReader
PILLOWS_LIMIT = Image.MAX_IMAGE_PIXELS

# EXIF: description, maker, camera, software, time, artist, copyright
KEPT_TAGS = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)
KEPT_FOLDERS = (0x8769, 0x8825)  # of the exposure, and of the place
SIZE_TAGS = (0xA002, 0xA003)  # width and height, which change
ORIENTATION = 0x0112
MOST = {"icc_profile": 2**20, "exif": 65_000}  # bytes that PNG and JPEG can carry


class Decoded(NamedTuple):
    """`array` (h, w, 1 to 4), as stored and upright, alpha last; `bounds`: its black
    and white; `carried`: what the file holds besides; `remarks`: sentences on what was
    left out.
    """

    array: np.ndarray
    bounds: Range
    carried: dict[str, Any]
    remarks: list[str]


def decode(source: Source, name: str = "", given: Range | None = None) -> Decoded:
    """A picture file, whose black and white may be given. Everything that can be wrong
    with one is told here, in a ValueError that names it.
    """
    name = name or named(source)
    try:
        with _opened(source) as stream:
            return _decoded(stream, given)
    except Unfit as error:
        error.args = (f"{name} {error}",)
        raise
    # a damaged file makes the libraries raise nearly anything: struct.error,
    # SyntaxError, IndexError...
    except Exception as error:
        raise ValueError(
            f"{name} could not be read as a picture ({_reason(error, source)})"
        ) from error


def size_of(source: Source) -> tuple[int, int]:
    """(h, w) of a picture file, from its first bytes; (1, 1) where they do not tell,
    which `decode` then will.
    """
    try:
        with _opened(source) as stream, _pillow(stream) as opened:
            return opened.height, opened.width
    except Exception:
        return 1, 1


def named(source: Source) -> str:
    """What errors call it."""
    return "standard input" if isinstance(source, bytes) else str(source)


def _reason(error: Exception, source: Source) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        head = source[:HEAD] if isinstance(source, bytes) else b""
        if not isinstance(source, bytes):
            with contextlib.suppress(OSError), open(source, "rb") as file:
                head = file.read(HEAD)
        return advice(head) or "no known picture format"
    told = getattr(error, "strerror", None) or str(error).rstrip(".")
    return " ".join(told.split()) or type(error).__name__


@contextlib.contextmanager
def _opened(source: Source) -> Iterator[Stream]:
    """The file, which is to be a regular one: a pipe or a device may never end."""
    if isinstance(source, bytes):
        yield io.BytesIO(source)
        return
    kind = Path(source).stat().st_mode
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        raise Unfit("is no regular file; a pipe is read as -, standard input")
    with Path(source).open("rb") as file:
        yield file


@contextlib.contextmanager
def _pillow(stream: Stream) -> Iterator[ImageFile.ImageFile]:
    """A picture as Pillow opens it, before a pixel is decoded.

    Pillow refuses pictures of more than 89 million pixels, which a result of ours can
    have. Those who want less lower Image.MAX_IMAGE_PIXELS. Pillow's remarks on a
    damaged file are kept quiet, since they do not name it.
    """
    usual = Image.MAX_IMAGE_PIXELS
    if usual == PILLOWS_LIMIT:
        Image.MAX_IMAGE_PIXELS = LARGEST
    ending = Path(getattr(stream, "name", "")).suffix.lower()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            stream.seek(0)
            with Image.open(stream, formats=formats(ending)) as opened:
                yield opened
    finally:
        Image.MAX_IMAGE_PIXELS = usual


def _decoded(stream: Stream, given: Range | None) -> Decoded:
    remarks: list[str] = []
    pixels = tiff_pixels(stream) if stream.read(4) in TIFF else None
    if pixels is not None:
        info, kept = _beside(stream)
    else:
        with _pillow(stream) as opened:
            _demand_whole(opened, stream)
            if opened.format not in ("TIFF", "PSD"):  # of which it counts the layers
                frames = getattr(opened, "n_frames", 1)
                if frames > 1:
                    remarks.append(f"holds {frames} pictures; the first is taken")
            array, stated, info = _stored(opened, stream)
            orientation, kept = _exif(opened)
            pixels = Pixels(array, orientation, stated)

    array = _upright(pixels.array, pixels.orientation)
    colour = array if array.shape[2] in (1, 3) else array[..., :-1]
    bounds = bounds_of(colour, given, pixels.stated)
    if given is not None and (share := outside(colour, given)):
        remarks.append(f"has {share:.2%} of its values cut to {told(given)}")
    carried = _carried(info, kept, remarks)
    return Decoded(array, bounds, carried, remarks)


# Pixels -------------------------------------------------------------------------------


def _demand_whole(opened: ImageFile.ImageFile, stream: Stream) -> None:
    """ValueError for numbers of which Pillow would keep 8 bits, or lose the sign."""
    kind, deep = opened.format, False
    how = str(opened.tile[:1])
    if kind in ("JPEG2000", "AVIF"):
        deep = _codec_bits(kind, stream) > (16 if opened.mode == "I;16" else 8)
    elif opened.mode in ("L", "RGB", "RGBA") and kind in ("SGI", "DDS"):
        deep = any(mark in how for mark in ("SGI16", ";16", "BC6"))
    elif opened.mode == "RGB" and kind == "PPM":
        deep = _maxval(opened) > 255
    if deep:
        raise Unfit(
            f"is {kind} with more than 8 bits a channel, of which some would be lost:"
            " convert it to PNG or TIFF with 16"
        )


def _maxval(opened: ImageFile.ImageFile) -> int:
    """The white that a PPM or PGM states."""
    args = opened.tile[0].args
    if isinstance(args, tuple):
        return int(args[1])
    return 65_535 if opened.mode == "I" else 255


def _codec_bits(kind: str, stream: Stream) -> int:
    """The bits of the deepest channel; 17 for signed numbers."""
    place = stream.tell()
    stream.seek(0)
    content = stream.read()
    stream.seek(place)
    if kind == "AVIF":
        return 10 if content[content.index(b"av1C") + 6] & 0x40 else 8
    sizes = content.index(b"\xff\x4f\xff\x51") + 40  # ISO 15444-1, A.5.1
    channels = int.from_bytes(content[sizes : sizes + 2])
    depths = content[sizes + 2 : sizes + 2 + 3 * channels : 3]
    return 17 if max(depths) > 127 else max(depths) + 1


def _stored(
    opened: ImageFile.ImageFile, stream: Stream
) -> tuple[np.ndarray, Range | None, dict[Any, Any]]:
    """(h, w) or (h, w, 1 to 4) as it is stored, the range that its file states, and
    what belongs to it besides.
    """
    if opened.format == "PNG" and ";16" in str(opened.tile[0].args):
        import imagecodecs

        place = stream.tell()
        stream.seek(0)
        whole = stream.read()
        stream.seek(place)
        return imagecodecs.png_decode(whole), None, opened.info

    scaled = _scaled(opened, stream)
    opened.load()
    picture: Image.Image = opened
    if picture.mode.startswith(("I", "F")):
        array = np.asarray(picture)
        if scaled is not None:
            scale, white = scaled
            array = np.rint(array / scale).astype(np.uint16)
            return array, (0.0, float(white)), opened.info
        if ";16" in picture.mode:
            array = array.astype(np.uint16)
        return array, None, opened.info
    if picture.has_transparency_data:
        grey = picture.mode in ("1", "L", "LA", "La")
        picture = picture.convert("LA" if grey else "RGBA")
    elif picture.mode == "1":
        picture = picture.convert("L")
    elif picture.mode not in ("L", "RGB"):
        picture = _to_rgb(picture)
    return np.asarray(picture), None, picture.info


def _scaled(opened: ImageFile.ImageFile, stream: Stream) -> tuple[float, int] | None:
    """By how much Pillow scales a deep PGM or JPEG 2000 to fill 16 bits, and the white
    that the file states; None for what it does not scale.
    """
    if (opened.format, opened.mode) == ("PPM", "I"):
        white = _maxval(opened)
        return 65_535 / white, white
    if (opened.format, opened.mode) == ("JPEG2000", "I;16"):
        bits = _codec_bits("JPEG2000", stream)
        return None if bits == 16 else (2.0 ** (16 - bits), 2**bits - 1)
    return None


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


# What a file carries besides its pixels -----------------------------------------------


def _beside(stream: Stream) -> tuple[dict[Any, Any], bytes | None]:
    """What a TIFF carries, where Pillow can open it."""
    try:
        with _pillow(stream) as opened:
            return opened.info, _exif(opened)[1]
    except Exception:
        return {}, b""


def _carried(
    info: dict[Any, Any], exif: bytes | None, remarks: list[str]
) -> dict[str, Any]:
    """By Pillow's names; a remark for each that is damaged or too large to be kept."""
    if exif is None:
        remarks.append("has EXIF that cannot be read; it is left out")
    dpi = tuple(map(float, info.get("dpi", ())))
    found = {
        "icc_profile": info.get("icc_profile"),
        "exif": exif,
        "dpi": dpi if all(0 < side < 1e6 for side in dpi) else None,
        "gamma": info.get("gamma"),
        "chromaticity": info.get("chromaticity"),
    }
    carried = {name: value for name, value in found.items() if value}
    for name, most in MOST.items():
        if len(carried.get(name, b"")) > most:
            del carried[name]
            remarks.append(f"has a larger {name} than a file can carry; it is left out")
    if "srgb" in info and "icc_profile" not in carried:  # a PNG has one of the two
        carried["srgb"] = info["srgb"]
    return carried


def _exif(opened: Image.Image) -> tuple[int, bytes | None]:
    """How the picture is to be turned, and what is kept of its EXIF; None instead of
    what cannot be read or written.
    """
    orientation = 1
    try:
        exif = opened.getexif()
        orientation = exif.get(ORIENTATION, 1)
        return orientation, _kept(exif)
    except Exception:
        return orientation, None


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
    return new.tobytes() if len(new) else b""
