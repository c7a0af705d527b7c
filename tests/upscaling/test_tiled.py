"""A picture in windows is the picture: the weights add up, the noise has its place, and
the windows' sample is Algorithm 2's.
"""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from checks import (
    check_the_noise_has_its_place,
    check_windows_share_every_pixel,
    close,
    seeded,
)
from PIL import Image, ImageDraw, ImageFont
from project import ROOT
from tiny import TINY, network
from torch import Tensor

from sr3mini import sampler
from sr3mini.degrade import downsample, upsample
from sr3mini.loss import regress
from sr3mini.model.checkpoint import load
from sr3mini.model.network import Network
from sr3mini.upscaling import tiled as tiles
from sr3mini.upscaling.tiled import (
    Canvas,
    Windows,
    noise,
    paint,
    resized,
    shares,
    starts,
)


def canvas(image: Tensor) -> Canvas:
    made = Canvas(*image.shape)
    made.write(0, image)
    return made


def painted(f: Network, x: Tensor, tile: int = 16, **how: int) -> Tensor:
    """One sample, in windows of `tile`."""
    factor = f.preset.factor
    y = Canvas(f.preset.image_channels, x.shape[1] * factor, x.shape[2] * factor)
    paint(Windows(f, y.height, y.width, tile=tile), canvas(x), y, **how)
    return y.read(0, y.height)


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


def test_the_picture_in_one_window_is_algorithm_2(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`sampler.sample` with the same noises, level by level, gives the same picture,
    for a network that sees everything.
    """
    f, x, T = network(), picture(1, 5, 7), 6
    levels = iter(range(T, 0, -1))
    monkeypatch.setattr(
        sampler, "_normal", lambda *_: noise(3, 0, next(levels), range(20), 28, 1)[None]
    )
    wanted = sampler.sample(
        f,
        x[None],
        TINY.sampling_schedule(T),
        (1, 1, 20, 28),
        variance="posterior",
        clip=True,
    )[0]
    close(
        painted(f, x, tile=64, steps=T, seed=3),
        wanted.clamp(-1, 1),
        1e-5,
        "windows against sample",
    )


def test_a_band_overwritten_in_place_is_never_looked_at_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same loop with the whole of eps_hat known before y_t changes: windows blended
    over a copy of y_t.
    """
    f, x, T = network(), picture(1, 12, 11), 4
    windows, shown = Windows(f, 48, 44, tile=16), canvas(x)

    def tiled(_: Tensor, y_t: Tensor, gamma: Tensor) -> Tensor:
        return torch.cat(
            [
                rows
                for _, rows in windows.bands(
                    shown, canvas(y_t[0]), gamma[0], lambda _: None
                )
            ],
            dim=1,
        )[None]

    levels = iter(range(T, 0, -1))
    monkeypatch.setattr(
        sampler, "_normal", lambda *_: noise(0, 0, next(levels), range(48), 44, 1)[None]
    )
    wanted = sampler.sample(
        tiled,
        x[None],
        TINY.sampling_schedule(T),
        (1, 1, 48, 44),
        variance="posterior",
        clip=True,
    )[0]
    assert len(windows.tops) > 3
    close(painted(f, x, tile=16), wanted.clamp(-1, 1), 1e-5, "in place against a copy")


def test_a_regression_network_is_called_once_a_window_and_told_nothing_but_x() -> None:
    f, x = network(dataclasses.replace(TINY, objective="regression")), picture(1, 4, 4)
    close(
        painted(f, x),
        regress(f, x[None], (1, 1, 16, 16))[0].clamp(-1, 1),
        1e-5,
        "one window",
    )
    seen: list[int] = []
    paint(
        Windows(f, 32, 32, tile=16),
        canvas(picture(1, 8, 8)),
        Canvas(1, 32, 32),
        tick=seen.append,
    )
    assert sum(seen) == len(Windows(f, 32, 32, tile=16)) == 9


@pytest.mark.parametrize("order", [[2, 0, 1], [2, 1, 0], [1, 2, 0]])
def test_a_sample_is_the_same_to_the_last_bit_in_any_order_of_windows(
    order: list[int],
) -> None:
    f, x = network(), picture(1, 8, 8)
    sorted_, shuffled = Canvas(1, 32, 32), Canvas(1, 32, 32)
    paint(Windows(f, 32, 32, tile=16), canvas(x), sorted_)
    windows = Windows(f, 32, 32, tile=16)
    assert len(windows.lefts) == 3
    windows.lefts, windows.across = (
        [windows.lefts[k] for k in order],
        windows.across[order],
    )
    paint(windows, canvas(x), shuffled)
    assert torch.equal(sorted_.read(0, 32), shuffled.read(0, 32))


def test_several_windows_a_call_change_no_8_bit_pixel() -> None:
    f, x = network(), picture(1, 8, 8)
    results = []
    for at_once in (1, 2, 3):
        y = Canvas(1, 32, 32)
        paint(Windows(f, 32, 32, tile=16, at_once=at_once), canvas(x), y)
        results.append(y.read(0, 32))
    close(results[1], results[0], 1e-5, "two windows a call")
    close(results[2], results[0], 1e-5, "three windows a call")


def test_bfloat16_is_near() -> None:
    f, x = network(dataclasses.replace(TINY, objective="regression")), picture(1, 4, 4)
    y = Canvas(1, 16, 16)
    paint(Windows(f, 16, 16, dtype=torch.bfloat16), canvas(x), y)
    assert 0 < (y.read(0, 16) - painted(f, x)).abs().max() < 0.05


# Noise --------------------------------------------------------------------------------


def test_the_noise_of_a_place_is_the_same_whatever_is_drawn_around_it() -> None:
    check_the_noise_has_its_place(noise)


def test_noises_of_other_seeds_stages_levels_rows_and_channels_are_unrelated() -> None:
    whole = noise(1, 0, 5, range(100), 100, 2)
    others = [
        noise(2, 0, 5, range(100), 100, 2),
        noise(1, 1, 5, range(100), 100, 2),
        noise(1, 0, 4, range(100), 100, 2),
        noise(1, 0, 5, range(1, 101), 100, 2),
    ]
    for other in [*others, whole.flip(0)]:
        assert abs((whole * other).mean().item()) < 5 / 20_000**0.5
    assert abs(whole.mean().item()) < 5 / 20_000**0.5
    assert abs(whole.square().mean().item() - 1) < 5 * (2 / 20_000) ** 0.5


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


def test_tiled_against_untiled_on_a_picture_small_enough_for_both() -> None:
    """Windows of 96, which share at least 48 pixels, against one of all 224: 40 dB and
    more, and within 4 dB of that where windows overlap or end.

    Windows that lie side by side and share nothing do show where they meet: the measure
    would see a seam.
    """
    f = load("glyphs_8_32")
    x = downsample(page(96, 224)[None], 4)[0]
    whole, tiled, lefts = (
        painted(f, x, tile=4096, steps=5),
        painted(f, x, tile=96, steps=5),
        Windows(f, 96, 224, tile=96).lefts,
    )
    assert lefts == [0, 40, 84, 128]

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
    windows, y = Windows(f, 96, 224, tile=112), Canvas(1, 96, 224)
    windows.lefts, windows.across = [0, 112], torch.ones(2, 112)
    paint(windows, canvas(x), y, steps=5)
    side_by_side = y.read(0, 96) - whole
    seam, elsewhere = (
        decibels(side_by_side[..., near([112])]),
        decibels(side_by_side[..., ~near([112])]),
    )
    print(f"side by side, where they meet {seam:.1f}, elsewhere {elsewhere:.1f}")
    assert seam < elsewhere - 10


# Canvas -------------------------------------------------------------------------------


@pytest.mark.parametrize("in_memory", [2**28, 100], ids=["memory", "file"])
def test_a_canvas_holds_what_was_written(
    in_memory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiles, "IN_MEMORY", in_memory)
    image, made = picture(3, 70, 5), Canvas(3, 70, 5, tmp_path)
    made.write(0, image)
    made.write(9, -image[:, 9:20])
    image[:, 9:20] *= -1
    assert torch.equal(made.read(0, 70), image)
    assert torch.equal(made.read(8, 31), image[:, 8:31])
    assert torch.equal(torch.cat([rows for _, rows in made.strips()], dim=1), image)
    assert list(tmp_path.iterdir()) == [], (
        "the file has a name that could be left behind"
    )


def test_a_canvas_that_the_disk_has_no_room_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"9000000x9000000 needs 972000.0 GB of room"):
        Canvas(3, 9_000_000, 9_000_000, tmp_path)


