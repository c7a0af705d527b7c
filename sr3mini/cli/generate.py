"""`sr3mini generate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from .base import (
    MethodOption,
    asked,
    between,
    clear_up_when_terminated,
    pick_device,
    say_shadowed,
)


def generate(
    model: str,
    out: Path = Path("generated"),
    count: int = 16,
    steps: int | None = None,
    method: MethodOption = None,
    seed: int = 0,
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False,
    device: Annotated[str, tyro.conf.arg(metavar="NAME")] = "auto",
) -> None:
    """Make pictures from noise alone, by a model that was trained without a
    low-resolution picture.

    Args:
        model: a .safetensors file or the folder of a training run, such as that of the
            preset glyphs_32_unconditional.
        out: folder for the pictures, 0001.png ..., and for all of them side by side,
            all.png.
        count: how many pictures.
        steps: network calls a picture, if not the method's own number.
        method: how noise becomes a picture, if not the model's own way; see `sr3mini
            upscale`.
        seed: of the first picture; the others follow.
        overwrite: draw anew what is there already.
        device: cpu, cuda, cuda:1, mps ...; auto takes the GPU if there is one.
    """
    from ..model.checkpoint import load
    from ..upscaling.upscale_files import write_generated

    between("count", count, 1, 100_000)
    between("seed", seed, 0)
    clear_up_when_terminated()
    say_shadowed(model)
    f = load(model, pick_device(device))
    f.preset = asked(f, steps, method)
    for path in write_generated(f, out, count, seed=seed, overwrite=overwrite):
        print(path)
