r"""Folders of pictures, of any depth and any number: their names kept in one run of
bytes, a fixed part held out, files opened when asked for.

Folder(path, size)         every picture below a folder
folder(path, size, ...)    one part of them
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal, TypeVar
from unicodedata import normalize

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from ..files.finding import RECORD, Names, names_below, packed
from ..files.ranges import Range
from ..files.reading import from_bytes, read_square

T = TypeVar("T")
Split = Literal["train", "test"]
SIZED, LOOKED_AT, OPENED = 10_000, 1000, 100  # files, at a start
HEAD = 2**16  # bytes
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
        if files is None:
            names = without_results(self.path, names_below(self.path).all())
            files = Names(self.path, packed(names))
        self.files = files
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
        return self.nearest(index, skipped, lambda row: self.square(self.files[row]))

    def nearest(self, index: int, skipped: list[str], load: Callable[[int], T]) -> T:
        """What `load` makes of the row `index`, or of the next one that it can read."""
        n = len(self.files)
        if not -n <= index < n:  # what ends `for picture in folder`
            raise IndexError(f"there is no picture {index} of {n} below {self.path}")
        for step in range(n):
            row = (index + step) % n
            file = self.files[row]
            if file in self.unreadable:
                continue
            try:
                return load(row)
            except ValueError as error:
                self.unreadable.add(file)
                skipped.append(str(error))
        said = f"none of the {n} files below {self.path} could be read as a picture"
        raise ValueError("; ".join([said, *skipped[:1]]))

    def small(self, rows: Sequence[int] | None = None) -> str:
        """A sentence on how many pictures, of all or of `rows`, are smaller than `size`
        and are enlarged; "" if none is. Of more than LOOKED_AT an even choice counts.
        """
        rows = range(len(self)) if rows is None else rows
        rows = rows[:: 1 + (len(rows) - 1) // LOOKED_AT]
        sides = [side_of(self.files[row]) for row in rows]
        count = sum(side is not None and side < self.size for side in sides)
        if not count:
            return ""
        size = f"{self.size} x {self.size}"
        return f"{count} of {len(rows)} pictures are smaller than {size} and enlarged"

    def digest(self) -> str:
        """A mark of the names of the files, the sizes of at most SIZED and the first
        bytes of at most OPENED of them, by which other pictures are noticed.
        """
        files = self.sources()
        if isinstance(files, Names):
            names = files.text
        else:
            names = packed(str(file.relative_to(self.path)) for file in files)
        seen = hashlib.blake2b(names, digest_size=6)
        for row in range(0, len(files), 1 + len(files) // SIZED):
            with contextlib.suppress(OSError):  # told where it is read
                seen.update(str(files[row].stat().st_size).encode())
        for row in range(0, len(files), 1 + len(files) // OPENED):
            with contextlib.suppress(OSError), files[row].open("rb") as file:
                seen.update(file.read(HEAD))
        return seen.hexdigest()

    def sources(self) -> Names | Sequence[Path]:
        """All files that pictures are made of."""
        return self.files

    def square(self, file: Path) -> UInt8[Tensor, "C S S"]:
        """One file as a picture, 0..255. ValueError when it is none."""
        return read_square(file, self.size, self.channels, bounds=self.bounds)


def side_of(file: Path) -> int | None:
    """The shorter side of a picture, by its head alone; None where that fails."""
    try:
        with warnings.catch_warnings(), Image.open(file) as picture:
            return min(picture.size)
    except Exception:  # whatever is wrong is told where the picture is read
        return None


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
    names = without_results(path, names_below(path).all())
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


RESULT = re.compile(
    r"(.+)_(x\d+(\.\d+)?|\d+x\d+)(_\d+|_disagreement|_sheet)?\.(png|jpg|webp|tiff?)"
)


def without_results(path: Path, names: list[str]) -> list[str]:
    """The names without what `sr3mini upscale` made of others of them, wherever it lies
    below `path`; a warning tells how many these are.
    """
    bases = {os.path.basename(name) for name in names}
    stems = {os.path.splitext(base)[0] for base in bases}
    stems |= {base.replace(".", "_") for base in bases}  # of a.png beside a.jpg
    results = set()
    for name in names:
        found = RESULT.fullmatch(os.path.basename(name))
        if found and found[1] in stems:
            results.add(name)
    if results:
        said = f"{len(results)} results of earlier runs below {path}, such as"
        warnings.warn(f"left out: {said} {min(results)}", stacklevel=2)
    return [name for name in names if name not in results]


def part(
    names: list[str], groups: Iterable[str], split: Split, path: Path
) -> list[str]:
    """The names of one part: a twentieth of the groups is held out, at least one where
    there are two. A group stays together. Names count in one Unicode form: the disks of
    other systems give them back in another.
    """
    forms = (normalize("NFC", group) for group in groups)
    marks = np.array([mark(os.fsencode(form)) for form in forms], np.uint64)
    held_out = marks <= max(2**64 // HELD_OUT, marks.min())
    if held_out.all():
        said = f"too few pictures in {path} to hold some out: all serve for both parts"
        warnings.warn(said, stacklevel=3)
        return names
    return [names[i] for i in np.flatnonzero(held_out == (split == "test"))]


def mark(content: bytes) -> int:
    """A fixed number below 2^64, spread evenly: by it a part is held out."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest())
