r"""Public sets of pictures, fetched from their owners' own addresses, or, where these
hand nothing to a program, how to get them by hand.

fetch("clothing", folder)     download, check, unpack
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

from tqdm.auto import tqdm

from ..files.writing import atomic, write_text
from .folder import SUFFIXES

ATTEMPTS = 6


class Public(NamedTuple):
    """A public set: what it is, on what terms, and where a program can have it
    (`address`) or a person (`by_hand`).
    """

    title: str
    licence: str
    home: str
    address: str = ""  # a ZIP file
    inside: str = ""  # the folder of the ZIP that holds the pictures
    sha256: str | None = None  # where the owner publishes it
    by_hand: str = ""


PUBLIC = {
    "clothing": Public(
        title="clothing-dataset by Alexey Grigorev: over 5,000 photographs of clothing",
        licence="CC0 1.0 Universal (public domain): any purpose, no conditions",
        home="https://github.com/alexeygrigorev/clothing-dataset",
        address="https://codeload.github.com/alexeygrigorev/clothing-dataset/zip/08b50460cf229fd852bb6c11564e0959f52578ca",
        inside="images",
    ),
    "ffhq": Public(
        title=(
            "Flickr-Faces-HQ by NVIDIA: 70,000 faces, 128 x 128 (1.95 GB) or"
            " 1024 x 1024 (89.1 GB)"
        ),
        licence=(
            "CC BY-NC-SA 4.0 as a set; each photograph keeps its author's licence,"
            " listed in ffhq-dataset-v2.json. No commercial use of the whole"
        ),
        home="https://github.com/NVlabs/ffhq-dataset",
        by_hand=(
            "take the folder thumbnails128x128 that the page links to, or run the"
            " page's own script, python download_ffhq.py --thumbs"
        ),
    ),
    "celeba-hq": Public(
        title="CelebA-HQ by NVIDIA: 30,000 faces of 1024 x 1024, made from CelebA",
        licence=(
            "non-commercial research only; the photographs belong to others and may not"
            " be passed on"
        ),
        home="https://github.com/tkarras/progressive_growing_of_gans",
        by_hand=(
            "make it from CelebA (https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html) as"
            " the page's section on preparing datasets says, and save PNG files"
        ),
    ),
}


def public(name: str) -> Public:
    """A set by its name; ValueError with all names if there is no such set."""
    if name not in PUBLIC:
        raise ValueError(f"no public set {name!r}; there are: {', '.join(PUBLIC)}")
    return PUBLIC[name]


def fetch(name: str, folder: str | Path) -> str:
    """Put the pictures of a public set into `folder` and return the SHA-256 of what was
    downloaded; a folder that is there already is left as it is.

    ValueError when the set can only be had by hand, with how to; OSError when it cannot
    be downloaded, or arrives damaged; ImportError without the package pooch. Nothing
    half-unpacked is left.
    """
    folder, chosen = Path(folder), public(name)
    digest = folder / ".sha256"
    if digest.is_file():
        return digest.read_text(encoding="utf-8").strip()
    if folder.exists():
        raise ValueError(
            f"{folder} is there already, and was not downloaded by sr3mini prepare;"
            " move it away, or prepare it"
        )
    if not chosen.address:
        raise ValueError(
            f"{name} is handed to people, not to programs: {chosen.by_hand}"
            f" ({chosen.home}). Then: sr3mini prepare FOLDER --size 128 --out"
            f" data/{name}_128"
        )
    archive = folder.with_name(f"{name}.zip")
    sha256 = download(chosen.address, archive, chosen.sha256)
    unpack(archive, folder, chosen.inside, sha256)
    archive.unlink()
    return sha256


def download(address: str, file: Path, sha256: str | None = None) -> str:
    """Download into `file`, unless it is there, and return its SHA-256. A connection
    that is cut or stalls is tried again.

    OSError, and no file, when the server refuses, cannot be reached, or hands out
    something of another SHA-256, `ATTEMPTS` times.
    """
    try:
        import pooch
    except ImportError as error:
        raise ImportError(
            f"to download {address}: pip install 'sr3mini[train]'"
        ) from error
    store = pooch.create(
        path=file.parent,
        base_url="",
        registry={file.name: sha256},
        urls={file.name: address},
        retry_if_failed=ATTEMPTS - 1,
    )
    try:
        store.fetch(file.name, progressbar=True)
    except (OSError, ValueError) as error:
        cause: BaseException = error
        while cause.__context__ is not None:  # pooch and requests wrap what happened
            cause = cause.__context__
        reason = " ".join(str(cause).split())
        raise OSError(f"{address} could not be downloaded: {reason}") from error
    return str(pooch.file_hash(str(file)))


def unpack(archive: Path, folder: Path, inside: str, sha256: str) -> None:
    """The pictures of a ZIP file that lie in a folder called `inside`, with their paths
    below it, into `folder`, which is there whole or not at all.

    OSError when the file is damaged (it is removed, to be downloaded anew), holds no
    such picture, or the disk is full.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _members(opened, inside)
            if not members:
                raise OSError(f"{archive} holds no picture in a folder called {inside}")
            with atomic(folder) as beside:
                for member in tqdm(members, desc="unpacking", unit="file"):
                    opened.extract(member, beside)
                write_text(sha256 + "\n", beside / ".sha256")
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        archive.unlink()
        raise OSError(
            f"{archive} arrived damaged ({error}) and was removed; run the same command"
            " again"
        ) from error


def _members(opened: zipfile.ZipFile, inside: str) -> list[zipfile.ZipInfo]:
    """The pictures below a folder of an archive, under their names below it. (Where a
    name leads out of it, `extract` leaves out what leads there: .., a root, a drive.)
    """
    members = []
    for member in opened.infolist():
        _, found, below = f"/{member.filename}".partition(f"/{inside}/")
        if found and below.lower().endswith(SUFFIXES):
            member.filename = below
            members.append(member)
    return members
