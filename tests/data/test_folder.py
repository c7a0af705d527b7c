"""Folders of everything: found, read, and named where they cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from kinds import FILES, RED, WHITE, noisy
from PIL import Image

from sr3mini.data import (
    Folder,
    save_picture,
)


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
