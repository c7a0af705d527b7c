"""Results beside references: who belongs to whom, and numbers as the field measures
them, against formulas written out here in NumPy.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from checks import close, f64, randn
from PIL import Image
from tiny import TINY, network, photograph, pictures, save
from torch import Tensor

from sr3mini.data import Folder, glyphs, read_picture
from sr3mini.degrade import as_file, downsample, upsample
from sr3mini.evaluation import compare
from sr3mini.evaluation.compare import (
    Case,
    Comparison,
    drawn_cases,
    folder_cases,
    luma,
    scores,
    without_border,
)
from sr3mini.evaluation.pairing import Pair, pairs
from sr3mini.evaluation.samples import chosen, measured_samples
from sr3mini.metrics import consistency, diversity, psnr, ssim
from sr3mini.upscaling.upscale import upscale

# Which file belongs to which ----------------------------------------------------------


MARKS = ("", "_x4", "x4", "-x4", "_4x", "_x4_1", "_sr", "_SR", "_x4_sr", "_out")


@pytest.mark.parametrize("result", [f"cat{mark}.jpg" for mark in MARKS])
def test_results_are_found_however_they_are_marked(result: str, tmp_path: Path) -> None:
    references, results = (
        save(tmp_path / "hr", "cat.png"),
        save(tmp_path / "sr", result),
    )
    assert pairs(results, references) == [
        Pair(references / "cat.png", {"results": [results / result]})
    ]


@pytest.mark.filterwarnings("ignore:left out")
@pytest.mark.parametrize(
    "result",
    ["cat_2.png", "catx.png", "cats.png", "cat_4.png", "dog_x4.png", "deep/cat.png"],
)
def test_another_name_is_not_taken_for_a_mark(result: str, tmp_path: Path) -> None:
    references, results = (
        save(tmp_path / "hr", "cat.png"),
        save(tmp_path / "sr", result),
    )
    with pytest.raises(
        ValueError,
        match=r"no picture in .*sr has the name of one in .*hr: there are .*, and cat;",
    ):
        pairs(results, references)


def test_names_that_look_marked_find_their_own(tmp_path: Path) -> None:
    """box, box2 and boxx2 all have results; "x2" belongs to the name where the name is
    there.
    """
    references = save(tmp_path / "hr", "box.png", "boxx2.png", "box_x3.png")
    results = save(tmp_path / "sr", "box_x4.png", "boxx2_x4.png", "box_x3.png")
    assert pairs(results, references) == [
        Pair(references / name, {"results": [results / other]})
        for name, other in (
            ("box.png", "box_x4.png"),
            ("box_x3.png", "box_x3.png"),
            ("boxx2.png", "boxx2_x4.png"),
        )
    ]


def test_samples_belong_together_and_sheets_are_passed_over(tmp_path: Path) -> None:
    references, results = (
        save(tmp_path / "hr", "a/cat.png"),
        save(
            tmp_path / "sr",
            "a/cat_x4_1.png",
            "a/cat_x4_2.png",
            "a/cat_x4_sheet.png",
            "a/cat_x4_disagreement.png",
        ),
    )
    assert pairs(results, references) == [
        Pair(
            references / "a/cat.png",
            {"results": [results / "a/cat_x4_1.png", results / "a/cat_x4_2.png"]},
        )
    ]


def test_one_folder_may_hold_references_results_and_inputs(tmp_path: Path) -> None:
    """As the best-known public SR3 code writes them: 0_1_hr, 0_1_sr and 0_1_inf."""
    folder = save(
        tmp_path / "results",
        *(f"0_{n}_{kind}.png" for n in (1, 2) for kind in ("hr", "sr", "inf")),
    )
    with pytest.warns(
        UserWarning, match=r"left out, in .* without a reference: 0_1_inf, 0_2_inf$"
    ):
        found = pairs(folder, folder)
    assert found == [
        Pair(folder / f"0_{n}_hr.png", {"results": [folder / f"0_{n}_sr.png"]})
        for n in (1, 2)
    ]


def test_references_that_end_in_hr_go_with_results_that_do_not(tmp_path: Path) -> None:
    references, results = (
        save(tmp_path / "hr", "img_001_SRF_4_HR.png", "notes.png"),
        save(tmp_path / "sr", "img_001_SRF_4_SR.png"),
    )
    assert pairs(results, references) == [
        Pair(
            references / "img_001_SRF_4_HR.png",
            {"results": [results / "img_001_SRF_4_SR.png"]},
        )
    ]


def test_what_has_no_partner_is_named(tmp_path: Path) -> None:
    references, results = (
        save(tmp_path / "hr", "a.png", "b.png", "c.png", "d.png", "e.png"),
        save(tmp_path / "sr", "a.png", "z.png"),
    )
    with pytest.warns(UserWarning, match="left out") as said:
        assert len(pairs(results, references)) == 1
    alone, without = (str(each.message) for each in said)
    assert alone == f"left out, in {results} without a reference: z"
    assert without == f"left out, in {references} without a result: b, c, d and 1 more"


def test_two_endings_of_one_name_and_folders_without_pictures_are_refused(
    tmp_path: Path,
) -> None:
    twice, once = (
        save(tmp_path / "twice", "a.png", "a.bmp"),
        save(tmp_path / "once", "a.png"),
    )
    for one, other in ((twice, once), (once, twice)):
        with pytest.raises(ValueError, match=r"holds both a\.bmp and a\.png"):
            pairs(one, other)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no picture below"):
        pairs(once, tmp_path / "empty")
    with pytest.raises(ValueError, match="is not a folder"):
        pairs(tmp_path / "none", once)
    # to measure bicubic on, both are welcome
    assert pairs(None, twice) == [
        Pair(twice / "a.bmp", {}),
        Pair(twice / "a.png", {}),
    ]


# Numbers against formulas of our own --------------------------------------------------


def cubic(distance: np.ndarray) -> np.ndarray:
    """Keys' kernel, a = -1/2."""
    d = np.abs(distance)
    return np.where(
        d <= 1,
        1.5 * d**3 - 2.5 * d**2 + 1,
        np.where(d < 2, -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2, 0),
    )


