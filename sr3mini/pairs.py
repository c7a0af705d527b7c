r"""Sets that the best-known public SR3 code prepared, read as they are: folders, or one LMDB file.

    root/hr_128/NAME.png   root/lr_16/NAME.png   root/sr_16_128/NAME.png       y, x, and x enlarged again
    root/data.mdb          with the keys hr_128_NAME, lr_16_NAME, sr_16_128_NAME: the same files

    Pairs(root, size)[i]        y, to train on: x is then made from it by `degrade.downsample`, as for any pictures
    Pairs(root, size).pair(i)   x and y, both as their files hold them, to evaluate on

sr_… is never read: f enlarges x itself. Any NAME will do, numbers or not.
"""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from typing import Any

from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from .folders import SUFFIXES
from .pictures import from_bytes, read_square

HIGH, LOW = re.compile(r"hr_(\d+)"), re.compile(r"lr_(\d+)")


def is_pairs(path: str | Path) -> bool:
    """Whether a folder looks like a set that this code prepared: it holds hr_SIZE/ and (lr_SIZE/ or sr_SIZE_SIZE/), or an LMDB file."""
    path = Path(path)
    if not path.is_dir():
        return False
    names = [name for name in os.listdir(path) if name == "data.mdb" or (name[:3] in ("hr_", "lr_", "sr_") and (path / name).is_dir())]
    return "data.mdb" in names or (any(map(HIGH.fullmatch, names)) and any(name[:3] in ("lr_", "sr_") for name in names))


class Pairs(Dataset[Tensor]):
    """Every y of such a set, `(channels, size, size)` in [-1, 1]; of another size than `size`, it is cut and resized as any picture is.

    `names`: sorted; `high`, `low`: sides of y and x in the files, and `low` is None where there are no x.
    A picture that cannot be read is named once in a warning, and its successor takes its place. ValueError when the set holds none.
    """

    def __init__(self, path: str | Path, size: int, channels: int = 3) -> None:
        self.path, self.size, self.channels = Path(path), size, channels
        self.unreadable: set[int] = set()
        self._opened: tuple[int, Any] | None = None
        self.is_lmdb = (self.path / "data.mdb").is_file()
        found = self._keys() if self.is_lmdb else self._files()
        self.high, self.sources = _largest(found, HIGH)
        self.low, self.low_sources = _largest(found, LOW)
        self.names = sorted(self.sources)
        if not self.names:
            raise ValueError(f"{self.path} holds no picture of a prepared set: looked for {'keys' if self.is_lmdb else 'folders'} named hr_SIZE")

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Float[Tensor, "C S S"]:
        picture, skipped = self.read(index)
        for sentence in skipped:
            warnings.warn(f"skipped: {sentence}", stacklevel=2)
        return from_bytes(picture)

    def read(self, index: int) -> tuple[UInt8[Tensor, "C S S"], list[str]]:
        """y number `index`, 0..255, or its nearest readable successor; a sentence for each that was found unreadable on the way."""
        skipped: list[str] = []
        first = range(len(self.names))[index]  # counts from the end, or raises IndexError
        for place in ((first + step) % len(self.names) for step in range(len(self.names))):
            if place in self.unreadable:
                continue
            try:
                return self._picture(self.sources[self.names[place]], self.size), skipped
            except ValueError as error:
                self.unreadable.add(place)
                skipped.append(str(error))
        raise ValueError(f"none of the {len(self.names)} pictures of {self.path} could be read" + (f"; the first: {skipped[0]}" if skipped else ""))

    def pair(self, index: int) -> tuple[Float[Tensor, "C h w"], Float[Tensor, "C S S"]]:
        """x and y number `index`, in [-1, 1], as the files hold them: x was shrunk and rounded to 8 bits by whoever prepared the set."""
        name = self.names[index]
        if self.low is None or name not in self.low_sources:
            raise ValueError(f"{self.path} holds no low-resolution picture for {name}; it was prepared without, so make x from y")
        return from_bytes(self._picture(self.low_sources[name], self.low)), from_bytes(self._picture(self.sources[name], self.size))

    def _picture(self, source: Path | bytes, size: int) -> UInt8[Tensor, "C S S"]:
        if isinstance(source, Path):
            return read_square(source, size, self.channels)
        with self._environment().begin() as transaction:
            return read_square(transaction.get(source), size, self.channels, f"{self.path}: {source.decode(errors='replace')}")

    def _files(self) -> dict[str, dict[str, Path | bytes]]:
        """{"hr_128": {name: file}, ...}."""
        folders = sorted(p for p in self.path.iterdir() if p.is_dir() and (HIGH.fullmatch(p.name) or LOW.fullmatch(p.name)))
        return {folder.name: {file.stem: file for file in sorted(folder.iterdir()) if file.suffix.lower() in SUFFIXES} for folder in folders}

    def _keys(self) -> dict[str, dict[str, Path | bytes]]:
        """The same from the keys of an LMDB file, which are read from its index: no picture is opened, and no name is guessed."""
        found: dict[str, dict[str, Path | bytes]] = {}
        with self._environment().begin() as transaction:
            for key in transaction.cursor().iternext(values=False):
                parts = re.fullmatch(rb"([hl]r_\d+)_(.+)", key, re.DOTALL)
                if parts:
                    found.setdefault(parts[1].decode(), {})[parts[2].decode(errors="surrogateescape")] = bytes(key)
        return found

    def _environment(self) -> Any:
        """The open LMDB file. A process that was forked opens its own, as LMDB asks for."""
        if self._opened is None or self._opened[0] != os.getpid():
            try:
                import lmdb
            except ImportError as error:
                raise ImportError(f"{self.path} is an LMDB file, and the package lmdb is not installed; pip install 'sr3mini[lmdb]'") from error
            try:
                self._opened = (os.getpid(), lmdb.open(str(self.path), readonly=True, lock=False, readahead=False))
            except lmdb.Error as error:
                raise ValueError(f"{self.path} could not be opened as an LMDB file ({error})") from error
        return self._opened[1]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}


def _largest(found: dict[str, dict[str, Path | bytes]], kind: re.Pattern[str]) -> tuple[int | None, dict[str, Path | bytes]]:
    """The side and the pictures of the one kind, hr or lr; where a set was prepared at several sizes, the largest."""
    sizes = {int(match[1]): name for name in found if (match := kind.fullmatch(name))}
    return (None, {}) if not sizes else (max(sizes), found[sizes[max(sizes)]])
