"""`sr3mini train`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from .base import between


def train(
    preset: str,
    out: Path | None = None,
    data: str | None = None,
    seed: int = 0,
    steps: int | None = None,
    precision: Literal["no", "bf16"] = "no",
) -> None:
    """Train a preset; Ctrl-C ends early and keeps what was learnt.

    Args:
        preset: what to train, such as glyphs_8_32.
        out: folder for model.safetensors, model.json and samples.png (default: runs/PRESET).
        data: folder of your own pictures, for presets that ask for one.
        seed: of the weights, the order of the data and the noise.
        steps: number of training steps, if not the preset's own.
        precision: bf16 multiplies in bfloat16, which needs less memory and is faster where the processor or GPU knows it.
    """
    import dataclasses

    from ..data import write_picture
    from ..evaluate import held_out
    from ..preset import PRESETS
    from ..train import train as run
    from ..upscale import grid

    if preset not in PRESETS:
        raise ValueError(f"no preset {preset!r}; there are: {', '.join(PRESETS)}")
    chosen = PRESETS[preset] if steps is None else dataclasses.replace(PRESETS[preset], train_steps=between("steps", steps, 1, 10_000_000))
    folder = Path("runs") / preset if out is None else out
    f = run(chosen, folder, data=data, seed=between("seed", seed, 0), precision=precision)
    y, _ = held_out(data or chosen.data, f, 8)
    write_picture(grid(f, y), folder / "samples.png")
    print(f"wrote {folder / 'model.safetensors'}, {folder / 'model.json'} and {folder / 'samples.png'}")
