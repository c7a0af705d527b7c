"""The noise network: any size, any number of channels, and a level embedding that tells
neighbouring levels apart.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from checks import (
    check_levels_are_resolved,
    check_the_level_embedding,
    check_the_residual_block,
    close,
    f64,
    randn,
)
from torch import Tensor

from sr3mini.schedule import NoiseSchedule, log_snr
from sr3mini.unet import Attention, LevelEmbedding, ResBlock, UNet

LEVELS = f64(0.3, 0.9)


def unet(*args: Any, **options: Any) -> UNet:
    """A small network with weights of its own, its zero head filled in: it answers
    something, and always the same.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        f = UNet(*args, **{"channels": 8, "multipliers": (1, 2), **options})
        torch.nn.init.normal_(f.head.weight, std=0.1)
    return f.eval()


def image(*shape: int, seed: int = 0) -> Tensor:
    return randn(*shape, seed=seed).float()


@pytest.mark.parametrize("multipliers", [(1,), (1, 2, 4)])
@pytest.mark.parametrize(
    ("low", "high"),
    [((4, 4), (16, 16)), ((5, 7), (17, 23)), ((1, 1), (1, 3)), ((16, 24), (16, 24))],
)
def test_the_output_has_the_shape_of_y_t_whatever_the_sides(
    low: tuple[int, int], high: tuple[int, int], multipliers: tuple[int, ...]
) -> None:
    """Sides that the depth does not divide too, and an x of any size."""
    f = unet(multipliers=multipliers)
    out = f(image(2, 1, *low), image(2, 1, *high), LEVELS)
    assert out.shape == (2, 1, *high)
    assert out.isfinite().all()


@pytest.mark.parametrize(("of_y", "of_x"), [(1, 1), (3, 3), (1, 3), (4, 2), (5, 0)])
def test_any_number_of_channels(of_y: int, of_x: int) -> None:
    f = unet(of_y, of_x)
    assert f(image(2, of_x, 4, 4), image(2, of_y, 8, 8), LEVELS).shape == (
        2,
        of_y,
        8,
        8,
    )


def test_without_condition_channels_x_is_not_looked_at() -> None:
    f = unet(1, 0)
    y_t = image(2, 1, 8, 8)
    assert torch.equal(
        f(image(2, 1, 4, 4), y_t, LEVELS), f(image(2, 3, 1, 1), y_t, LEVELS)
    )


@pytest.mark.parametrize("options", [{}, {"blocks": (1, 2)}, {"attention": (0, 1)}])
def test_check_10_a_zero_initialised_head_gives_0(options: dict[str, Any]) -> None:
    """Check 10: an untrained network predicts no noise at all, exactly."""
    f = UNet(channels=8, multipliers=(1, 2), **options)
    assert f(image(2, 1, 4, 4), image(2, 1, 8, 8), LEVELS).count_nonzero() == 0


@pytest.mark.parametrize("options", [{}, {"blocks": 2}, {"attention": (0, 1)}])
def test_check_10_another_x_another_y_t_and_another_gamma_change_the_output(
    options: dict[str, Any],
) -> None:
    """Check 10: once its head is not 0, the network uses all that it is given."""
    f = unet(**options)
    x, y_t = image(2, 1, 4, 4), image(2, 1, 8, 8)
    out = f(x, y_t, LEVELS)
    for other in (
        f(image(2, 1, 4, 4, seed=1), y_t, LEVELS),
        f(x, image(2, 1, 8, 8, seed=1), LEVELS),
        f(x, y_t, LEVELS.flip(0)),
    ):
        assert (other - out).abs().amax((1, 2, 3)).min() > 1e-3


@pytest.mark.parametrize("options", [{}, {"attention": (1,)}])
def test_check_10_an_answer_does_not_depend_on_the_batch(
    options: dict[str, Any],
) -> None:
    """Check 10: each image alone gives what it gives in company."""
    f = unet(**options)
    x, y_t, gamma = image(3, 1, 4, 4), image(3, 1, 8, 8), f64(0.1, 0.5, 0.9)
    alone = torch.cat(
        [f(x[i : i + 1], y_t[i : i + 1], gamma[i : i + 1]) for i in range(3)]
    )
    close(alone, f(x, y_t, gamma), 1e-5, "alone against in a batch")


def test_every_weight_takes_part() -> None:
    """Backpropagation reaches each parameter: none is left over, none is cut off."""
    f = unet(blocks=2, attention=(0, 1))
    f(image(2, 1, 4, 4), image(2, 1, 8, 8), LEVELS).square().sum().backward()
    idle = [
        name
        for name, weight in f.named_parameters()
        if weight.grad is None or weight.grad.count_nonzero() == 0
    ]
    assert idle == []


def test_attention_is_the_softmax_formula() -> None:
    """(5.3): softmax(q^T k / sqrt(C)) over all pixels, written out, as a residual
    branch scaled like the others.
    """
    attention, h = Attention(8, 4), image(2, 8, 3, 5)
    # (B, C, H*W) each
    q, k, v = attention.qkv(attention.norm(h)).flatten(2).chunk(3, dim=1)
    weights = (q.transpose(1, 2) @ k / math.sqrt(8)).softmax(-1)
    wanted = (
        h + attention.out((v @ weights.transpose(1, 2)).reshape(h.shape))
    ) / math.sqrt(2)
    close(attention(h), wanted, 1e-6, "attention")


