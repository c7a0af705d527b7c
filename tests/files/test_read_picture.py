"""Picture files of every kind as tensors; what is none is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from kinds import FILES, RED, WHITE, corners, noisy, two_pixels
from PIL import Image

from sr3mini.data import (
    from_bytes,
    read_picture,
    square,
    to_bytes,
)


@pytest.mark.parametrize(
    ("name", "picture", "options", "wanted"), FILES, ids=[file[0] for file in FILES]
)
def test_every_mode_is_read_as_what_it_shows(
    tmp_path: Path,
    name: str,
    picture: Image.Image,
    options: dict[str, Any],
    wanted: list[tuple[float, ...]],
) -> None:
    """Grey gives 1 channel, colour 3; transparency lies on white."""
    picture.save(tmp_path / name, **options)
    assert corners(tmp_path / name) == wanted
    if len(wanted[0]) == 1:
        assert corners(tmp_path / name, 3) == [value * 3 for value in wanted]


def test_a_transparent_colour_of_a_gif_lies_on_white(tmp_path: Path) -> None:
    picture = two_pixels("RGB", (255, 0, 0), (0, 0, 0)).convert(
        "P", palette=Image.Palette.ADAPTIVE
    )
    picture.save(tmp_path / "a.gif", transparency=picture.getpixel((1, 0)))
    assert corners(tmp_path / "a.gif") == [RED, WHITE]


def test_the_first_frame_of_an_animation_is_taken(tmp_path: Path) -> None:
    Image.new("RGB", (2, 1), "red").save(
        tmp_path / "a.gif",
        save_all=True,
        append_images=[Image.new("RGB", (2, 1), "black")],
    )
    with pytest.warns(
        UserWarning, match=r"a\.gif holds 2 pictures; the first is taken"
    ):
        assert corners(tmp_path / "a.gif") == [RED, RED]


def test_colour_becomes_grey_by_its_luminance_when_one_channel_is_asked_for(
    tmp_path: Path,
) -> None:
    two_pixels("RGB", (255, 0, 0), (255, 255, 255)).save(tmp_path / "a.png")
    assert corners(tmp_path / "a.png", 1) == [
        (pytest.approx(0.299 * 2 - 1, abs=0.005),),
        (1,),
    ]


def test_a_picture_is_turned_upright_by_its_exif_tag(tmp_path: Path) -> None:
    """Orientation 6, a phone held upright: the left of the stored rows is the top."""
    exif = Image.Exif()
    exif[0x0112] = 6
    two_pixels("RGB", (255, 0, 0), (255, 255, 255)).save(tmp_path / "a.png", exif=exif)
    assert read_picture(tmp_path / "a.png").shape == (3, 2, 1)
    assert corners(tmp_path / "a.png") == [RED, WHITE]


@pytest.mark.parametrize(
    "suffix", [".png", ".jpg", ".webp", ".bmp", ".gif", ".tif", ".ppm"]
)
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.5])
def test_a_truncated_file_is_refused_in_one_sentence_that_names_it(
    tmp_path: Path, suffix: str, kept: float
) -> None:
    file = tmp_path / f"photo{suffix}"
    whole = noisy(file)
    file.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(
        ValueError, match=rf"photo\{suffix} could not be read as a picture \([^\n]+\)$"
    ):
        read_picture(file)


def test_what_is_no_picture_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("shopping list")
    for name, sentence in (
        (
            "notes.png",
            r"notes\.png could not be read as a picture \(no known picture format\)$",
        ),
        (
            "gone.png",
            r"gone\.png could not be read as a picture \(No such file or directory\)$",
        ),
    ):
        with pytest.raises(ValueError, match=sentence):
            read_picture(tmp_path / name)
    with pytest.raises(ValueError, match=r"picture \(Is a directory\)$"):
        read_picture(tmp_path)


@pytest.mark.parametrize("limit", [100, 800])
def test_a_picture_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """Beyond twice the limit Pillow raises, beyond it Pillow warns: both are a refusal
    here.
    """
    noisy(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(
        ValueError,
        match=(
            r"bomb\.png could not be read as a picture \(Image size \(1024 pixels\)"
            r" exceeds limit"
        ),
    ):
        read_picture(tmp_path / "bomb.png")


def test_bytes_and_numbers_lead_back_to_each_other() -> None:
    every = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_bytes(from_bytes(every)), every)
    assert from_bytes(every).aminmax() == (-1, 1)
    assert to_bytes(torch.tensor([-7.0, -1.0, 0.003, 1.0, 9.0])).tolist() == [
        0,
        0,
        128,
        255,
        255,
    ]


def test_square_takes_the_centre_and_stays_in_range() -> None:
    wide = torch.zeros(1, 4, 10)
    wide[..., 3:7] = 1
    assert torch.equal(square(wide, 4), torch.ones(1, 4, 4))
    assert torch.equal(square(wide.transpose(1, 2), 4), torch.ones(1, 4, 4))
    steps = torch.ones(1, 16, 16)
    steps[..., 8:] = -1
    assert square(steps, 8).abs().max() <= 1  # bicubic overshoots beside an edge
