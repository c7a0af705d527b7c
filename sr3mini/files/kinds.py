r"""Which files are pictures: all that Pillow and tifffile open, whatever their names.

is_picture(path)   by its ending, or, where that tells nothing, by its first bytes
advice(head)       what a file that is none seems to be, and what to do with it
"""

from __future__ import annotations

import io
import warnings
from functools import cache
from pathlib import Path
from typing import NamedTuple

from PIL import Image

# PostScript would be handed to another program; WMF is for Windows; FITS is read
# without its scale; of the others Pillow knows nothing but the name
NOT_READ = {"EPS", "WMF", "FITS", "BUFR", "GRIB", "HDF5", "MPEG", "IPTC"}
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
HEAD = 132  # bytes that tell what a file is


class Foreign(NamedTuple):
    """What is often kept beside pictures and is none to this reader."""

    advice: str
    endings: tuple[str, ...]
    signatures: tuple[bytes, ...]
    place: int = 0  # of the signatures


FOREIGN = (
    Foreign(
        "HEIC: convert it to PNG or JPEG, such as by heif-convert",
        (".heic", ".heif", ".hif"),
        (b"ftypheic", b"ftypheix", b"ftyphev", b"ftypmif1", b"ftypmsf1"),
        4,
    ),
    Foreign(
        "DICOM: write its pixels as TIFF, with pydicom and tifffile, and pass --range",
        (".dcm", ".dicom"),
        (b"DICM",),
        128,
    ),
    Foreign(
        "NumPy: write the array as TIFF, tifffile.imwrite(name, array), and pass"
        " --range",
        (".npy", ".npz"),
        (b"\x93NUMPY",),
    ),
    Foreign(
        "FITS: write its pixels as TIFF, with astropy and tifffile, and pass --range",
        (".fits", ".fit", ".fts"),
        (b"SIMPLE  =",),
    ),
    Foreign(
        "a drawing or document: turn it into PNG first",
        (".eps", ".ps", ".pdf", ".svg"),
        (b"%!PS", b"%PDF", b"<svg", b"<?xml"),
    ),
    Foreign(
        "JPEG XL: convert it to PNG, such as by djxl",
        (".jxl",),
        (b"\xff\x0a", b"\0\0\0\x0cJXL "),
    ),
    Foreign(
        "high dynamic range: write it as a TIFF of floats and pass --range",
        (".exr", ".hdr"),
        (b"\x76\x2f\x31\x01", b"#?RADIANCE"),
    ),
)


@cache
def formats(ending: str = "") -> tuple[str, ...]:
    """The formats that Pillow may read here, by its names: those without a signature,
    which would take anything, only for a file with the `ending` of one.
    """
    Image.init()
    own = Image.EXTENSION.get(ending)
    signed = (name for name, (_, accept) in Image.OPEN.items() if accept or name == own)
    return tuple(name for name in signed if name not in NOT_READ)


@cache
def endings() -> frozenset[str]:
    """The endings, in small letters, that those formats have."""
    known = Image.registered_extensions()
    return frozenset(ending for ending in known if known[ending] in formats(ending))


def is_picture(path: Path) -> bool:
    """Whether a file is to be read: one with the ending of a picture always, so that a
    damaged one is named; any other if its first bytes are those of a picture.
    """
    if path.suffix.lower() in endings():
        return True
    try:
        with path.open("rb") as file:
            return file.read(4) in TIFF or _opens(file)
    except OSError:
        return False


def _opens(file: io.BufferedReader) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Image.open(file, formats=formats())
    except Image.UnidentifiedImageError:
        return False
    except Exception:  # a picture, and a damaged one
        return True
    return True


def advice(head: bytes, ending: str = "") -> str:
    """What a file seems to be that is no picture, by its first bytes or its ending, and
    what to do with it; "" if it is unknown.
    """
    for kind in FOREIGN:
        if ending in kind.endings or head[kind.place :].startswith(kind.signatures):
            return kind.advice
    return ""
