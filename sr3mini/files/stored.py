r"""A picture file with all that it carries: colours at their full depth, transparency,
profile, EXIF, resolution.

    read(file)          -> Picture: integers as they are stored, upright
    write_png(file, …)  from strips of rows, so that no large picture ever lies in
                        memory whole

`pictures` reads what a network is trained on: 8 bits, without transparency. This room
is for files that people get back. Pillow reads every kind of file but knows no 16-bit
colours, and writes only pictures that lie in memory; hence a PNG writer of our own.
"""

from __future__ import annotations

import contextlib
import io
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageCms, ImageFile, ImageOps

KEPT_TAGS = (
    0x010E,
    0x010F,
    0x0110,
    0x0131,
    0x0132,
    0x013B,
    0x8298,
)  # EXIF: description, maker, camera, software, time, artist, copyright
KEPT_FOLDERS = (0x8769, 0x8825)  # of the exposure, and of the place
LARGEST = (
    2**29
    # pixels that a picture may have; far below what a small file can be made to unpack
    # to
)
SIZE_TAGS = (0xA002, 0xA003)  # width and height, which change
PILLOWS_LIMIT = Image.MAX_IMAGE_PIXELS


class Picture(NamedTuple):
    """`colour` (h, w, 1 or 3), uint8 or uint16, not multiplied by alpha; `alpha` (h, w)
    of the same type, or None; `chunks`: those of PNG to carry over.
    """

    colour: np.ndarray
    alpha: np.ndarray | None
    chunks: dict[bytes, bytes]
    dpi: tuple[float, float] | None

    @property
    def size(self) -> tuple[int, int]:
        """(h, w)"""
        return self.colour.shape[0], self.colour.shape[1]


def read(source: Path | bytes) -> Picture:
    """A picture file, or the bytes of one, of any kind that Pillow reads: upright,
    palettes looked up, CMYK turned to sRGB, the first frame of many.

    16 bits stay 16, in grey and, of PNG and TIFF, in colour; floats become 16 bits.
    ValueError, in one sentence, when it is missing or no picture.
    """
    name = "standard input" if isinstance(source, bytes) else str(source)
    if isinstance(source, Path) and not source.exists():
        raise ValueError(f"{name} does not exist")
    if isinstance(source, Path) and source.is_dir():
        raise ValueError(f"{name} is a folder, not a picture")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # Pillow's remarks on a damaged file do not name it; the error below does
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with (
                _large_ones_allowed(),
                Image.open(
                    io.BytesIO(source) if isinstance(source, bytes) else source
                ) as opened,
            ):
                frames = getattr(opened, "n_frames", 1)
                array, picture = _array(source, opened)
            chunks, dpi = _chunks(picture), picture.info.get("dpi")
    # a damaged file makes Pillow raise nearly anything: struct.error, SyntaxError,
    # IndexError...
    except Exception as error:
        reason = (
            "no known picture format"
            if isinstance(error, Image.UnidentifiedImageError)
            else str(error).rstrip(".") or type(error).__name__
        )
        raise ValueError(f"{name} could not be read as a picture ({reason})") from error
    if frames > 1:
        warnings.warn(
            f"{name} holds {frames} pictures; the first is taken", stacklevel=2
        )
    transparent = array.shape[2] in (2, 4)
    colour, alpha = (array[..., :-1], array[..., -1]) if transparent else (array, None)
    return Picture(
        colour,
        alpha,
        chunks,
        (
            (float(dpi[0]), float(dpi[1]))
            if dpi and all(0 < side < 1e6 for side in dpi)
            else None
        ),
    )


@contextlib.contextmanager
def _large_ones_allowed() -> Iterator[None]:
    """Pillow refuses pictures of more than 89 million pixels, which a result of ours
    can have. Those who want less lower Image.MAX_IMAGE_PIXELS.
    """
    usual = Image.MAX_IMAGE_PIXELS
    if usual == PILLOWS_LIMIT:
        Image.MAX_IMAGE_PIXELS = LARGEST
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = usual


