"""What a step costs, told by shapes alone: against a count by hand, and against real
tensors.
"""

from __future__ import annotations

import dataclasses

import pytest
import torch
from tiny import TINY
from torch import Tensor, nn

from sr3mini.degrade import downsample
from sr3mini.loss import denoising_loss
from sr3mini.model.network import build
from sr3mini.model.preset import Preset
from sr3mini.model.presets import PRESETS
from sr3mini.training.cost import Traced, _levels, _Watch, trace

ATTENDS = dataclasses.replace(TINY, attention=(1,))


def flops(step: Traced) -> tuple[int, int]:
    forward, backward = (
        sum(operation.flops for operation in operations)
        for operations in (step.forward, step.backward)
    )
    return forward, backward


def by_hand(preset: Preset) -> int:
    """FLOPs of one forward pass: two for each weight of a convolution and each pixel it
    gives, two for each weight of a linear layer.
    """
    f = build(preset)
    counted = []

    def count(module: nn.Module, inputs: object, out: Tensor) -> None:
        weight = module.weight
        assert isinstance(weight, Tensor)
        counted.append(
            2
            * weight.numel()
            * (out[0, 0].numel() if isinstance(module, nn.Conv2d) else 1)
        )

    for module in f.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.register_forward_hook(count)
    side = preset.size // preset.factor
    f(
        torch.zeros(1, preset.image_channels, side, side),
        torch.zeros(1, preset.image_channels, preset.size, preset.size),
        torch.full((1,), 0.5),
    )
    return sum(counted)


@pytest.mark.parametrize(
    "preset",
    [TINY, PRESETS["glyphs_8_32"], dataclasses.replace(TINY, layout="ddpm")],
    ids=["tiny", "glyphs", "ddpm"],
)
def test_the_forward_flops_are_those_counted_by_hand(preset: Preset) -> None:
    # q k and p v at half size in the middle, 16 channels: 2 N^2 C each
    attention = 4 * (preset.size // 2) ** 4 * 16 if preset.layout == "ddpm" else 0
    assert flops(trace(preset, 1))[0] == by_hand(preset) + attention


def test_attention_adds_its_two_products_in_the_forward_pass() -> None:
    """N = 8 x 8 pixels of C = 16 channels: q k^T and p v take 2 N^2 C each, in each of
    the 1 + 2 stages of depth 1 and the first of the middle.
    """
    assert flops(trace(ATTENDS, 1))[0] == by_hand(ATTENDS) + 4 * (4 * 64**2 * 16)


def test_the_backward_pass_takes_twice_the_forward_pass_less_what_nobody_asks_for() -> (
    None
):
    """A gradient for the weights and one for the input; the stem's input needs none,
    nor do the sinusoids'.
    """
    forward, backward = flops(trace(PRESETS["public_16_128"], 1))
    assert 1.98 < backward / forward < 2.01
    forward, backward = flops(trace(TINY, 1))
    assert backward == 2 * forward - 2 * 9 * 2 * 8 * 16**2 - 2 * 64 * 32


def test_a_second_picture_doubles_the_flops_and_the_activations() -> None:
    one, two = trace(PRESETS["glyphs_8_32"], 8), trace(PRESETS["glyphs_8_32"], 16)
    assert flops(two) == tuple(2 * count for count in flops(one))
    assert two.activations == pytest.approx(2 * one.activations, rel=0.01)


def test_the_bytes_of_a_known_operation() -> None:
    with _Watch() as watch, torch.device("meta"):
        a, b = torch.empty(10, 20), torch.empty(20, 30, dtype=torch.float32)
        (a @ b).view(30, 10).add_(1)
    assert [
        (operation.flops, operation.moved) for operation in watch.operations[2:]
    ] == [(2 * 10 * 20 * 30, 4 * (200 + 600 + 300)), (0, 4 * 300)]


def test_memory_is_given_back_when_its_last_view_dies() -> None:
    with _Watch() as watch, torch.device("meta"):
        a = torch.empty(1000)
        view = a[:10]
        del a
        b = torch.empty(500)
        del view
        c = torch.empty(700)
    assert [rest for _, rest in _levels(watch.events, set())] == [
        4000,
        6000,
        2000,
        4800,
    ]
    assert b.numel() + c.numel() == 1200


def peak_of_real_tensors(preset: Preset, batch: int, bf16: bool) -> int:
    """Bytes at the fullest moment of a training step, by the same watch, on tensors
    that hold numbers and with torch's own choice of kernels.
    """
    f = build(preset).to(memory_format=torch.channels_last)
    with _Watch() as watch:
        y_0, eps = torch.zeros(
            2, batch, preset.image_channels, preset.size, preset.size
        )
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = denoising_loss(
                f,
                downsample(y_0, preset.factor),
                y_0,
                torch.full((batch,), 0.5),
                eps,
                preset.loss_power,
            )
        loss.backward()
    return max(sum(level) for level in _levels(watch.events, set()))


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize(
    "preset",
    [ATTENDS, PRESETS["glyphs_8_32"], dataclasses.replace(ATTENDS, layout="ddpm")],
    ids=["attends", "glyphs", "ddpm"],
)
def test_the_meta_device_needs_as_much_memory_as_the_processor(
    preset: Preset, bf16: bool
) -> None:
    told = trace(preset, 4, bf16=bf16, gpu=False)
    assert told.gradients + told.activations == pytest.approx(
        peak_of_real_tensors(preset, 4, bf16), rel=0.1
    )


def test_at_the_end_the_gradients_are_all_there() -> None:
    """With one picture the fullest moment is the last: four bytes a parameter."""
    step = trace(PRESETS["glyphs_8_32"], 1)
    assert step.gradients > 3.9 * step.parameters
    assert step.gradients <= 4 * step.parameters


def test_on_a_gpu_norms_are_in_float32_so_bf16_saves_less_than_half() -> None:
    def bytes_of(**how: bool) -> int:
        return trace(PRESETS["glyphs_8_32"], 32, **how).activations

    assert (
        bytes_of(bf16=True, gpu=False)
        < 0.6 * bytes_of()
        < 0.75 * bytes_of(bf16=True, gpu=True)
        < 0.75 * bytes_of()
    )


def test_the_largest_part_is_the_largest_stage() -> None:
    f = build(PRESETS["glyphs_8_32"])
    assert trace(PRESETS["glyphs_8_32"], 1).stage == max(
        sum(p.numel() for p in stage.parameters())
        for stage in [*f.downs, *f.middle, *f.ups]
    )


def test_a_regression_preset_is_traced_with_its_own_loss() -> None:
    step = trace(PRESETS["glyphs_8_32_regression"], 1)
    assert flops(step) == flops(trace(PRESETS["glyphs_8_32"], 1))
    assert step.parameters == 1_211_553
