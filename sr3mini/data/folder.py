r"""Folders of pictures, of any depth and any number: their names kept in one run of
bytes, a fixed part held out, files opened when asked for.

Folder(path, size)            every picture below a folder prepared(path, size, ...)
what `sr3mini prepare` wrote: its names are read from an index, nothing is listed
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, overload

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from ..files.reading import from_bytes, read_square

Split = Literal["train", "test"]
SUFFIXES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".webp",
    ".bmp",
    ".gif",
    ".tif",
    ".tiff",
    ".ppm",
    ".pgm",
)
HELD_OUT = 20  # one in so many pictures is kept for testing
RECORD = "prepared.json"
LMDB = "data.mdb"


class Names(Sequence[Path]):
    """Paths below a folder. They lie in one run of bytes, each with a 0 behind it: ten
    million cost no Python object, and an index file needs no parsing.
    """

    def __init__(self, root: Path, text: bytes | np.ndarray) -> None:
        self.root, self.text = (
            root,
            (np.frombuffer(text, np.uint8) if isinstance(text, bytes) else text),
        )
        self.ends = np.flatnonzero(self.text == 0)

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> list[Path]: ...
    def __getitem__(self, index: int | slice) -> Path | list[Path]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self.root / self.name(
            range(len(self))[index]
        )  # counts from the end, or raises IndexError

    def name(self, place: int) -> str:
        """The path below `root`, place = 0, 1, ..."""
        start = int(self.ends[place - 1]) + 1 if place else 0
        return os.fsdecode(self.text[start : int(self.ends[place])].tobytes())

    def raw(self) -> list[bytes]:
        """All paths below `root`, as the file system spells them."""
        return self.text.tobytes().split(b"\0")[:-1]


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
        files: Sequence[Path] | None = None,
    ) -> None:
        self.path, self.size, self.channels = Path(path), size, channels
        self.files = (
            Names(self.path, names_below(self.path)) if files is None else files
        )
        self.unreadable: set[Path] = set()

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Float[Tensor, "C S S"]:
        picture, skipped = self.read(index)
        for sentence in skipped:
            warnings.warn(f"skipped: {sentence}", stacklevel=2)
        return from_bytes(picture)

    def read(self, index: int) -> tuple[UInt8[Tensor, "C S S"], list[str]]:
        """Picture `index`, 0..255, or its nearest readable successor; a sentence for
        each file that was found unreadable on the way.
        """
        if (
            not -len(self.files) <= index < len(self.files)
        ):  # what ends `for picture in folder`
            raise IndexError(
                f"picture {index} was asked for, but the folder {self.path} holds"
                f" {len(self.files)}"
            )
        skipped: list[str] = []
        for step in range(len(self.files)):
            file = self.files[(index + step) % len(self.files)]
            if file in self.unreadable:
                continue
            try:
                return self.square(file), skipped
            except ValueError as error:
                self.unreadable.add(file)
                skipped.append(str(error))
        first = f"; the first: {skipped[0]}" if skipped else ""
        raise ValueError(
            f"none of the {len(self.files)} files below {self.path} could be read as a"
            f" picture{first}"
        )

    def square(self, file: Path) -> UInt8[Tensor, "C S S"]:
        """One file as a picture, 0..255. ValueError when it is none."""
        return read_square(file, self.size, self.channels)


def folder(
    path: str | Path, size: int, channels: int = 3, split: Split = "train"
) -> Folder:
    """One part of the pictures below a folder: a twentieth is held out, by a hash of
    the name, so that it stays the same when pictures are added.
    """
    path = Path(path)
    names = Names(path, names_below(path)).raw()
    kept = b"".join(name + b"\0" for name in part(names, names, split, path))
    return Folder(path, size, channels, Names(path, kept))


def folder_kind(path: Path) -> Literal["prepared", "pairs", "pictures"]:
    """How a folder is to be read, from a look at what lies at its top. "pairs": the
    best-known public SR3 code prepared it.
    """
    if (path / RECORD).is_file():
        return "prepared"
    pairs = (path / LMDB).is_file() or all(
        any(place.is_dir() for place in path.glob(pattern))
        for pattern in ("hr_[0-9]*", "[ls]r_[0-9]*")
    )
    return "pairs" if pairs else "pictures"


def names_below(path: Path) -> bytes:
    """The names of all files below a folder that look like pictures, each with a 0
    behind it. ValueError when there is none.
    """
    if not path.is_dir():
        raise ValueError(
            f"{path} is not a folder; give the folder that holds your pictures"
        )
    text = b"".join(
        os.fsencode(name) + b"\0"
        for name in walk(path)
        if name.lower().endswith(SUFFIXES)
    )
    if not text:
        raise ValueError(
            f"no picture below {path}: looked for names that end in"
            f" {', '.join(SUFFIXES)}"
        )
    return text


def walk(path: Path, leave_out: Path | None = None) -> Iterator[str]:
    """The names, relative to `path`, of all files below it, in a fixed order. Links are
    followed, each folder is entered once; hidden names are passed over.

    So is, with a warning, each folder further down that `sr3mini prepare` wrote: its
    squares are copies. A link that leads nowhere counts as a file, for whoever reads it
    to name.
    """
    entered = (
        {_identity(leave_out)}
        if leave_out is not None and leave_out.exists()
        else set()
    )

    def below(place: str, prefix: str) -> Iterator[str]:
        if (this := _identity(place)) in entered:
            return
        entered.add(this)
        try:
            with os.scandir(place) as entries:
                here = sorted(entries, key=lambda entry: entry.name)
        except PermissionError as error:
            warnings.warn(f"left out: {place} ({error.strerror})", stacklevel=2)
            return
        if prefix and any(entry.name == RECORD for entry in here):
            warnings.warn(f"left out: {place} (sr3mini prepare wrote it)", stacklevel=2)
            return
        for entry in here:
            if entry.name.startswith("."):
                continue
            if _holds(entry.is_dir):
                yield from below(entry.path, f"{prefix}{entry.name}/")
            elif _holds(entry.is_file) or not os.path.exists(entry.path):
                yield prefix + entry.name

    return below(str(path), "")


def part(
    names: Sequence[bytes], groups: Iterable[bytes], split: Split, path: Path
) -> list[bytes]:
    """The names of one part: a twentieth of the groups is held out, at least one where
    there are two. A group stays together.
    """
    marks = np.array(
        [
            int.from_bytes(hashlib.blake2b(group, digest_size=8).digest())
            for group in groups
        ],
        np.uint64,
    )
    held_out = marks < 2**64 // HELD_OUT
    if not held_out.any():
        held_out = marks == marks.min()
    if held_out.all():
        warnings.warn(
            f"too few pictures in {path} to hold some out: the same ones serve for"
            " training and for testing",
            stacklevel=3,
        )
        return list(names)
    return [names[i] for i in np.flatnonzero(held_out == (split == "test")).tolist()]


def _holds(question: Callable[[], bool]) -> bool:
    try:
        return question()
    except OSError:  # a link that leads to itself is neither file nor folder
        return False


def permutation(n: int, *key: int) -> Int64[Tensor, " n"]:
    """0 ... n-1 in an order that is a function of `key`; 8 bytes each."""
    mixed = hashlib.sha256(repr(key).encode()).digest()
    return torch.randperm(
        n, generator=torch.Generator().manual_seed(int.from_bytes(mixed[:7]))
    )


def _identity(place: str | Path) -> tuple[int, int]:
    status = os.stat(place)
    return status.st_dev, status.st_ino
