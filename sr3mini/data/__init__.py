r"""Pictures to learn from, and the order in which they are learnt from.

    glyphs(split, size)                  characters rendered on the spot
    open_pictures(data, size, channels)  those, a folder of your own, or a stream, by
                                         name
    rows(n, batch_size, seed, step)      which pictures step number `step` takes: every
                                         one once an epoch
    batches(pictures, batch_size, ...)   these pictures, decoded ahead by worker
                                         processes

A picture is a float32 tensor (C, H, W) in [-1, 1]; -1 is black. Only high-resolution
pictures live here: the low-resolution ones are made from them by `degrade.downsample`,
in batches, where they are needed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..files.ranges import Range
from ..files.reading import from_bytes, read_picture, read_square, square, to_bytes
from ..files.writing import save_picture, write_picture, write_text
from .batches import Pictures, batches, rows
from .folder import Folder, Split, folder, folder_kind
from .glyphs import ALPHABET, STYLES, Glyphs, glyphs, letters
from .pairs import Pairs
from .prepared import prepared
from .shards import Stream, is_stream
from .workers import Batches

__all__ = [
    "ALPHABET",
    "STYLES",
    "Batches",
    "Folder",
    "Glyphs",
    "Split",
    "Stream",
    "batches",
    "from_bytes",
    "glyphs",
    "letters",
    "open_pictures",
    "read_picture",
    "read_square",
    "rows",
    "save_picture",
    "square",
    "to_bytes",
    "write_picture",
    "write_text",
]


def open_pictures(
    data: str,
    size: int,
    channels: int,
    split: Split = "train",
    bounds: Range | None = None,
) -> Pictures:
    """Pictures by name, `(channels, size, size)`: "glyphs", a folder, raw or prepared
    (see `prepared`, `Pairs`), or a stream (see `Stream`).

    Of each, the part to train on or the part held out for testing. `bounds`: the values
    that are black and white, where files do not tell. ValueError when there is no such
    thing, or no picture in it.
    """
    if data == "letters":  # the same for training and testing: only x is new
        return letters(size, channels)
    if data == "glyphs":
        return glyphs(split, size, channels)
    if is_stream(data):
        return Stream(data, size, channels, split, bounds)
    kinds: dict[str, Callable[..., Folder]]
    kinds = {"prepared": prepared, "pairs": Pairs, "pictures": folder}
    return kinds[folder_kind(Path(data))](data, size, channels, split, bounds)
