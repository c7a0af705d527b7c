"""Folders: every kind of file that people keep beside their pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checks import close
from PIL import Image

from sr3mini.data import (
    Folder,
    from_bytes,
    read_picture,
    save_picture,
    square,
    to_bytes,
    write_picture,
    write_text,
)

# One picture --------------------------------------------------------------------------

WHITE, BLACK, RED = (1, 1, 1), (-1, -1, -1), (1, -1, -1)


def corners(path: Path, channels: int | None = None) -> list[tuple[float, ...]]:
    """The first and the last pixel of a file, as it is read."""
    picture = read_picture(path, channels)
    return [
        tuple(round(v, 3) for v in picture[:, y, x].tolist())
        for y, x in ((0, 0), (-1, -1))
    ]


def two_pixels(mode: str, first: Any, second: Any) -> Image.Image:
    picture = Image.new(mode, (2, 1), first)
    picture.putpixel((1, 0), second)
    return picture


FILES: list[tuple[str, Image.Image, dict[str, Any], list[tuple[float, ...]]]] = [
    ("rgb.png", two_pixels("RGB", (255, 0, 0), (255, 255, 255)), {}, [RED, WHITE]),
    ("grey.png", two_pixels("L", 0, 255), {}, [(-1,), (1,)]),
    ("bits.png", two_pixels("1", 0, 1), {}, [(-1,), (1,)]),
    (
        "see-through.png",
        two_pixels("RGBA", (255, 0, 0, 0), (255, 0, 0, 255)),
        {},
        [WHITE, RED],
    ),
    (
        "half see-through.png",
        two_pixels("RGBA", (0, 0, 0, 0), (0, 0, 0, 51)),
        {},
        [WHITE, (0.6, 0.6, 0.6)],
    ),
    ("see-through grey.png", two_pixels("LA", (0, 0), (0, 255)), {}, [(1,), (-1,)]),
    (
        "palette.gif",
        two_pixels("RGB", (255, 0, 0), (0, 0, 0)).convert(
            "P", palette=Image.Palette.ADAPTIVE
        ),
        {},
        [RED, BLACK],
    ),
    (
        "palette.png",
        two_pixels("RGB", (255, 0, 0), (0, 0, 0)).convert(
            "P", palette=Image.Palette.ADAPTIVE
        ),
        {},
        [RED, BLACK],
    ),
    ("cmyk.tif", two_pixels("CMYK", (0, 0, 0, 0), (0, 255, 255, 0)), {}, [WHITE, RED]),
    (
        "16 bit.png",
        Image.fromarray(np.array([[0, 65535]], np.uint16)),
        {},
        [(-1,), (1,)],
    ),
    (
        "fractions.tif",
        Image.fromarray(np.array([[0, 1]], np.float32)),
        {},
        [(-1,), (1,)],
    ),
    (
        "float bytes.tif",
        Image.fromarray(np.array([[0, 255]], np.float32)),
        {},
        [(-1,), (1,)],
    ),
    (
        "dark 16 bit.png",
        Image.fromarray(np.array([[0, 131]], np.uint16)),
        {},
        [(-1,), (-0.996,)],
    ),
]


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
    """Grey gives 1 channel, colour 3; transparency lies on white; 16 bits keep their
    range, a dark picture of them too.
    """
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


def noisy(path: Path, side: int = 32) -> bytes:
    """Write a picture that does not compress to nothing; its bytes."""
    Image.fromarray(
        np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    ).save(path)
    return path.read_bytes()


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


# A folder -----------------------------------------------------------------------------


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
    folder = Folder(tmp_path, 8)
    assert len(folder) == len(FILES) + 2
    assert list(folder.files) == sorted(folder.files)
    for picture in folder:
        assert picture.shape == (3, 8, 8)
        assert picture.dtype == torch.float32
        assert picture.abs().max() <= 1
    pixel = folder[list(folder.files).index(tmp_path / "pixel.png")]
    assert torch.equal(pixel, torch.tensor(RED)[:, None, None].expand(3, 8, 8).float())
    assert Folder(tmp_path, 8, channels=1)[0].shape == (1, 8, 8)
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
    assert torch.equal(
        folder[2], folder[3]
    )  # no second warning: it would be an error here


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
        match=(r"^no picture below .*: no name ends in \.png, \.jpg, .*\.pgm$"),
    ):
        Folder(tmp_path, 4)
    with pytest.raises(
        ValueError,
        match=r"gone is not a folder; give the folder that holds your pictures$",
    ):
        Folder(tmp_path / "gone", 4)


# Numbers, bytes, files ----------------------------------------------------------------


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