def test_blocks_are_one_number_for_all_depths_or_one_a_depth() -> None:
    """On the way down; on the way up there is one more at each depth."""

    def residual_blocks(f: UNet) -> tuple[int, int]:
        return tuple(
            sum(isinstance(part, ResBlock) for part in way.modules())
            for way in (f.downs, f.ups)
        )  # type: ignore[return-value]

    assert (
        residual_blocks(unet(blocks=2))
        == residual_blocks(unet(blocks=(2, 2)))
        == (4, 6)
    )
    assert residual_blocks(unet(blocks=(1, 3))) == (4, 6)
    assert residual_blocks(unet(blocks=(1, 0))) == (1, 3)


@pytest.mark.parametrize("blocks", [0, (0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_a_depth_may_have_no_block_on_the_way_down(
    blocks: int | tuple[int, ...],
) -> None:
    """The shipped network has none at full size. Where the deepest has none, the middle
    is the first to see its width.
    """
    f = unet(blocks=blocks, multipliers=(1, 2, 4))
    assert f(image(2, 1, 4, 4), image(2, 1, 16, 16), LEVELS).isfinite().all()


def test_dropout_acts_in_training_only() -> None:
    f = unet(dropout=0.5)
    x, y_t = image(2, 1, 4, 4), image(2, 1, 8, 8)
    assert torch.equal(f(x, y_t, LEVELS), f(x, y_t, LEVELS))
    with torch.random.fork_rng(devices=[]):
        f.train()
        assert not torch.equal(f(x, y_t, LEVELS), f(x, y_t, LEVELS))


def test_channels_that_the_groups_do_not_divide_are_refused() -> None:
    with pytest.raises(
        ValueError,
        match=(
            r"^channels = 12 cannot be split into 8 groups for GroupNorm; make it a"
            r" multiple of 8$"
        ),
    ):
        UNet(channels=12)


def test_a_residual_block_is_its_formula() -> None:
    check_the_residual_block(ResBlock)


def test_the_level_embedding_is_its_formula() -> None:
    check_the_level_embedding(LevelEmbedding)


def test_a_residual_block_keeps_the_power_of_what_it_adds_up() -> None:
    """(h + B)/sqrt(2): with independent branches of unit power the output has unit
    power again; here B is cut off.
    """
    block = ResBlock(8, 8, 4, groups=8, dropout=0.0)
    torch.nn.init.zeros_(block.conv2.weight)
    torch.nn.init.zeros_(block.conv2.bias)
    h = image(1, 8, 4, 4)
    close(block(h, torch.zeros(1, 4)), h / math.sqrt(2), 1e-6, "h / sqrt(2)")


def test_the_weights_hold_no_schedule() -> None:
    """A checkpoint of a network trained with one T loads into another: every entry of
    the state is a trained weight.
    """
    f = unet(attention=(1,))
    assert set(f.state_dict()) == {name for name, _ in f.named_parameters()}


def unscaled_public_sinusoids(gamma: Tensor) -> Tensor:
    """What the most used public SR3 code hands its network: sinusoids of sqrt(gamma)
    with frequencies from 1 down.
    """
    angles = gamma.sqrt()[:, None] * torch.exp(-math.log(1e4) * torch.arange(32) / 32)
    return torch.cat([angles.sin(), angles.cos()], 1)


def test_every_level_of_the_training_schedule_is_told_from_every_other() -> None:
    check_levels_are_resolved(LevelEmbedding(8).sinusoids)


def test_the_unscaled_embedding_of_public_code_fails_the_same_check() -> None:
    with pytest.raises(
        AssertionError, match=r"two levels differ by \d\.\de-07 at most in any feature"
    ):
        check_levels_are_resolved(unscaled_public_sinusoids)


def test_of_64_features_of_public_code_11_vary_by_more_than_a_tenth() -> None:
    features = unscaled_public_sinusoids(torch.linspace(0, 1, 1001).square())
    assert ((features.amax(0) - features.amin(0)) > 0.1).sum() == 11


@pytest.mark.parametrize(
    "schedule",
    [
        NoiseSchedule.linear(2000, 1e-6, 1e-2),
        NoiseSchedule.linear(1000, 1e-4, 0.02),
        NoiseSchedule.linear(100, 1e-4, 0.1),
        NoiseSchedule.quadratic(2000, 1e-6, 1e-2),
        NoiseSchedule.cosine(1000),
        NoiseSchedule.fibonacci(),
    ],
    ids=repr,
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_neighbouring_levels_differ_by_a_third_in_some_feature(
    schedule: NoiseSchedule, dtype: torch.dtype
) -> None:
    """Over the whole range, in the precision of the sampler's gamma and in that of a
    network's input.
    """
    features = LevelEmbedding(8).sinusoids(schedule.gammas.to(dtype))
    assert features.diff(dim=0).abs().amax(1).min() > 0.3


def test_the_log_snr_moves_by_at_least_0_0049_between_neighbours() -> None:
    """Why it is embedded: sqrt(gamma) moves by 5e-7 and 3e-6 in the first two steps."""
    gammas = NoiseSchedule.linear(2000, 1e-6, 1e-2).gammas
    assert log_snr(gammas[1:]).diff().abs().min() > 0.0049
    first, second = gammas.sqrt().diff().abs()[:2].tolist()
    assert first == pytest.approx(5e-7, rel=0.01)
    assert second == pytest.approx(3e-6, rel=0.01)


def test_levels_of_exactly_0_and_1_are_embedded_too() -> None:
    assert LevelEmbedding(8)(f64(0, 1)).isfinite().all()