def resizing(n: int, m: int, mirror: bool) -> np.ndarray:
    """imresize from n pixels to m as a matrix: the kernel as wide as the pixels it
    averages.

    Beyond the edge MATLAB mirrors the picture (`mirror`); Pillow and torch leave out
    what is not there.
    """
    scale, matrix = m / n, np.zeros((m, n))
    for i, j in itertools.product(range(m), range(-n, 2 * n)):
        weight = cubic(min(scale, 1) * ((i + 0.5) / scale - 0.5 - j))
        if mirror or 0 <= j < n:
            matrix[i, min(j % (2 * n), 2 * n - 1 - j % (2 * n))] += weight
    return matrix / matrix.sum(1, keepdims=True)


def imresize(picture: np.ndarray, height: int, width: int, mirror: bool) -> np.ndarray:
    """0..255 in, whole levels 0..255 out."""
    rows, columns = (
        resizing(picture.shape[0], height, mirror),
        resizing(picture.shape[1], width, mirror),
    )
    return np.floor(
        np.clip(
            np.einsum("ij,jkc,lk->ilc", rows, picture, columns, optimize=True), 0, 255
        )
        + 0.5
    )


def rgb2ycbcr_y(picture: np.ndarray) -> np.ndarray:
    return np.floor(
        16
        + (
            65.481 * picture[..., 0]
            + 128.553 * picture[..., 1]
            + 24.966 * picture[..., 2]
        )
        / 255
        + 0.5
    )


def db(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a - b) ** 2)))


@pytest.mark.parametrize("mirror", [False, True])
def test_bicubic_is_measured_as_matlab_would(mirror: bool, tmp_path: Path) -> None:
    """Cropped to a multiple of 4, shrunk, rounded, enlarged, rounded; on RGB and on Y,
    with and without the border.

    Exactly so where MATLAB, too, left out what lies beyond the edge. Its mirror changes
    8 pixels at each side, which is 0.1 dB of a picture as small as this.
    """
    path = photograph(tmp_path / "own.png")
    y = np.asarray(Image.open(path)).astype(float)[:72, :96]
    made = imresize(imresize(y, 18, 24, mirror), 72, 96, mirror)
    (case,) = folder_cases([Pair(path, {})], factor=4)
    for border, on_luma in itertools.product((0, 4), (False, True)):
        inside = np.s_[border : 72 - border, border : 96 - border]
        wanted = db(
            *(
                rgb2ycbcr_y(image)[inside] if on_luma else image[inside]
                for image in (made, y)
            )
        )
        found = scores(case, border=border, on_luma=on_luma)["bicubic"][
            "PSNR-Y" if on_luma else "PSNR"
        ]
        assert found == pytest.approx(wanted, abs=0.15 if mirror else 0.002), (
            border,
            on_luma,
        )
    ours = (case.made["bicubic"][0].permute(1, 2, 0).numpy() + 1) * 127.5
    # a level, where a value lies half-way between two
    assert np.abs(ours - made)[16:-16, 16:-16].max() < 1.01


