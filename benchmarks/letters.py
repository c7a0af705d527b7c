"""The letters: what SR3 and its regression twin draw from an x that leaves the letter
open, beside the exact answers.

    python benchmarks/letters.py [--model letters_4_32] [--samples 8] [--calls 25]
        [--json FILE] [--picture FILE]

All 744 pictures, each with new noise on x. The exact mean is what a perfect regression
would answer, an exact draw what a perfect sampler would; both are computed from the
list of all pictures. Consistency is that of the paper, and of the originals it is the
noise itself. Diversity compares the samples of one x, `exact diversity` draws of the
exact answer.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import torch
from torch import Tensor

from sr3mini import downsample, load
from sr3mini.data import letters
from sr3mini.files.sheet import framed
from sr3mini.files.writing import write_picture
from sr3mini.metrics import consistency, diversity, sharpness, ssim
from sr3mini.oracle import PicturesOracle
from sr3mini.training.monitor import machine
from sr3mini.upscaling.draw import draw, seen

SHOWN = "aeghkmsR25"


def row(made: Tensor, y: Tensor, x: Tensor) -> dict[str, float]:
    """`made` (K, N, C, H, W): K answers to each of N pictures."""
    found = {
        "SSIM": ssim(made.flatten(0, 1), y.repeat(len(made), 1, 1, 1)).mean().item(),
        "consistency": torch.stack([consistency(one, x) for one in made]).mean().item(),
        "sharpness": sharpness(made.flatten(0, 1)).mean().item(),
    }
    if error := (made - y).square().mean().item():
        found["PSNR"] = 10 * math.log10(4 / error)
    if len(made) > 1:
        found["diversity"] = diversity(made).mean().item()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="letters_4_32")
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--calls", type=int, help="default: the preset's")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()

    f, twin = load(given.model), load(f"{given.model}_regression")
    preset, world = f.preset, letters(f.preset.size)
    y = world.batch(range(len(world)))
    x = seen(preset, y)
    exact = PicturesOracle(y, downsample(y, preset.factor), preset.x_noise)
    generator = torch.Generator().manual_seed(0)

    start = time.perf_counter()
    samples = draw(f, x, steps=given.calls, seeds=range(given.samples))
    seconds = time.perf_counter() - start
    drawn = torch.stack([exact.draw(x, generator) for _ in range(given.samples)])
    made = {
        "regression twin": draw(twin, x, seeds=[0]),
        "exact mean": exact.mean(x)[None],
        "SR3, one sample": samples,
        "exact draw": drawn,
        f"mean of {given.samples}": samples.mean(0)[None],
        "originals": y[None],
    }
    table = {name: row(several, y, x) for name, several in made.items()}
    names = ["PSNR", "SSIM", "consistency", "sharpness", "diversity"]
    print(f"{'':16}" + "".join(f"{name:>13}" for name in names))
    for method, figures in table.items():
        cells = [f"{figures[name]:.3f}" if name in figures else "-" for name in names]
        print(f"{method:16}" + "".join(f"{cell:>13}" for cell in cells))
    per_sample = seconds / samples.shape[0] / len(y)
    print(f"{1000 * per_sample:.0f} ms a sample, {machine()}")

    if given.json:
        stored = {
            "command": "python benchmarks/letters.py",
            "machine": machine(),
            "calls": given.calls or preset.sampling_steps,
            "table": table,
        }
        given.json.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")
    if given.picture:
        of = [world.find(character) for character in SHOWN]
        rows = [
            torch.nn.functional.interpolate(x[of], scale_factor=preset.factor),
            made["exact mean"][0, of],
            made["regression twin"][0, of],
            *samples[:4, of],
            *drawn[:2, of],
            y[of],
        ]
        sheet = torch.stack(rows).repeat_interleave(2, -1).repeat_interleave(2, -2)
        write_picture(framed(sheet), given.picture)


if __name__ == "__main__":
    main()
