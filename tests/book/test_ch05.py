"""Equations of chapter 5 that are not the job of one room, and what its figures
measure.
"""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from checks import close, f64, randn
from examples.ch05 import layers
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from sr3mini import diffuse, downsample, load
from sr3mini.book.figures import (
    block_powers,
    conv_cost,
    fit_shifts,
    gain_error,
    influence,
    power_after,
    reach,
    root_sinusoids,
    told_apart,
    walk,
    without_norms,
)
from sr3mini.data import glyphs
from sr3mini.degrade import upsample
from sr3mini.sampler import predict_y_0
from sr3mini.schedule import NoiseSchedule
from sr3mini.unet import LevelEmbedding, ResBlock, UNet

PAPER = NoiseSchedule.linear(2000, 1e-6, 1e-2).gammas


def test_the_network_is_its_parts_called_in_order() -> None:
    """(5.3), written out for one depth of no block above one of one block: stem, down,
    middle, up, with two skips at each depth, and the head.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        f = UNet(channels=8, multipliers=(1, 2), blocks=(0, 1))
        torch.nn.init.normal_(f.head.weight)
    x, y_t, gamma = (
        randn(1, 1, 4, 4).float(),
        randn(1, 1, 8, 8, seed=1).float(),
        f64(0.3),
    )
    e = F.silu(f.level(gamma))
    h0 = f.stem(torch.cat([upsample(x, 2), y_t], dim=1))
    h1 = f.downs[0](h0)
    h2 = f.downs[1](h1, e)
    g = f.middle[1](f.middle[0](h2, e), e)
    g = f.ups[0](torch.cat([g, h2], dim=1), e)
    g = f.ups[1](torch.cat([g, h1], dim=1), e)
    g = f.ups[2](g)
    g = f.ups[3](torch.cat([g, h0], dim=1), e)
    close(f(x, y_t, gamma), f.head(F.silu(f.norm(g))), 0, "f")


def test_unscaled_roots_are_told_apart_a_hundred_thousand_times_worse() -> None:
    """The three numbers of the chapter: neighbouring levels of the paper's schedule, in
    the feature that changes most.
    """
    assert told_apart(root_sinusoids(PAPER)) == pytest.approx(4.2e-7, rel=0.01)
    assert told_apart(root_sinusoids(PAPER, 5000.0)) == pytest.approx(2.47e-3, rel=0.01)
    assert told_apart(LevelEmbedding(8).sinusoids(PAPER)) > 0.3


def test_a_scale_gives_every_gain_and_a_shift_alone_does_not() -> None:
    """SiLU(g n + 20) - 20 = g n but for e^-14; the best of one shifted feature is off
    by more than 0.5, for slopes from -1 to 2.
    """
    gains, n = f64(-1, 0, 0.5, 1, 2), torch.linspace(-3, 3, 61, dtype=torch.float64)
    assert gain_error(gains, n, F.silu(gains[:, None] * n + 20) - 20) < 1e-4
    assert gain_error(gains, n, fit_shifts(gains, n, 1)) > 0.5
    # with one gain only, nothing is missing
    assert gain_error(f64(1.0), n, fit_shifts(f64(1.0), n, 1)) < 0.05


def test_a_shift_before_the_normalisation_is_lost_where_a_group_shares_it() -> None:
    h = randn(2, 8, 5, 5)
    # one number for each group of two channels
    shared = randn(2, 4, 1, seed=1).expand(2, 4, 2).reshape(2, 8, 1, 1)
    close(
        F.group_norm(h + shared, 4),
        F.group_norm(h, 4),
        1e-4,
        "a shift that the group shares",
    )
    own = randn(2, 8, 1, 1, seed=1)
    assert (F.group_norm(h + own, 4) - F.group_norm(h, 4)).abs().max() > 0.1
    close(F.group_norm(h + own, 8), F.group_norm(h, 8), 1e-4, "one channel a group")


def test_the_power_follows_its_recursion() -> None:
    """(5.4): V -> (V + v)/2 step by step, or V -> V + v for a plain sum; and blocks
    with fresh weights follow it.
    """
    scaled, plain = 4.0, 4.0
    for blocks in range(6):
        assert power_after(blocks, 4.0, 0.3) == pytest.approx(scaled, abs=1e-14)
        assert power_after(blocks, 4.0, 0.3, scaled=False) == pytest.approx(
            plain, abs=1e-14
        )
        scaled, plain = (scaled + 0.3) / 2, plain + 0.3
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        blocks_ = [ResBlock(32, 32, 16, 8, 0.0) for _ in range(8)]
    h, e = randn(4, 32, 16, 16).float(), torch.zeros(4, 16)
    for is_scaled in (True, False):
        powers, branch = block_powers(blocks_, h, e, is_scaled)
        for blocks, power in enumerate(powers):
            assert power == pytest.approx(
                power_after(blocks, powers[0], branch, is_scaled), rel=0.15
            )


@pytest.mark.parametrize(
    ("multipliers", "blocks"),
    [((1,), 1), ((1,), (2,)), ((1, 2), 1), ((1, 2), (0, 1)), ((1, 1, 2), (0, 1, 1))],
)
def test_the_reach_is_what_the_gradient_shows(
    multipliers: tuple[int, ...], blocks: int | tuple[int, ...]
) -> None:
    """(5.5): the gradient of one output pixel is not 0 in a square of side 2 R + 1, and
    0 outside.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        f = without_norms(UNet(channels=8, multipliers=multipliers, blocks=blocks))
    f = f.double()  # 32-bit convolutions may round what is 0
    side = 2 * reach(multipliers, blocks) + 1
    size = (side + 16) // 4 * 4
    touched = (
        influence(
            f,
            randn(1, 1, 4, 4),
            randn(1, 1, size, size),
            f64(0.5),
            (size // 2, size // 2),
        )
        > 0
    )
    assert int(touched.any(0).sum()) == int(touched.any(1).sum()) == side


def test_with_group_norm_or_attention_every_pixel_has_a_little_influence() -> None:
    x, y_t, gamma = randn(1, 1, 8, 8).float(), randn(1, 1, 40, 40).float(), f64(0.5)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        normed = UNet(channels=8, multipliers=(1,))
        torch.nn.init.normal_(normed.head.weight)
        attends = without_norms(UNet(channels=8, multipliers=(1,), attention=(0,)))
    for f in (normed, attends):
        each = influence(f, x, y_t, gamma, (20, 20))
        assert (each > 0).all()
        assert (
            each[20 - 12 : 20 + 13, 20 - 12 : 20 + 13].mean() > 5 * each[:5, :5].mean()
        )


def test_a_trained_network_looks_close_by_where_there_is_little_noise() -> None:
    """Of its guess of y_0: the 5x5 pixels around have more of the influence."""
    f, test = load("glyphs_8_32"), glyphs("test")
    y_0 = test.batch([test.find("R")])
    x, eps = downsample(y_0, 4), randn(*y_0.shape).float()

    def guess(x: Tensor, y_t: Tensor, gamma: Tensor) -> Tensor:
        return predict_y_0(y_t, f(x, y_t, gamma), gamma[0])

    near = []
    for gamma in (f64(0.9999), f64(0.001)):
        each = influence(guess, x, diffuse(y_0, gamma, eps), gamma, (12, 16))
        near.append(each[10:15, 14:19].sum() / each.sum())
    assert near[0] > 2 * near[1]


def test_the_cost_of_a_convolution_is_what_torch_counts() -> None:
    """(5.7), both convolutions of the book: 3x3, and 1x1 where a skip changes the
    number of channels.
    """
    for side in (3, 1):
        convolution = torch.nn.Conv2d(5, 7, side, padding=side // 2)
        with FlopCounterMode(display=False) as counter:
            convolution(torch.zeros(1, 5, 6, 4))
        parameters = sum(p.numel() for p in convolution.parameters())
        assert conv_cost(5, 7, 6, 4, side) == (parameters, counter.get_total_flops())


def test_a_walk_counts_every_parameter_and_every_flop_once() -> None:
    f = UNet(channels=8, multipliers=(1, 2, 2), blocks=(0, 1, 1), attention=(1,))
    x, y_t, gamma = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 16, 16), f64(0.5)
    walked = walk(f, x, y_t, gamma)
    with FlopCounterMode(display=False) as counter:
        f(x, y_t, gamma)
    assert sum(layer.parameters for layer in walked) == sum(
        p.numel() for p in f.parameters()
    )
    assert sum(layer.flops for layer in walked) == counter.get_total_flops()
    assert [layer.name for layer in walked[:4]] == [
        "stem",
        "level",
        "downs.0",
        "downs.1",
    ]
    assert walked[-1].name == "head"
    assert all(not part._forward_hooks for part in f.modules())


def test_the_skips_of_the_map_are_those_of_forward() -> None:
    """Last in, first out: each way-up block takes as many channels as its partner has,
    besides what comes from below.
    """
    from sr3mini.book.figures.ch05 import _skips

    boxes = [
        layer
        for layer in layers()
        if layer.output.ndim == 4 and layer.kind != "GroupNorm"
    ]
    skips = _skips(boxes)
    assert len(skips) == sum(
        layer.name.startswith("ups.") and layer.kind == "Stage" for layer in boxes
    )
    assert all(
        boxes[source].output.shape[2:] == boxes[target].output.shape[2:]
        for source, target in skips
    )


def test_the_parameters_of_exercise_5_3_are_those_of_a_residual_block() -> None:
    from sr3mini.book.exercises import EXERCISES

    for inputs, outputs in ((16, 16), (16, 32), (48, 32)):
        counted = EXERCISES["5.3"].right(
            torch.tensor([inputs]), torch.tensor([outputs]), 64
        )
        assert counted.tolist() == [
            sum(p.numel() for p in ResBlock(inputs, outputs, 64, 8, 0.0).parameters())
        ]


def test_the_levels_of_the_clamp_are_beyond_every_schedule_of_the_book() -> None:
    """gamma_1 = 1 - 1e-6 has log-SNR 13.8; 20 is reached 2e-9 from the ends only."""
    assert math.log(PAPER[1] / (1 - PAPER[1])) == pytest.approx(13.8, abs=0.05)
    assert 1 / (1 + math.exp(20)) == pytest.approx(2e-9, rel=0.05)
