"""What saving costs: writing and reading a training's state, over a step, and over
writing the same bytes plainly; turn by turn.

    python benchmarks/save.py [--preset glyphs_8_32] [--rounds 5] [--json FILE]
    python benchmarks/save.py --preset public_16_128 --batch 1

A state holds weights, average and AdamW's two moments, 16 bytes a parameter. Saving it
computes a SHA-256 and waits until the disk has it; the plain write beside it waits for
the disk too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from train_step import accelerated, alternate, made_up

from sr3mini.model.presets import PRESETS
from sr3mini.training.learn import learn
from sr3mini.training.learner import set_up
from sr3mini.training.monitor import machine
from sr3mini.training.resume import Done, keep
from sr3mini.training.state import latest_state, state_paths


def write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="glyphs_8_32", choices=PRESETS)
    parser.add_argument(
        "--batch", type=int, help="pictures a step, if not the preset's own number"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    preset = PRESETS[options.preset]
    preset = replace(preset, batch_size=options.batch or preset.batch_size)
    learner = set_up(preset, accelerated())
    learning = learn(learner, made_up(preset, learner.accelerator.device))
    told = {"seed": 0, "preset": json.loads(preset.to_json())}
    next(learning)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        keep(learner, out, Done(1), told, None)
        size = sum(
            file.stat().st_size for file in state_paths(out / "state")[-1].iterdir()
        )
        content = os.urandom(size)
        actions = {
            "step": lambda: next(learning),
            "save": lambda: keep(learner, out, Done(1), told, None),
            "read": lambda: latest_state(out / "state"),
            "plain write": lambda: write(out / "plain", content),
        }
        taken = alternate(actions, options.rounds)
    middle = {name: statistics.median(each) for name, each in taken.items()}
    result = {
        **{
            "machine": machine(),
            "torch": torch.__version__,
            "preset": preset.name,
            "batch": preset.batch_size,
            "megabytes": round(size / 1e6, 2),
        },
        "seconds": {name: round(each, 4) for name, each in middle.items()},
        "save_over_plain_write": round(
            statistics.median(
                a / b for a, b in zip(taken["save"], taken["plain write"], strict=True)
            ),
            2,
        ),
        "save_over_step": round(middle["save"] / middle["step"], 2),
        "share_of_the_time_when_saved_every_500_steps": round(
            middle["save"] / (middle["save"] + 500 * middle["step"]), 5
        ),
    }
    print(json.dumps(result, indent=2))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
