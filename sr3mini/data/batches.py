r"""The order in which pictures are learnt from.

rows(n, batch_size, seed, step)       which pictures step number `step` takes
batches(pictures, batch_size, ...)    these pictures, decoded ahead by worker processes
"""

from __future__ import annotations

import itertools
from functools import lru_cache, partial
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from .folder import Folder
from .glyphs import Glyphs
from .pairs import Pairs
from .shards import Stream, stream_batches
from .workers import Batches, Dealt, Made, dealt_ahead, permutation

Pictures = Glyphs | Folder | Stream

# of an epoch, and of the next one where a batch spans both
_order = lru_cache(maxsize=2)(permutation)


def rows(n: int, batch_size: int, seed: int, step: int) -> Int64[Tensor, " B"]:
    """Which of `n` pictures step `step` = 0, 1, ... takes. A function of its arguments
    alone; every picture is taken once an epoch.
    """
    places = torch.arange(step * batch_size, (step + 1) * batch_size)
    epochs = places // n
    return torch.cat(
        [
            _order(n, seed, epoch)[places[epochs == epoch] % n]
            for epoch in epochs.unique().tolist()
        ]
    )


def batches(
    pictures: Pictures,
    batch_size: int,
    *,
    seed: int,
    start: int = 0,
    rank: int = 0,
    ranks: int = 1,
    workers: int = 0,
    state: dict[str, Any] | None = None,
) -> Batches:
    """The batches of steps `start`, `start` + 1, ..., float32 `(batch_size / ranks, C,
    S, S)` in [-1, 1]: this rank's share of `rows`.

    All ranks together take what one would. `workers` processes decode ahead; how many
    there are changes nothing that is yielded. A file that cannot be read is named once
    in a warning. `state`: where a stream was left. Of `Pairs` with a `factor`, for
    which some x are in files, (y, x). ValueError when the ranks cannot
    share a batch, or no file can be read.
    """
    if batch_size % ranks:
        raise ValueError(
            f"a batch of {batch_size} pictures cannot be shared by {ranks} processes"
        )
    own = batch_size // ranks
    if isinstance(pictures, Stream):
        if start and not state:
            raise ValueError(
                f"{pictures.data} is a stream and goes on from a state, not from a step"
            )
        return stream_batches(pictures, own, seed, rank, ranks, workers, state)

    wanted = (
        rows(len(pictures), batch_size, seed, step)[rank * own : (rank + 1) * own]
        for step in itertools.count(start)
    )
    if isinstance(pictures, Glyphs):
        return Batches(pictures.batch(each) for each in wanted)
    if isinstance(pictures, Pairs) and pictures.shows_x():
        both = Made(partial(_deal_both, pictures))
        return Batches(dealt_ahead(both, workers, wanted))
    dealt = dealt_ahead(Made(partial(_deal, pictures)), workers, wanted)
    return Batches(batch for batch, _ in dealt)


def _deal(pictures: Folder, wanted: Tensor) -> Dealt:
    skipped: list[str] = []
    read = [pictures.read(row, skipped) for row in wanted.tolist()]
    return Dealt(torch.stack(read), skipped)


def _deal_both(pictures: Pairs, wanted: Tensor) -> Dealt:
    skipped: list[str] = []
    pairs = [pictures.both(row, skipped) for row in wanted.tolist()]
    y, x = zip(*pairs, strict=True)
    return Dealt(torch.stack(y), skipped, torch.stack(x))
