"""`sr3mini train`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import tyro

from ..training.options import Options
from .base import RangeOption, between, named_preset

USUAL = Options()
Fields = Annotated[Options, tyro.conf.arg(name=""), tyro.conf.FlagCreatePairsOff]


def train(
    preset: str,
    options: Fields = USUAL,
    out: Path | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    range: RangeOption = None,
) -> None:
    """Train a preset, on whatever this machine has; Ctrl-C ends early and keeps what
    was learnt.

    Several GPUs: torchrun --nproc-per-node 8 -m sr3mini train ..., or accelerate launch
    -m sr3mini train ...; launch/ holds files for both and for Slurm.

    Args:
        preset: what to train, such as glyphs_8_32, or a .json file with a preset of
            your own, like the config.json of every training.
        out: folder for model.safetensors, model.json, samples.png, and for what is
            written on the way: metrics.jsonl, samples/, state/ (default: runs/PRESET).
        steps: number of training steps, if not the preset's own.
        batch_size: pictures a step, all processes together, if not the preset's own.
        learning_rate: if not the preset's own; may change with --resume, which is the
            cure for a loss that went astray.
        range: the values that are black and white, where files of --data do not tell:
            floats, signed and 32-bit numbers, 12 bits in 16. Kept with the model.
    """
    import dataclasses

    from ..files.ranges import demand_range
    from ..training.train import train as run

    if steps is not None:
        between("steps", steps, 1, 10_000_000)
    named = named_preset(preset)
    chosen = dataclasses.replace(
        named,
        train_steps=named.train_steps if steps is None else steps,
        batch_size=named.batch_size if batch_size is None else batch_size,
        learning_rate=named.learning_rate if learning_rate is None else learning_rate,
        range=demand_range(range) or named.range,
    )
    folder = out or Path("runs") / chosen.name
    run(chosen, folder, **vars(options))
    if os.environ.get("RANK", "0") == "0":
        print(f"wrote model.safetensors, model.json and samples.png into {folder}")
