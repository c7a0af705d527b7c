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
from torch.utils.flop_counter import FlopCounterMode

from sr3mini.book.figures import root_sinusoids, told_apart, walk
from sr3mini.degrade import upsample
from sr3mini.model.network import build
from sr3mini.model.presets import PRESETS
from sr3mini.schedule import NoiseSchedule
from sr3mini.unet import LevelEmbedding, UNet

PAPER = NoiseSchedule.linear(2000, 1e-6, 1e-2).gammas


def test_the_network_is_its_parts_called_in_order() -> None:
    """(5.4), written out for one depth of no block above one of one block: stem, down,
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


def test_the_levels_of_the_clamp_are_beyond_every_schedule_of_the_book() -> None:
    """gamma_1 = 1 - 1e-6 has log-SNR 13.8; 20 is reached 2e-9 from the ends only."""
    assert math.log(PAPER[1] / (1 - PAPER[1])) == pytest.approx(13.8, abs=0.05)
    assert 1 / (1 + math.exp(20)) == pytest.approx(2e-9, rel=0.05)


def test_parameters_lie_at_the_bottom_and_work_does_not() -> None:
    """Of the network of the letters: at 4x4, which is also where pixels attend."""
    f = build(PRESETS["letters_4_32"])
    x, y_t = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 32, 32)
    walked = [layer for layer in walk(f, x, y_t, f64(0.5)) if layer.output.ndim == 4]
    bottom = [layer for layer in walked if layer.output.shape[-1] == 4]
    share = [
        sum(getattr(layer, what) for layer in bottom)
        / sum(getattr(layer, what) for layer in walked)
        for what in ("parameters", "flops")
    ]
    assert share[0] > 0.6
    assert share[1] < 0.3
    assert [layer.name for layer in walked if layer.attends] == [
        "downs.5",
        "middle.0",
        "ups.0",
        "ups.1",
    ]
