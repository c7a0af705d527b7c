r"""What folders and streams have in common: an order that is a function of a key, and
decoding ahead, in worker processes, while the trainer computes.
"""

from __future__ import annotations

import hashlib
import signal
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..files.reading import from_bytes

AHEAD = 4  # batches that each worker prepares before they are asked for


class Dealt(NamedTuple):
    """One batch on its way from a worker."""

    pictures: UInt8[Tensor, "B C S S"]
    skipped: list[str]  # a sentence for each unreadable file met on the way
    beside: Any = None  # where a stream has got to; the x of pairs


class Batches(Iterator[Any]):
    """Batches without end, of y, or of (y, x) where x is in files too: floats on
    `device`, to which pictures travel as bytes. `state()`: what a stream goes on from,
    ready for JSON, {} where the step says it all. `close()` ends the workers.
    """

    device = torch.device("cpu")

    def __init__(
        self, tensors: Iterator[Any], state: Callable[[], dict[str, Any]] = dict
    ) -> None:
        self.tensors, self.state = tensors, state

    def __next__(self) -> Any:
        made = next(self.tensors)
        if isinstance(made, tuple):
            return tuple(self._floats(each) for each in made)
        return self._floats(made)

    def _floats(self, pictures: Tensor) -> Float[Tensor, "B C S S"]:
        there = pictures.to(self.device, non_blocking=True)
        return from_bytes(there) if there.dtype == torch.uint8 else there

    def close(self) -> None:
        self.tensors.close()  # type: ignore[attr-defined]


def permutation(n: int, *key: int) -> Int64[Tensor, " n"]:
    """0 ... n-1 in an order that is a function of `key`; 8 bytes each."""
    seed = int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:7])
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))


class Made(Dataset[Any]):
    """What a function makes of each item: in place of an answer its ValueError or
    OSError, which a worker would hand over with a whole traceback, were it raised.
    """

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self.make = make

    def __getitem__(self, item: Any) -> Any:
        try:
            return self.make(item)
        except (ValueError, OSError) as error:
            return error


def ahead(
    dataset: Dataset[Any],
    workers: int,
    wanted: Iterable[Any] | None = None,
    pin: bool = False,
) -> Iterator[Any]:
    """What a data set makes of each of `wanted`, or makes in passing, by `workers`
    processes, in order; `pin`: in memory that a GPU reads while others compute.

    An exception that it returns is raised here.
    """
    loader = DataLoader(
        dataset,
        batch_size=None,
        sampler=wanted,
        num_workers=workers,
        prefetch_factor=AHEAD if workers else None,
        worker_init_fn=_ignore_signals,
        pin_memory=pin,
        # the loader draws a number for itself: not from the trainer's random numbers
        generator=torch.Generator(),
    )
    for made in loader:
        if isinstance(made, Exception):
            raise made
        yield made


def dealt_ahead(
    dataset: Dataset[Any], workers: int, wanted: Iterable[Any] | None = None
) -> Iterator[tuple[UInt8[Tensor, "B C S S"], Any]]:
    """What a data set deals, as (batch, beside). Each unreadable file is named once,
    however many workers met it.
    """
    named: set[str] = set()
    pin = torch.cuda.is_available()
    for pictures, skipped, beside in ahead(dataset, workers, wanted, pin):
        for sentence in skipped:
            if sentence not in named:
                warnings.warn(f"skipped: {sentence}", stacklevel=3)
            named.add(sentence)
        yield pictures, beside


def _ignore_signals(worker: int) -> None:
    """Ctrl-C and a job scheduler's SIGTERM reach every process of a job; the trainer
    still wants its next batch, to end in order.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
