"""CSV, Markdown and the sheet: read back, they say what was measured."""

from __future__ import annotations

import csv
import io
import itertools

import numpy as np
import pytest
import torch
from PIL import Image

from sr3mini.evaluation.compare import Case
from sr3mini.evaluation.report import ROWS, strip, to_csv, to_markdown
from sr3mini.evaluation.table import Row
from sr3mini.files.sheet import stacked

MEANS = {
    "bicubic": {"PSNR": 20.125, "SSIM": 0.5, "consistency": 100.0},
    "SR3": {"PSNR": float("inf"), "SSIM": 1.0, "diversity": 0.04},
}


def test_the_csv_has_a_line_a_picture_and_method_and_one_for_each_mean() -> None:
    rows = [
        Row('a "b", c.png', "bicubic", {"PSNR": 20.123456789, "consistency": 100.0}),
        Row("é.png", "SR3", {"PSNR": 1e-7}),
    ]
    lines = list(csv.DictReader(io.StringIO(to_csv(rows, MEANS))))
    assert list(lines[0]) == [
        "picture",
        "method",
        "PSNR",
        "SSIM",
        "consistency",
        "diversity",
    ]
    assert [(line["picture"], line["method"]) for line in lines] == [
        ('a "b", c.png', "bicubic"),
        ("é.png", "SR3"),
        ("mean", "bicubic"),
        ("mean", "SR3"),
    ]
    assert (lines[0]["PSNR"], lines[0]["SSIM"], lines[1]["PSNR"]) == (
        "20.1235",
        "",
        "1e-07",
    )
    assert float(lines[3]["PSNR"]) == float("inf")


def test_the_markdown_is_a_table_with_a_sentence_above() -> None:
    sentence, empty, head, rule, *rows = to_markdown(MEANS, "2 pictures").splitlines()
    assert (sentence, empty) == ("2 pictures", "")
    assert head == "|  | PSNR | SSIM | consistency | diversity |"
    assert rule == "| --- | ---: | ---: | ---: | ---: |"
    assert rows == [
        "| bicubic | 20.12 | 0.500 | 100.0 | – |",
        "| SR3 | inf | 1.000 | – | 0.040 |",
    ]


def ink(picture: Image.Image, box: tuple[int, int, int, int]) -> np.ndarray:
    return np.asarray(picture.crop(box)).reshape(-1, 3)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (512, 300), (40, 400)])
def test_a_strip_shows_the_panels_in_order_with_numbers_below_what_was_made(
    height: int, width: int
) -> None:
    """Panels of one colour each, so that their places can be read off: input, two
    answers, reference.
    """
    colours = {
        "input": (0, 0, 0),
        "bicubic": (255, 0, 0),
        "results": (0, 255, 0),
        "reference": (0, 0, 255),
    }

    def plain(name: str, height: int, width: int) -> torch.Tensor:
        return (torch.tensor(colours[name]) / 127.5 - 1)[:, None, None].expand(
            3, height, width
        )

    case = Case(
        "猫.png",
        plain("reference", height, width),
        plain("input", height // 4, width // 4),
        {n: plain(n, height, width)[None] for n in ("bicubic", "results")},
    )
    picture = strip(
        case,
        {
            "bicubic": {"PSNR-Y": 20.0, "SSIM-Y": 0.5},
            "results": {"PSNR": 30.0, "SSIM": 0.75},
        },
    )
    array = np.asarray(picture)
    found = [array[(array == colour).all(2)].shape[0] for colour in colours.values()]
    places = [
        np.argwhere((array == colour).all(2))[:, 1]
        for name, colour in colours.items()
        if name != "input"
    ]
    assert all(a.max() < b.min() for a, b in itertools.pairwise(places))
    assert found[1] == found[2] == found[3]  # all panels are of one size
    sides = [
        np.ptp(np.argwhere((array == colours["results"]).all(2)), axis=0)[k] + 1
        for k in (0, 1)
    ]
    assert max(sides) == (128 if max(height, width) < 128 else 256)
    assert sides[0] / sides[1] == pytest.approx(height / width, rel=0.05)
    below = picture.height - 26
    for panel, place in zip(("bicubic", "results", "reference"), places, strict=True):
        written = (
            ink(picture, (place.min(), below, place.min() + 90, picture.height)).sum(1)
            < 300
        ).any()
        assert written == (panel != "reference")


def test_without_an_input_there_is_no_panel_for_it() -> None:
    y = torch.zeros(1, 128, 128)
    assert (
        strip(
            Case("a", y, None, {"results": y[None]}),
            {"results": {"PSNR": 1.0, "SSIM": 1.0}},
        ).width
        == 2 * 136 + 8
    )


def test_strips_lie_below_each_other() -> None:
    sheet = stacked(
        [Image.new("RGB", (20, 10), "red"), Image.new("RGB", (30, 5), "blue")]
    )
    assert sheet.size == (30, 15)
    assert [sheet.getpixel(place) for place in ((0, 0), (25, 0), (25, 14))] == [
        (255, 0, 0),
        (255, 255, 255),
        (0, 0, 255),
    ]
    assert ROWS >= 1
