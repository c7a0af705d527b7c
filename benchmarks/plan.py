r"""What `sr3mini plan` predicts against what is measured here: memory in a process of
its own, seconds of a step beside a matrix product.

    python benchmarks/plan.py [--presets glyphs_8_32 glyphs_16_64] [--batch 64]
        [--precisions no bf16] [--rounds 5] [--json FILE]

On a GPU:

    python benchmarks/plan.py --presets faces_16_128_small public_16_128 \
        --batch 32 --precisions bf16 no

The prediction of the time is given what was measured of the machine, turn by turn with
the steps: the rate of a large matrix product and the bandwidth of a long
multiplication. Memory is that of the whole step beyond that of a process that has
trained a tiny network: on a GPU what torch allocates at the most; on a CPU what the
process holds at the most, with pieces above 64 kB given back to the system when they
are free (MALLOC_MMAP_THRESHOLD_). Without that, glibc keeps gaps between pieces: up to
half as much again was seen with small networks. Linux only. Ratios are measured /
predicted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from train_step import alternate, product, training_step

from sr3mini.model.preset import Preset
from sr3mini.model.presets import PRESETS
from sr3mini.training.monitor import machine
from sr3mini.training.plan import plan

TINY = Preset("tiny", "folder", 16, 4, 1, 8, (1, 2), groups=8, batch_size=2)
GPU = torch.cuda.is_available()


def most_bytes() -> int:
    """The most that this process has held so far."""
    if GPU:
        return torch.cuda.max_memory_allocated()
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(
        int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")
    )


def memory_here(preset: Preset, precision: str) -> int:
    """Bytes that two steps take beyond a tiny network's, in this process."""
    tiny = training_step(TINY, precision)
    tiny()
    del tiny
    before = 0 if GPU else most_bytes()
    step = training_step(preset, precision)
    step()
    step()
    return most_bytes() - before


def memory(preset: Preset, precision: str) -> int:
    """The same in a process that has done nothing else."""
    command = [
        sys.executable,
        __file__,
        "--memory",
        preset.name,
        "--batch",
        str(preset.batch_size),
        "--precisions",
        precision,
    ]
    environment = {
        **os.environ,
        "MALLOC_MMAP_THRESHOLD_": "65536",
        "MALLOC_TRIM_THRESHOLD_": "65536",
    }
    return int(
        subprocess.run(
            command, capture_output=True, text=True, check=True, env=environment
        ).stdout.split()[-1]
    )


def compare(preset: Preset, precision: str, rounds: int) -> dict[str, Any]:
    multiply, flops = product(precision)
    taken = alternate(
        {"product": multiply, "step": training_step(preset, precision)}, rounds
    )
    multiplied, step = (statistics.median(taken[name]) for name in ("product", "step"))
    told = plan(
        preset,
        kind="cuda" if GPU else "cpu",
        precision=precision,
        peak=flops / multiplied,
    )
    held = memory(preset, precision)
    return {
        **{
            "preset": preset.name,
            "batch": preset.batch_size,
            "precision": precision,
            "product_tflops": round(flops / multiplied / 1e12, 4),
        },
        **{
            "predicted_seconds": round(told.seconds, 4),
            "measured_seconds": round(step, 4),
            "time_ratio": round(step / told.seconds, 3),
        },
        **{
            "predicted_GB": round(told.bytes / 1e9, 4),
            "measured_GB": round(held / 1e9, 4),
            "memory_ratio": round(held / told.bytes, 3),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--presets", nargs="+", default=["glyphs_8_32", "glyphs_16_64"], choices=PRESETS
    )
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument(
        "--precisions", nargs="+", default=["no", "bf16"], choices=("no", "bf16")
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.memory:
        print(
            memory_here(
                replace(PRESETS[options.memory], batch_size=options.batch),
                options.precisions[0],
            )
        )
        return
    rows = []
    for name in options.presets:
        for precision in options.precisions:
            rows.append(
                compare(
                    replace(PRESETS[name], batch_size=options.batch),
                    precision,
                    options.rounds,
                )
            )
            print(json.dumps(rows[-1]), flush=True)
    if options.json:
        options.json.write_text(
            json.dumps(
                {"machine": machine(), "torch": torch.__version__, "rows": rows},
                indent=2,
            )
            + "\n"
        )


if __name__ == "__main__":
    main()
