r"""Public sets of pictures, fetched from their owners' own addresses, or, where these
hand nothing to a program, how to get them by hand.

fetch("clothing", folder)          download, check, unpack download(address, file)
goes on where it was cut, waits and tries again, gives up in one sentence
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import shutil
import sys
import time
import zipfile
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tqdm.auto import tqdm

from ..files.writing import write_text
from .folder import SUFFIXES

ATTEMPTS = 6  # in a row without a new byte
TIMEOUT = 30.0  # seconds without a byte, after which a connection counts as stalled
AGAIN = {408, 425, 429, 500, 502, 503, 504}  # answers that may be others a little later


class Public(NamedTuple):
    """A public set: what it is, on what terms, and where a program can have it
    (`address`) or a person (`by_hand`).
    """

    title: str
    licence: str
    home: str
    address: str = ""  # a ZIP file
    inside: str = ""  # the folder of the ZIP that holds the pictures
    sha256: str = ""  # where the owner publishes it
    by_hand: str = ""


PUBLIC = {
    "clothing": Public(
        title=(
            "clothing-dataset by Alexey Grigorev: more than 5,000 photographs of"
            " clothing"
        ),
        licence=(
            "CC0 1.0 Universal (public domain): any purpose, commercial ones too, no"
            " conditions"
        ),
        home="https://github.com/alexeygrigorev/clothing-dataset",
        address="https://codeload.github.com/alexeygrigorev/clothing-dataset/zip/08b50460cf229fd852bb6c11564e0959f52578ca",
        inside="images",
    ),
    "ffhq": Public(
        title=(
            "Flickr-Faces-HQ by NVIDIA: 70,000 faces, as thumbnails of 128 x 128 (1.95"
            " GB) or pictures of 1024 x 1024 (89.1 GB)"
        ),
        licence=(
            "CC BY-NC-SA 4.0 as a set; each photograph keeps its author's licence,"
            " listed in ffhq-dataset-v2.json. No commercial use of the whole"
        ),
        home="https://github.com/NVlabs/ffhq-dataset",
        by_hand=(
            "its files lie on Google Drive, which hands large ones to people and not to"
            " programs: take the folder thumbnails128x128 that the page links to, or"
            " run the page's own script, python download_ffhq.py --thumbs"
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
            "its owners publish the steps that make it from CelebA"
            " (https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html) and not the pictures"
            " themselves: follow the section on preparing datasets of the page, and"
            " save the pictures as PNG files"
        ),
    ),
}


def public(name: str) -> Public:
    """A set by its name; ValueError with all names if there is no such set."""
    if name not in PUBLIC:
        raise ValueError(f"no public set {name!r}; there are: {', '.join(PUBLIC)}")
    return PUBLIC[name]


def fetch(name: str, folder: str | Path, *, progress: bool = True) -> str:
    """Put the pictures of a public set into `folder` and return the SHA-256 of what was
    downloaded; a folder that is there already is left as it is.

    ValueError when the set can only be had by hand, with how to; OSError when it cannot
    be downloaded, or arrives damaged. Nothing half-unpacked is left.
    """
    folder, chosen = Path(folder), public(name)
    digest = folder / ".sha256"
    if digest.is_file():
        return digest.read_text(encoding="utf-8").strip()
    if folder.exists():
        raise ValueError(
            f"{folder} is there already, and was not downloaded by sr3mini prepare;"
            " move it away, or prepare it as a folder"
        )
    if not chosen.address:
        raise ValueError(
            f"{name} cannot be downloaded by a program: {chosen.by_hand}"
            f" ({chosen.home}). Then: sr3mini prepare FOLDER --size 128 --out"
            f" data/{name}_128"
        )
    archive = folder.with_name(f"{name}.zip")
    new = [place for place in archive.parents if not place.exists()]
    archive.parent.mkdir(parents=True, exist_ok=True)
    try:
        if not archive.is_file():
            download(chosen.address, archive, chosen.sha256, progress=progress)
        with archive.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        unpack(archive, folder, chosen.inside, sha256, progress=progress)
        archive.unlink()
        return sha256
    finally:
        for place in new:  # the innermost first
            with contextlib.suppress(OSError):  # it holds what arrived
                place.rmdir()


def download(
    address: str,
    file: str | Path,
    sha256: str = "",
    *,
    attempts: int = ATTEMPTS,
    timeout: float = TIMEOUT,
    pause: float = 1.0,
    progress: bool = True,
) -> None:
    """Download into `file`. What has arrived lies in `file`.part and is gone on with,
    after a cut, a stall, or the end of this program.

    `pause`: seconds before the second attempt; then twice as long each time. OSError
    when the server refuses, after `attempts` in a row without a new byte, or when the
    SHA-256 is another, twice.
    """
    part = Path(f"{file}.part")
    for last in (False, True):
        _receive_all(address, part, attempts, timeout, pause, progress)
        with part.open("rb") as whole:
            arrived = hashlib.file_digest(whole, "sha256").hexdigest()
        _tag(part).unlink(missing_ok=True)
        if not sha256 or arrived == sha256:
            part.replace(file)
            return
        part.unlink()
        if last:
            raise OSError(
                f"{address} arrived damaged twice: its SHA-256 is {arrived} and not"
                f" {sha256}; nothing was kept"
            )


def unpack(
    archive: str | Path,
    folder: str | Path,
    inside: str,
    sha256: str = "",
    *,
    progress: bool = True,
) -> None:
    """The pictures of a ZIP file that lie in a folder called `inside`, with their paths
    below it, into `folder`, which is there whole or not at all.

    OSError when the file is damaged (it is removed, to be downloaded anew), holds no
    such picture, or unpacks to more than the disk holds.
    """
    archive, folder = Path(archive), Path(folder)
    beside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as opened:
            members = {
                below: member
                for member in opened.infolist()
                if (below := _below(member.filename, inside)) is not None
            }
            needed = sum(member.file_size for member in members.values())
            if not members:
                raise OSError(f"{archive} holds no picture in a folder called {inside}")
            if needed > shutil.disk_usage(archive.parent).free:
                raise OSError(
                    f"{archive} unpacks to {needed / 1e9:.1f} GB, and less is free in"
                    f" {archive.parent.absolute()}"
                )
            for below, member in tqdm(
                members.items(), disable=not progress, desc="unpacking", unit="file"
            ):
                (beside / below).parent.mkdir(parents=True, exist_ok=True)
                with (
                    opened.open(member) as packed,
                    (beside / below).open("wb") as unpacked,
                ):
                    shutil.copyfileobj(packed, unpacked)
        write_text(sha256 + "\n", beside / ".sha256")
        beside.replace(folder)
    except (
        zipfile.BadZipFile,
        EOFError,
        RuntimeError,
    ) as error:  # the last: encrypted, or packed in a way that zipfile does not know
        archive.unlink()
        raise OSError(
            f"{archive} arrived damaged ({error}) and was removed; run the same command"
            " again"
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _below(name: str, inside: str) -> str | None:
    """The path below the folder `inside` of a picture in an archive; None for
    everything else, and for a path that leads out of the archive.
    """
    parts = PurePosixPath(name).parts
    if (
        inside not in parts[:-1]
        or not name.lower().endswith(SUFFIXES)
        or any(part in ("..", "/") or "\\" in part for part in parts)
    ):
        return None
    return "/".join(parts[parts.index(inside) + 1 :])


def _receive_all(
    address: str,
    part: Path,
    attempts: int,
    timeout: float,
    pause: float,
    progress: bool,
) -> None:
    failures = 0
    while True:
        before = _size(part)
        try:
            return _receive(address, part, timeout, progress)
        except HTTPError as error:
            if error.code not in AGAIN:
                raise OSError(
                    f"{address} was refused by its server: {error.code} {error.reason}"
                ) from error
            reason = f"{error.code} {error.reason}"
        except (
            OSError,
            http.client.HTTPException,
        ) as error:  # no network, no such host, a stall, a cut
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        failures = 1 if _size(part) > before else failures + 1
        if failures >= attempts:
            raise OSError(
                f"{address} cannot be reached, or breaks off ({reason}), {attempts}"
                " times in a row; what arrived is kept: run the same command later"
            )
        wait = pause * 2 ** (failures - 1)
        if progress:
            tqdm.write(
                f"{part.stem}: {reason}; once more in {wait:g} s", file=sys.stderr
            )
        time.sleep(wait)


def _receive(address: str, part: Path, timeout: float, progress: bool) -> None:
    """One connection: the rest of the file where the server can send it, else all of
    it.
    """
    start, tag = _size(part), _tag(part)
    headers = {"User-Agent": "sr3mini", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if tag.is_file():
            headers["If-Range"] = tag.read_text(
                encoding="utf-8"
            )  # only if it is still the same file
    try:
        answer = urlopen(Request(address, headers=headers), timeout=timeout)
    except HTTPError as error:
        if error.code != 416:
            raise
        # nothing lies behind what we hold: it was whole, or of another file; the next
        # attempt tells
        part.unlink()
        raise ConnectionError("the server holds less than had arrived") from error
    with answer:
        resumed = answer.status == 206 and (
            answer.headers["Content-Range"] or ""
        ).startswith(f"bytes {start}-")
        start = start if resumed else 0
        length = answer.headers["Content-Length"]
        mark = answer.headers["ETag"] or ""
        _remember(
            tag, mark if mark.startswith('"') else answer.headers["Last-Modified"]
        )
        total = None if length is None else start + int(length)
        bar = tqdm(
            initial=start,
            total=total,
            disable=not progress,
            desc=part.stem,
            unit="B",
            unit_scale=True,
        )
        with bar, part.open("ab" if resumed else "wb") as out:
            while chunk := answer.read1(2**16):
                out.write(chunk)
                bar.update(len(chunk))
    if total is not None and _size(part) != total:
        raise ConnectionError(
            f"the connection was cut at {_size(part)} of {total} bytes"
        )


def _remember(tag: Path, mark: str | None) -> None:
    with contextlib.suppress(FileNotFoundError):
        tag.unlink()
    if mark:
        write_text(mark, tag)


def _tag(part: Path) -> Path:
    """Where the server's mark of the version that is being downloaded is kept."""
    return part.with_suffix(".tag")


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0
