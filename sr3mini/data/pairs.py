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
from collections.abc import Sequence
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
    where `size` is not theirs.

    `split`: None takes all of them; "train" and "test" part them as those of any
    folder, by a hash of the name. ValueError when the set holds none; ImportError, with
    what to install, for an LMDB file without the package lmdb.
    """

    def __init__(
        self, path: str | Path, size: int, channels: int = 3, split: Split | None = None
    ) -> None:
        self.path = Path(path)
        self._keys: dict[Path, bytes] = {}
        found = self._in_lmdb() if (self.path / LMDB).is_file() else self._in_folders()
        high, self.lows = _largest(found, "hr"), _largest(found, "lr")
        if not high:
            raise ValueError(
                f"{self.path} holds no high-resolution picture: looked for"
                f" {'keys' if self._keys else 'folders'} that begin with hr_ and a size"
            )
        self.names = sorted(high)
        if split is not None:
            names = [os.fsencode(name) for name in self.names]
            self.names = [
                os.fsdecode(name) for name in part(names, names, split, self.path)
            ]
        super().__init__(path, size, channels, [high[name] for name in self.names])

    def square(self, file: Path, size: int | None = None) -> UInt8[Tensor, "C S S"]:
        """One picture, 0..255, of `size` or of the set's own."""
        if file not in self._keys:
            return read_square(file, size or self.size, self.channels)
        with _environment(self.path.resolve()).begin() as transaction:
            return read_square(
                transaction.get(self._keys[file]),
                size or self.size,
                self.channels,
                str(file),
            )

    def low(self, index: int, size: int) -> Float[Tensor, "C s s"] | None:
        """x number `index` in [-1, 1], `size` x `size`, as whoever prepared the set
        shrunk and rounded it; None where there is none.
        """
        file = self.lows.get(self.names[index])
        return None if file is None else from_bytes(self.square(file, size))

    def _in_folders(self) -> dict[str, dict[str, Path]]:
        """{"hr_128": {name: file}, ...}."""
        folders = [
            p
            for p in self.path.iterdir()
            if p.is_dir() and re.fullmatch(r"[hl]r_\d+", p.name)
        ]
        return {
            folder.name: {
                file.stem: file
                for file in folder.iterdir()
                if file.suffix.lower() in SUFFIXES
            }
            for folder in folders
        }

    def _in_lmdb(self) -> dict[str, dict[str, Path]]:
        """The same from the keys of an LMDB file, which are read from its index: no
        picture is opened, and no name is guessed.
        """
        found: dict[str, dict[str, Path]] = {}
        with _environment(self.path.resolve()).begin() as transaction:
            for key in transaction.cursor().iternext(values=False):
                parts = re.fullmatch(rb"([hl]r_\d+)_(.+)", key, re.DOTALL)
                if parts:
                    file = self.path / LMDB / os.fsdecode(key)
                    self._keys[file] = bytes(key)
                    found.setdefault(parts[1].decode(), {})[os.fsdecode(parts[2])] = (
                        file
                    )
        return found


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
    if isinstance(pictures, Pairs):
        for k, i in enumerate(rows):
            stored = (
                None
                if pictures.files[i] in pictures.unreadable
                else pictures.low(i, x.shape[-1])
            )
            x[k] = x[k] if stored is None else stored
    return x


@lru_cache(maxsize=64)
def _environment(path: Path) -> Any:
    """The open LMDB file: once a process, as LMDB asks for. It is only read and has no
    lock, so a forked process may go on with it.
    """
    try:
        import lmdb
    except ImportError as error:
        raise ImportError(
            f"{path} is an LMDB set, and the package lmdb is not installed; pip install"
            " 'sr3mini[lmdb]'"
        ) from error
    length = (path / LMDB).stat().st_size
    if not length:
        raise ValueError(
            f"{path / LMDB} is empty, so {path} is no LMDB set: copy it anew"
        )
    try:
        environment = lmdb.open(str(path), readonly=True, lock=False, readahead=False)
    except lmdb.Error as error:
        raise ValueError(
            f"{path} could not be opened as an LMDB set ({error})"
        ) from error
    promised = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    if (
        length < promised
        # LMDB maps the file into memory: to read a page behind its end kills the
        # process
    ):
        environment.close()
        what = f"{length} bytes of the {promised} that its header tells of"
        raise ValueError(
            f"{path / LMDB} breaks off, with {what}; copy it anew, by mdb_copy -c if it"
            " was always that short"
        )
    return environment


def _largest(found: dict[str, dict[str, Path]], kind: str) -> dict[str, Path]:
    """The pictures of one kind, hr or lr; where a set was prepared at several sizes,
    the largest.
    """
    sizes = [
        int(name[3:])
        for name, pictures in found.items()
        if name.startswith(kind) and pictures
    ]
    return found[f"{kind}_{max(sizes)}"] if sizes else {}
