r"""Public sets of pictures, fetched from their owners' own addresses.

fetch("clothing", folder)     download, check, unpack
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

from tqdm.auto import tqdm

from ..files.kinds import endings
from ..files.writing import atomic, write_text

ATTEMPTS = 6


class Public(NamedTuple):
    """A public set: what it is, on what terms, and where it is to be had."""

    title: str
    licence: str
    home: str
    address: str  # a ZIP file
    inside: str  # the folder of the ZIP that holds the pictures


PUBLIC = {
    "clothing": Public(
        title="clothing-dataset by Alexey Grigorev: over 5,000 photographs of clothing",
        licence="CC0 1.0 Universal (public domain): any purpose, no conditions",
        home="https://github.com/alexeygrigorev/clothing-dataset",
        address="https://codeload.github.com/alexeygrigorev/clothing-dataset/zip/"
        "08b50460cf229fd852bb6c11564e0959f52578ca",
        inside="images",
    ),
}


def public(name: str) -> Public:
    """A set by its name; ValueError with all names if there is no such set."""
    if name not in PUBLIC:
        known = ", ".join(PUBLIC)
        raise ValueError(f"no set {name!r} is handed to a program; there are: {known}")
    return PUBLIC[name]


def fetch(name: str, folder: str | Path) -> str:
    """Put the pictures of a public set into `folder` and return the SHA-256 of what was
    downloaded; a folder that is there already is left as it is.

    OSError when it cannot be downloaded, or arrives damaged; ImportError without the
    package pooch. Nothing half-unpacked is left.
    """
    folder, chosen = Path(folder), public(name)
    digest = folder / ".sha256"
    if digest.is_file():
        return digest.read_text(encoding="utf-8").strip()
    if folder.exists():
        raise ValueError(
            f"{folder} was not downloaded by sr3mini prepare: move it away, or prepare"
            " it"
        )
    archive = folder.with_name(f"{name}.zip")
    sha256 = download(chosen.address, archive)
    unpack(archive, folder, chosen.inside, sha256)
    archive.unlink()
    return sha256


def download(address: str, file: Path) -> str:
    """Download into `file`, unless it is there, and return its SHA-256. A connection
    that is cut or stalls is tried again.

    OSError, and no file, when the server refuses or cannot be reached `ATTEMPTS` times.
    """
    try:
        import pooch
    except ImportError as error:
        raise ImportError(f"{address}: pip install 'sr3mini[train]'") from error
    store = pooch.create(
        path=file.parent,
        base_url="",
        registry={file.name: None},
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

    OSError when the file is damaged (it is removed, to be downloaded anew), or the disk
    is full.
    """
    try:
        with zipfile.ZipFile(archive) as opened, atomic(folder) as beside:
            beside.mkdir(parents=True)
            for member in tqdm(_members(opened, inside), desc="unpacking", unit="file"):
                opened.extract(member, beside)
            write_text(sha256, beside / ".sha256")
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        archive.unlink()
        raise OSError(
            f"{archive} arrived damaged ({error}) and was removed; try again"
        ) from error


def _members(opened: zipfile.ZipFile, inside: str) -> list[zipfile.ZipInfo]:
    """The pictures below a folder of an archive, under their names below it. (Where a
    name leads out of it, `extract` leaves out what leads there: .., a root, a drive.)
    """
    members = []
    for member in opened.infolist():
        _, found, below = f"/{member.filename}".partition(f"/{inside}/")
        if found and Path(below).suffix.lower() in endings():
            member.filename = below
            members.append(member)
    return members
