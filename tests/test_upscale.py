"""Picture files in, larger picture files out: the right size and colours, all of them or none."""

from __future__ import annotations

import dataclasses
import errno
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from checks import close, seeded
from PIL import Image
from tiny import TINY, Clairvoyant, network
from torch import Tensor

from sr3mini import upscale as room
from sr3mini.data import read_picture, to_bytes
from sr3mini.degrade import upsample
from sr3mini.preset import Network
from sr3mini.upscale import from_luma_chroma, grid, sheet, to_luma_chroma, upscale, upscale_files

COLOUR = dataclasses.replace(TINY, image_channels=3)


def noise(*shape: int) -> Tensor:
    return torch.rand(shape, generator=seeded(0)) * 2 - 1


def save(image: Tensor, path: Path) -> Path:
    array = to_bytes(image).permute(1, 2, 0).numpy()
    Image.fromarray(array[..., 0] if array.shape[2] == 1 else array).save(path)
    return path


@pytest.fixture
def f() -> Network:
    return network()


# One picture ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", [TINY, COLOUR], ids=["grey model", "colour model"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5, 9), (3, 1, 7), (3, 6, 4)])
def test_the_result_is_factor_times_as_large_with_the_channels_of_the_picture(preset: object, shape: tuple[int, int, int]) -> None:
    channels, height, width = shape
    y = upscale(network(preset), noise(*shape), samples=2)  # type: ignore[arg-type]
    assert y.shape == (2, channels, 4 * height, 4 * width)
    assert y.isfinite().all()
    assert y.abs().max() <= 1


def test_a_grey_model_draws_the_brightness_and_leaves_the_colours_as_they_are() -> None:
    x, brightness = noise(3, 4, 4) / 4, noise(1, 1, 16, 16) / 4
    y = upscale(Clairvoyant(TINY, brightness), x, steps=20)
    luma, chroma = to_luma_chroma(y)
    close(luma, brightness, 2e-3, "brightness against what the network knows")
    close(chroma, upsample(to_luma_chroma(x[None])[1], 4), 1e-5, "colours against bicubic")


def test_luma_and_chroma_lead_back_and_grey_has_no_colour() -> None:
    rgb, grey = noise(2, 3, 4, 4), noise(2, 1, 4, 4)
    close(from_luma_chroma(*to_luma_chroma(rgb)), rgb, 1e-6, "there and back")
    luma, chroma = to_luma_chroma(grey.expand(-1, 3, -1, -1))
    close(luma, grey, 1e-6, "brightness of grey")
    close(chroma, torch.zeros(2, 2, 4, 4), 1e-6, "colour of grey")


def test_samples_differ_and_the_seed_names_each_of_them(f: Network) -> None:
    x = noise(1, 4, 4)
    three = upscale(f, x, seed=7, samples=3)
    assert not torch.equal(three[0], three[1])
    assert torch.equal(three[2], upscale(f, x, seed=9)[0])


def test_a_result_that_memory_cannot_hold_is_refused_before_anything_is_computed(f: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "LARGEST", 16 * 20)
    upscale(f, noise(1, 4, 5))
    monkeypatch.setattr(room, "draw", lambda *_, **__: pytest.fail("something was computed"))
    with pytest.raises(ValueError, match="a 7x3 picture would become 28x12"):
        upscale(f, noise(1, 3, 7))


# Files ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    return [save(noise(1, 2, 3), tmp_path / "a.png"), save(noise(3, 3, 2), tmp_path / "b.png")]


def test_every_file_gets_its_samples_and_a_sheet(f: Network, two: list[Path], tmp_path: Path) -> None:
    written = upscale_files(two, f, tmp_path / "new" / "out", samples=2)
    assert [path.name for path in written] == ["a_x4_1.png", "a_x4_2.png", "a_x4_sheet.png", "b_x4_1.png", "b_x4_2.png", "b_x4_sheet.png"]
    assert sorted(written) == sorted((tmp_path / "new" / "out").iterdir())
    assert read_picture(written[0]).shape == (1, 8, 12)
    assert read_picture(written[3]).shape == (3, 12, 8)


def test_check_10_a_file_becomes_the_same_alone_and_beside_others(f: Network, two: list[Path], tmp_path: Path) -> None:
    together = upscale_files(two, f, tmp_path / "together")
    alone = upscale_files(two[1:], f, tmp_path / "alone")
    assert [path.read_bytes() for path in together[2:]] == [path.read_bytes() for path in alone]


