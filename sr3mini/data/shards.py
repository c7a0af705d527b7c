r"""Pictures that do not fit on a disk, or in a listing: WebDataset shards, Parquet
files and sets of the Hugging Face Hub, read in passing.

The order is a function of (seed, epoch): the shards are permuted, and what is read from
them is permuted block by block. A place in it is (epoch, shard, place in the shard,
pictures taken from the block), so a stream goes on exactly where it was left: at the
start of its block, which is read once more. (The shuffling buffer of `datasets` is
not part of its state: what lay in it is lost where a stream goes on.)
"""

from __future__ import annotations

import contextlib
import glob
import logging
import os
import re
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import IterableDataset, get_worker_info

from ..files.ranges import Range
from ..files.reading import read_square
from .folder import HELD_OUT, Split, mark
from .workers import Batches, Dealt, dealt_ahead, permutation

# a block ends at so many pictures, or at so many bytes
BLOCK, BLOCK_BYTES = 1024, 2**26
CHUNK = 32  # pictures read at once: a place in a shard is known to so many
HUB = "hf://"


# How far a reader has come: the epoch; which of its own shards, in the order of the
# epoch; where in it the block starts, in the words of `datasets`; pictures of the block
Place = dict[str, Any]
START: Place = {"epoch": 0, "shard": 0, "inside": None, "taken": 0}
Block = list[tuple[str, bytes]]  # names and contents


class Stream:
    """Pictures read in passing, one part of them: a twentieth is held out, by a hash of
    what a picture holds, so that twins stay together.

    `data`: shards, as a path with *, ? or {000..099}, that end in .tar or .parquet; or
    hf://owner/name, hf://owner/name/configuration. ValueError when nothing fits, or no
    column holds pictures; ImportError when `datasets` is not installed; OSError when
    the Hub cannot be reached.
    """

    def __init__(
        self,
        data: str,
        size: int,
        channels: int = 3,
        split: Split = "train",
        bounds: Range | None = None,
    ) -> None:
        source = _open(data)
        from datasets import Image

        self.data, self.size, self.channels, self.split = data, size, channels, split
        self.bounds = bounds
        features = source.features or {}
        columns = [name for name in features if isinstance(features[name], Image)]
        if not columns:
            raise ValueError(
                f"no column of {data} holds pictures: {', '.join(features)}"
            )
        self.column = columns[0]
        self.source = source.cast_column(self.column, Image(decode=False))
        self.shards: int = source.num_shards

    def blocks(
        self, seed: int, reader: int, readers: int, start: Place
    ) -> Iterator[tuple[Block, Place]]:
        """One of `readers`' share, block by block without end: (pictures, where the
        block starts).
        """
        while True:
            found, block = start["inside"] is not None, []
            for wanted, behind in self._chunks(seed, reader, readers, start):
                block += wanted
                size = sum(len(content) for _, content in block)
                if len(block) >= BLOCK or size >= BLOCK_BYTES:
                    yield block, start
                    found, block, start = True, [], behind
            if block:
                yield block, start
            elif not found:
                raise ValueError(
                    f"too few pictures in {self.data}: one of {readers} readers found"
                    f" none for {self.split}ing (one in {HELD_OUT} is held out); add"
                    " some, use fewer processes and workers, or a folder"
                )
            start = {**START, "epoch": start["epoch"] + 1}

    def _chunks(
        self, seed: int, reader: int, readers: int, start: Place
    ) -> Iterator[tuple[Block, Place]]:
        """What is left of an epoch, chunk by chunk: (pictures, the place behind). More
        readers than shards share a shard, and take turns.
        """
        order = permutation(self.shards, seed, start["epoch"]).tolist()
        turn, first = divmod(reader, self.shards)
        mine = order[reader::readers] or [order[first]]
        sharing = len(range(first, readers, self.shards))
        for position in range(start["shard"], len(mine)):
            shard = self.source.shard(num_shards=self.shards, index=mine[position])
            try:
                if position == start["shard"] and start["inside"]:
                    shard.load_state_dict(start["inside"])
                # not iter(shard), which would share it among the workers once more
                # closed, as threads that still read ahead would abort the exit
                with contextlib.closing(shard.iter(CHUNK)) as chunks:
                    for chunk in chunks:
                        wanted = self._wanted(chunk[self.column], turn, sharing)
                        place = {"shard": position, "inside": shard.state_dict()}
                        yield wanted, {**START, "epoch": start["epoch"], **place}
            except Exception as error:  # the errors of a dozen libraries below
                raise ValueError(
                    f"shard {mine[position]} of {self.data} could not be read to its"
                    f" end ({_brief(error)}); mend it or leave it out"
                ) from error

    def _wanted(self, pictures: list[Any], turn: int, sharing: int) -> Block:
        """The pictures of this part whose turn it is."""
        wanted = []
        for picture in filter(None, pictures):
            content = picture["bytes"]
            if not content:  # which might be of any file on this machine
                raise ValueError(f"a row holds only the path {picture['path']!r}")
            number = mark(content)
            group, held_out = divmod(number, HELD_OUT)
            if (held_out == 0) == (self.split == "test") and group % sharing == turn:
                name = f"{picture['path'] or number} of {self.data}"
                wanted.append((name, content))
        return wanted


