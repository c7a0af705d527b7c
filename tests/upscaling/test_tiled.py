"""A picture in windows is the picture: the weights add up, and what is drawn with a
tiled network is drawn by Algorithm 2.
"""

from __future__ import annotations

import dataclasses
import itertools

import matplotlib
import numpy as np
import pytest
import torch
from checks import (
    check_a_tiled_network_sums_what_its_windows_show,
    check_windows_share_every_pixel,
    close,
    seeded,
)
from matplotlib.cbook import get_sample_data
from PIL import Image, ImageDraw, ImageFont
from tiny import TINY, network
from torch import Tensor

from sr3mini.data import read_picture
from sr3mini.degrade import downsample
from sr3mini.loss import regress
from sr3mini.model.checkpoint import load
from sr3mini.model.network import Network
from sr3mini.upscaling import tiled as tiles
from sr3mini.upscaling.tiled import (
    Window,
    count_windows,
    shares,
    starts,
    tiled,
    windows,
)
from sr3mini.upscaling.upscale import upscale


def painted(f: Network, x: Tensor, tile: int = 16, steps: int | None = None) -> Tensor:
    """One sample, in windows of `tile`."""
    return upscale(f, x, tile=tile, steps=steps)[0]


def picture(*shape: int) -> Tensor:
    return torch.rand(shape, generator=seeded(1)) * 2 - 1