def test_two_files_of_one_stem_both_survive_and_of_one_name_are_refused(f: Network, two: list[Path], tmp_path: Path) -> None:
    other = save(noise(1, 2, 2), tmp_path / "a.bmp")
    names = {path.name for path in upscale_files([*two, other], f, tmp_path / "out")}
    assert {"a_png_x4_1.png", "a_bmp_x4_1.png", "b_x4_1.png"} <= names
    with pytest.raises(ValueError, match="same name"):
        upscale_files([two[0], two[0]], f, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_second_picture_that_is_too_large_stops_the_first_too(f: Network, two: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = save(noise(1, 9, 9), tmp_path / "large.png")
    monkeypatch.setattr(room, "LARGEST", 16 * 6)
    with pytest.raises(ValueError, match="36x36"):
        upscale_files([*two, large], f, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def fail_late(what: BaseException, after: int) -> Callable[..., None]:
    """Instead of `write_picture`: the first few are written, the next one is written half."""
    calls, write = [], room.write_picture

    def call(image: Tensor, path: Path) -> None:
        calls.append(path)
        if len(calls) > after:
            path.write_bytes(b"half")
            raise what
        write(image, path)

    return call


@pytest.mark.parametrize("what", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()], ids=["full disk", "Ctrl-C"])
def test_what_goes_wrong_half_way_leaves_the_folder_as_it_was(
    what: BaseException, f: Network, two: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    before = {path: path.read_bytes() for path in upscale_files(two, f, out, seed=1)}
    monkeypatch.setattr(room, "write_picture", fail_late(what, after=1))
    with pytest.raises(type(what)):
        upscale_files(two, f, out, seed=2)
    assert {path: path.read_bytes() for path in out.iterdir()} == before


# Side by side --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (8, 40), (40, 8), (16, 16), (1, 60), (70, 50)])
def test_captions_stay_in_their_columns_and_panels_do_not_touch(size: tuple[int, int]) -> None:
    x, height, width = -torch.ones(1, *size), 4 * size[0], 4 * size[1]
    canvas = np.asarray(sheet(x, -torch.ones(10, 1, height, width)).convert("L"))
    captions, panels = canvas[:22], canvas[22:]
    gaps = np.flatnonzero((panels == 255).all(axis=0))  # columns of the canvas that no panel covers
    starts = [int(c) for c in np.flatnonzero((panels[0] == 0) & (np.roll(panels[0], 1) != 0))]
    assert len(starts) == 12
    assert (captions[:, [start - 1 for start in starts]] == 255).all(), "a caption runs into the next column"
    assert all((captions[:, start : start + 40] < 255).any() for start in starts), "a panel has no caption"
    assert (captions[[0, -1]] == 255).all()
    assert (captions[:, -1] == 255).all(), "the last caption is clipped"
    assert len(gaps) >= 13 * 8


def test_a_sheet_shows_the_input_with_its_pixels_and_every_sample() -> None:
    x, drawn = noise(3, 8, 8), torch.stack([torch.full((3, 32, 32), -1.0), torch.full((3, 32, 32), 1.0)])
    canvas = np.asarray(sheet(x, drawn))
    side = 32 * 4  # results below 128 pixels are shown with larger pixels
    assert (canvas[22 + side // 2, 8 + 2 * (side + 8) + 5] == 0).all()
    assert (canvas[22 + side // 2, 8 + 3 * (side + 8) + 5] == 255).all()
    assert (canvas[22 : 22 + 16, 8 : 8 + 16] == to_bytes(x)[:, 0, 0].numpy()).all()


def test_a_sheet_of_a_regression_names_it(tmp_path: Path) -> None:
    """The caption is written with the method's name: the same sheet under another name looks different."""
    x, drawn = noise(1, 8, 8), noise(1, 1, 32, 32)
    assert np.array_equal(np.asarray(sheet(x, drawn)), np.asarray(sheet(x, drawn, "SR3")))
    assert not np.array_equal(np.asarray(sheet(x, drawn)), np.asarray(sheet(x, drawn, "regression")))
    f = network(dataclasses.replace(TINY, objective="regression"))
    picture = save(noise(1, 2, 3), tmp_path / "a.png")
    written = upscale_files([picture], f, tmp_path / "out")
    with Image.open(written[1]) as shown:
        wanted = sheet(read_picture(picture), upscale(f, read_picture(picture)), "regression")
        assert np.array_equal(np.asarray(shown), np.asarray(wanted))


def test_the_grid_of_a_regression_shows_its_one_answer_once() -> None:
    y = noise(3, 1, 16, 16)
    assert grid(network(dataclasses.replace(TINY, objective="regression")), y, samples=3).shape == (1, 4 * 20, 3 * 20)


def test_the_grid_has_a_row_a_method_and_a_column_a_picture(f: Network) -> None:
    y = noise(3, 1, 16, 16)
    picture = grid(f, y, samples=2)
    assert picture.shape == (1, 5 * 20, 3 * 20)  # 16 pixels and a white margin of 2 on every side
    assert (picture[:, :2] == 1).all()
    close(picture[:, -18:-2, 22:38], y[1], 1e-6, "the original, in the last row")
