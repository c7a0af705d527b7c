"""Folders of everything: found, read, and named where they cannot be read."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny
import torch
from kinds import FILES, RED, WHITE, noisy
from PIL import Image

from sr3mini.data import (
    Folder,
    save_picture,
)
from sr3mini.data.folder import without_results
from sr3mini.files.finding import walk

folder_room = sys.modules["sr3mini.data.folder"]  # sr3mini.data.folder is a function


def test_a_folder_of_everything_gives_one_size(tmp_path: Path) -> None:
    """Each mode, each in a size of its own, a single pixel among them; names in
    capitals, subfolders; other files are left alone.
    """
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for name, picture, options, _ in FILES:
        picture.save(tmp_path / name, **options)
    noisy(tmp_path / "deep" / "er" / "WIDE.JPG", 50)
    Image.new("RGB", (1, 1), "red").save(tmp_path / "pixel.png")
    (tmp_path / "labels.txt").write_text("left alone")
    with pytest.warns(UserWarning, match=r"left out below .*, no pictures: 1 \.txt$"):
        folder = Folder(tmp_path, 8)
    assert len(folder) == len(FILES) + 2
    assert list(folder.files) == sorted(folder.files)
    for picture in folder:
        assert picture.shape == (3, 8, 8)
        assert picture.dtype == torch.float32
        assert picture.abs().max() <= 1
    pixel = folder[list(folder.files).index(tmp_path / "pixel.png")]
    assert torch.equal(pixel, torch.tensor(RED)[:, None, None].expand(3, 8, 8).float())
    assert Folder(tmp_path, 8, 1, folder.files)[0].shape == (1, 8, 8)
    assert torch.equal(folder[-1], folder[len(folder) - 1])
    with pytest.raises(
        IndexError,
        match=(rf"^there is no picture {len(folder)} of {len(folder)} below "),
    ):
        folder[len(folder)]


def test_two_names_that_differ_before_the_last_dot_are_two_pictures(
    tmp_path: Path,
) -> None:
    for name, colour in (("cat.a.png", "red"), ("cat.b.png", "white")):
        save_picture(Image.new("RGB", (2, 2), colour), tmp_path / name)
    assert [tuple(picture[:, 0, 0].tolist()) for picture in Folder(tmp_path, 2)] == [
        RED,
        WHITE,
    ]


@pytest.mark.filterwarnings("error")
def test_an_unreadable_file_is_named_once_and_its_neighbour_takes_its_place(
    tmp_path: Path,
) -> None:
    whole = noisy(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "c.png").write_text("no picture")
    Image.new("RGB", (4, 4), "red").save(tmp_path / "d.png")
    folder = Folder(tmp_path, 4)
    with pytest.warns(UserWarning, match="skipped") as said:
        assert torch.equal(folder[1], folder[3])
    assert [str(warning.message).split(" could not")[0] for warning in said] == [
        f"skipped: {tmp_path / name}" for name in ("b.png", "c.png")
    ]
    # no second warning: it would be an error here
    assert torch.equal(folder[2], folder[3])


def test_the_last_file_unreadable_gives_the_first(tmp_path: Path) -> None:
    noisy(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("no picture")
    folder = Folder(tmp_path, 4)
    with pytest.warns(
        UserWarning, match=r"skipped: .*b\.png could not be read as a picture"
    ):
        assert torch.equal(folder[1], folder[0])


def test_a_folder_without_a_single_good_picture_is_an_error(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_text("no picture")
    with pytest.raises(
        ValueError,
        match=(
            r"^none of the 2 files below .* could be read as a picture;"
            r" .*a\.png could not be read .*\)$"
        ),
    ):
        Folder(tmp_path, 4)[0]


def test_an_empty_folder_says_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(
        ValueError,
        match=r"^no picture below .*: 1 \.txt$",
    ):
        Folder(tmp_path, 4)
    with pytest.raises(
        ValueError,
        match=r"gone is not a folder; give the folder that holds your pictures$",
    ):
        Folder(tmp_path / "gone", 4)


def squares(folder: Path, *sides: int) -> Folder:
    folder.mkdir()
    for number, side in enumerate(sides):
        Image.new("RGB", (side, side + 9)).save(folder / f"{number}.png")
    return Folder(folder, 16)


@pytest.mark.parametrize(
    ("sides", "told"),
    [
        ((16, 17, 400), ""),
        ((15,), "1 of 1 pictures are smaller than 16 x 16 and enlarged"),
        ((1, 16, 8, 40), "2 of 4 pictures are smaller than 16 x 16 and enlarged"),
        ((8,) * 5, "5 of 5 pictures are smaller than 16 x 16 and enlarged"),
    ],
)
def test_small_pictures_are_counted(
    sides: tuple[int, ...], told: str, tmp_path: Path
) -> None:
    assert squares(tmp_path / "in", *sides).small() == told


def test_of_many_an_even_choice_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_room, "LOOKED_AT", 4)
    folder = squares(tmp_path / "in", *[8] * 9)
    (tmp_path / "in" / "0.png").write_text("unreadable counts as large")
    assert folder.small() == "2 of 3 pictures are smaller than 16 x 16 and enlarged"
    assert folder.small([1, 2]).startswith("2 of 2")


def renamed(path: Path) -> None:
    (path / "0.png").rename(path / "9.png")


def added(path: Path) -> None:
    Image.new("L", (2, 2)).save(path / "9.png")


def changed(path: Path) -> None:
    Image.new("RGB", (99, 99), "red").save(path / "1.png")


def deeper(path: Path) -> None:
    (path / "a").mkdir()
    (path / "0.png").rename(path / "a" / "0.png")


def swapped(path: Path) -> None:
    (path / "0.png").rename(path / "x")
    (path / "1.png").rename(path / "0.png")
    (path / "x").rename(path / "1.png")


def removed(path: Path) -> None:
    (path / "0.png").unlink()


def redrawn(path: Path) -> None:
    """Of the same size in bytes."""
    content = (path / "0.png").read_bytes()
    (path / "0.png").write_bytes(content[:-20] + bytes(20))


HOW = [renamed, added, changed, deeper, swapped, removed, redrawn]


@pytest.mark.parametrize("how", HOW)
def test_other_pictures_have_another_digest(
    how: Callable[[Path], None], tmp_path: Path
) -> None:
    before = squares(tmp_path / "in", 3, 90).digest()
    assert Folder(tmp_path / "in", 16).digest() == before
    shutil.copytree(tmp_path / "in", tmp_path / "elsewhere")
    assert Folder(tmp_path / "elsewhere", 16).digest() == before
    how(tmp_path / "in")
    assert Folder(tmp_path / "in", 16).digest() != before


RESULTS = {
    "a_x4.png": True,
    "a_x4_12.webp": True,
    "a_x2.5_sheet.png": True,
    "a_1920x1080_disagreement.png": True,
    "a_640x480.jpg": True,
    "deep/a_x8.png": True,
    "b_png_x4.png": True,
    "c_x4.png": False,  # there is no c
    "ax4.png": False,
    "a_x4.tif": True,
    "a_x4.bmp": False,
    "a_x4_final.png": False,
    "a_x.png": False,
    "a_4x.png": False,
}


@pytest.mark.parametrize("name", RESULTS)
def test_what_upscale_made_of_a_picture_beside_it_is_left_out(
    name: str, tmp_path: Path
) -> None:
    names = ["a.png", "b.png", "b.jpg", name]
    if RESULTS[name]:
        with pytest.warns(UserWarning, match=f"1 results of earlier .* such as {name}"):
            assert without_results(tmp_path, names) == names[:3]
    else:
        assert without_results(tmp_path, names) == names


@pytest.mark.parametrize("depth", [199, 200, 201, 250, 400, 600])
def test_folders_deeper_than_any_are_left_out_by_name(
    depth: int, tmp_path: Path
) -> None:
    """Each takes a step of the walk, of which Python allows a thousand."""
    tiny.save(tmp_path, "top.png")
    deepest = tmp_path.joinpath(*["a"] * depth)
    deepest.mkdir(parents=True)
    (deepest / "deep.png").write_bytes((tmp_path / "top.png").read_bytes())
    told = pytest.warns(UserWarning, match="left out: .*a .below 200 folders")
    with told if depth > 200 else contextlib.nullcontext():
        names = list(walk(tmp_path))
    assert len(names) == (1 if depth > 200 else 2)
