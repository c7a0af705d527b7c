r"""Files below folders, of any depth and any number: their names kept in one run of
bytes, whichever of them are pictures.

    walk(path)          the names of all files
    names_below(path)   of the pictures; what is none is counted in a warning
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath

import numpy as np

from .kinds import advice, is_picture

DEEPEST = 200  # folders inside each other
RECORD = "prepared.json"  # in each folder that `sr3mini prepare` wrote


class Names:
    """Paths below a folder. They lie in one run of bytes, each with a 0 behind it: ten
    million cost no Python object, and an index file needs no parsing.
    """

    def __init__(self, root: Path, text: bytes) -> None:
        self.root, self.text = root, text
        self.ends = np.flatnonzero(np.frombuffer(text, np.uint8) == 0)

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> Path:
        return self.root / self.name(index)

    def name(self, index: int) -> str:
        """The path below `root`."""
        start = self.ends[index - 1] + 1 if index else 0
        return os.fsdecode(self.text[start : self.ends[index]])

    def all(self) -> list[str]:
        """All paths below `root`."""
        return os.fsdecode(self.text).split("\0")[:-1]


def packed(names: Iterable[str]) -> bytes:
    """Names as `Names` keeps them."""
    return b"".join(os.fsencode(name) + b"\0" for name in names)


def names_below(path: Path, leave_out: Path | None = None) -> Names:
    """The files of `walk` that are pictures; the others are counted, by their endings,
    in a warning. ValueError if none is.
    """
    others: Counter[str] = Counter()

    def pictures() -> Iterator[str]:
        for name in walk(path, leave_out):
            if is_picture(path / name):
                yield name
            else:
                others[PurePath(name).suffix.lower()] += 1

    names, told = Names(path, packed(pictures())), _told(others)
    if not len(names):
        raise ValueError(f"no picture below {path}: {told or 'it holds no file'}")
    if others:
        warnings.warn(f"left out below {path}, no pictures: {told}", stacklevel=2)
    return names


def _told(others: Counter[str]) -> str:
    """ "3 .txt, 1 .heic (HEIC: convert it ...)"."""
    told = []
    for ending, count in others.most_common():
        what = advice(b"", ending)
        told.append(
            f"{count} {ending or 'without an ending'}" + f" ({what})" * (what != "")
        )
    return ", ".join(told[:8]) + (", ..." if len(told) > 8 else "")


def walk(path: Path, leave_out: Path | None = None) -> Iterator[str]:
    """The names, relative to `path`, of all files below it, in a fixed order. Links are
    followed, each folder is entered once; hidden names are passed over.

    So is, with a warning, each folder further down that `sr3mini prepare` wrote: its
    squares are copies. A link that leads nowhere counts as a file, for whoever reads it
    to name. ValueError when `path` is no folder.
    """
    if not path.is_dir():
        raise ValueError(
            f"{path} is not a folder; give the folder that holds your pictures"
        )
    return _below(str(path), "", {os.path.realpath(leave_out)} if leave_out else set())


def _below(place: str, prefix: str, entered: set[str]) -> Iterator[str]:
    real = os.path.realpath(place)
    if real in entered:
        return
    entered.add(real)
    if prefix.count("/") > DEEPEST:
        warnings.warn(f"left out: {place} (below {DEEPEST} folders)", stacklevel=3)
        return
    try:
        with os.scandir(place) as entries:
            here = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        warnings.warn(f"left out: {place} ({error.strerror})", stacklevel=3)
        return
    if prefix and any(entry.name == RECORD for entry in here):
        warnings.warn(f"left out: {place} (sr3mini prepare wrote it)", stacklevel=3)
        return

    for entry in here:
        if entry.name.startswith("."):
            continue
        # os.path tells of a link that leads nowhere, where an entry or a Path raises
        link = entry.is_symlink()
        if os.path.isdir(entry.path) if link else entry.is_dir():
            yield from _below(entry.path, f"{prefix}{entry.name}/", entered)
        elif link and not os.path.exists(entry.path):
            yield prefix + entry.name
        elif os.path.isfile(entry.path) if link else entry.is_file():
            yield prefix + entry.name  # no pipe, no device
