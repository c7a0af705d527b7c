"""Which values are black and white: told once for a run, never guessed for a picture;
what was read goes back into its own type and range.
"""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from checks import close
from commands import fails, run
from PIL import Image
from tiny import TINY, network

from sr3mini.files.ranges import bounds_of, from_stored, is_range, to_stored
from sr3mini.files.reading import read, read_picture, read_square
from sr3mini.model import checkpoint

WAVES = 0.5 + 0.4 * np.sin(np.mgrid[0:24, 0:20][0] / 3) * np.cos(np.arange(20) / 4)


def tiff(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, values)
    return file.getvalue()


def png(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(values).save(file, "png")
    return file.getvalue()


# name: what a file holds, and the range that somebody tells
UNTOLD = {
    "celsius, float64": (WAVES * 60 - 20, (-40.0, 60.0)),
    "reflectance, float16": (WAVES.astype(np.float16), (0.0, 1.0)),
    "phase, float32": ((WAVES * 6 - 3).astype(np.float32), (-3.2, 3.2)),
    "elevation, int16": ((WAVES * 5000 - 400).astype(np.int16), (-500.0, 9000.0)),
    "counts, uint32": ((WAVES * 3e9).astype(np.uint32), (0.0, 4294967295.0)),
    "a difference, int8": ((WAVES * 200 - 100).astype(np.int8), (-128.0, 127.0)),
    "14 bits in 16": ((WAVES * 16383).astype(np.uint16), (0.0, 16383.0)),
    "hundredths of a kelvin in 16": (
        (27_000 + WAVES * 4000).astype(np.uint16),
        (25_000.0, 35_000.0),
    ),
    "a labelled volume, int32": ((WAVES * 70_000).astype(np.int32), (0.0, 7e4)),
}


@pytest.mark.parametrize("name", UNTOLD)
def test_a_range_that_no_file_tells_is_asked_for_and_never_guessed(name: str) -> None:
    values, bounds = UNTOLD[name]
    low, high = re.escape(f"{values.min():.10g}"), re.escape(f"{values.max():.10g}")
    with pytest.raises(ValueError, match=rf"say --range {low} {high}"):
        read(tiff(values))
    picture = read(tiff(values), bounds)
    assert picture.bounds == bounds
    assert picture.colour.dtype == values.dtype
    assert np.array_equal(picture.colour[..., 0], values)
    x = from_stored(picture.colour, bounds)
    wanted = (values.astype(np.float64) - bounds[0]) / (bounds[1] - bounds[0]) * 2 - 1
    close(x[0], torch.from_numpy(wanted), 1e-3 if "16" in name else 1e-6, name)
    again = to_stored(x, values.dtype, bounds)[..., 0].astype(np.float64)
    # x is a float32: half a step of it, and half a whole number, or a float16
    step = (bounds[1] - bounds[0]) * 2e-7 + (values.dtype.kind != "f") * 0.5
    assert np.abs(again - values).max() <= step + (values.itemsize == 2) * 1e-3


@pytest.mark.parametrize(
    ("file", "white"),
    [
        (png((WAVES * 255).astype(np.uint8)), 255),
        (png((WAVES * 65535).astype(np.uint16)), 65535),
        (tiff(np.full((3, 4), 65535, np.uint16)), 65535),
        (b"P5 2 1 4095\n" + bytes([0, 9, 15, 255]), 4095),
        (b"P5 2 1 65535\n" + bytes([0, 9, 0, 20]), 65535),
        (b"P2 2 1 1023\n9 400\n", 1023),
    ],
    ids=["8 bits", "16 bits", "all white", "PGM 4095", "dark PGM 65535", "plain PGM"],
)
def test_what_a_file_tells_is_not_asked_for(file: bytes, white: int) -> None:
    assert read(file).bounds == (0, white)


def test_a_told_range_that_does_not_fit_is_refused_and_a_few_pixels_are_cut() -> None:
    eight = png((WAVES * 255).astype(np.uint8))
    for bounds in ((0.0, 4095.0), (-1.0, 255.0), (0.0, 1.0)):
        with pytest.raises(ValueError, match="does not fit"):
            read(eight, bounds)
    hot = WAVES.astype(np.float32)
    hot[0, 0] = 1.02
    with pytest.warns(
        UserWarning, match=r"has 0\.21% of its values cut to --range 0 1"
    ):
        picture = read(tiff(hot), (0.0, 1.0))
    x = from_stored(picture.colour, picture.bounds)
    assert x.max() == 1
    close(x[0, 1:], torch.from_numpy(2 * WAVES[1:] - 1), 1e-6, "the others stay")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_what_is_no_number_is_counted_and_refused(
    value: float, dtype: type[np.floating]
) -> None:
    holes = WAVES.astype(dtype)
    holes[2, 3:5] = value
    for bounds in (None, (0.0, 1.0)):
        with pytest.raises(
            ValueError, match="holds 2 values that are no finite number"
        ):
            read(tiff(holes), bounds)


@pytest.mark.parametrize(
    "value", [(1.0, 1.0), (2.0, 1.0), (0.0, np.inf), (np.nan, 1.0), (0.0,), (0, True)]
)
def test_what_is_no_range(value: tuple[float, ...]) -> None:
    assert not is_range(value)


def test_numbers_of_64_bits_are_refused() -> None:
    for dtype in (np.int64, np.uint64):
        with pytest.raises(ValueError, match=r"int64: save it with 32 bits"):
            bounds_of(np.zeros((2, 2), dtype), (0.0, 1.0))


# The command line ---------------------------------------------------------------------


@pytest.fixture
def model(tmp_path: Path) -> Path:
    checkpoint.save(tmp_path / "tiny.safetensors", network(TINY))
    return tmp_path / "tiny.safetensors"


@pytest.mark.parametrize(
    ("values", "bounds", "ending"),
    [
        ((290 + 20 * WAVES).astype(np.float32), (270.0, 330.0), "tif"),
        ((WAVES * 3000 - 1000).astype(np.int16), (-1024.0, 3071.0), "tif"),
        ((WAVES * 4095).astype(np.uint16), (0.0, 4095.0), "tif"),
        ((WAVES * 60).astype(np.float64), (0.0, 100.0), "tif"),
        ((WAVES * 4e9).astype(np.uint32), (0.0, 4294967295.0), "tif"),
        ((WAVES * 65535).astype(np.uint16), None, "png"),
    ],
    ids=["kelvin", "Hounsfield", "12 bits", "float64", "uint32", "16 bits"],
)
def test_a_result_has_the_type_and_the_range_of_its_picture(
    values: np.ndarray,
    bounds: tuple[float, float] | None,
    ending: str,
    model: Path,
    tmp_path: Path,
) -> None:
    """A network that is random: so only in its own range can the result be."""
    tifffile.imwrite(tmp_path / "a.tif", values)
    how = ("--range", *bounds) if bounds else ()
    run("upscale", tmp_path / "a.tif", "--model", model, "--out", tmp_path, *how)
    result = read(tmp_path / f"a_x4.{ending}", bounds)
    assert result.colour.dtype == values.dtype
    assert result.size == (96, 80)
    low, high = bounds or (0, 65535)
    assert low <= result.colour.min() < result.colour.max() <= high
    assert np.ptp(result.colour.astype(float)) > 0.05 * (high - low)


def test_floats_are_no_png(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", WAVES.astype(np.float32))
    for how in (("--format", "png"), ("--format", "jpg")):
        said = fails(
            *(capsys, "upscale", tmp_path / "a.tif", "--model", model),
            *("--range", 0, 1, *how),
        )
        assert "holds float32" in said
        assert "--format tif" in said
    said = fails(capsys, "upscale", tmp_path / "a.tif", "--range", 1, 0)
    assert "LOW must lie below HIGH" in said


@pytest.mark.filterwarnings("ignore:too few pictures")
def test_preparing_names_what_keeps_few_levels_and_what_range_would_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "src").mkdir()
    Image.fromarray((WAVES * 4095).astype(np.uint16)).save(tmp_path / "src" / "ct.png")
    Image.fromarray((WAVES * 65535).astype(np.uint16)).save(tmp_path / "src" / "a.png")
    run("prepare", tmp_path / "src", "--size", 16, "--jobs", 1, "--out", tmp_path / "p")
    said = capsys.readouterr().out
    assert "1 pictures of 16 x 16" in said
    assert "  ct.png holds uint16 from " in said
    assert "all of them lie in --range " in said
    out = tmp_path / "full"
    wide = ("--range", 0, 65535)
    run("prepare", tmp_path / "src", *("--size", 16, "--jobs", 1), *wide, "--out", out)
    said = capsys.readouterr().out
    assert re.search(
        r"lost something, such as\n  ct\.png keeps 1\d levels of grey", said
    )
    fails(capsys, "prepare", tmp_path / "src", "--size", 16, "--out", out)


def test_an_evaluation_measures_on_the_range_of_the_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noisy = np.clip(WAVES + np.random.default_rng(0).normal(0, 0.1, WAVES.shape), 0, 1)
    for folder, values in (("hr", WAVES), ("sr", noisy)):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.rint(values * 4095).astype(np.uint16)).save(
            tmp_path / folder / "ct.png"
        )
    both = ("--references", tmp_path / "hr", "--results", tmp_path / "sr")
    with pytest.raises(SystemExit):
        run("evaluate", *both)
    assert "say --range" in capsys.readouterr().err
    run("evaluate", *both, "--range", 0, 4095)
    measured = float(re.search(r"results +(\d+\.\d+)", capsys.readouterr().out)[1])
    assert abs(measured + 10 * np.log10(((noisy - WAVES) ** 2).mean())) < 0.05


def test_training_and_use_read_alike(tmp_path: Path) -> None:
    values = (WAVES * 3000 - 1000).astype(np.int16)
    tifffile.imwrite(tmp_path / "a.tif", values)
    bounds = (-1024.0, 3071.0)
    seen = read_picture(tmp_path / "a.tif", 1, bounds)
    square = read_square(tmp_path / "a.tif", 20, 1, bounds=bounds)
    assert abs(square.float().mean() / 127.5 - 1 - seen[:, 2:22].mean()) < 0.01
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read(tmp_path / "a.tif", bounds).bounds == bounds
