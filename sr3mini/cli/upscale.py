"""`sr3mini upscale`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from .base import between, network_calls


def upscale(
    pictures: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="PICTURE…")],
    model: str = "glyphs_8_32",
    out: Path = Path("upscaled"),
    steps: int | None = None,
    seed: int = 0,
    samples: int = 1,
) -> None:
    """Enlarge picture files.

    Args:
        pictures: picture files of any kind that Pillow reads.
        model: a shipped name, a .safetensors file, or the folder of a training run.
        out: folder for the results; a sheet beside them compares with bicubic.
        steps: network calls a sample, if not the model's own number.
        seed: of the first sample; the others follow.
        samples: how many different answers to draw.
    """
    from ..checkpoint import load
    from ..evaluate import method
    from ..upscale import upscale_files

    if not pictures:
        raise ValueError("name at least one picture to upscale")
    between("samples", samples, 1)
    between("seed", seed, 0)
    f = load(model)
    steps = network_calls(f, steps)
    if samples > 1 and method(f) == "regression":
        raise ValueError(f"{model} is a regression network and gives one answer to a picture: leave --samples out")
    for path in upscale_files(list(pictures), f, out, steps=steps, seed=seed, samples=samples, progress=True):
        print(path)
