"""The order of the data is a function of (seed, step): whoever reads, however many,
from wherever they start.
"""

from __future__ import annotations

import importlib
import multiprocessing
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from messy import messy
from PIL import Image
from torch import Tensor

from sr3mini import data
from sr3mini.data import (
    Folder,
    batches,
    from_bytes,
    open_pictures,
    read_picture,
    rows,
    square,
    to_bytes,
)
from sr3mini.data.glyphs import Glyphs
from sr3mini.files.reading import read_square

SIZE = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 pictures, each of one grey that is its number."""
    place = tmp_path_factory.mktemp("numbers")
    for number in range(30):
        Image.new("RGB", (SIZE, SIZE), (number, number, number)).save(
            place / f"{number:02d}.png"
        )
    return place


def numbers(batch: Tensor) -> list[int]:
    """Which pictures a batch holds."""
    return to_bytes(batch)[:, 0, 0, 0].tolist()


def first(count: int, folder: Path, size: int = 4, **options: int) -> list[list[int]]:
    dealt = batches(Folder(folder, SIZE), size, seed=0, **options)
    try:
        return [numbers(next(dealt)) for _ in range(count)]
    finally:
        dealt.close()


@pytest.mark.parametrize("n", [1, 7, 30, 1000])
def test_every_picture_is_taken_once_an_epoch(n: int) -> None:
    """With a batch that does not divide n, and with one that holds several epochs."""
    for batch in (1, 4, 64):
        taken = torch.cat(
            [rows(n, batch, 3, step) for step in range(-(-5 * n // batch))]
        )
        assert taken.dtype == torch.int64
        for epoch in range(5):
            assert sorted(taken[epoch * n : (epoch + 1) * n].tolist()) == list(range(n))


def test_rows_depend_on_seed_and_step_alone_and_differ_from_epoch_to_epoch() -> None:
    assert torch.equal(rows(1000, 50, 1, 7), rows(1000, 50, 1, 7))
    assert not torch.equal(rows(1000, 1000, 1, 0), rows(1000, 1000, 2, 0))
    assert not torch.equal(rows(1000, 1000, 1, 0), rows(1000, 1000, 1, 1))
    # epoch 1 of seed 1 is not epoch 0 of seed 2
    assert not torch.equal(rows(1000, 1000, 1, 1), rows(1000, 1000, 2, 0))


def test_rows_of_a_far_step_are_known_at_once() -> None:
    assert sorted(rows(10, 10, 0, 10**9).tolist()) == list(range(10))


def test_the_global_random_numbers_neither_matter_nor_move(folder: Path) -> None:
    """What a trainer draws from them is the same with and without a loader, so that a
    resumed run can be the same bit by bit.
    """
    torch.manual_seed(0)
    before = torch.get_rng_state()
    one = first(3, folder, workers=1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert first(3, folder, workers=0) == one


def test_batches_are_the_rows_in_order_whoever_decodes(folder: Path) -> None:
    wanted = [rows(30, 4, 0, step).tolist() for step in range(20)]
    for workers in (0, 1, 2):
        assert first(20, folder, workers=workers) == wanted


def test_a_start_in_the_middle_goes_on_as_if_it_had_never_stopped(folder: Path) -> None:
    whole = first(20, folder)
    for start in (1, 7, 13):
        assert (
            first(20 - start, folder, start=start, workers=2 if start == 7 else 0)
            == whole[start:]
        )


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_together_take_what_one_would(folder: Path, ranks: int) -> None:
    shares = [first(10, folder, rank=rank, ranks=ranks) for rank in range(ranks)]
    assert [
        [number for share in shares for number in share[step]] for step in range(10)
    ] == first(10, folder)


def test_a_batch_that_cannot_be_shared_is_refused(folder: Path) -> None:
    with pytest.raises(
        ValueError,
        match=r"^a batch of 4 pictures cannot be shared by 3 processes$",
    ):
        batches(Folder(folder, SIZE), 4, seed=0, ranks=3)


def test_glyphs_are_dealt_by_the_same_rows() -> None:
    images = (
        torch.arange(30, dtype=torch.uint8)[:, None, None]
        .expand(30, SIZE, SIZE)
        .contiguous()
    )
    dealt = batches(
        Glyphs(images, ["a"] * 30, [0] * 30), 4, seed=0, start=2, rank=1, ranks=2
    )
    assert numbers(next(dealt)) == rows(30, 4, 0, 2)[2:].tolist()
    assert dealt.state() == {}
    dealt.close()


@pytest.mark.filterwarnings("ignore:left out below .*, no pictures")
def test_bad_files_are_named_once_however_many_workers_meet_them(
    tmp_path: Path,
) -> None:
    good, bad = messy(tmp_path, good=40, broken=10)
    bad = {
        name for name in bad if name.endswith((".png", ".jpg", ".webp", ".gif", ".tif"))
    }
    folder = Folder(tmp_path, SIZE)
    assert len(folder) == len(good) + len(bad)
    for workers in (0, 2):
        dealt = batches(Folder(tmp_path, SIZE), 10, seed=0, workers=workers)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            for _ in range(20):
                assert next(dealt).shape == (10, 3, SIZE, SIZE)
        dealt.close()
        named = Counter(
            str(warning.message)
            .split(" could not")[0]
            .removeprefix(f"skipped: {tmp_path}/")
            for warning in said
        )
        assert named == Counter(bad)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_folder_of_nothing_but_broken_files_ends_in_one_sentence(
    tmp_path: Path, workers: int
) -> None:
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(
        ValueError,
        match=(
            r"^none of the 1 files below [^\n]* could be read as a picture;"
            r" [^\n]*a\.png could not be read as a picture \([^\n]*\)$"
        ),
    ):
        next(batches(Folder(tmp_path, SIZE), 2, seed=0, workers=workers))


def test_closing_ends_the_workers(folder: Path) -> None:
    before = set(multiprocessing.active_children())
    dealt = batches(Folder(folder, SIZE), 4, seed=0, workers=2)
    next(dealt)
    assert len(set(multiprocessing.active_children()) - before) == 2
    dealt.close()
    assert set(multiprocessing.active_children()) - before == set()


PROGRAM = """
import os, signal, sys
from sr3mini.data import Folder, batches
asked = []
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda number, _: asked.append(number))
dealt = batches(Folder(sys.argv[1], 8), 4, seed=0, workers=2)
next(dealt), next(dealt)  # one of each worker: both are at work now
os.killpg(0, signal.SIGTERM)
os.killpg(0, signal.SIGINT)
for _ in range(60):
    next(dealt)
