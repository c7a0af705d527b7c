"""How much of the processor a training step uses: its arithmetic rate over that of a large matrix product, measured turn by turn.

    python benchmarks/train_step.py [--preset glyphs_8_32] [--batch 128] [--rounds 7] [--json FILE]

Both rates are medians over rounds of (product, steps, product, steps, ...) in one process, so a machine that speeds up or
slows down does so for both. The step is a whole one: degrading, drawing levels, forward, backward, clipping, AdamW, average.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.flop_counter import FlopCounterMode

from sr3mini import denoising_loss, downsample, sample_gamma
from sr3mini.preset import PRESETS, Preset
from sr3mini.train import machine


def training_step(preset: Preset) -> Callable[[], None]:
    """One step of train.py's loop on a fixed batch of random pictures."""
    f = preset.network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(f.parameters(), preset.learning_rate, weight_decay=preset.weight_decay, fused=True)
    averaged = AveragedModel(f, multi_avg_fn=get_ema_multi_avg_fn(preset.ema_decay))
    schedule = preset.training_schedule()
    y_0 = torch.rand(preset.batch_size, preset.image_channels, preset.size, preset.size) * 2 - 1

    def step() -> None:
        gamma, eps = sample_gamma(schedule, (len(y_0),)), torch.randn_like(y_0)
        optimizer.zero_grad()
        denoising_loss(f, downsample(y_0, preset.factor), y_0, gamma, eps, preset.loss_power).backward()
        torch.nn.utils.clip_grad_norm_(f.parameters(), 1.0)
        optimizer.step()
        averaged.update_parameters(f)

    return step


def seconds(action: Callable[[], object], repeats: int) -> float:
    """Wall-clock seconds of one call, averaged over `repeats`."""
    start = time.perf_counter()
    for _ in range(repeats):
        action()
    return (time.perf_counter() - start) / repeats


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="glyphs_8_32", choices=PRESETS)
    parser.add_argument("--batch", type=int, help="pictures a step, if not the preset's own number")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--side", type=int, default=2048, help="of the square matrices")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    preset = PRESETS[options.preset]
    if options.batch:
        preset = dataclasses.replace(preset, batch_size=options.batch)
    step = training_step(preset)
    with FlopCounterMode(display=False) as counter:
        step()
    step_flops = counter.get_total_flops()
    a, b = torch.randn(2, options.side, options.side)
    product_flops = 2 * options.side**3
    torch.mm(a, b)
    product, train = [], []
    for _ in range(options.rounds):
        product.append(product_flops / seconds(lambda: torch.mm(a, b), 3) / 1e9)
        train.append(step_flops / seconds(step, 3) / 1e9)
    ratios = [t / p for t, p in zip(train, product, strict=True)]
    result = {
        "machine": machine(),
        "preset": preset.name,
        "batch": preset.batch_size,
        "product_gflops": round(statistics.median(product), 1),
        "step_gflops": round(statistics.median(train), 1),
        "fraction_of_peak": round(statistics.median(ratios), 3),
        "fraction_min_max": [round(min(ratios), 3), round(max(ratios), 3)],
        "images_per_second": round(statistics.median(train) * 1e9 / step_flops * preset.batch_size, 1),
    }
    for name, value in result.items():
        print(f"{name:20} {value}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
