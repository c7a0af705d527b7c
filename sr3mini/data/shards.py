r"""Pictures that do not fit on a disk, or in a listing: WebDataset shards, Parquet
files and sets of the Hugging Face Hub, read in passing.

The order is a function of (seed, epoch): the shards are permuted, and what is read from
them is permuted block by block. A place in it is (epoch, shard, place in the shard,
pictures taken from the block), so a stream goes on exactly where it was left: at the
start of its block, which is read once more. (The shuffling buffer of `datasets` is
not part of its state: what lay in it is lost where a stream goes on.)
"""

from __future__ import annotations

import glob
import hashlib
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import torch
from torch.utils.data import IterableDataset, get_worker_info

from ..files.reading import read_square
from .folder import HELD_OUT, Split, mark
from .workers import Batches, Dealt, floats_ahead, permutation

# a block ends at so many pictures, or at so many bytes
BLOCK, BLOCK_BYTES = 1024, 2**26
CHUNK = 32  # pictures read at once: a place in a shard is known to so many
HUB = "hf://"


class Place(TypedDict):
    """How far a reader has come."""

    epoch: int
    shard: int  # of its own shards in the order of the epoch
    # where in it the block starts, in the words of `datasets`
    inside: dict[str, Any] | None
    taken: int  # pictures of the block


class State(TypedDict):
    """Where the readers of one rank are."""

    seed: int
    ranks: int
    readers: int
    dealt: int  # batches
    places: list[Place]  # of each reader


class Chunk(NamedTuple):
    """Pictures that were read together."""

    wanted: Block
    count: int  # how many were read for them
    behind: Place


START = Place(epoch=0, shard=0, inside=None, taken=0)
Block = list[tuple[str, bytes]]


