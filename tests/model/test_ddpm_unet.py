"""The layout of the best-known public SR3 code: against what that code returned, and
against a second writing of it, in every shape it can take.
"""

from __future__ import annotations

import math

import checks
import pytest
import torch
import torch.nn.functional as F
from checks import seeded
from PIL import Image
from project import FIXTURE
from torch import Tensor

from sr3mini.bridges.janspiry import their_name
from sr3mini.data import from_bytes, to_bytes
from sr3mini.model.ddpm_unet import DDPMUNet, enlarged
from sr3mini.sampler import sample
from sr3mini.schedule import NoiseSchedule

LAYOUTS = {
    "colour": {},
    "grey": {"image_channels": 1, "condition_channels": 1},
    "unconditional": {"condition_channels": 0},
    "one depth": {"multipliers": (2,)},
    "four depths that widen and narrow": {"multipliers": (1, 3, 2, 2)},
    "attention at every depth": {"attention": (0, 1)},
    "attention in the middle alone": {"attention": ()},
    "three blocks": {"blocks": 3},
    "no block on the way down": {"blocks": 0, "multipliers": (1, 2)},
    "two groups": {"groups": 2},
    "affine level": {"affine": True},
}


def random(**layout: object) -> DDPMUNet:
    """Small, with random weights that make every branch count."""
    sizes = {"image_channels": 3, "condition_channels": 3, "channels": 8, "groups": 4}
    depths = {"multipliers": (1, 2), "blocks": 1, "attention": (1,)}
    f = DDPMUNet(**(sizes | depths | layout)).eval().requires_grad_(False)
    generator = seeded(0)
    for parameter in f.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator) / 4)
    return f


def written_again(
    weights: dict[str, Tensor], groups: int, picture: Tensor, root: Tensor
) -> Tensor:
    """That network as a walk along the names of its tensors, without a module."""

    def linear(name: str, h: Tensor) -> Tensor:
        return h @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def conv(name: str, h: Tensor, stride: int = 1) -> Tensor:
        weight = weights[f"{name}.weight"]
        return F.conv2d(
            h,
            weight,
            weights.get(f"{name}.bias"),
            stride=stride,
            padding=weight.shape[-1] // 2,
        )

    def swish(h: Tensor) -> Tensor:
        return h * torch.sigmoid(h)

    def norm(name: str, h: Tensor) -> Tensor:
        parts = h.reshape(len(h), groups, -1)
        parts = (parts - parts.mean(2, keepdim=True)) / (
            parts.var(2, unbiased=False, keepdim=True) + 1e-5
        ).sqrt()
        return (
            parts.reshape(h.shape) * weights[f"{name}.weight"][:, None, None]
            + weights[f"{name}.bias"][:, None, None]
        )

    def stage(name: str, h: Tensor) -> Tensor:
        block = f"{name}.res_block"
        b = conv(f"{block}.block1.block.3", swish(norm(f"{block}.block1.block.0", h)))
        level = linear(f"{block}.noise_func.noise_func.0", e)[:, :, None, None]
        b = (
            b + level
            if level.shape[1] == b.shape[1]
            else b * (1 + level[:, : b.shape[1]]) + level[:, b.shape[1] :]
        )
        b = conv(f"{block}.block2.block.3", swish(norm(f"{block}.block2.block.0", b)))
        h = b + (
            conv(f"{block}.res_conv", h) if f"{block}.res_conv.weight" in weights else h
        )
        if f"{name}.attn.qkv.weight" not in weights:
            return h
        q, k, v = (
            conv(f"{name}.attn.qkv", norm(f"{name}.attn.norm", h))
            .flatten(2)
            .chunk(3, dim=1)
        )
        share = torch.softmax(
            torch.einsum("bcn,bcm->bnm", q, k) / math.sqrt(h.shape[1]), dim=2
        )
        return h + conv(
            f"{name}.attn.out", torch.einsum("bnm,bcm->bcn", share, v).reshape(h.shape)
        )

    count = weights["noise_level_mlp.1.weight"].shape[1] // 2
    angles = root[:, None] * torch.tensor([1e-4 ** (i / count) for i in range(count)])
    e = linear(
        "noise_level_mlp.3",
        swish(linear("noise_level_mlp.1", torch.cat([angles.sin(), angles.cos()], 1))),
    )
    h = conv("downs.0", picture)
    skips, n = [h], 1
    while any(name.startswith(f"downs.{n}.") for name in weights):
        h = (
            conv(f"downs.{n}.conv", h, stride=2)
            if f"downs.{n}.conv.weight" in weights
            else stage(f"downs.{n}", h)
        )
        skips.append(h)
        n += 1
    h = stage("mid.1", stage("mid.0", h))
    n = 0
    while any(name.startswith(f"ups.{n}.") for name in weights):
        if f"ups.{n}.conv.weight" in weights:
            h = conv(
                f"ups.{n}.conv", h.repeat_interleave(2, -1).repeat_interleave(2, -2)
            )
        else:
            h = stage(f"ups.{n}", torch.cat([h, skips.pop()], 1))
        n += 1
    assert not skips
    return conv("final_conv.block.3", swish(norm("final_conv.block.0", h)))


