"""Pictures and texts that are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from checks import close
from kinds import noisy
from PIL import Image

from sr3mini.data import (
    from_bytes,
    read_picture,
    save_picture,
    write_picture,
    write_text,
)
from sr3mini.upscaling.upscale_files import demand_numbers


@pytest.mark.parametrize("channels", [1, 3])
def test_a_written_picture_reads_back_the_same(tmp_path: Path, channels: int) -> None:
    image = from_bytes(
        torch.randint(
            0,
            256,
            (channels, 5, 7),
            dtype=torch.uint8,
            generator=torch.Generator().manual_seed(0),
        )
    )
    write_picture(image, tmp_path / "a.png")
    close(read_picture(tmp_path / "a.png"), image, 0, "the picture read back")
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("there_before", [False, True])
def test_a_write_that_fails_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there_before: bool
) -> None:
    """A full disk in the middle of a file: what lay there stays, and no part of the new
    picture does.
    """
    before = {"a.png": noisy(tmp_path / "a.png")} if there_before else {}

    def full(self: Image.Image, file: Path) -> None:
        Path(file).write_bytes(b"\x89PNG half a pic")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(
        OSError, match=r"a\.png could not be written: No space left on device$"
    ):
        save_picture(Image.new("RGB", (4, 4)), tmp_path / "a.png")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_text_is_written_whole_or_the_place_is_named(tmp_path: Path) -> None:
    write_text("γ = 0.2\n", tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "γ = 0.2\n"
    with pytest.raises(
        OSError, match=r"gone/a\.txt could not be written: No such file or directory$"
    ):
        write_text("", tmp_path / "gone" / "a.txt")
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_a_name_that_asks_for_no_known_format_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown file extension"):
        save_picture(Image.new("RGB", (4, 4)), tmp_path / "a.xyz")
    assert list(tmp_path.iterdir()) == []


def test_below_a_file_the_error_names_the_place_that_was_asked_for(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match=r"picture\.png could not be written"):
        write_picture(torch.zeros(1, 4, 4), tmp_path / "file" / "picture.png")


def test_links_devices_and_pipes_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    link, target = tmp_path / "link.txt", tmp_path / "deep" / "a.txt"
    link.symlink_to(target)
    for text in ("first", "second"):
        write_text(text, link)
        assert link.is_symlink()
        assert target.read_text(encoding="utf-8") == text
    assert [file.name for file in target.parent.iterdir()] == ["a.txt"]
    write_text("gone", "/dev/null")
    assert Path("/dev/null").is_char_device()
    os.mkfifo(tmp_path / "pipe")
    reading = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_text("through", tmp_path / "pipe")
    assert os.read(reading, 99) == b"through"
    os.close(reading)
    with pytest.raises(
        OSError, match=r"^/dev/full could not be written: No space left"
    ):
        write_text("much", "/dev/full")


def test_a_picture_that_is_no_number_is_not_written_as_black() -> None:
    with pytest.raises(ValueError, match="is no number in places"):
        demand_numbers(torch.tensor([[[0.0, torch.nan]]]))