class _Readers(IterableDataset[Dealt | ValueError]):
    """One rank's readers: worker w of this process deals the batches number `dealt` +
    w, + w + workers, ...
    """

    def __init__(
        self, stream: Stream, batch: int, rank: int, state: dict[str, Any]
    ) -> None:
        self.stream, self.batch, self.rank, self.state = stream, batch, rank, state

    def __iter__(self) -> Iterator[Dealt | ValueError]:
        worker = get_worker_info()
        if worker is not None:
            from fsspec.asyn import reset_lock  # type: ignore[import-untyped]

            reset_lock()  # its thread did not follow into this process
        dealt = self.state["dealt"] + (worker.id if worker else 0)
        try:
            yield from self._deal(dealt % self.state["readers"])
        except ValueError as error:
            yield error

    def _deal(self, own: int) -> Iterator[Dealt]:
        """The batches of one reader, each with the place behind it."""
        stream, seed, readers = self.stream, self.state["seed"], self.state["readers"]
        reader, start = self.rank * readers + own, self.state["places"][own]
        all_readers = self.state["ranks"] * readers
        pictures: list[torch.Tensor] = []
        skipped: list[str] = []
        for block, begin in stream.blocks(seed, reader, all_readers, start):
            key = (seed, reader, begin["epoch"], begin["shard"])
            order = permutation(len(block), *key).tolist()
            for taken in range(begin["taken"], len(block)):
                name, content = block[order[taken]]
                try:
                    how = (stream.size, stream.channels, name, stream.bounds)
                    square = read_square(content, *how)
                    pictures.append(square)
                except ValueError as error:
                    skipped.append(str(error))
                if len(skipped) > BLOCK:
                    raise ValueError(
                        f"more than {BLOCK} pictures of {stream.data} could not be read"
                        f" for one batch; the last: {skipped[-1]}"
                    )
                if len(pictures) == self.batch:
                    place = {**begin, "taken": taken + 1}
                    yield Dealt(torch.stack(pictures), skipped, place)
                    pictures, skipped = [], []


def stream_batches(
    stream: Stream,
    batch: int,
    seed: int,
    rank: int,
    ranks: int,
    workers: int,
    left: dict[str, Any] | None,
) -> Batches:
    """Batches of `batch` pictures for this rank, read by max(1, workers) readers.
    `left`: the state in which this rank's stream was left.
    """
    readers = max(1, workers)
    shape = {"seed": seed, "ranks": ranks, "readers": readers}
    state: dict[str, Any] = {**shape, "dealt": 0, "places": [START] * readers}
    if left and not _is_state(left):
        raise ValueError(f"the state tells no place in {stream.data}: it is damaged")
    if left and left.items() >= shape.items():
        state = dict(left)
    elif left:
        epoch = 1 + max(place["epoch"] for place in left["places"])
        state["places"] = [{**START, "epoch": epoch}] * readers
        said = f"other readers of {stream.data}: its order starts anew, epoch {epoch}"
        warnings.warn(said, stacklevel=3)

    def tensors() -> Iterator[torch.Tensor]:
        dealt = dealt_ahead(_Readers(stream, batch, rank, dict(state)), workers)
        for number, (pictures, place) in enumerate(dealt, state["dealt"]):
            places = list(state["places"])
            places[number % readers] = place
            state.update(dealt=number + 1, places=places)
            yield pictures

    return Batches(tensors(), lambda: dict(state))


def _is_state(left: dict[str, Any]) -> bool:
    """Whether it has the form of what a stream is left in."""
    places, readers = left.get("places"), left.get("readers")
    if not isinstance(places, list) or len(places) != readers:
        return False
    numbers = [left.get(name) for name in ("seed", "ranks", "readers", "dealt")]
    for place in places:
        if not isinstance(place, dict) or place.keys() != START.keys():
            return False
        numbers += [place[name] for name in ("epoch", "shard", "taken")]
    return all(type(number) is int and number >= 0 for number in numbers)


def is_stream(data: str) -> bool:
    """Whether a name means a stream: hf://..., or shards."""
    return data.startswith(HUB) or data.endswith((".tar", ".parquet"))


def _open(data: str) -> Any:
    """The set as `datasets` streams it."""
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise ImportError(f"to read {data}: pip install 'sr3mini[stream]'") from error
    logging.getLogger("datasets").setLevel(logging.CRITICAL)  # what it says, we do
    how: dict[str, Any]
    if data.startswith(HUB):
        owner, name, configuration, *_ = [*data[len(HUB) :].split("/"), "", ""]
        if not owner or not name:
            raise ValueError(f"{data} names no set of the Hub: write hf://owner/name")
        how = {"path": f"{owner}/{name}", "name": configuration or None}
    else:
        kind = "webdataset" if data.endswith(".tar") else "parquet"
        how = {"path": kind, "data_files": {"train": _shards(data)}}
    try:
        return load_dataset(split="train", streaming=True, **how)
    except Exception as error:  # the errors of a dozen libraries below
        raise OSError(f"{data} could not be opened ({_brief(error)})") from error


def _brief(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _shards(pattern: str) -> list[str]:
    """The files that a pattern with *, ? and {000..099} names, sorted."""
    if match := re.search(r"\{(\d+)\.\.(\d+)\}", pattern):
        first, last = match.groups()
        numbers = [f"{n:0{len(first)}}" for n in range(int(first), int(last) + 1)]
        each = [pattern.replace(match[0], number, 1) for number in numbers]
        return [file for one in each for file in _shards(one)]
    # no pipe, which would be waited for
    files = sorted(filter(os.path.isfile, glob.glob(pattern, recursive=True)))
    if not files:
        raise ValueError(f"no shard fits {pattern}")
    return files