dealt.close()
print(len(asked))
"""


def test_a_signal_to_the_whole_job_leaves_the_workers_at_work(folder: Path) -> None:
    """A scheduler sends SIGTERM to every process; the trainer ends its step in order,
    for which it may need another batch.
    """
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder)],
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "2\n", "")


# Opening by name ----------------------------------------------------------------------


def test_a_part_of_a_folder_is_held_out(folder: Path) -> None:
    train, test = (
        open_pictures(str(folder), SIZE, 3, split) for split in ("train", "test")
    )
    names = [{file.name for file in pictures.files} for pictures in (train, test)]
    assert names[0].isdisjoint(names[1])
    assert len(names[0] | names[1]) == 30
    assert 1 <= len(names[1]) <= 5
    assert len(Folder(folder, SIZE)) == 30  # a folder as such is whole


def test_glyphs_are_opened_in_grey_and_in_colour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (90, SIZE, SIZE), np.uint8)
    monkeypatch.setattr(
        importlib.import_module("sr3mini.data.glyphs"),
        "_all_glyphs",
        lambda size: (noise, np.arange(33, 123), np.zeros(90, int)),
    )
    data.glyphs.cache_clear()
    for channels in (1, 3):
        parts = [
            open_pictures("glyphs", SIZE, channels, split)
            for split in ("train", "test")
        ]
        assert [part[0].shape for part in parts] == [(channels, SIZE, SIZE)] * 2
    data.glyphs.cache_clear()


def test_what_is_no_folder_is_told() -> None:
    with pytest.raises(
        ValueError,
        match=r"^nowhere is not a folder; give the folder that holds your pictures$",
    ):
        open_pictures("nowhere", SIZE, 3)


# One picture --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape",
    [(1, 1), (7, 5), (700, 300), (300, 700), (513, 513), (64, 64), (8, 8), (1, 900)],
)
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "I;16", "CMYK"])
def test_a_square_is_read_as_the_book_defines_it(
    tmp_path: Path, shape: tuple[int, int], mode: str
) -> None:
    """By strips, with a tenth of the memory, to the last bit but for rounding: `square`
    of `read_picture`.
    """
    noise = np.random.default_rng(0).integers(0, 256, (shape[1], shape[0], 3), np.uint8)
    picture = (
        Image.fromarray(noise.astype(np.uint16)[..., 0] * 257)
        if mode == "I;16"
        else Image.fromarray(noise).convert(mode)
    )
    picture.save(tmp_path / "a.tif")
    for channels in (1, 3):
        # a single pixel does not fill 16 bits
        bounds = (0.0, 65535.0) if mode == "I;16" else None
        read = read_square(tmp_path / "a.tif", SIZE, channels, bounds=bounds)
        assert read.shape == (channels, SIZE, SIZE)
        whole = read_picture(tmp_path / "a.tif", channels, bounds)
        wanted = to_bytes(square(whole, SIZE))
        assert (read.int() - wanted.int()).abs().max() <= 1
        assert (read != wanted).float().mean() < 0.02


def test_a_square_is_read_from_bytes_too(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9), (10, 20, 30)).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    assert torch.equal(
        read_square(content, SIZE), read_square(tmp_path / "a.png", SIZE)
    )
    with pytest.raises(ValueError, match=r"^shelf 3 could not be read as a picture \("):
        read_square(content[:30], SIZE, 3, "shelf 3")


def test_a_folder_gives_pictures_of_8_bits(folder: Path) -> None:
    picture = Folder(folder, 5)[3]
    assert torch.equal(from_bytes(to_bytes(picture)), picture)
