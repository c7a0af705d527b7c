r"""Sets that the best-known public SR3 code prepared, read as they are.

    root/hr_128/NAME.png  root/lr_16/NAME.png  root/sr_16_128/NAME.png
            y, x, and x enlarged again

    Pairs(root, size)[i]      y, to train on: x is then made from it by
                              `degrade.downsample`, as for any pictures
    Pairs(root, size).low(i)  x as its file holds it, which `conditions` hands to an
                              evaluation

sr_… is never read: f enlarges x itself. Any NAME will do, numbers or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jaxtyping import Float
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
    folder, by a hash of the name. ValueError when the set holds none.
    """

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
        largest = (sizes[max(sizes)] if sizes else {} for sizes in found.values())
        high, self.lows = largest
        if not high:
            raise ValueError(f"{self.path} holds no picture hr_SIZE/…")
        names = sorted(high)
        self.names = names if split is None else part(names, names, split, self.path)
        files = [high[name] for name in self.names]
        super().__init__(path, size, channels, files, bounds)

    def low(self, index: int, size: int) -> Float[Tensor, "C s s"] | None:
        """x number `index` in [-1, 1], `size` x `size`, as whoever prepared the set
        shrunk and rounded it; None where there is none.
        """
        file = self.lows.get(self.names[index])
        if file is None:
            return None
        return from_bytes(read_square(file, size, self.channels, bounds=self.bounds))


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
