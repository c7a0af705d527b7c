"""How long glyphs take, from random weights until characters that were never seen come
back at 22 dB.

    python benchmarks/glyphs_22db.py [--goal 22] [--steps 1800] [--every 200]
        [--precision bf16] [--seed 0] [--json FILE]

Preset glyphs_8_32 with a shorter schedule, and starting from a Gaussian around the
enlarged x (`detail`). Every so many steps one sample is drawn of each of 128 glyphs of
the test split, whose code points are in no training picture; the clock, which runs from
before the first step, stops when their mean PSNR reaches the goal. What was reached is
then confirmed, off the clock, on 512 others with the preset's own number of network
calls. Bicubic enlargement has 16.1 dB.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from train_step import accelerated

from sr3mini import downsample
from sr3mini.data import batches, glyphs
from sr3mini.evaluation.samples import held_out
from sr3mini.metrics import measure
from sr3mini.model.network import Network, build
from sr3mini.model.presets import PRESETS
from sr3mini.training.learn import learn
from sr3mini.training.learner import averaged_network, set_up
from sr3mini.training.monitor import machine
from sr3mini.upscaling.draw import draw

CALLS = 10  # of the network, for a glyph that is looked at while the clock runs


def psnr_of_a_sample(f: Network, y: Tensor, calls: int | None = None) -> float:
    x = downsample(y, f.preset.factor)
    return measure(draw(f, x, steps=calls, seeds=[0])[0], y, x)["PSNR"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--goal", type=float, default=22.0, help="dB")
    parser.add_argument("--steps", type=int, default=1800)
    parser.add_argument(
        "--every", type=int, default=200, help="steps between two looks"
    )
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument(
        "--detail",
        type=float,
        default=0.3,
        help=(
            "of the preset: 0 starts from nothing, 0.3 from a Gaussian around the"
            " enlarged x"
        ),
    )
    parser.add_argument("--precision", default="bf16", choices=("no", "bf16"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    short: dict[str, Any] = {
        "train_steps": options.steps,
        "batch_size": options.batch,
        "warmup_steps": 100,
    }
    short |= {"learning_rate": options.learning_rate, "detail": options.detail}
    preset = replace(PRESETS["glyphs_8_32"].sampled(25, "ancestral"), **short)
    # rendered and split before the clock starts
    pictures = glyphs("train", preset.size)
    y = held_out("glyphs", build(preset), 640, seed=0)[0]
    torch.manual_seed(options.seed)
    looks: list[dict[str, float]] = []
    start = time.perf_counter()
    learner = set_up(preset, accelerated(options.precision))
    drawn = batches(pictures, preset.batch_size, seed=options.seed)
    steps = learn(learner, drawn, seed=options.seed)
    for step in range(1, options.steps + 1):
        next(steps)
        if step % options.every == 0:
            psnr = psnr_of_a_sample(averaged_network(learner), y[:128], CALLS)
            looks.append(
                {
                    "step": step,
                    "seconds": round(time.perf_counter() - start, 1),
                    "PSNR": round(psnr, 2),
                }
            )
            print(json.dumps(looks[-1]), flush=True)
            if psnr >= options.goal:
                break
    reached = (
        looks[-1]["seconds"] if looks and looks[-1]["PSNR"] >= options.goal else None
    )
    result = {
        **{
            "machine": machine(),
            "torch": torch.__version__,
            "preset": preset.name,
            "precision": options.precision,
            "goal": options.goal,
        },
        **{
            "steps": options.steps,
            "batch": options.batch,
            "learning_rate": options.learning_rate,
            "detail": options.detail,
            "seed": options.seed,
        },
        "seconds_to_goal": reached,
        "confirmed_PSNR": round(
            psnr_of_a_sample(averaged_network(learner), y[128:]), 2
        ),
        "looks": looks,
    }
    print(json.dumps(result, indent=2))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
