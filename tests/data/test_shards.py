"""Streams: read from shards on this machine, by the code that would read them from the
Hub.
"""

from __future__ import annotations

import builtins
import io
import itertools
import json
import os
import tarfile
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
from PIL import Image
from rooms import room
from torch import Tensor

from sr3mini.data import batches, open_pictures
from sr3mini.data import shards as stream
from sr3mini.data.shards import Stream
from sr3mini.data.workers import Batches

SIZE = 4
COUNT = 120  # pictures, in 3 shards


def content_of(number: int) -> bytes:
    """A picture that is told by its first value."""
    file = io.BytesIO()
    array = np.full((SIZE, SIZE, 3), number, np.uint8)
    Image.fromarray(array).save(file, "png")
    return file.getvalue()


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same pictures as WebDataset shards 000..002.tar, as one.parquet, and as
    broken.tar with a bad one in it.
    """
    place = tmp_path_factory.mktemp("shards")

    def tar(name: str, files: dict[str, bytes]) -> None:
        with tarfile.open(place / name, "w") as opened:
            for file, body in files.items():
                member = tarfile.TarInfo(file)
                member.size = len(body)
                opened.addfile(member, io.BytesIO(body))

    for shard in range(3):
        tar(
            f"{shard:03d}.tar",
            {
                f"{number:03d}.png": content_of(number)
                for number in range(shard * 40, shard * 40 + 40)
            },
        )
    tar(
        "broken.tar",
        {
            f"{number:03d}.png": b"no picture"
            if number % 10 == 3
            else content_of(number)
            for number in range(30)
        },
    )
    tar("few.tar", {f"{number:03d}.png": content_of(number) for number in range(4)})
    tar("texts.tar", {"a.txt": b"one", "b.txt": b"two"})
    table = datasets.Dataset.from_dict(
        {
            "label": list(range(COUNT)),
            "image": [
                {"bytes": content_of(number), "path": None} for number in range(COUNT)
            ],
        },
        features=datasets.Features(
            {"label": datasets.Value("int32"), "image": datasets.Image()}
        ),
    )
    table.to_parquet(place / "one.parquet")
    return place


def numbers(batch: Tensor) -> list[int]:
    return ((batch[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()


def take(dealt: Batches, count: int) -> list[list[int]]:
    try:
        return [numbers(batch) for batch in itertools.islice(dealt, count)]
    finally:
        dealt.close()


def side(shards: Path, name: str = "*.tar") -> dict[str, set[int]]:
    """The pictures of each part."""
    parts = {}
    for split in ("train", "test"):
        opened = Stream(str(shards / name), SIZE, split=split)
        (block, _), *_ = itertools.islice(opened.blocks(0, 0, 1, stream.START), 1)
        parts[split] = {
            int(np.asarray(Image.open(io.BytesIO(body)))[0, 0, 0]) for _, body in block
        }
    return parts


@pytest.mark.parametrize("name", ["00?.tar", "{000..002}.tar", "one.parquet"])
def test_an_epoch_is_every_picture_of_a_part_once(shards: Path, name: str) -> None:
    parts = side(shards, name)
    assert parts["train"] | parts["test"] == set(range(COUNT))
    assert parts["train"].isdisjoint(parts["test"])
    assert 1 <= len(parts["test"]) <= 15
    n = len(parts["train"])
    taken = list(
        itertools.chain(
            *take(batches(open_pictures(str(shards / name), SIZE, 3), 1, seed=0), 2 * n)
        )
    )
    assert set(taken[:n]) == set(taken[n:]) == parts["train"]
    assert taken[:n] != taken[n:]
    assert taken[:n] != sorted(taken[:n])


def test_a_part_is_the_same_in_every_wrapping(shards: Path) -> None:
    assert side(shards, "00?.tar") == side(shards, "one.parquet")


def test_the_order_is_of_seed_and_epoch(shards: Path) -> None:
    def order(seed: int) -> list[list[int]]:
        return take(batches(Stream(str(shards / "00?.tar"), SIZE), 4, seed=seed), 10)

    assert order(1) == order(1) != order(2)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_stream_goes_on_exactly_where_it_was_left(
    shards: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through blocks of 7, shards and epochs; the state goes through JSON, as it does
    in a checkpoint.
    """
    monkeypatch.setattr(stream, "BLOCK", 7)
    monkeypatch.setattr(stream, "CHUNK", 3)
    opened = Stream(str(shards / "00?.tar"), SIZE)
    dealt = batches(opened, 5, seed=0, workers=workers)
    states, whole = [dealt.state()], []
    for batch in itertools.islice(dealt, 60):
        whole.append(numbers(batch))
        states.append(json.loads(json.dumps(dealt.state())))
    dealt.close()
    assert states[-1]["places"][0]["epoch"] >= 1
    for step in (0, 1, 2, 9, 22, 41):
        assert (
            take(
                batches(
                    opened, 5, seed=0, workers=workers, start=step, state=states[step]
                ),
                10,
            )
            == whole[step : step + 10]
        )


