"""The sampler: images/s by the number of network calls, in float32 (with TF32 in
convolutions, as torch has it) and in bfloat16; how much of it is the network; and what
it costs that each picture's noise is drawn from its own seed, on the processor.
"""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor, nn
from train_step import seconds

from sr3mini.model.network import Network, build
from sr3mini.model.preset import Preset
from sr3mini.model.presets import PRESETS
from sr3mini.upscaling.draw import answer, draw

from .board import Board, device, free
from .sizes import shrunk

WAYS = ("no", "bf16")
CALLS = 5  # of the network alone


def sampler(board: Board) -> None:
    """Algorithm 2 with faces_16_128_small, untrained: no slower than a trained one."""
    start = time.monotonic()
    preset = PRESETS["faces_16_128_small"].sampled(method="ancestral")
    f = untrained(shrunk(preset) if board.sizes.tiny else preset)
    x = small_pictures(f.preset, board.sizes.drawn)
    networks = {"no": f, "bf16": Half(f)}
    alone = {way: network_seconds(networks[way], x) for way in WAYS}
    for calls in board.sizes.calls:
        drawn: dict[str, Tensor] = {}
        for way in WAYS:
            if time.monotonic() - start > board.sizes.boxes["sampler"]:
                board.fail(f"sampler, {calls} calls", "the time of this part was over")
                return
            found, drawn[way] = one(networks[way], x, calls, way)
            found["network_share"] = round(calls * alone[way] / found["seconds"], 3)
            if way == "bf16":
                apart = (drawn["bf16"] - drawn["no"]).abs().mean().item()
                found["mean_difference_from_fp32"] = round(apart, 5)
            board.put("sampler", [found])
    del f, networks
    free()


def one(f: Network, x: Tensor, calls: int, way: str) -> tuple[dict[str, Any], Tensor]:
    """The figures of one number of calls, and the pictures."""
    kept: list[Tensor] = []
    draw(f, x, steps=1, seeds=[0])
    taken = seconds(lambda: kept.append(draw(f, x, steps=calls, seeds=[0])[0]))
    on_device(f, x, 0, 1)
    there = seconds(lambda: on_device(f, x, 0, calls))
    return {
        "preset": f.preset.name,
        "precision": way,
        "batch": len(x),
        "calls": calls,
        "seconds": round(taken, 4),
        "images_per_second": round(len(x) / taken, 2),
        "images_per_second_with_noise_from_device": round(len(x) / there, 2),
    }, kept[0]


def on_device(f: Network, x: Tensor, seed: int, calls: int | None = None) -> Tensor:
    """`draw` with the noise of all pictures drawn at once, on the device."""
    there = x.to(device())
    generator = torch.Generator(there.device).manual_seed(seed)
    shape = (*x.shape[:2], *(side * f.preset.factor for side in x.shape[-2:]))
    return answer(f, f.preset.sampled(calls), there, shape, generator)


def network_seconds(f: Network, x: Tensor) -> float:
    """Seconds of one call of the network alone."""
    there = x.to(device())
    side = f.preset.size
    y_t = torch.randn(*x.shape[:2], side, side, device=there.device)
    gamma = torch.full((len(x),), 0.5, dtype=torch.float64, device=there.device)
    with torch.no_grad():
        seconds(lambda: f(there, y_t, gamma))
        return seconds(lambda: f(there, y_t, gamma), CALLS)


class Half(Network):
    """A network that multiplies in bfloat16 and answers in float32, as in training."""

    def __init__(self, f: Network) -> None:
        super().__init__()
        self.f, self.preset = f, f.preset

    def forward(self, x: Tensor, y_t: Tensor, gamma: Tensor) -> Tensor:
        with torch.autocast(y_t.device.type, torch.bfloat16):
            return self.f(x, y_t, gamma).float()


def untrained(preset: Preset) -> Network:
    """A network as `averaged_network` gives it, whose answers are not 0."""
    torch.manual_seed(0)
    f = build(preset)
    nn.init.normal_(f.head.weight, std=0.02)  # type: ignore[arg-type, union-attr]
    f.to(device(), memory_format=torch.channels_last)  # type: ignore[call-overload]
    return f.eval().requires_grad_(False)


def small_pictures(preset: Preset, count: int) -> Tensor:
    """Random x, the same each time."""
    side, generator = preset.size // preset.factor, torch.Generator().manual_seed(0)
    shape = (count, preset.image_channels, side, side)
    return torch.rand(shape, generator=generator) * 2 - 1
