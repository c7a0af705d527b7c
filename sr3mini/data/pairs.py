r"""Sets that the best-known public SR3 code prepared, read as they are.

    root/hr_128/NAME.png  root/lr_16/NAME.png  root/sr_16_128/NAME.png
            y, x, and x enlarged again

    Pairs(root, size)[i]      y
    Pairs(root, size).low(i)  x as its file holds it: what is trained on and measured.
                              Where there is none, x = D y as for any pictures

sr_… is never read: f enlarges x itself. Any NAME will do, numbers or not. Who wants
x = D y gives the folder hr_… alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from ..degrade import downsample
from ..files.kinds import is_picture
from ..files.ranges import Range
from ..files.reading import from_bytes, read_square
from .folder import Folder, Split, part


class Pairs(Folder):
    """A folder whose pictures are the y of such a set, sorted by name; cut and resized
    where `size` is not theirs. Of a set at several sizes, the largest is taken.

    `split`: None takes all of them; "train" and "test" part them as those of any
    folder, by a hash of the name. `factor`, set by who wants x beside y, says how much
    smaller. ValueError when the set holds no y.
    """

    factor: int | None = None

    def __init__(
        self,
        path: str | Path,
        size: int,
        channels: int = 3,
        split: Split | None = None,
        bounds: Range | None = None,
    ) -> None:
        self.path = Path(path)
        found: dict[str, dict[int, dict[str, Path]]] = {"hr": {}, "lr": {}}
        for file in self.path.glob("[hl]r_*/*"):
            kind, side = file.parent.name.split("_", 1)
            # not hr_128_old
            if side.isdecimal() and is_picture(file):
                found[kind].setdefault(int(side), {})[file.stem] = file
        if not found["hr"]:
            raise ValueError(f"{self.path} holds no picture hr_SIZE/…")
        self.side = max(found["hr"])
        high, self.lows = found["hr"][self.side], found["lr"]
        names = sorted(high)
        self.names = names if split is None else part(names, names, split, self.path)
        files = [high[name] for name in self.names]
        super().__init__(path, size, channels, files, bounds)

    def shows_x(self) -> bool:
        """Whether x is asked for, and there is one in a file."""
        return self.factor is not None and self.stored(self.factor) > 0

    def stored(self, factor: int) -> int:
        """How many of the pictures have an x, `factor` times smaller, in a file."""
        return len(self._lows(factor).keys() & set(self.names))

    def told(self, factor: int) -> str:
        """Where x comes from, in words."""
        count, place = self.stored(factor), f"lr_{self.side / factor:g}"
        if count == len(self):
            return f"x of {place}"
        if count == 0:
            return f"x made from hr_{self.side}, without a picture in {place}"
        return f"x of {place} for {count} of {len(self)}, else made from hr_{self.side}"

    def low(self, index: int, size: int) -> Float[Tensor, "C s s"] | None:
        """x number `index` in [-1, 1], `size` x `size`, as whoever prepared the set
        shrunk and rounded it; None where there is none for this factor.
        """
        file = self._lows(self.size // size).get(self.names[index])
        if file is None:
            return None
        return from_bytes(read_square(file, size, self.channels, bounds=self.bounds))

    def both(
        self, index: int, skipped: list[str]
    ) -> tuple[UInt8[Tensor, "C S S"], Float[Tensor, "C s s"]]:
        """Pair `index`, (y, x), or its nearest readable successor; see `read`."""
        factor = self.factor or 1

        def pair(row: int) -> tuple[Tensor, Tensor]:
            y, x = self.square(self.files[row]), self.low(row, self.size // factor)
            made = downsample(from_bytes(y)[None], factor)[0] if x is None else x
            return y, made

        return self.nearest(index, skipped, pair)

    def sources(self) -> list[Path]:
        """The files of y, and those of x that are looked at."""
        lows = self._lows(self.factor) if self.factor else {}
        return [*iter(self.files), *(lows[name] for name in sorted(lows))]

    def _lows(self, factor: int) -> dict[str, Path]:
        return self.lows.get(self.side // factor, {}) if self.side % factor == 0 else {}


def conditions(
    pictures: Dataset[Tensor],
    rows: Sequence[int],
    y: Float[Tensor, "B C H W"],
    factor: int,
) -> Float[Tensor, "B C h w"]:
    """The x of the pictures `rows`, whose y are given: those that a prepared set holds
    in files, or else D y. One that cannot be read is named in a warning, and its
    picture is noted as unreadable.
    """
    made = downsample(y, factor)
    if not isinstance(pictures, Pairs):
        return made
    found = list(made)
    for k, i in enumerate(rows):
        if pictures.files[i] in pictures.unreadable:
            continue
        try:
            stored = pictures.low(i, made.shape[-1])
        except ValueError as error:
            pictures.unreadable.add(pictures.files[i])
            warnings.warn(f"skipped: {error}", stacklevel=2)
            continue
        found[k] = found[k] if stored is None else stored
    return torch.stack(found)
