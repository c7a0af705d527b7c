"""Layouts of pixels that a reader may drop or twist: read right, or refused by name."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image
from tiny import numbers, png

from sr3mini.files.reading import PictureFile, read

GREY, COLOUR = numbers(1, 16)[..., 0], numbers(3, 16)
ALPHA = numbers(4, 16)


def tiff(values: np.ndarray, **how: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, values, **how)
    return file.getvalue()


def pages(*several: tuple[np.ndarray, dict[str, Any]]) -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for values, how in several:
            writer.write(values, **how)
    return file.getvalue()


def separate(values: np.ndarray, **how: Any) -> bytes:
    planes = np.ascontiguousarray(np.moveaxis(values, 2, 0))
    return tiff(planes, planarconfig="separate", **how)


def whole(picture: PictureFile) -> np.ndarray:
    alpha = () if picture.alpha is None else (picture.alpha,)
    return np.dstack([picture.colour, *alpha])


def with_clear(file: bytes, *levels: int) -> bytes:
    """A PNG whose chunk tRNS, behind IHDR, tells which colour is clear."""
    content = b"tRNS" + struct.pack(f">{len(levels)}H", *levels)
    size, check = struct.pack(">I", 2 * len(levels)), zlib.crc32(content)
    return file[:33] + size + content + struct.pack(">I", check) + file[33:]


SPARSE = np.where(GREY < 30_000, 7, GREY).astype(np.uint16)
RIGHT: dict[str, tuple[bytes, np.ndarray]] = {
    "planes of 8 bits": (separate(numbers(3, 8), photometric="rgb"), numbers(3, 8)),
    "planes with transparency": (
        separate(ALPHA, photometric="rgb", extrasamples=["unassalpha"]),
        ALPHA,
    ),
    "planes in tiles": (separate(COLOUR, photometric="rgb", tile=(16, 16)), COLOUR),
    "0 is white, 16 bits": (tiff(GREY, photometric="miniswhite"), 65535 - GREY),
    "0 is white, 8 bits": (
        tiff(numbers(1, 8)[..., 0], photometric="miniswhite"),
        255 - numbers(1, 8)[..., 0],
    ),
    "0 is white, compressed": (
        tiff(GREY, photometric="miniswhite", compression="zlib", predictor=True),
        65535 - GREY,
    ),
    "grey with transparency": (
        tiff(ALPHA[..., :2], photometric="minisblack", extrasamples=["unassalpha"]),
        ALPHA[..., :2],
    ),
    "BigTIFF": (tiff(COLOUR, photometric="rgb", bigtiff=True), COLOUR),
    "big end first": (tiff(GREY, byteorder=">"), GREY),
    "12 bits packed": (tiff(GREY >> 4, bitspersample=12), GREY >> 4),
    "an overview behind": (
        pages((GREY, {}), (GREY[::2, ::2], {"subfiletype": 1})),
        GREY,
    ),
    "JPEG 2000, grey": (bytes(imagecodecs.jpeg2k_encode(GREY)), GREY),
    "JPEG 2000, 12 bits": (
        bytes(imagecodecs.jpeg2k_encode(GREY >> 4, bitspersample=12)),
        GREY >> 4,
    ),
    "PNG, 16 bits, a clear grey": (
        with_clear(png(SPARSE[..., None]), 7),
        np.dstack([SPARSE, np.where(SPARSE == 7, 0, 65535)]),
    ),
    "PNG, 16 bits, a clear colour": (
        with_clear(png(np.dstack([SPARSE] * 3)), 7, 7, 7),
        np.dstack([SPARSE] * 3 + [np.where(SPARSE == 7, 0, 65535)]),
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_layout_that_is_read_whole(name: str) -> None:
    file, values = RIGHT[name]
    read_now = whole(read(file))
    assert read_now.dtype in (np.uint8, np.uint16)
    assert np.array_equal(read_now, values.reshape(read_now.shape))


REFUSED: dict[str, tuple[bytes, str]] = {
    "bands after each other": (
        separate(numbers(3, 16), photometric="minisblack"),
        "holds 3 channels, 2 of which are neither colours nor transparency",
    ),
    "five bands in a pixel": (
        tiff(np.dstack([COLOUR, COLOUR[..., :2]]), photometric="rgb"),
        "holds 5 channels, 2 of which",
    ),
    "a fourth channel of no stated meaning": (
        tiff(ALPHA, photometric="rgb", extrasamples=["unspecified"]),
        "holds 4 channels, 1 of which",
    ),
    "the same with 8 bits": (
        tiff(numbers(4, 8), photometric="rgb", extrasamples=["unspecified"]),
        "holds 4 channels, 1 of which",
    ),
    "CMYK of 16 bits": (
        tiff(ALPHA, photometric="separated"),
        "holds 4 channels of 16 bits as SEPARATED",
    ),
    "CMYK and a spot colour": (
        tiff(
            np.dstack([numbers(4, 8), numbers(1, 8)]),
            photometric="separated",
            extrasamples=["unspecified"],
        ),
        "holds 5 channels of 8 bits as SEPARATED",
    ),
    "complex numbers": (tiff(GREY.astype(np.complex64)), "numbers of an unknown kind"),
    "transparent floats": (
        tiff(ALPHA / np.float32(65535), photometric="rgb", extrasamples=[2]),
        "holds transparency in 32 bits",
    ),
    "0 is white, signed": (
        tiff(GREY.astype(np.int16), photometric="miniswhite"),
        "holds int16 with 0 as white",
    ),
    "a stack of pages": (pages((GREY, {}), (GREY, {})), "holds 2 pictures, a stack"),
    "a stack of ImageJ": (tiff(np.stack([GREY] * 7), imagej=True), "holds 7 pictures"),
    "a volume": (tiff(np.stack([GREY] * 5), volumetric=True), "holds 5 pictures"),
    "a mask behind": (
        pages((GREY, {}), (GREY > 9, {"subfiletype": 4})),
        "holds 2 pictures",
    ),
    "a preview before the picture": (
        pages((GREY[::4, ::4], {"subfiletype": 1}), (GREY, {})),
        "begins with a preview of 5x6",
    ),
    "a camera's raw file": (
        pages((GREY[::4, ::4], {"subifds": 1, "subfiletype": 1}), (GREY, {})),
        "begins with a preview of 5x6 .*: develop it first",
    ),
    "raw pixels of a camera": (
        tiff(GREY, photometric="cfa"),
        "holds 1 channels of 16 bits as CFA",
    ),
    "PPM of 16 bits": (b"P6 1 1 65535\n" + bytes(range(6)), "more than 8 bits"),
    "plain PPM of 10 bits": (b"P3 1 1 1023\n1 2 3\n", "more than 8 bits"),
    "JPEG 2000, colours of 16 bits": (
        bytes(imagecodecs.jpeg2k_encode(COLOUR)),
        "JPEG2000 with more than 8 bits",
    ),
    "AVIF of 10 bits": (
        bytes(
            imagecodecs.avif_encode(np.ascontiguousarray(COLOUR >> 6), bitspersample=10)
        ),
        "AVIF with more than 8 bits",
    ),
    "SGI of 16 bits": (
        struct.pack(">HBBHHHHii", 474, 0, 2, 3, 2, 2, 3, 0, 65535).ljust(512, b"\0")
        + bytes(24),
        "SGI with more than 8 bits",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_layout_that_would_lose_something_is_named(name: str) -> None:
    file, sentence = REFUSED[name]
    with pytest.raises(ValueError, match=sentence) as told:
        read(file)
    assert str(told.value).startswith("standard input ")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float64])
def test_a_tiff_is_turned_upright_whoever_reads_it(
    orientation: int, dtype: type
) -> None:
    values = (np.arange(12).reshape(3, 4) * 20).astype(dtype)
    stored = tiff(values, extratags=[(274, "H", 1, orientation, True)])
    turned = {1: 0, 3: 2, 6: -1, 8: 1}[orientation]
    read_now = read(stored, (0.0, 220.0)).colour[..., 0]
    assert np.array_equal(read_now, np.rot90(values, turned))


# Files that are none, or carry too much -----------------------------------------------


def test_pipes_and_devices_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", Path("/dev/zero"), Path("/dev/null")):
        with pytest.raises(ValueError, match="is no regular file"):
            read(path)


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "a drawing or document"),
        (b"\0\0\0\x18ftypheic" + bytes(99), "HEIC: convert it"),
        (bytes(128) + b"DICM" + bytes(99), "DICOM: write its pixels as TIFF"),
        (b"\x93NUMPY\1\0" + bytes(99), "NumPy: write the array as TIFF"),
        (b"SIMPLE  =                    T" + bytes(99), "FITS: write its pixels"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(99), "JPEG XL: convert it"),
        (b"\x76\x2f\x31\x01" + bytes(99), "high dynamic range: write it"),
        (b"shopping list", "no known picture format"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else value.split(":")[0],
)
def test_what_is_no_picture_is_named_whatever_it_is_called(
    content: bytes, advice: str, tmp_path: Path
) -> None:
    (tmp_path / "cat.jpg").write_bytes(content)
    with pytest.raises(ValueError, match=rf"cat\.jpg could not .* \({advice}"):
        read(tmp_path / "cat.jpg")


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0" + bytes(40),
        b"Exif\0\0XX*\0\x08\0\0\0",
        b"Exif\0\0II*\0\xff\xff\xff\x7f",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x09" + bytes(20),
        b"Exif\0\0" + bytes(range(256)),
        b"Exif\0\0II*\0\x08\0\0\0\1\0\x69\x87\4\0\1\0\0\0\xff\0\0\0\0\0\0\0",
    ],
)
@pytest.mark.filterwarnings("ignore:.* has EXIF that cannot be read")
def test_damaged_exif_costs_no_picture(exif: bytes) -> None:
    file = io.BytesIO()
    Image.fromarray(numbers(3, 8)).save(file, "jpeg")
    content = file.getvalue()
    with_exif = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    assert read(content[:2] + with_exif + content[2:]).size == (23, 17)


def test_what_no_file_of_ours_can_carry_is_left_out_with_a_word() -> None:
    file = io.BytesIO()
    picture = Image.fromarray(numbers(3, 8))
    picture.save(file, "tiff", icc_profile=os.urandom(2**20 + 1))
    with pytest.warns(UserWarning, match="has a larger icc_profile than"):
        carried = read(file.getvalue()).carried
    assert "icc_profile" not in carried
    exif = Image.Exif()
    exif[0x010E] = "a" * 65_500
    picture.save(file := io.BytesIO(), "png", exif=exif)
    with pytest.warns(UserWarning, match="has a larger exif than"):
        carried = read(file.getvalue()).carried
    assert "exif" not in carried
    for dpi in ((7e5, 7e5), (4e9, 4e9)):  # a resolution times a factor of 1000
        assert read(png(numbers(3, 8), dpi=dpi)).carried == {}


def test_an_endless_standard_input_is_not_waited_for(tmp_path: Path) -> None:
    code = "import sys; from sr3mini.cli import main; here = 'sr3mini.cli.upscale';"
    code += " sys.modules[here].LARGEST_INPUT = 10**6;"
    code += " main(['upscale', '-', '--model', 'glyphs_8_32'])"
    with open("/dev/zero", "rb") as endless:
        done = subprocess.run(
            [sys.executable, "-c", code],
            stdin=endless,
            capture_output=True,
            timeout=300,
        )
    assert done.returncode == 2
    assert b"standard input does not end after 1000000 bytes" in done.stderr
