"""Sets that the best-known public SR3 code prepared, whatever the names, for
training and for evaluation.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import pytest
import tiny
import torch
from PIL import Image

from sr3mini import cli
from sr3mini.data import Folder, batches, open_pictures
from sr3mini.data.folder import folder_kind
from sr3mini.data.pairs import Pairs, conditions
from sr3mini.degrade import downsample
from sr3mini.evaluation.compare import drawn_cases
from sr3mini.evaluation.samples import chosen

NAMES = ("00000", "00001", "cat", "cat.a", "ä b", "x" * 200)
SIZES = {"hr_16": 16, "lr_4": 4, "sr_4_16": 16}


def png(size: int, level: int) -> bytes:
    """A grey picture of one level."""
    stream = io.BytesIO()
    Image.new("RGB", (size, size), (level,) * 3).save(stream, format="png")
    return stream.getvalue()


def level(kind: str, number: int) -> int:
    """Another in every file, so that a mix-up shows: x is no D y here."""
    return 10 * number + {"hr_16": 0, "lr_4": 3, "sr_4_16": 200}[kind]


def folders(path: Path, names: tuple[str, ...] = NAMES) -> Path:
    for kind, size in SIZES.items():
        (path / kind).mkdir(parents=True)
        for number, name in enumerate(names):
            (path / kind / f"{name}.png").write_bytes(png(size, level(kind, number)))
    return path


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    return folders(tmp_path / "set_4_16")


def test_every_name_is_found_and_x_and_y_belong_together(prepared: Path) -> None:
    """Among them those with which that code hangs for ever: no name is made from a
    number here.
    """
    pictures = Pairs(prepared, 16)
    assert pictures.names == sorted(NAMES)
    assert len(pictures) == len(NAMES)
    for i, name in enumerate(pictures.names):
        y, x = pictures[i], pictures.low(i, 4)
        assert x is not None
        assert (y.shape, x.shape) == ((3, 16, 16), (3, 4, 4))
        number = NAMES.index(name)
        assert ((y + 1) * 127.5).round().unique().tolist() == [level("hr_16", number)]
        assert ((x + 1) * 127.5).round().unique().tolist() == [level("lr_4", number)]


def test_it_is_opened_by_its_look_and_loaded_like_any_folder(prepared: Path) -> None:
    """With two worker processes."""
    assert folder_kind(prepared) == "pairs"
    train, test = (
        open_pictures(str(prepared), 16, 1, split) for split in ("train", "test")
    )  # type: ignore[arg-type]
    assert isinstance(train, Pairs)
    assert isinstance(test, Pairs)
    assert sorted(train.names + test.names) == sorted(NAMES)
    assert min(len(train), len(test)) > 0
    alone, together = (batches(train, 4, seed=0, workers=workers) for workers in (0, 2))
    for _ in range(3):
        batch = next(alone)
        assert batch.shape == (4, 1, 16, 16)
        assert torch.equal(batch, next(together))
    alone.close()
    together.close()
    assert torch.equal(pickle.loads(pickle.dumps(train))[0], train[0])


def test_an_evaluation_is_shown_the_x_of_the_files_and_all_of_them(
    prepared: Path,
) -> None:
    f = tiny.network(tiny.TINY)
    pictures, order = chosen(str(prepared), f, None)
    assert sorted(order) == list(range(len(NAMES)))
    cases = list(drawn_cases(f, pictures, order, steps=1, samples=1))  # type: ignore[arg-type]
    for i, case in zip(order, cases, strict=True):
        assert torch.equal(case.x, pictures.low(i, 4))  # type: ignore[union-attr]
        assert not torch.allclose(case.x, downsample(case.y[None], 4)[0], atol=0.01)


def test_where_there_is_no_x_or_one_of_another_picture_it_is_made_from_y(
    tmp_path: Path,
) -> None:
    path = folders(tmp_path / "set_4_16")
    (path / "lr_4" / "cat.png").unlink()
    (path / "hr_16" / "00000.png").write_bytes(b"broken")
    pictures = Pairs(path, 16)
    with pytest.warns(UserWarning, match=r"skipped: .*00000.png"):
        y = torch.stack([pictures[i] for i in range(len(pictures))])
    x, made = conditions(pictures, range(len(pictures)), y, 4), downsample(y, 4)
    same = [
        pictures.names[i] for i in range(len(pictures)) if torch.equal(x[i], made[i])
    ]
    assert same == ["00000", "cat"]
    assert torch.equal(y[0], y[1])
    assert torch.equal(
        conditions(Folder(path / "hr_16", 16), [0, 1], y[:2], 4), made[:2]
    )


def test_another_size_than_the_sets_is_cut_and_resized(prepared: Path) -> None:
    pictures = Pairs(prepared, 8, 1)
    assert pictures[0].shape == (1, 8, 8)
    low = pictures.low(0, 2)
    assert low is not None
    assert low.shape == (1, 2, 2)


def test_a_set_at_two_sizes_gives_the_larger(tmp_path: Path) -> None:
    path = folders(tmp_path / "set")
    (path / "hr_8").mkdir()
    (path / "hr_8" / "small.png").write_bytes(png(8, 0))
    assert "small" not in Pairs(path, 16).names


def test_a_folder_of_ones_own_with_such_a_name_is_still_a_folder(
    tmp_path: Path,
) -> None:
    (tmp_path / "hr_16").mkdir()
    (tmp_path / "hr_16" / "a.png").write_bytes(png(16, 0))
    assert folder_kind(tmp_path) == "pictures"
    (tmp_path / "lr_4").write_text("a file")
    assert folder_kind(tmp_path) == "pictures"


def test_a_set_without_a_picture_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty" / "hr_16").mkdir(parents=True)
    (tmp_path / "empty" / "lr_4").mkdir()
    with pytest.raises(ValueError, match=r"empty holds no picture hr_SIZE/…$"):
        open_pictures(str(tmp_path / "empty"), 16, 3)


@pytest.mark.parametrize("content", [b"", b"no database", bytes(8192)])
@pytest.mark.parametrize(
    "verb",
    [
        "train --preset photos_16_64 --out run --data",
        "evaluate --model glyphs_8_32 --data",
        "prepare",
    ],
)
def test_an_lmdb_set_is_refused_by_every_verb_whatever_it_holds(
    verb: str, content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its file is not opened: damaged ones end the process."""
    database = tmp_path / "set"
    database.mkdir()
    (database / "data.mdb").write_bytes(content)
    (database / "lock.mdb").write_bytes(b"")
    with pytest.raises(SystemExit, match="2"):
        cli.main([*verb.split(), str(database)])
    said = capsys.readouterr().err
    assert "set is an LMDB set: give the folder of pictures" in said
    assert said.count("\n") == 1