def test_luma_is_matlabs_rgb2ycbcr_on_every_corner_of_the_cube() -> None:
    levels = np.array(
        list(itertools.product((0, 1, 77, 128, 254, 255), repeat=3)), dtype=float
    )
    image = torch.from_numpy(levels / 127.5 - 1).T.reshape(1, 3, 1, -1)
    close(
        (luma(image)[0, 0, 0] + 1) * 127.5,
        torch.from_numpy(rgb2ycbcr_y(levels)),
        1e-12,
        "Y",
    )
    close(
        (luma(f64(-1, 1).reshape(2, 1, 1, 1)) + 1).flatten() * 127.5,
        f64(16, 235),
        1e-12,
        "Y of black and white",
    )


def test_psnr_of_luma_counts_255_levels() -> None:
    """One level of Y everywhere: 20 log10 255 dB."""
    grey = torch.full((1, 1, 16, 16), 0.0)
    assert psnr(luma(grey), luma(grey) + 1 / 127.5).item() == pytest.approx(
        20 * np.log10(255), abs=1e-3
    )


def test_the_border_is_left_out_on_all_four_sides() -> None:
    image = torch.zeros(1, 1, 20, 24)
    image[..., 3:-3, 3:-3] = 1
    assert without_border(image, 3).shape == (1, 1, 14, 18)
    assert without_border(image, 3).min() == 1
    assert without_border(image, 2).min() == 0
    assert without_border(image, 0) is image or torch.equal(
        without_border(image, 0), image
    )
    with pytest.raises(ValueError, match="SSIM needs pictures of at least 6 pixels"):
        scores(Case("a", image[0], None, {"results": image}), border=8)


# One picture at a time ----------------------------------------------------------------


def test_scores_are_the_metrics_of_the_book() -> None:
    y, x = randn(1, 3, 16, 20).tanh().float()[0], randn(1, 3, 4, 5).tanh().float()[0]
    samples = randn(3, 3, 16, 20, seed=1).tanh().float()
    found = scores(
        Case("a", y, x, {"results": samples, "bicubic": samples[:1]}),
        border=2,
        lpips=lambda a, b: (a - b).abs().flatten(1).mean(1),
    )
    inner, original = samples[:1, :, 2:-2, 2:-2], y[None, :, 2:-2, 2:-2]
    assert found["results"] == pytest.approx(
        {
            "PSNR": psnr(inner, original).item(),
            "SSIM": ssim(inner, original).item(),
            "LPIPS": (inner - original).abs().mean().item(),
            "consistency": consistency(samples[:1], x[None]).item(),
            "diversity": diversity(samples[:, None]).item(),
        }
    )
    assert set(found["bicubic"]) == {"PSNR", "SSIM", "LPIPS", "consistency"}
    assert set(
        scores(Case("a", y, None, {"results": samples[:1]}), on_luma=True)["results"]
    ) == {"PSNR-Y", "SSIM-Y"}


def test_results_are_read_with_their_references_channels_and_averaged(
    tmp_path: Path,
) -> None:
    references = save(tmp_path / "hr", "cat.png", mode="L")
    results = save(tmp_path / "sr", "cat_1.png", "cat_2.png", seed=5)
    paired = [
        Pair(
            references / "cat.png",
            {"results": [results / "cat_1.png", results / "cat_2.png"]},
        )
    ]
    (case,) = folder_cases(paired)
    assert (case.name, case.x, case.y.shape) == ("cat.png", None, (1, 12, 16))
    assert list(case.made) == ["results", "mean of 2"]
    close(
        case.made["results"][1],
        as_file(read_picture(results / "cat_2.png", 1)),
        1e-6,
        "second result",
    )
    close(case.made["mean of 2"][0], case.made["results"].mean(0), 1e-6, "mean")


def test_a_model_upscales_the_eight_bit_input_whole(tmp_path: Path) -> None:
    references, f = save(tmp_path / "hr", "cat.png", size=(22, 17)), network()
    (case,) = folder_cases(
        [Pair(references / "cat.png", {})], factor=4, f=f, steps=2, seed=3, samples=2
    )
    y = read_picture(references / "cat.png")[:, :16, :20]
    x = as_file(downsample(y[None], 4))[0]
    close(case.y, y, 1e-6, "reference")
    assert case.x is not None
    close(case.x, x, 1e-6, "input")
    assert list(case.made) == ["bicubic", "SR3", "mean of 2"]
    close(case.made["bicubic"], as_file(upsample(x[None], 4)), 1e-6, "bicubic")
    close(
        case.made["SR3"],
        as_file(upscale(f, x, steps=2, seed=3, samples=2)),
        1e-5,
        "SR3",
    )


