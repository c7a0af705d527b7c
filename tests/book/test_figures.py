"""Every figure: it shows something, and says in words what it shows."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import torch
from checks import f64
from examples import PAPER, SHORT, all_figures
from PIL import Image

from sr3mini.book import figures
from sr3mini.book.figures import root_ratio
from sr3mini.book.figures.ch03 import _within
from sr3mini.forward import gamma_between, gamma_cdf

FIGURES = all_figures()


def pixels(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as picture:
        return np.asarray(picture.convert("L"), dtype=float)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_not_blank_and_its_text_is_a_sentence_with_content(
    name: str,
) -> None:
    make, words = FIGURES[name]
    picture = make()
    shown = pixels(picture.png())
    assert shown.std() > 5
    assert min(shown.shape) >= 100
    assert all(word in picture.alt for word in words)
    assert picture.alt[0].isupper()
    assert picture.alt.endswith(".")
    assert "nan" not in picture.alt


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_clipped_at_the_edge(name: str) -> None:
    """Whatever a figure draws keeps a white line free all around."""
    shown = pixels(FIGURES[name][0]().png())
    assert all(
        (edge > 250).all() for edge in (shown[0], shown[-1], shown[:, 0], shown[:, -1])
    )


def test_every_function_that_makes_a_figure_is_tested_here() -> None:
    makers = {
        name
        for name, value in vars(figures).items()
        if callable(value)
        and getattr(value, "__annotations__", {}).get("return") == "Picture"
    }
    assert makers == {name.split()[0] for name in FIGURES}


def test_a_notebook_gets_the_png_and_beside_it_the_alt_text() -> None:
    picture = figures.gamma_segments(SHORT)
    data, metadata = picture._repr_mimebundle_()
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert metadata["image/png"]["alt"] == data["text/plain"] == picture.alt
    with Image.open(io.BytesIO(picture.png())) as opened:
        assert opened.info["Description"] == picture.alt


def test_an_image_is_drawn_with_crisp_pixels_and_the_right_grey() -> None:
    """A checkerboard of four pixels shows black and white, and hardly any grey."""
    board = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])[None, None]
    shown = pixels(figures.image_rows([("", board)], "A board.").png())
    assert (shown < 5).mean() > 0.1
    assert ((shown > 40) & (shown < 215)).mean() < 0.05


def test_the_numbers_in_the_text_of_gamma_law_are_those_of_the_schedule() -> None:
    share = gamma_cdf(PAPER, torch.tensor(0.5, dtype=torch.float64)).item()
    assert f"{share:.0%} of the levels lie below 0.5" in figures.gamma_law(PAPER).alt


def test_the_bins_of_the_histogram_never_straddle_a_level() -> None:
    ends = SHORT.gammas.flip(0)
    bins = _within(ends, 60)
    assert set(ends.tolist()) <= set(bins)
    assert bins == sorted(set(bins))


def test_root_ratio_is_the_ratio_of_two_numerical_densities() -> None:
    """Uniform in sqrt(gamma): its CDF inside segment t is (sqrt(gamma) - sqrt(low)) /
    (sqrt(high) - sqrt(low)); differentiate it.
    """
    t, u, h = torch.tensor(3), f64(0.1, 0.5, 0.9), 1e-6
    high, low = SHORT.gammas[2], SHORT.gammas[3]
    up, down = (gamma_between(SHORT, t, u + step).sqrt() for step in (h, -h))
    slope = (up - down) / (high.sqrt() - low.sqrt()) / (2 * h)
    torch.testing.assert_close(root_ratio(SHORT, t, u), slope, rtol=1e-8, atol=0)