@pytest.mark.parametrize(
    "size", [(200, 148), (21, 60), (50, 37), (1, 1), (333, 9), (50, 100), (23, 17)]
)
def test_resized_in_strips_is_the_books_bicubic(size: tuple[int, int]) -> None:
    image = picture(2, 50, 37)
    strips = [
        resized(canvas(image), size, top, min(top + 17, size[0]))
        for top in range(0, size[0], 17)
    ]
    resize = upsample if size[0] > 50 else downsample
    close(
        torch.cat(strips, dim=1),
        resize(image[None], size=size)[0],
        2e-5,
        f"strips of {size}",
    )


GROWTH = """
import sys, threading
sys.path.insert(0, sys.argv[1])
import torch
from tiny import TINY
from sr3mini.upscaling import tiled as tiles
from sr3mini.model.network import Network

class Cheap(Network):
    def __init__(self):
        super().__init__()
        self.preset = TINY
    def forward(self, x, y_t, gamma):
        return y_t / 2

def anonymous():
    lines = open("/proc/self/status")
    return int(next(l for l in lines if l.startswith("RssAnon")).split()[1]) * 1024

def peak(height):
    seen, done = [anonymous()], threading.Event()
    def watch():
        while not done.wait(0.002):
            seen.append(anonymous())
    watcher = threading.Thread(target=watch)
    watcher.start()
    x, y = tiles.Canvas(1, height // 4, 128), tiles.Canvas(1, height, 512)
    for top in range(0, height // 4, 64):
        x.write(top, torch.zeros(1, 64, 128))
    tiles.paint(tiles.Windows(Cheap(), height, 512), x, y, steps=2)
    done.set()
    watcher.join()
    return max(seen)

tiles.IN_MEMORY = 1
peak(1024)
small = peak(1024)
print(peak(16384) - small)
"""


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(),
    reason="only Linux tells how much memory is in use",
)
def test_a_picture_sixteen_times_as_tall_takes_no_more_memory() -> None:
    """Its y_t of 34 MB lies in a file; what the process holds itself grows by less than
    a fifth of that.
    """
    done = subprocess.run(
        [sys.executable, "-c", GROWTH, str(ROOT / "tests")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 4 * 512 * 16384 / 5