def test_it_predicts_what_that_code_predicted() -> None:
    checks.check_the_ddpm_layout_is_that_codes(DDPMUNet)


def test_it_samples_what_that_code_sampled() -> None:
    """Its whole loop under the seed that was set there: y_T and every z come from
    torch's global generator, in this order.
    """
    f, expected = checks.public_fixture(DDPMUNet)
    schedule = NoiseSchedule.linear(20, 1e-4, 0.3)
    assert torch.allclose(
        schedule.gammas.sqrt(), expected["sqrt_gammas"], rtol=1e-12, atol=0
    )
    with torch.random.fork_rng():
        torch.manual_seed(123)
        y = sample(
            f,
            expected["condition"],
            schedule,
            (2, 3, 16, 16),
            variance="posterior",
            clip=True,
        )
    assert (y - expected["super_resolution_final"]).abs().max() < 1e-5


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_computes_what_a_second_writing_of_it_does(
    layout: dict[str, object],
) -> None:
    f = random(**layout)
    weights = {their_name(name): tensor for name, tensor in f.state_dict().items()}
    channels = int(layout.get("image_channels", 3))  # type: ignore[call-overload]
    x, y_t = torch.randn(2, 2, channels, 16, 8, generator=seeded(1))
    gamma = torch.tensor([0.9, 0.1])
    picture = torch.cat([x, y_t], dim=1) if f.condition_channels else y_t
    wanted = written_again(weights, int(layout.get("groups", 4)), picture, gamma.sqrt())  # type: ignore[call-overload]
    eps = f(x, y_t, gamma)
    assert wanted.std() > 0.1
    assert (eps - wanted).abs().max() < 1e-4 * wanted.abs().max()


def test_x_may_be_small_or_enlarged_already() -> None:
    f = random()
    x, y_t, gamma = (
        torch.rand(1, 3, 4, 4, generator=seeded(0)) - 0.5,
        torch.randn(1, 3, 16, 16, generator=seeded(1)),
        torch.tensor([0.5]),
    )
    assert torch.equal(f(x, y_t, gamma), f(enlarged(x, (16, 16)), y_t, gamma))
    assert enlarged(x.sign(), (16, 16)).abs().max() <= 1


def test_enlarged_is_the_picture_file_that_that_code_makes() -> None:
    """Pillow's bicubic on 8 bits, which it trains on, and ours differ by one level, by
    Pillow's rounding after each direction.
    """
    small = torch.randint(64, 192, (3, 8, 8), dtype=torch.uint8, generator=seeded(0))
    theirs = Image.fromarray(small.permute(1, 2, 0).numpy()).resize(
        (64, 64), Image.Resampling.BICUBIC
    )
    wanted = (
        torch.frombuffer(bytearray(theirs.tobytes()), dtype=torch.uint8)
        .reshape(64, 64, 3)
        .permute(2, 0, 1)
    )
    ours = to_bytes(enlarged(from_bytes(small)[None], (64, 64))[0])
    assert (ours.int() - wanted.int()).abs().max() <= 1


def test_sides_that_the_depths_do_not_divide_are_padded() -> None:
    f = random()
    y_t = torch.randn(1, 3, 7, 9, generator=seeded(0))
    assert f(torch.zeros(1, 3, 2, 3), y_t, torch.tensor([0.5])).shape == y_t.shape


def test_a_layout_that_cannot_be_built_is_refused_in_a_sentence() -> None:
    with pytest.raises(
        ValueError, match="channels = 48 cannot be split into 32 groups"
    ):
        DDPMUNet(channels=48, groups=32)
    with pytest.raises(ValueError, match="channels = 9, but this layout needs an even"):
        DDPMUNet(channels=9, groups=3)


def test_the_fixture_is_where_the_checks_look_for_it() -> None:
    assert {p.name for p in FIXTURE.iterdir()} == {
        "I10_E1_gen.pth",
        "config.json",
        "expected.safetensors",
    }
