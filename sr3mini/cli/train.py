"""`sr3mini train`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import tyro

from ..training.options import Options
from .base import between, named_preset

USUAL = Options()
Fields = Annotated[Options, tyro.conf.arg(name=""), tyro.conf.FlagCreatePairsOff]


def train(
    preset: str,
    options: Fields = USUAL,
    out: Path | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
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
    """
    import dataclasses

    from ..training.train import train as run

    if steps is not None:
        between("steps", steps, 1, 10_000_000)
    own = {
        "train_steps": steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
    }
    given = {name: value for name, value in own.items() if value is not None}
    chosen = dataclasses.replace(named_preset(preset), **given)  # type: ignore[arg-type]
    folder = Path("runs") / chosen.name if out is None else out
    run(chosen, folder, **vars(options))
    if os.environ.get("RANK", "0") == "0":
        names = ("model.safetensors", "model.json", "samples.png")
        first, second, third = (folder / name for name in names)
        print(f"wrote {first}, {second} and {third}")
