r"""Sets that the best-known public SR3 code prepared, read as they are: folders, or one
LMDB file.

    root/hr_128/NAME.png  root/lr_16/NAME.png  root/sr_16_128/NAME.png
            y, x, and x enlarged again
    root/data.mdb         with the keys hr_128_NAME, lr_16_NAME, sr_16_128_NAME: the
                          same files

    Pairs(root, size)[i]      y, to train on: x is then made from it by
                              `degrade.downsample`, as for any pictures
    Pairs(root, size).low(i)  x as its file holds it, which `conditions` hands to an
                              evaluation

sr_… is never read: f enlarges x itself. Any NAME will do, numbers or not.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from ..degrade import downsample
from ..files.reading import from_bytes, read_square
from .folder import LMDB, SUFFIXES, Folder, Split, part


class Pairs(Folder):
    """A folder whose pictures are the y of such a set, sorted by name; cut and resized
    where `size` is not theirs. Of a set at several sizes, the largest is taken.

    `split`: None takes all of them; "train" and "test" part them as those of any
    folder, by a hash of the name. ValueError when the set holds none; ImportError, with
    what to install, for an LMDB file without the package lmdb.
    """

    def __init__(
        self, path: str | Path, size: int, channels: int = 3, split: Split | None = None
    ) -> None:
        self.path = Path(path)
        self.is_lmdb = (self.path / LMDB).is_file()
        found: dict[str, dict[int, dict[str, Path]]] = {"hr": {}, "lr": {}}
        for key, file in self._in_lmdb() if self.is_lmdb else self._in_folders():
            if parts := re.fullmatch(r"([hl]r)_(\d+)_(.+)", key, re.DOTALL):
                of_size = found[parts[1]].setdefault(int(parts[2]), {})
                of_size[parts[3]] = file
        largest = (sizes[max(sizes)] if sizes else {} for sizes in found.values())
        high, self.lows = largest
        if not high:
            raise ValueError(f"{self.path} holds no picture hr_SIZE/… or hr_SIZE_…")
        names = sorted(high)
        self.names = names if split is None else part(names, names, split, self.path)
        super().__init__(path, size, channels, [high[name] for name in self.names])

    def square(self, file: Path, size: int | None = None) -> UInt8[Tensor, "C S S"]:
        """One picture, 0..255, of `size` or of the set's own."""
        size = size or self.size
        if not self.is_lmdb:
            return read_square(file, size, self.channels)
        with _environment(self.path.resolve()).begin() as transaction:
            key = os.fsencode(file.relative_to(self.path / LMDB))
            return read_square(transaction.get(key), size, self.channels, str(file))

    def low(self, index: int, size: int) -> Float[Tensor, "C s s"] | None:
        """x number `index` in [-1, 1], `size` x `size`, as whoever prepared the set
        shrunk and rounded it; None where there is none.
        """
        file = self.lows.get(self.names[index])
        return None if file is None else from_bytes(self.square(file, size))

    def _in_folders(self) -> Iterator[tuple[str, Path]]:
        """The keys of an LMDB file, and the files that stand for its values."""
        for file in self.path.glob("[hl]r_*/*"):
            plain = file.parent.name[3:].isdecimal()  # not hr_128_old
            if plain and file.suffix.lower() in SUFFIXES:
                yield f"{file.parent.name}_{file.stem}", file

    def _in_lmdb(self) -> Iterator[tuple[str, Path]]:
        """The keys, read from the index: no picture is opened, and no name guessed."""
        with _environment(self.path.resolve()).begin() as transaction:
            for key in map(os.fsdecode, transaction.cursor().iternext(values=False)):
                yield key, self.path / LMDB / key


def conditions(
    pictures: Dataset[Tensor],
    rows: Sequence[int],
    y: Float[Tensor, "B C H W"],
    factor: int,
) -> Float[Tensor, "B C h w"]:
    """The x of the pictures `rows`, whose y are given: those that a prepared set holds
    in files, or else D y.
    """
    x = downsample(y, factor)
    if not isinstance(pictures, Pairs):
        return x
    for k, i in enumerate(rows):
        if pictures.files[i] in pictures.unreadable:
            continue
        if (stored := pictures.low(i, x.shape[-1])) is not None:
            x[k] = stored
    return x


@lru_cache(maxsize=64)
def _environment(path: Path) -> Any:
    """The open LMDB file: once a process, as LMDB asks for. It is only read and has no
    lock, so a forked process may go on with it.
    """
    try:
        import lmdb
    except ImportError as error:
        raise ImportError(f"to read {path}: pip install 'sr3mini[lmdb]'") from error
    length = (path / LMDB).stat().st_size
    try:
        environment = lmdb.open(str(path), readonly=True, lock=False, readahead=False)
    except lmdb.Error as error:
        raise ValueError(f"{path} could not be opened as LMDB ({error})") from error

    # LMDB maps the file into memory: to read a page behind its end kills the process
    promised = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    if length < promised:
        environment.close()
        raise ValueError(
            f"{path / LMDB} breaks off, with {length} bytes of {promised}; copy it"
            " anew, by mdb_copy -c if it was always that short"
        )
    return environment