def test_the_verbs_train_and_evaluate_on_it(
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from sr3mini.model import presets

    monkeypatch.setitem(presets.PRESETS, "tiny", tiny.TINY)
    cli.main(
        [
            "train",
            "--preset",
            "tiny",
            "--data",
            str(prepared),
            "--out",
            str(tmp_path / "run"),
            "--steps",
            "2",
        ]
    )
    cli.main(
        [
            "evaluate",
            "--model",
            str(tmp_path / "run"),
            "--data",
            str(prepared),
            "--steps",
            "1",
            "--samples",
            "1",
        ]
    )
    assert f"{len(NAMES)} pictures of {prepared}" in capsys.readouterr().out


# Training on x as it is ---------------------------------------------------------------


def opened(path: Path, size: int = 16, factor: int | None = 4) -> Pairs:
    pictures = Pairs(path, size, 1)
    pictures.factor = factor
    return pictures


def test_batches_are_of_y_and_the_x_of_its_file_also_from_workers(
    tmp_path: Path,
) -> None:
    pictures = opened(folders(tmp_path / "set"))
    alone, together = (batches(pictures, 4, seed=0, workers=w) for w in (0, 2))
    for _ in range(2):
        y, x = next(alone)
        assert (y.shape, x.shape) == ((4, 1, 16, 16), (4, 1, 4, 4))
        # a level is 10 times the number of its name, and 3 more in x
        levels = [((it.flatten(1)[:, 0] + 1) * 127.5).round() for it in (y, x)]
        assert torch.equal(levels[0] + 3, levels[1])
        same = next(together)
        assert torch.equal(y, same[0])
        assert torch.equal(x, same[1])
    alone.close()
    together.close()


@pytest.mark.parametrize(
    ("gone", "size", "factor", "told"),
    [
        ((), 16, 4, "x of lr_4"),
        ((), 8, 4, "x of lr_4"),
        ((), 16, 2, "x made from hr_16, without a picture in lr_8"),
        ((), 15, 3, "x made from hr_16, without a picture in lr_5.33333"),
        (("cat",), 16, 4, "x of lr_4 for 5 of 6, else made from hr_16"),
        (NAMES, 16, 4, "x made from hr_16, without a picture in lr_4"),
    ],
)
def test_where_x_comes_from_is_told(
    gone: tuple[str, ...], size: int, factor: int, told: str, tmp_path: Path
) -> None:
    path = folders(tmp_path / "set")
    for name in gone:
        (path / "lr_4" / f"{name}.png").unlink()
    pictures = opened(path, size, factor)
    assert pictures.told(factor) == told
    stored = (
        len(NAMES) - len(gone)
        if "lr_4" in told and "made from hr_16," not in told
        else 0
    )
    assert pictures.stored(factor) == stored
    batch = next(batches(pictures, 6, seed=0))
    assert isinstance(batch, tuple) == (stored > 0)
    if stored and gone:
        y, x = batch
        made = downsample(y, factor)
        assert sum(torch.equal(*both) for both in zip(x, made, strict=True)) == len(
            gone
        )


def test_an_x_that_cannot_be_read_takes_its_y_with_it(tmp_path: Path) -> None:
    path = folders(tmp_path / "set")
    (path / "lr_4" / "cat.png").write_bytes(b"broken")
    with pytest.warns(UserWarning, match=r"skipped: .*lr_4.cat\.png"):
        y, x = next(batches(opened(path), 6, seed=0))
    levels = ((y.flatten(1)[:, 0] + 1) * 127.5).round().tolist()
    assert 10 * NAMES.index("cat") not in levels
    assert len(x) == 6


def test_a_pair_of_one_size_is_two_tensors(tmp_path: Path) -> None:
    """Factor 1, as of deblurring: y is not overwritten by x."""
    path = tmp_path / "set"
    for kind, grey in (("hr_16", 200), ("lr_16", 50)):
        (path / kind).mkdir(parents=True)
        (path / kind / "a.png").write_bytes(png(16, grey))
    pictures = opened(path, factor=1)
    y = pictures[0][None]
    x = conditions(pictures, [0], y, 1)
    assert [((it.mean() + 1) * 127.5).round().item() for it in (y, x)] == [200, 50]


def test_a_set_of_two_small_sizes_gives_the_one_that_fits(tmp_path: Path) -> None:
    path = folders(tmp_path / "set")
    (path / "lr_8").mkdir()
    (path / "lr_8" / "cat.png").write_bytes(png(8, 77))
    pictures = Pairs(path, 16, 1)
    row = pictures.names.index("cat")
    levels = [pictures.low(row, side) for side in (4, 8)]
    assert [((x.mean() + 1) * 127.5).round().item() for x in levels] == [23, 77]  # type: ignore[union-attr]


def test_an_evaluation_leaves_out_the_pair_whose_x_cannot_be_read(
    tmp_path: Path,
) -> None:
    path, f = folders(tmp_path / "set"), tiny.network(tiny.TINY)
    (path / "lr_4" / "cat.png").write_bytes(b"broken")
    pictures, order = chosen(str(path), f, None)
    with pytest.warns(UserWarning, match=r"skipped: .*lr_4.cat\.png"):
        cases = list(drawn_cases(f, pictures, order, steps=1, samples=1))  # type: ignore[arg-type]
    assert {case.name for case in cases} == {
        f"hr_16/{name}.png" for name in NAMES if name != "cat"
    }
