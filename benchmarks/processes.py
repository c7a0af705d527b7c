"""What a second process adds: images/s of two gloo processes over those of one, on the
same batch, turn by turn.

    python benchmarks/processes.py [--preset glyphs_8_32] [--batch 64] [--steps 5]
        [--rounds 3] [--threads 1] [--json FILE]

Every process has `--threads` threads, so that two have twice the processor of one; 2.0
would be perfect. Each run is a launch of its own (torchrun), whose first step is not
counted; after it the steps are timed between two barriers.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import Accelerator

from sr3mini.model.preset import Preset
from sr3mini.model.presets import PRESETS
from sr3mini.training.learn import learn
from sr3mini.training.learner import set_up
from sr3mini.training.monitor import machine


def rate(preset: Preset, steps: int) -> float:
    """Images/s of all processes together, seen from within one of them."""
    accelerator = Accelerator(cpu=True)
    own = preset.batch_size // accelerator.num_processes
    pictures = torch.rand(own, preset.image_channels, preset.size, preset.size) * 2 - 1
    learner, y = set_up(preset, accelerator), iter([pictures] * (steps + 1))
    learning = learn(learner, y)
    next(learning)
    accelerator.wait_for_everyone()
    start = time.perf_counter()
    for _ in range(steps):
        next(learning)
    accelerator.wait_for_everyone()
    return steps * preset.batch_size / (time.perf_counter() - start)


def launch(processes: int, options: argparse.Namespace) -> float:
    run = [
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        str(processes),
    ]
    how = [
        "--within",
        "--preset",
        options.preset,
        "--batch",
        str(options.batch),
        "--steps",
        str(options.steps),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
    done = subprocess.run(
        [sys.executable, *run, __file__, *how],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    return float(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="glyphs_8_32", choices=PRESETS)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--within", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.within:
        found = rate(
            replace(PRESETS[options.preset], batch_size=options.batch), options.steps
        )
        if os.environ.get("RANK", "0") == "0":
            print(found)
        return
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(options.rounds):
        for processes, measured in rates.items():
            measured.append(launch(processes, options))
    result = {
        **{
            "machine": machine(),
            "torch": torch.__version__,
            "preset": options.preset,
            "batch": options.batch,
            "threads": options.threads,
        },
        "images_per_second": {
            processes: round(statistics.median(found), 1)
            for processes, found in rates.items()
        },
        "two_over_one": round(
            statistics.median(
                two / one for one, two in zip(rates[1], rates[2], strict=True)
            ),
            3,
        ),
    }
    print(json.dumps(result, indent=2))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
