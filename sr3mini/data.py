r"""Pictures to learn from, and the order in which they are learnt from.

    glyphs(split, size)                   characters rendered on the spot
    open_pictures(data, size, channels)   those, a folder of your own, or a stream, by name
    rows(n, batch_size, seed, step)       which pictures step number `step` takes: every one once an epoch
    batches(pictures, batch_size, ...)    these pictures, decoded ahead by worker processes

A picture is a float32 tensor (C, H, W) in [-1, 1]; -1 is black. Only high-resolution pictures live here: the
low-resolution ones are made from them by `degrade.downsample`, in batches, where they are needed.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from .folders import Folder, Split, folder, folder_kind, permutation, prepared
from .fonts import ALPHABET, STYLES, all_glyphs, held_out
from .loading import Batches, Dealt, ahead
from .pairs import Pairs
from .pictures import from_bytes, read_picture, read_square, save_picture, square, to_bytes, write_picture, write_text
from .stream import Stream, is_stream, stream_batches

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


class Glyphs(Dataset[Tensor]):
    """Pictures of characters, `(1, size, size)` in [-1, 1], black on white; with `colours`, `(3, size, size)`, of one's own ink on one's own paper.

    `images` (N, size, size) uint8, `characters` (N strings), `styles` (N indices into STYLES) and `colours` (N, ink and paper,
    RGB in [-1, 1]) lie beside each other.
    """

    def __init__(
        self, images: UInt8[Tensor, "N S S"], characters: Sequence[str], styles: Sequence[int], colours: Float[Tensor, "N 2 3"] | None = None
    ) -> None:
        self.images, self.characters, self.styles, self.colours = images, list(characters), list(styles), colours

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Float[Tensor, "C S S"]:
        if not -len(self) <= index < len(self):  # what ends `for picture in glyphs`
            raise IndexError(f"picture {index} was asked for, but there are {len(self)}")
        return self.batch([index])[0]

    def batch(self, indices: Sequence[int] | Tensor) -> Float[Tensor, "B C S S"]:
        """Many pictures at once."""
        indices = torch.as_tensor(indices)
        grey = from_bytes(self.images[indices][:, None])
        if self.colours is None:
            return grey
        ink, paper = self.colours[indices][..., None, None].unbind(1)  # (B, 3, 1, 1) each
        return torch.lerp(ink, paper, (grey + 1) / 2)

    def find(self, character: str, style: str = "DejaVuSans") -> int:
        """The index of a character in a style; KeyError, with what to do, when this split does not hold it."""
        wanted = STYLES.index(style)
        for index, (each, its_style) in enumerate(zip(self.characters, self.styles, strict=True)):
            if each == character and its_style == wanted:
                return index
        raise KeyError(f"{character!r} in {style} is not in this split of the glyphs; try the other split, or another character")


@lru_cache(maxsize=4)
def glyphs(split: Split = "train", size: int = 32, channels: int = 1) -> Glyphs:
    """The characters of the 12 DejaVu text fonts that Matplotlib ships: about 46,000 pictures of `size` x `size`.

    No character of the test split was seen in training, in any style: the split is by code point. The test split holds
    the 62 letters and digits of ALPHABET and a tenth of all other code points; code points that look the same (Latin A,
    Greek Alpha) go to the same side. With `channels` = 3, each is dark on light or light on dark, in colours that never
    change. Rendered in about 5 s, then read from a cache.
    """
    if split not in ("train", "test"):
        raise ValueError(f"split = {split!r}, but the glyphs have the splits 'train' and 'test'")
    if channels not in (1, 3):
        raise ValueError(f"channels = {channels}, but the glyphs come in grey, 1 channel, or in colour, 3")
    images, code_points, styles = all_glyphs(size)
    chosen = np.flatnonzero(held_out(images, code_points) == (split == "test"))
    colours = _colours(len(images))[chosen] if channels == 3 else None
    return Glyphs(torch.from_numpy(images[chosen]), [chr(c) for c in code_points[chosen]], styles[chosen].tolist(), colours)


def _colours(n: int) -> Float[Tensor, "n 2 3"]:
    """n pairs of ink and paper: each channel of one lies in [-1, -0.1], of the other in [0.1, 1], and a coin says which is which."""
    generator = torch.Generator().manual_seed(0)
    dark_light = torch.rand(n, 2, 3, generator=generator) * 0.9 + torch.tensor([[-1.0], [0.1]])
    swapped = torch.rand(n, generator=generator) < 0.5
    return torch.where(swapped[:, None, None], dark_light.flip(1), dark_light)


Pictures = Glyphs | Folder | Stream


def open_pictures(data: str, size: int, channels: int, split: Split = "train") -> Pictures:
    """Pictures by name, `(channels, size, size)`: "glyphs", a folder, raw or prepared (see `prepared`, `Pairs`), or a stream (see `Stream`).

    Of each, the part to train on or the part held out for testing. ValueError when there is no such thing, or no picture in it.
    """
    if data == "glyphs":
        return glyphs(split, size, channels)
    if is_stream(data):
        return Stream(data, size, channels, split)
    kind = folder_kind(Path(data))
    if kind == "pairs":
        return Pairs(data, size, channels, split)
    return prepared(data, size, channels, split) if kind == "prepared" else folder(data, size, channels, split)


def rows(n: int, batch_size: int, seed: int, step: int) -> Int64[Tensor, "B"]:
    """Which of `n` pictures step `step` = 0, 1, ... takes. A function of its arguments alone; every picture is taken once an epoch."""
    places = torch.arange(step * batch_size, (step + 1) * batch_size)
    epochs = places // n
    return torch.cat([_order(n, seed, epoch)[places[epochs == epoch] % n] for epoch in epochs.unique().tolist()])


def batches(
    pictures: Pictures, batch_size: int, *, seed: int, start: int = 0, rank: int = 0, ranks: int = 1, workers: int = 0, state: dict[str, Any] | None = None
) -> Batches:
    """The batches of steps `start`, `start` + 1, ..., float32 `(batch_size / ranks, C, S, S)` in [-1, 1]: this rank's share of `rows`.

    All ranks together take what one would. `workers` processes decode ahead; how many there are changes nothing that is yielded.
    A file that cannot be read is named once in a warning. `state`: where a stream was left. ValueError when the ranks cannot
    share a batch, or no file can be read.
    """
    if batch_size % ranks:
        raise ValueError(f"a batch of {batch_size} pictures cannot be shared by {ranks} processes; choose a multiple of {ranks}")
    if isinstance(pictures, Stream):
        if start and not state:
            raise ValueError(f"{pictures.data} is a stream, which goes on from the state it was left in, not from step {start} alone")
        return stream_batches(pictures, batch_size // ranks, seed, rank, ranks, workers, state)
    share = slice(rank * batch_size // ranks, (rank + 1) * batch_size // ranks)
    wanted = (rows(len(pictures), batch_size, seed, step)[share] for step in itertools.count(start))
    if isinstance(pictures, Glyphs):
        return Batches(pictures.batch(each) for each in wanted)
    return Batches(batch for batch, _ in ahead(_Lists(pictures), workers, wanted))


_order = lru_cache(maxsize=2)(permutation)  # of an epoch, and of the next one where a batch spans both


class _Lists(Dataset[Dealt]):
    """Pictures of a folder by lists of rows."""

    def __init__(self, pictures: Folder) -> None:
        self.pictures = pictures

    def __getitem__(self, wanted: Tensor) -> Dealt:
        try:
            read = [self.pictures.read(row) for row in wanted.tolist()]
        except ValueError as error:
            return Dealt(None, [], str(error))
        return Dealt(torch.stack([picture for picture, _ in read]), [sentence for _, skipped in read for sentence in skipped])
