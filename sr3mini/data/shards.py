r"""Pictures that do not fit on a disk, or in a listing: WebDataset shards, Parquet
files and sets of the Hugging Face Hub, read in passing.

The order is a function of (seed, epoch): the shards are permuted, and what is read from
them is permuted block by block. A place in it is (epoch, shard, place in the shard,
pictures taken from the block), so a stream goes on exactly where it was left: at the
start of its block, which is read once more.
"""

from __future__ import annotations

import glob
import hashlib
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch.utils.data import IterableDataset, get_worker_info

from ..files.reading import read_square
from .folder import HELD_OUT, Split, permutation
from .workers import Batches, Dealt, ahead

BLOCK, BLOCK_BYTES = (
    1024,
    2**26,
)  # a block ends at so many pictures, or at so many bytes
CHUNK = 32  # pictures read at once: a place in a shard is known to so many
HUB = "hf://"


class Place(TypedDict):
    """How far a reader has come."""

    epoch: int
    shard: int  # of its own shards in the order of the epoch
    inside: (
        dict[str, Any] | None
    )  # where in it the block starts, in the words of `datasets`
    taken: int  # pictures of the block


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
        columns = [
            name for name, feature in features.items() if isinstance(feature, Image)
        ]
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
            from_its_beginning, empty, read = start["inside"] is None, True, 0
            block: Block = []
            for chunk, count, behind in self._chunks(seed, reader, readers, start):
                block += chunk
                read += count
                if (
                    len(block) >= BLOCK
                    or sum(len(content) for _, content in block) >= BLOCK_BYTES
                ):
                    yield block, start
                    block, start, empty = [], behind, False
            if block:
                yield block, start
            elif from_its_beginning and empty:
                raise ValueError(self._nothing_found(read, readers))
            start = {**START, "epoch": start["epoch"] + 1}

    def _nothing_found(self, read: int, readers: int) -> str:
        if readers > 1:
            return (
                f"a reader of {self.data} found no picture for {self.split}ing among"
                f" the {read} that it read; use fewer processes and workers than"
                f" {readers}"
            )
        held_out = f"one in {HELD_OUT} is held out, by a hash of what it holds"
        advice = (
            "add pictures, or unpack them into a folder, of which at least one is"
            " held out"
        )
        return (
            f"too few pictures in {self.data}: none of the {read} read is for"
            f" {self.split}ing ({held_out}); {advice}"
        )

    def _chunks(
        self, seed: int, reader: int, readers: int, start: Place
    ) -> Iterator[tuple[Block, int, Place]]:
        """What is left of an epoch, chunk by chunk: (pictures, how many were read for
        them, the place behind). More readers than shards share a shard.
        """
        order = permutation(self.shards, seed, start["epoch"]).tolist()
        mine = order[reader::readers] or [order[reader % self.shards]]
        sharing = (
            len(range(reader % self.shards, readers, self.shards))
            if readers > self.shards
            else 1
        )
        for position in range(start["shard"], len(mine)):
            shard = self.source.shard(num_shards=self.shards, index=mine[position])
            if position == start["shard"] and start["inside"] is not None:
                shard.load_state_dict(start["inside"])
            try:
                for chunk in shard.iter(
                    CHUNK
                ):  # not iter(shard), which would share it among the workers once more
                    read = list(self._pictures(chunk))
                    kept = [
                        picture
                        for picture in read
                        if self._is_wanted(picture[1], reader // self.shards, sharing)
                    ]
                    yield (
                        kept,
                        len(read),
                        Place(
                            epoch=start["epoch"],
                            shard=position,
                            inside=shard.state_dict(),
                            taken=0,
                        ),
                    )
            except Exception as error:  # the errors of a dozen libraries below
                reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
                raise ValueError(
                    f"shard {mine[position]} of {self.data} could not be read to its"
                    f" end ({reason}); mend it or leave it out"
                ) from error

    def _pictures(self, chunk: dict[str, list[Any]]) -> Iterator[tuple[str, bytes]]:
        for row, picture in enumerate(chunk[self.column]):
            if picture is None:
                continue
            content = (
                picture["bytes"]
                if picture["bytes"] is not None
                else Path(picture["path"]).read_bytes()
            )
            name = picture["path"] or str(
                chunk["__key__"][row]
                if "__key__" in chunk
                else hashlib.sha256(content).hexdigest()[:16]
            )
            yield f"{name} of {self.data}", content

    def _is_wanted(self, content: bytes, turn: int, sharing: int) -> bool:
        mark = int.from_bytes(hashlib.blake2b(content, digest_size=8).digest())
        return (mark % HELD_OUT == 0) == (
            self.split == "test"
        ) and mark // HELD_OUT % sharing == turn % sharing


class _Readers(IterableDataset[Dealt]):
    """One rank's readers: worker w of this process deals the batches number `dealt` +
    w, + w + workers, ...
    """

    def __init__(
        self,
        stream: Stream,
        batch: int,
        seed: int,
        rank: int,
        ranks: int,
        workers: int,
        dealt: int,
        places: list[Place],
    ) -> None:
        self.stream, self.batch, self.seed, self.rank, self.ranks = (
            stream,
            batch,
            seed,
            rank,
            ranks,
        )
        self.workers, self.dealt, self.places = workers, dealt, places

    def __iter__(self) -> Iterator[Dealt]:
        info = get_worker_info()
        if info is not None:
            from fsspec.asyn import reset_lock  # type: ignore[import-untyped]

            reset_lock()  # its thread did not follow into this process
        own = (self.dealt + (0 if info is None else info.id)) % self.workers
        try:
            yield from self._deal(self.rank * self.workers + own, self.places[own])
        except ValueError as error:
            yield Dealt(None, [], str(error))

    def _deal(self, reader: int, start: Place) -> Iterator[Dealt]:
        pictures: list[torch.Tensor] = []
        skipped: list[str] = []
        bad_in_a_row = 0
        for block, begin in self.stream.blocks(
            self.seed, reader, self.ranks * self.workers, start
        ):
            order = permutation(
                len(block), self.seed, reader, begin["epoch"], begin["shard"]
            ).tolist()
            for taken in range(begin["taken"], len(block)):
                name, content = block[order[taken]]
                try:
                    pictures.append(
                        read_square(
                            content, self.stream.size, self.stream.channels, name
                        )
                    )
                    bad_in_a_row = 0
                except ValueError as error:
                    skipped.append(str(error))
                    bad_in_a_row += 1
                    if bad_in_a_row > BLOCK:
                        raise ValueError(
                            f"{BLOCK} pictures of {self.stream.data} in a row could not"
                            f" be read; the last: {error}"
                        ) from error
                if len(pictures) == self.batch:
                    yield Dealt(
                        torch.stack(pictures),
                        skipped,
                        place={**begin, "taken": taken + 1},
                    )
                    pictures, skipped = [], []


def stream_batches(
    stream: Stream,
    batch: int,
    seed: int,
    rank: int,
    ranks: int,
    workers: int,
    state: dict[str, Any] | None,
) -> Batches:
    """Batches of `batch` pictures for this rank, read by max(1, workers) readers.
    `state`: where this rank's stream was left.
    """
    readers = max(1, workers)
    shape = {"seed": seed, "ranks": ranks, "readers": readers}
    dealt, places = 0, [START] * readers
    if state and {key: state[key] for key in shape} == shape:
        dealt, places = state["dealt"], list(state["places"])
    elif state:
        epoch = 1 + max(place["epoch"] for place in state["places"])
        warnings.warn(
            f"{stream.data} was left with {state} but goes on with {shape}: its order"
            f" starts anew with epoch {epoch}",
            stacklevel=3,
        )
        places = [{**START, "epoch": epoch}] * readers
    now: dict[str, Any] = {**shape, "dealt": dealt, "places": places}

    def tensors() -> Iterator[torch.Tensor]:
        for number, (pictures, place) in enumerate(
            ahead(
                _Readers(
                    stream, batch, seed, rank, ranks, readers, dealt, list(places)
                ),
                workers,
            ),
            dealt,
        ):
            now["places"] = [
                place if own == number % readers else other
                for own, other in enumerate(now["places"])
            ]
            now["dealt"] = number + 1
            yield pictures

    return Batches(tensors(), lambda: dict(now))


def is_stream(data: str) -> bool:
    """Whether a name means a stream: hf://..., or shards."""
    return data.startswith(HUB) or data.endswith((".tar", ".parquet"))


def _open(data: str) -> Any:
    """The set as `datasets` streams it."""
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise ImportError(
            f"{data} is a stream, which the package datasets reads: pip install"
            " 'sr3mini[stream]'"
        ) from error
    if data.startswith(HUB):
        owner, name, *configuration = [*data.removeprefix(HUB).split("/"), ""][:4]
        if not owner or not name:
            raise ValueError(f"{data} names no set of the Hub; write hf://owner/name")
        arguments: dict[str, Any] = {
            "path": f"{owner}/{name}",
            "name": (configuration or [""])[0] or None,
        }
    else:
        files = _shards(data)
        arguments = {
            "path": "webdataset" if data.endswith(".tar") else "parquet",
            "data_files": {"train": files},
        }
    try:
        return load_dataset(split="train", streaming=True, **arguments)
    except Exception as error:  # the errors of a dozen libraries below
        raise OSError(
            f"{data} could not be opened as a stream"
            f" ({' '.join(str(error).split())[:300]})"
        ) from error


def _shards(pattern: str) -> list[str]:
    """The files that a pattern with *, ? and {000..099} names, sorted."""
    match = re.search(r"\{(\d+)\.\.(\d+)\}", pattern)
    if match:
        first, last = match.groups()
        numbers = (
            str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)
        )
        return [
            file
            for number in numbers
            for file in _shards(
                pattern[: match.start()] + number + pattern[match.end() :]
            )
        ]
    files = sorted(glob.glob(pattern, recursive=True))
    if not files:
        raise ValueError(f"no shard fits {pattern}")
    return files