class Pointwise(Network):
    """Looks at each pixel of y_t and at the pixel of x above it, and at no neighbour:
    windows cannot matter to it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.preset = TINY

    def forward(self, x: Tensor, y_t: Tensor, gamma: Tensor) -> Tensor:
        large = x.repeat_interleave(4, -1).repeat_interleave(4, -2)
        return torch.tanh(y_t * (1 + gamma.to(y_t)[:, None, None, None])) - large / 2


# Windows ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "window", "overlap", "multiple"),
    [
        (64, 16, 4, 4),
        (68, 32, 16, 4),
        (33, 12, 3, 3),
        (16, 16, 4, 4),
        (8, 16, 4, 4),
        (20, 16, 8, 2),
    ],
)
def test_windows_cover_the_picture_and_share_what_they_should(
    length: int, window: int, overlap: int, multiple: int
) -> None:
    places = starts(length, window, overlap, multiple)
    assert places[0] == 0
    assert places[-1] == max(length - window, 0)
    assert all(place % multiple == 0 for place in places)
    assert all(
        0 < after - before <= window - overlap
        for before, after in itertools.pairwise(places)
    )
    assert len(places) == 1 + max(0, -(-(length - window) // (window - overlap))), (
        "more windows than needed"
    )


def test_the_weights_add_up_to_1_at_every_pixel_and_fade_towards_the_edges() -> None:
    check_windows_share_every_pixel(shares)


def test_a_network_of_single_pixels_gives_the_same_in_any_windows() -> None:
    f, x = Pointwise(), picture(1, 9, 14)
    whole = painted(f, x, tile=4096)
    for tile in (8, 12, 16, 32):
        close(painted(f, x, tile), whole, 2e-5, f"windows of {tile}")


def test_a_picture_in_one_window_is_shown_to_f_as_it_is() -> None:
    f, x, y_t = network(), picture(2, 1, 5, 7), picture(2, 1, 20, 28)
    gamma = torch.tensor([0.3, 0.6])
    assert torch.equal(tiled(f, 32)(x, y_t, gamma), f(x, y_t, gamma))


def test_the_answer_is_the_weighted_sum_of_what_the_windows_show() -> None:
    check_a_tiled_network_sums_what_its_windows_show(tiled, shares, starts)


def test_every_window_is_counted_and_told() -> None:
    seen: list[int] = []
    f = tiled(Pointwise(), 16, at_once=2, tick=seen.append)
    f(picture(1, 1, 8, 8), picture(1, 1, 32, 32), torch.ones(1))
    assert sum(seen) == len(list(windows(32, 32, 16, 4))) == 9
    assert count_windows(32, 32, 16, 4) == 9


def test_a_regression_network_is_called_once_a_window_and_told_nothing_but_x() -> None:
    f, x = network(dataclasses.replace(TINY, objective="regression")), picture(1, 4, 4)
    wanted = regress(f, x[None], (1, 1, 16, 16))[0].clamp(-1, 1)
    assert torch.equal(painted(f, x), wanted)


def test_bfloat16_is_near() -> None:
    f, x = network(dataclasses.replace(TINY, objective="regression")), picture(1, 4, 4)
    narrow = upscale(f, x, dtype=torch.bfloat16)[0]
    assert 0 < (narrow - painted(f, x)).abs().max() < 0.05


# Seams --------------------------------------------------------------------------------


def page(height: int, width: int) -> Tensor:
    """A page of letters, which is what the shipped model knows."""
    image = Image.new("L", (width, height), 255)
    font = ImageFont.truetype(
        f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf",
        22,
        layout_engine=ImageFont.Layout.BASIC,
    )
    for row, line in enumerate(
        [
            "Wind over sea and hill",
            "quiet boxes jump high",
            "at night they vow fog",
            "Amber dunes echo well",
        ]
    ):
        ImageDraw.Draw(image).text((3, 2 + 32 * row), line, font=font, fill=0)
    return torch.from_numpy(np.array(image))[None].float() / 127.5 - 1


def decibels(difference: Tensor) -> float:
    return 10 * torch.log10(4 / difference.square().mean()).item()


def test_tiled_against_untiled_on_a_picture_small_enough_for_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Windows of 96, which share 32 pixels, against one of all 224: 40 dB and
    more, and within 4 dB of that where windows overlap or end.

    Windows that lie side by side and share nothing do show where they meet: the measure
    would see a seam.
    """
    f = load("glyphs_8_32")
    x = downsample(page(96, 224)[None], 4)[0]
    whole, tiled, lefts = (
        painted(f, x, tile=4096, steps=5),
        painted(f, x, tile=96, steps=5),
        sorted({window.left for window in windows(96, 224, 96, 4)}),
    )
    assert lefts == [0, 64, 128]

    def near(edges: list[int]) -> Tensor:
        return torch.stack(
            [(torch.arange(224) + 0.5 - edge).abs() < 4 for edge in edges]
        ).any(0)

    overlap = (
        torch.stack(
            [
                (torch.arange(224) >= left) & (torch.arange(224) < left + 96)
                for left in lefts
            ]
        ).sum(0)
        > 1
    )
    edges = near([*lefts[1:], *(left + 96 for left in lefts[:-1])])
    difference = tiled - whole
    everywhere, overlapping, at_edges, elsewhere = (
        decibels(difference[..., where])
        for where in (overlap | ~overlap, overlap, edges, ~edges)
    )
    print(
        f"tiled against untiled {everywhere:.1f} dB, where windows overlap"
        f" {overlapping:.1f}, where one ends {at_edges:.1f}, elsewhere {elsewhere:.1f}"
    )
    assert everywhere > 40
    assert min(overlapping, at_edges) > elsewhere - 4
    parts = [Window(0, left, torch.ones(96, 112)) for left in (0, 112)]
    monkeypatch.setattr(tiles, "windows", lambda *_: iter(parts))
    side_by_side = painted(f, x, tile=112, steps=5) - whole
    seam, elsewhere = (
        decibels(side_by_side[..., near([112])]),
        decibels(side_by_side[..., ~near([112])]),
    )
    print(f"side by side, where they meet {seam:.1f}, elsewhere {elsewhere:.1f}")
    assert seam < elsewhere - 10


def test_windows_that_share_the_least_show_no_seam_in_a_photograph() -> None:
    """Four windows of 256 that share 32 pixels each: against one of all 928, the places
    where they meet and end are within 2 dB of the rest, or better.
    """
    file = get_sample_data("grace_hopper.jpg", asfileobj=False)
    f, x = load("photos_16_64"), read_picture(file)[:, 40:72, 100:332]
    whole, tiled = (painted(f, x, tile=tile, steps=4) for tile in (4096, 256))
    lefts = starts(928, 256, tiles.OVERLAP, 4)
    assert lefts == [0, 224, 448, 672]
    places = torch.arange(928)
    meeting = [(places >= left) & (places < left + 32) for left in lefts[1:]]
    shared = torch.stack(meeting).any(0)
    difference = tiled - whole
    there, elsewhere = (decibels(difference[..., where]) for where in (shared, ~shared))
    print(f"where windows overlap {there:.1f} dB, elsewhere {elsewhere:.1f}")
    assert min(there, elsewhere) > 35
    assert there > elsewhere - 2
