r"""Decoding ahead, in worker processes: what folders and streams have in common.

Whoever deals out pictures yields `Dealt` records; here they are made in worker
processes, in a fixed order, while the trainer computes.
"""

from __future__ import annotations

import signal
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..files.reading import from_bytes

AHEAD = 4  # batches that each worker prepares before they are asked for


class Dealt(NamedTuple):
    """One batch on its way from a worker. An exception raised there would arrive as its
    whole traceback: `error` is the sentence instead.
    """

    pictures: UInt8[Tensor, "B C S S"] | None
    skipped: list[str]  # a sentence for each unreadable file met on the way
    error: str = ""
    place: Any = None  # where a stream has got to


class Batches(Iterator[Float[Tensor, "B C S S"]]):
    """Batches without end. `state()`: what a stream goes on from, ready for JSON, {}
    where the step says it all. `close()` ends the workers.
    """

    def __init__(
        self, tensors: Iterator[Tensor], state: Callable[[], dict[str, Any]] = dict
    ) -> None:
        self.tensors, self.state = tensors, state

    def __next__(self) -> Tensor:
        return next(self.tensors)

    def close(self) -> None:
        self.tensors.close()  # type: ignore[attr-defined]


def ahead(
    dataset: Dataset[Dealt], workers: int, wanted: Iterable[Any] | None = None
) -> Iterator[tuple[Float[Tensor, "B C S S"], Any]]:
    """What a data set deals, made by `workers` processes, as (batch in [-1, 1], place).
    Each unreadable file is named once, however many workers met it.
    """
    loader = DataLoader(
        dataset,
        batch_size=None,
        sampler=wanted,
        num_workers=workers,
        prefetch_factor=AHEAD if workers else None,
        worker_init_fn=worker_starts,
        # the loader draws a number for itself: not from the trainer's random numbers
        generator=torch.Generator(),
    )
    named: set[str] = set()
    for pictures, skipped, error, place in loader:
        for sentence in skipped:
            if sentence not in named:
                warnings.warn(f"skipped: {sentence}", stacklevel=3)
            named.add(sentence)
        if error:
            raise ValueError(error)
        yield from_bytes(pictures), place


def worker_starts(worker: int) -> None:
    """Ctrl-C and a job scheduler's SIGTERM reach every process of a job; the trainer
    still wants its next batch, to end in order.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