@pytest.mark.parametrize(("ranks", "workers"), [(2, 0), (3, 1), (2, 2), (5, 0)])
def test_ranks_and_workers_share_an_epoch(
    shards: Path, ranks: int, workers: int
) -> None:
    """As many readers as shards, fewer, and more: together they read every picture once
    an epoch, none of them twice.
    """
    readers = ranks * max(1, workers)
    opened = Stream(str(shards / "00?.tar"), SIZE)
    seen: Counter[int] = Counter()
    for reader in range(readers):
        block, _ = next(opened.blocks(0, reader, readers, stream.START))
        seen.update(
            int(np.asarray(Image.open(io.BytesIO(body)))[0, 0, 0]) for _, body in block
        )
    assert seen == Counter(side(shards, "00?.tar")["train"])
    first = [
        take(
            batches(opened, 2 * ranks, seed=0, rank=rank, ranks=ranks, workers=workers),
            4,
        )
        for rank in range(ranks)
    ]
    assert all(len(batch) == 2 for share in first for batch in share)
    assert (
        max(
            Counter(
                number for share in first for batch in share for number in batch
            ).values()
        )
        == 1
    )


def test_other_numbers_of_workers_start_a_new_epoch_and_say_so(shards: Path) -> None:
    opened = Stream(str(shards / "00?.tar"), SIZE)
    dealt = batches(opened, 4, seed=0)
    next(dealt)
    with pytest.warns(UserWarning, match="its order starts anew, epoch 1"):
        goes_on = batches(opened, 4, seed=0, workers=2, start=1, state=dealt.state())
    assert [place["epoch"] for place in goes_on.state()["places"]] == [1, 1]
    assert len(take(goes_on, 2)) == 2


def test_a_start_without_a_state_is_refused(shards: Path) -> None:
    with pytest.raises(
        ValueError,
        match=r"is a stream and goes on from a state, not from a step$",
    ):
        batches(Stream(str(shards / "000.tar"), SIZE), 4, seed=0, start=3)


def test_a_bad_picture_is_named_once_and_passed_over(shards: Path) -> None:
    dealt = batches(Stream(str(shards / "broken.tar"), SIZE), 4, seed=0, workers=2)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        taken = Counter(itertools.chain(*take(dealt, 40)))
    named = sorted(str(warning.message) for warning in said)
    assert [sentence.split(" of ")[0] for sentence in named] == [
        f"skipped: {name}.png" for name in ("003", "013", "023")
    ]
    assert not {3, 13, 23} & set(taken)


def test_a_stream_of_nothing_but_bad_pictures_ends_in_a_sentence(
    shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "BLOCK", 8)
    monkeypatch.setattr(
        stream,
        "read_square",
        lambda *_: (_ for _ in ()).throw(ValueError("a.png could not be read")),
    )
    with pytest.raises(
        ValueError,
        match=(
            r"^more than 8 pictures of [^\n]*000\.tar could not be read for one batch;"
            r" the last: a\.png could not be read$"
        ),
    ):
        next(batches(Stream(str(shards / "000.tar"), SIZE), 4, seed=0))


def test_a_reader_that_finds_nothing_says_so(shards: Path) -> None:
    opened = Stream(str(shards / "00?.tar"), SIZE, split="test")
    with pytest.raises(
        ValueError,
        match=(
            r"one of 64 readers found none for testing \(one in 20 is held out\); add"
            r" some, use fewer processes and workers, "
        ),
    ):
        [next(opened.blocks(0, reader, 64, stream.START)) for reader in range(64)]


def test_too_few_pictures_to_hold_one_out_are_told_as_that(shards: Path) -> None:
    with pytest.raises(
        ValueError,
        match=(
            r"^too few pictures in [^\n]*few\.tar: one of 1 readers found none for"
            r" testing \(one in 20 is held out\)"
        ),
    ):
        next(batches(Stream(str(shards / "few.tar"), SIZE, split="test"), 1, seed=0))
    assert len(take(batches(Stream(str(shards / "few.tar"), SIZE), 4, seed=0), 2)) == 2


def test_pictures_come_in_the_size_and_the_channels_asked_for(shards: Path) -> None:
    dealt = batches(open_pictures(str(shards / "one.parquet"), 8, 1), 4, seed=0)
    assert next(dealt).shape == (4, 1, 8, 8)