def test_sizes_that_do_not_agree_are_one_sentence(tmp_path: Path) -> None:
    references, results = (
        save(tmp_path / "hr", "a.png", size=(18, 13)),
        save(tmp_path / "sr", "a.png", size=(16, 12)),
    )
    paired = [Pair(references / "a.png", {"results": [results / "a.png"]})]
    with pytest.raises(
        ValueError,
        match=(
            r"sr/a.png has 16x12 pixels and its reference .*hr/a.png 18x13"
            r" \(--bicubic N crops"
        ),
    ):
        list(folder_cases(paired))
    (case,) = folder_cases(paired, factor=4)  # as the sentence says
    assert case.y.shape == (3, 12, 16)
    with pytest.raises(
        ValueError,
        match=r"a.png has 18x13 pixels, too few to be shrunk by 16$",
    ):
        list(folder_cases(paired, factor=16))


def test_drawn_cases_are_what_evaluate_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The means of the rows are the table, whatever the batches."""
    folder, f = pictures(tmp_path / "own", 5), network()
    opened, order = chosen(str(folder), f, None)
    y = torch.stack([opened[i] for i in order])
    table, _ = measured_samples(f, y, samples=3)
    monkeypatch.setattr(compare, "BATCH_PIXELS", 2 * 16 * 16)  # two at a time
    comparison = Comparison()
    for case in drawn_cases(f, opened, order, samples=3):
        comparison.add(case)
    assert isinstance(opened, Folder)
    assert [row.picture for row in comparison.rows[::3]] == [
        opened.files[i].name for i in order
    ]
    means = comparison.means()
    assert list(means) == list(table)
    for name in table:
        assert means[name] == pytest.approx(table[name], rel=1e-4)


def test_a_regression_has_no_mean_and_glyphs_have_names() -> None:
    f = network(
        dataclasses.replace(TINY, data="glyphs", size=32, objective="regression")
    )
    opened = glyphs("test")
    (case,) = drawn_cases(f, opened, [opened.find("g", "DejaVuSerif")], samples=2)
    assert case.name == "g DejaVuSerif"
    assert list(case.made) == ["bicubic", "regression"]
    assert scores(case)["regression"]["diversity"] == 0


# All pictures together ----------------------------------------------------------------


def cases(*values: float) -> Iterator[Case]:
    """A black picture each, and an answer that is `value` brighter."""
    black = -torch.ones(1, 16, 16)
    for number, value in enumerate(values):
        yield Case(str(number), black, None, {"results": black[None] + value})


def test_means_are_of_all_pictures_and_each_metric_of_those_that_have_it() -> None:
    comparison = Comparison()
    for case in cases(0.2, 0.02):
        comparison.add(case)
    comparison.add(
        Case(
            "samples",
            torch.zeros(1, 16, 16),
            None,
            {
                "results": (
                    torch.tensor([0.2, -0.2])[:, None, None, None].expand(2, 1, 16, 16)
                )
            },
        )
    )
    # 10 log10 (4 / 0.04) = 20
    assert comparison.means()["results"]["PSNR"] == pytest.approx(
        (20 + 40 + 20) / 3, abs=1e-3
    )
    assert comparison.means()["results"]["diversity"] == pytest.approx(0.2 / 2 * 2**0.5)
    assert [(row.picture, row.method) for row in comparison.rows] == [
        ("0", "results"),
        ("1", "results"),
        ("samples", "results"),
    ]


def test_only_numbers_are_kept() -> None:
    comparison = Comparison()
    for case in cases(*(0.1 for _ in range(5))):
        comparison.add(case)
    assert not any(
        isinstance(value, Tensor)
        for row in comparison.rows
        for value in row.values.values()
    )
    assert len(comparison.rows) == 5


def test_exact_pictures_are_counted_and_the_mean_is_of_the_others() -> None:
    comparison = Comparison()
    for case in cases(0.2, 0, 0.02, 0):
        comparison.add(case)
    found = comparison.means()["results"]
    assert found["PSNR"] == pytest.approx((20 + 40) / 2, abs=1e-3)
    assert found["exact"] == 2
    alone = Comparison()
    for case in cases(0):
        alone.add(case)
    assert alone.means()["results"].keys() == {"exact", "SSIM"}


def test_what_is_no_number_is_no_measure() -> None:
    comparison = Comparison()
    with pytest.raises(ValueError, match="its PSNR is no number"):
        comparison.add(next(cases(float("nan"))))
    assert (comparison.pictures, comparison.rows) == (0, [])
