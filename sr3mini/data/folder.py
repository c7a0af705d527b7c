r"""Folders of pictures, of any depth and any number: their names kept in one run of
bytes, a fixed part held out, files opened when asked for.

Folder(path, size)         every picture below a folder
folder(path, size, ...)    one part of them
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from ..files.finding import RECORD, Names, names_below, packed
from ..files.ranges import Range
from ..files.reading import from_bytes, read_square

Split = Literal["train", "test"]
HELD_OUT = 20  # one in so many pictures is kept for testing
LMDB = "data.mdb"


class Folder(Dataset[Tensor]):
    """Every picture below a folder, cut to its central square and resized: `(channels,
    size, size)` in [-1, 1].

    Files are found at once, opened when asked for, and rounded to 8 bits. A file that
    cannot be read is named once in a warning, and its neighbour takes its place.
    ValueError when the folder holds no picture at all, or none that can be read.
    """

    def __init__(
        self,
        path: str | Path,
        size: int,
        channels: int = 3,
        files: Names | Sequence[Path] | None = None,
        bounds: Range | None = None,
    ) -> None:
        self.path, self.size, self.channels = Path(path), size, channels
        self.bounds = bounds
        self.files = names_below(self.path) if files is None else files
        self.unreadable: set[Path] = set()

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Float[Tensor, "C S S"]:
        skipped: list[str] = []
        picture = self.read(index, skipped)
        for sentence in skipped:
            warnings.warn(f"skipped: {sentence}", stacklevel=2)
        return from_bytes(picture)

    def read(self, index: int, skipped: list[str]) -> UInt8[Tensor, "C S S"]:
        """Picture `index`, 0..255, or its nearest readable successor. A sentence for
        each file that was found unreadable on the way is added to `skipped`.
        """
        n = len(self.files)
        if not -n <= index < n:  # what ends `for picture in folder`
            raise IndexError(f"there is no picture {index} of {n} below {self.path}")
        for step in range(n):
            file = self.files[(index + step) % n]
            if file in self.unreadable:
                continue
            try:
                return self.square(file)
            except ValueError as error:
                self.unreadable.add(file)
                skipped.append(str(error))
        said = f"none of the {n} files below {self.path} could be read as a picture"
        raise ValueError("; ".join([said, *skipped[:1]]))

    def square(self, file: Path) -> UInt8[Tensor, "C S S"]:
        """One file as a picture, 0..255. ValueError when it is none."""
        return read_square(file, self.size, self.channels, bounds=self.bounds)


def folder(
    path: str | Path,
    size: int,
    channels: int = 3,
    split: Split = "train",
    bounds: Range | None = None,
) -> Folder:
    """One part of the pictures below a folder: a twentieth is held out, by a hash of
    the name, so that it stays the same when pictures are added.
    """
    path = Path(path)
    names = names_below(path).all()
    chosen = packed(part(names, names, split, path))
    return Folder(path, size, channels, Names(path, chosen), bounds)


def folder_kind(path: Path) -> Literal["prepared", "pairs", "pictures"]:
    """How a folder is to be read, from a look at what lies at its top. "pairs": the
    best-known public SR3 code prepared it. ValueError for an LMDB set.
    """
    if (path / LMDB).is_file():
        raise ValueError(
            f"{path} is an LMDB set: give the folder of pictures that it was made from"
        )
    if (path / RECORD).is_file():
        return "prepared"
    pairs = all(
        any(place.is_dir() for place in path.glob(pattern))
        for pattern in ("hr_[0-9]*", "[ls]r_[0-9]*")
    )
    return "pairs" if pairs else "pictures"


def part(
    names: list[str], groups: Iterable[str], split: Split, path: Path
) -> list[str]:
    """The names of one part: a twentieth of the groups is held out, at least one where
    there are two. A group stays together.
    """
    marks = np.array([mark(os.fsencode(group)) for group in groups], np.uint64)
    held_out = marks <= max(2**64 // HELD_OUT, marks.min())
    if held_out.all():
        said = f"too few pictures in {path} to hold some out: all serve for both parts"
        warnings.warn(said, stacklevel=3)
        return names
    return [names[i] for i in np.flatnonzero(held_out == (split == "test"))]


def mark(content: bytes) -> int:
    """A fixed number below 2^64, spread evenly: by it a part is held out."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest())