def write_png(
    file: io.BufferedIOBase,
    strips: Iterable[np.ndarray],
    size: tuple[int, int],
    channels: int,
    depth: int,
    chunks: dict[bytes, bytes] | None = None,
) -> None:
    """Write a PNG of `size` (h, w) from strips (n, w, channels) from top to bottom;
    `depth` 8 or 16 bits, `channels` 1 to 4, the even ones with alpha.

    Each row is stored as its difference from a neighbour: of Sub, Up and Paeth the one
    with the smallest sum (the PNG specification's section 12.8).
    """
    height, width = size
    step, above = (
        channels * depth // 8,
        np.zeros(width * channels * depth // 8, np.uint8),
    )
    deflate = zlib.compressobj(6, strategy=zlib.Z_FILTERED)
    file.write(b"\x89PNG\r\n\x1a\n")
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    _chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    for name, content in (chunks or {}).items():
        _chunk(file, name, content)
    for lines in _lines(strips, depth, len(above)):
        packed = deflate.compress(_filtered(lines, above, step).tobytes())
        if packed:
            _chunk(file, b"IDAT", packed)
        above = lines[-1]
    _chunk(file, b"IDAT", deflate.flush())
    _chunk(file, b"IEND", b"")


def resolution(dpi: tuple[float, float]) -> bytes:
    """The content of PNG's pHYs chunk: pixels a metre."""
    return struct.pack(">IIB", *(round(side / 0.0254) for side in dpi), 1)


def _chunk(file: io.BufferedIOBase, name: bytes, content: bytes) -> None:
    file.write(struct.pack(">I", len(content)) + name)
    file.write(content)
    file.write(struct.pack(">I", zlib.crc32(content, zlib.crc32(name))))


def _lines(
    strips: Iterable[np.ndarray], depth: int, length: int
) -> Iterator[np.ndarray]:
    """The strips as bytes (n, length), about a megabyte at a time."""
    for strip in strips:
        lines = (
            np.ascontiguousarray(strip, dtype=">u2" if depth == 16 else np.uint8)
            .view(np.uint8)
            .reshape(-1, length)
        )
        count = max(1, 2**20 // length)
        yield from (lines[row : row + count] for row in range(0, len(lines), count))


def _filtered(lines: np.ndarray, above: np.ndarray, step: int) -> np.ndarray:
    up = np.vstack([above[None], lines[:-1]])
    left, corner = np.zeros_like(lines), np.zeros_like(lines)
    left[:, step:], corner[:, step:] = lines[:, :-step], up[:, :-step]
    a, b, c = (each.astype(np.int16) for each in (left, up, corner))
    to_left, to_up, to_corner = abs(b - c), abs(a - c), abs(a + b - 2 * c)
    paeth = np.where(
        (to_left <= to_up) & (to_left <= to_corner),
        left,
        np.where(to_up <= to_corner, up, corner),
    )
    tried = np.stack([lines - left, lines - up, lines - paeth])  # modulo 256
    best = abs(tried.view(np.int8).astype(np.int16)).sum(axis=2).argmin(axis=0)
    types = np.array([1, 2, 4], np.uint8)[best]
    return np.hstack([types[:, None], tried[best, np.arange(len(lines))]])


def _array(
    source: Path | bytes, opened: ImageFile.ImageFile
) -> tuple[np.ndarray, Image.Image]:
    """(h, w, 1 to 4) as it is stored, upright, and the picture whose profile belongs to
    it.
    """
    mode = _raw_mode(opened)
    opened.load()
    picture = ImageOps.exif_transpose(opened)
    if (
        mode == "LA;16B"
    ):  # the four bytes of a pixel lie as those of RGBA do: high, low, high, low
        return _raw(source, "RGBA").view(">u2").astype(np.uint16), picture
    if mode:
        swapped = mode[:-1] + ("L" if mode.endswith("B") else "B")
        return (
            _raw(source, mode).astype(np.uint16) << 8 | _raw(source, swapped),
            picture,
        )
    if picture.mode.startswith(("I", "F")):
        return _deep_grey(np.asarray(picture))[..., None], picture
    if picture.has_transparency_data:
        picture = picture.convert(
            "LA" if picture.mode in ("1", "L", "LA", "La") else "RGBA"
        )
    elif picture.mode in ("1", "L"):
        picture = picture.convert("L")
    elif picture.mode != "RGB":
        picture = _to_rgb(picture)
    array = np.asarray(picture)
    return array.reshape(*array.shape[:2], -1), picture


def _raw_mode(picture: ImageFile.ImageFile) -> str:
    """How 16-bit colours lie in the file, such as "RGB;16B"; "" for other files."""
    if (
        not picture.tile
        or picture.mode not in ("RGB", "RGBA")
        or "transparency" in picture.info
    ):
        return ""
    arguments = picture.tile[0].args
    mode = arguments[0] if isinstance(arguments, tuple) else arguments
    return (
        mode
        if mode
        in (
            "RGB;16B",
            "RGB;16L",
            "RGB;16N",
            "RGBA;16B",
            "RGBA;16L",
            "RGBA;16N",
            "LA;16B",
        )
        else ""
    )


def _raw(source: Path | bytes, mode: str) -> np.ndarray:
    """The file read with its bytes taken in another order: Pillow keeps one byte of a
    16-bit colour, and the order says which.
    """
    with Image.open(
        io.BytesIO(source) if isinstance(source, bytes) else source
    ) as picture:
        picture.tile = [
            tile._replace(
                args=(mode, *tile.args[1:]) if isinstance(tile.args, tuple) else mode
            )
            for tile in picture.tile
        ]
        picture.load()
        return np.array(ImageOps.exif_transpose(picture))


def _deep_grey(values: np.ndarray) -> np.ndarray:
    """Grey of 16 or 32 bits or of floats -> uint16. Floats go up to 1 if none is
    larger; whole numbers up to 255 are taken for 8 bits.
    """
    if values.dtype == np.uint16:
        return values
    largest = values.max(initial=0)
    top = (
        65535
        if largest > 255
        else 1
        if values.dtype == np.float32 and largest <= 1
        else 255
    )
    return np.rint(np.nan_to_num(values).clip(0, top) * (65535 / top)).astype(np.uint16)


def _to_rgb(picture: Image.Image) -> Image.Image:
    """RGB from CMYK, Lab and what else there is; by the file's own profile if it has
    one. The profile is then used up.
    """
    profile = picture.info.get("icc_profile")
    if profile and picture.mode in ("CMYK", "LAB"):
        try:
            converted = ImageCms.profileToProfile(
                picture,
                io.BytesIO(profile),
                ImageCms.createProfile("sRGB"),
                outputMode="RGB",
            )
            assert converted is not None
            converted.info = {
                name: value
                for name, value in picture.info.items()
                if name != "icc_profile"
            }
            return converted
        except ImageCms.PyCMSError:
            pass  # a broken profile: Pillow's own conversion is better than none
    converted = picture.convert("RGB")
    if picture.mode not in ("P", "PA", "RGBX"):
        converted.info.pop("icc_profile", None)
    return converted


def _chunks(picture: Image.Image) -> dict[bytes, bytes]:
    """What a PNG carries besides its pixels: the colour space and the EXIF."""
    info: dict[Any, Any] = picture.info
    chunks = {}
    if info.get("icc_profile"):
        chunks[b"iCCP"] = b"ICC profile\0\0" + zlib.compress(info["icc_profile"])
    elif "srgb" in info:
        chunks[b"sRGB"] = bytes([info["srgb"]])
    if info.get("gamma"):
        chunks[b"gAMA"] = struct.pack(">I", round(info["gamma"] * 100_000))
    if len(info.get("chromaticity", ())) == 8:
        chunks[b"cHRM"] = struct.pack(
            ">8I", *(round(value * 100_000) for value in info["chromaticity"])
        )
    exif = _exif(picture)
    return chunks | ({b"eXIf": exif} if exif else {})


def _exif(picture: Image.Image) -> bytes:
    """Who took the picture, when, where and how; without the orientation, the sizes and
    the preview, which would be wrong. b"" if there is nothing.
    """
    old, new = picture.getexif(), Image.Exif()
    for tag in KEPT_TAGS:
        if tag in old:
            new[tag] = old[tag]
    for folder in KEPT_FOLDERS:
        entries = {
            tag: value
            for tag, value in old.get_ifd(folder).items()
            if tag not in SIZE_TAGS
        }
        if entries:
            new[folder] = entries
    try:
        return new.tobytes().removeprefix(b"Exif\0\0") if len(new) else b""
    # entries that Pillow reads but cannot write: rather without them than not at all
    except Exception:
        return b""