class Stream:
    """Pictures read in passing, one part of them: a twentieth is held out, by a hash of
    what a picture holds, so that twins stay together.

    `data`: shards, as a path with *, ? or {000..099}, that end in .tar or .parquet; or
    hf://owner/name, hf://owner/name/configuration. ValueError when nothing fits, or no
    column holds pictures; ImportError when `datasets` is not installed; OSError when
    the Hub cannot be reached.
    """

    def __init__(
        self, data: str, size: int, channels: int = 3, split: Split = "train"
    ) -> None:
        source = _open(data)
        from datasets import Image

        self.data, self.size, self.channels, self.split = data, size, channels, split
        features = source.features or {}
        columns = [name for name in features if isinstance(features[name], Image)]
        if not columns:
            raise ValueError(
                f"no column of {data} holds pictures; its columns are"
                f" {', '.join(features) or 'unknown'}"
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
            whole_epoch, read, yielded = start["inside"] is None, 0, False
            block: Block = []
            for chunk in self._chunks(seed, reader, readers, start):
                block += chunk.wanted
                read += chunk.count
                size = sum(len(content) for _, content in block)
                if len(block) >= BLOCK or size >= BLOCK_BYTES:
                    yield block, start
                    block, start, yielded = [], chunk.behind, True
            if block:
                yield block, start
            elif whole_epoch and not yielded:
                raise ValueError(self._nothing_found(read, readers))
            start = {**START, "epoch": start["epoch"] + 1}

    def _nothing_found(self, read: int, readers: int) -> str:
        found = f"none of the {read} read is for {self.split}ing"
        if readers > 1:
            return (
                f"a reader of {self.data} found no picture ({found}); use fewer"
                f" processes and workers than {readers}"
            )
        return (
            f"too few pictures in {self.data}: {found} (one in {HELD_OUT} is held out,"
            " by a hash of what it holds); add pictures, or unpack them into a folder,"
            " of which at least one is held out"
        )

    def _chunks(
        self, seed: int, reader: int, readers: int, start: Place
    ) -> Iterator[Chunk]:
        """What is left of an epoch. More readers than shards share a shard."""
        order = permutation(self.shards, seed, start["epoch"]).tolist()
        mine = order[reader::readers] or [order[reader % self.shards]]
        sharing = len(
            range(reader % self.shards, max(readers, self.shards), self.shards)
        )
        turn = reader // self.shards % sharing
        for position in range(start["shard"], len(mine)):
            shard = self.source.shard(num_shards=self.shards, index=mine[position])
            if position == start["shard"] and start["inside"] is not None:
                shard.load_state_dict(start["inside"])
            try:
                # not iter(shard), which would share it among the workers once more
                for chunk in shard.iter(CHUNK):
                    read = list(self._pictures(chunk))
                    wanted = [
                        each for each in read if self._is_mine(each, turn, sharing)
                    ]
                    inside = shard.state_dict()
                    behind = {**START, "shard": position, "inside": inside}
                    yield Chunk(wanted, len(read), {**behind, "epoch": start["epoch"]})
            except Exception as error:  # the errors of a dozen libraries below
                raise ValueError(
                    f"shard {mine[position]} of {self.data} could not be read to its"
                    f" end ({type(error).__name__}: {_brief(error)}); mend it or leave"
                    " it out"
                ) from error

    def _pictures(self, chunk: dict[str, list[Any]]) -> Iterator[tuple[str, bytes]]:
        for row, picture in enumerate(chunk[self.column]):
            if picture is None:
                continue
            path, content = picture["path"], picture["bytes"]
            if content is None:
                content = Path(path).read_bytes()
            if not path and "__key__" in chunk:
                path = chunk["__key__"][row]
            name = path or hashlib.sha256(content).hexdigest()[:16]
            yield f"{name} of {self.data}", content

    def _is_mine(self, picture: tuple[str, bytes], turn: int, sharing: int) -> bool:
        group, in_group = divmod(mark(picture[1]), HELD_OUT)
        held_out = in_group == 0
        return held_out == (self.split == "test") and group % sharing == turn


class _Readers(IterableDataset[Dealt | ValueError]):
    """One rank's readers: worker w of this process deals the batches number `dealt` +
    w, + w + workers, ...
    """

    def __init__(self, stream: Stream, batch: int, rank: int, state: State) -> None:
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
        pictures: list[torch.Tensor] = []
        skipped: list[str] = []
        bad_in_a_row = 0
        for name, content, place in self._in_order(own):
            try:
                size, channels = self.stream.size, self.stream.channels
                pictures.append(read_square(content, size, channels, name))
                bad_in_a_row = 0
            except ValueError as error:
                skipped.append(str(error))
                bad_in_a_row += 1
                if bad_in_a_row > BLOCK:
                    raise ValueError(
                        f"{BLOCK} pictures of {self.stream.data} in a row could not be"
                        f" read; the last: {error}"
                    ) from error
            if len(pictures) == self.batch:
                yield Dealt(torch.stack(pictures), skipped, place)
                pictures, skipped = [], []

    def _in_order(self, own: int) -> Iterator[tuple[str, bytes, Place]]:
        """(name, content, the place behind it) of the pictures of one reader."""
        seed, readers = self.state["seed"], self.state["readers"]
        reader, start = self.rank * readers + own, self.state["places"][own]
        everybody = self.state["ranks"] * readers
        for block, begin in self.stream.blocks(seed, reader, everybody, start):
            key = (seed, reader, begin["epoch"], begin["shard"])
            order = permutation(len(block), *key).tolist()
            for taken in range(begin["taken"], len(block)):
                yield *block[order[taken]], {**begin, "taken": taken + 1}


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
    state = State(
        seed=seed, ranks=ranks, readers=readers, dealt=0, places=[START] * readers
    )
    shape = {"seed": seed, "ranks": ranks, "readers": readers}
    if left and left.items() >= shape.items():
        state["dealt"], state["places"] = left["dealt"], list(left["places"])
    elif left:
        epoch = 1 + max(place["epoch"] for place in left["places"])
        warnings.warn(
            f"{stream.data} was left with {left} but goes on with {shape}: its order"
            f" starts anew with epoch {epoch}",
            stacklevel=3,
        )
        state["places"] = [{**START, "epoch": epoch}] * readers

    def tensors() -> Iterator[torch.Tensor]:
        begin: State = {**state, "places": list(state["places"])}
        dealt = floats_ahead(_Readers(stream, batch, rank, begin), workers)
        for number, (pictures, place) in enumerate(dealt, begin["dealt"]):
            state["places"][number % readers] = place
            state["dealt"] = number + 1
            yield pictures

    return Batches(tensors(), lambda: {**state, "places": list(state["places"])})


def is_stream(data: str) -> bool:
    """Whether a name means a stream: hf://..., or shards."""
    return data.startswith(HUB) or data.endswith((".tar", ".parquet"))


def _open(data: str) -> Any:
    """The set as `datasets` streams it."""
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise ImportError(
            f"{data} is a stream: pip install 'sr3mini[stream]'"
        ) from error
    which: dict[str, Any]
    if data.startswith(HUB):
        owner, name, configuration, *_ = [*data[len(HUB) :].split("/"), "", ""]
        if not owner or not name:
            raise ValueError(f"{data} names no set of the Hub; write hf://owner/name")
        which = {"path": f"{owner}/{name}", "name": configuration or None}
    else:
        kind = "webdataset" if data.endswith(".tar") else "parquet"
        which = {"path": kind, "data_files": {"train": _shards(data)}}
    try:
        return load_dataset(split="train", streaming=True, **which)
    except Exception as error:  # the errors of a dozen libraries below
        raise OSError(
            f"{data} could not be opened as a stream ({_brief(error)})"
        ) from error


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _shards(pattern: str) -> list[str]:
    """The files that a pattern with *, ? and {000..099} names, sorted."""
    if match := re.search(r"\{(\d+)\.\.(\d+)\}", pattern):
        first, last = match.groups()
        numbers = range(int(first), int(last) + 1)
        one_each = [
            pattern.replace(match[0], f"{number:0{len(first)}}", 1)
            for number in numbers
        ]
        return [file for each in one_each for file in _shards(each)]
    files = sorted(glob.glob(pattern, recursive=True))
    if not files:
        raise ValueError(f"no shard fits {pattern}")
    return files