def test_a_set_of_the_hub_is_asked_for_by_its_name(
    shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Hub is not needed: what would be asked of it is answered from a file."""
    asked = []
    load = datasets.load_dataset

    def answer(
        path: str, name: str | None, **options: object
    ) -> datasets.IterableDataset:
        asked.append((path, name, options))
        return load("parquet", data_files=str(shards / "one.parquet"), **options)

    monkeypatch.setattr(datasets, "load_dataset", answer)
    for data, name in (("hf://owner/faces", None), ("hf://owner/faces/small", "small")):
        opened = open_pictures(data, SIZE, 3)
        assert asked[-1] == ("owner/faces", name, {"split": "train", "streaming": True})
        assert len(take(batches(opened, 4, seed=0), 3)) == 3


def test_what_cannot_be_streamed_is_told_in_a_sentence(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object, **__: object) -> None:
        raise ConnectionError("no route\n  to host")

    with pytest.raises(ValueError, match=r"^no shard fits .*nothing\*\.tar$"):
        Stream(str(shards / "nothing*.tar"), SIZE)
    os.mkfifo(tmp_path / "pipe.tar")
    with pytest.raises(ValueError, match=r"^no shard fits .*pipe\.tar$"):
        Stream(str(tmp_path / "pipe.tar"), SIZE)
    with pytest.raises(
        ValueError,
        match=(r"^no column of .*texts\.tar holds pictures: txt, __key__, __url__$"),
    ):
        Stream(str(shards / "texts.tar"), SIZE)
    with pytest.raises(
        ValueError, match=r"^hf://faces names no set of the Hub: write hf://owner/name$"
    ):
        Stream("hf://faces", SIZE)
    monkeypatch.setattr(datasets, "load_dataset", down)
    with pytest.raises(
        OSError,
        match=(r"^hf://a/b could not be opened \(ConnectionError: no route to host\)$"),
    ):
        Stream("hf://a/b", SIZE)


def test_without_the_package_it_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = builtins.__import__

    def without(name: str, *arguments: object, **options: object) -> object:
        if name.split(".")[0] == "datasets":
            raise ImportError("No module named 'datasets'")
        return whole(name, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        ImportError,
        match=(r"^to read a\.tar: pip install 'sr3mini\[stream\]'$"),
    ):
        room("data.shards").Stream("a.tar", SIZE)


def test_a_shard_that_is_cut_off_ends_in_a_sentence(
    shards: Path, tmp_path: Path
) -> None:
    (tmp_path / "cut.tar").write_bytes((shards / "000.tar").read_bytes()[:-30_000])
    for workers in (0, 1):
        with pytest.raises(
            ValueError,
            match=(
                r"^shard 0 of [^\n]*cut\.tar could not be read to its end \(ReadError:"
                r" unexpected end of data\); mend it or leave it out$"
            ),
        ):
            next(
                batches(
                    Stream(str(tmp_path / "cut.tar"), SIZE), 4, seed=0, workers=workers
                )
            )


@pytest.mark.parametrize(
    "path",
    [
        "picture.png",
        "/etc/hostname",
        "../picture.png",
        "C:\\picture.png",
        "file:///etc/hostname",
        "https://example.org/a.png",
        "hf://datasets/a/b/c.png",
    ],
)
@pytest.mark.parametrize("content", [None, b""])
def test_a_row_that_holds_only_a_path_is_refused_and_no_file_opened(
    content: bytes | None,
    path: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It might name any file on this machine."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "picture.png").write_bytes(content_of(3))
    rows = [{"bytes": content_of(n), "path": None} for n in range(3)]
    kind = pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})
    column = pyarrow.array([*rows, {"bytes": content, "path": path}], kind)
    told = {"info": {"features": {"image": {"_type": "Image"}}}}
    table = pyarrow.table({"image": column})
    table = table.replace_schema_metadata({"huggingface": json.dumps(told)})
    pyarrow.parquet.write_table(table, tmp_path / "rows.parquet")
    with pytest.raises(ValueError, match="a row holds only the path") as refused:
        take(batches(Stream("rows.parquet", SIZE), 1, seed=0), 9)
    assert path in str(refused.value).replace("\\\\", "\\")


PLACE = {"epoch": 0, "shard": 0, "inside": None, "taken": 0}
LEFT = {"seed": 0, "ranks": 1, "readers": 1, "dealt": 3, "places": [PLACE]}


@pytest.mark.parametrize(
    "left",
    [
        {"places": []},
        LEFT | {"places": []},
        LEFT | {"places": [PLACE, PLACE]},
        LEFT | {"places": [{}]},
        LEFT | {"places": "a"},
        LEFT | {"places": [PLACE | {"taken": -1}]},
        LEFT | {"places": [PLACE | {"epoch": "0"}]},
        LEFT | {"places": [PLACE | {"shard": 0.5}]},
        LEFT | {"dealt": None},
        LEFT | {"readers": 2},
    ],
)
def test_a_damaged_state_of_a_stream_is_refused(left: Any, shards: Path) -> None:
    opened = Stream(str(shards / "few.tar"), SIZE)
    with pytest.raises(ValueError, match=r"tells no place in .*: it is damaged"):
        batches(opened, 1, seed=0, state=left)


@pytest.mark.parametrize("inside", [{"a": 1}, [1], 7, "text", {"examples_iterable": 3}])
def test_a_place_inside_a_shard_that_datasets_does_not_know_is_refused(
    inside: Any, shards: Path
) -> None:
    opened = Stream(str(shards / "few.tar"), SIZE)
    left = LEFT | {"places": [PLACE | {"inside": inside}]}
    with pytest.raises(ValueError, match="could not be read to its end"):
        take(batches(opened, 1, seed=0, state=left), 1)


def test_two_streams_need_not_the_trainers_random_numbers(shards: Path) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    take(batches(Stream(str(shards / "000.tar"), SIZE), 4, seed=0, workers=1), 2)
    assert torch.equal(torch.get_rng_state(), before)
