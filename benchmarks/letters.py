"""The letters: what SR3 and its regression twin draw from an x that leaves the letter
open, beside the exact answers.

    python benchmarks/letters.py [--model letters_4_32] [--samples 8]
        [--calls 5 10 25 100] [--json FILE] [--picture FILE]

The figures that chapter 8 reads, about 15 minutes on one core:

    python benchmarks/letters.py --json data/runs/letters_4_32.json

All 744 pictures, each with new noise on x. The exact mean is what a perfect regression
would answer, an exact draw what a perfect sampler would; both are computed from the
list of all pictures. Consistency is that of the paper, and of the originals it is the
noise itself. "floor" is the variance of p(y | x), the error of the best answer, on
[-1, 1]; "own" is what a model's error has beyond it: the squared distance from the
exact mean, for SR3 that of the mean of endlessly many samples. Every sample has random
numbers of its own. "SR3" draws by Algorithm 2 in 25 calls, the row below it as the
preset says. The rows of "calls", Algorithm 2 again, are measured on every sixth
picture, with four samples of each; the last one is that of exact draws. "ms": how long
a sample takes.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path

import torch
from torch import Tensor

from sr3mini import downsample, load
from sr3mini.data import letters
from sr3mini.files.sheet import framed
from sr3mini.files.writing import write_picture
from sr3mini.metrics import consistency, diversity, sharpness, ssim
from sr3mini.model.network import Network
from sr3mini.model.preset import Preset
from sr3mini.oracle import PicturesOracle
from sr3mini.training.monitor import machine
from sr3mini.upscaling.draw import answer, draw, seeded, seen

SHOWN = "aeghkmsR25"
SEED = 1000  # of the first sample; those of the noise on x are below 744
BATCH = 64
FEW, EVERY = 4, 6  # of the rows of "calls": samples, and of which pictures


def row(made: Tensor, y: Tensor, x: Tensor) -> dict[str, float]:
    """`made` (K, N, C, H, W): K answers to each of N pictures."""
    found = {
        "SSIM": torch.stack([ssim(one, y) for one in made]).mean().item(),
        "consistency": torch.stack([consistency(one, x) for one in made]).mean().item(),
        "sharpness": sharpness(made.flatten(0, 1)).mean().item(),
    }
    if error := (made - y).square().mean().item():
        found["PSNR"] = 10 * math.log10(4 / error)
    if len(made) > 1:
        found["diversity"] = diversity(made).mean().item()
    return found


def own(made: Tensor, mean: Tensor) -> float:
    """Squared distance of the mean of endlessly many answers from the exact mean: that
    of the mean of K, less what their spread adds to it.
    """
    apart = (made.mean(0) - mean).square().mean()
    spread = made.var(0).mean() / len(made) if len(made) > 1 else 0.0
    return (apart - spread).item()


def sampled(f: Network, preset: Preset, x: Tensor, samples: int) -> Tensor:
    """(samples, N, C, H, W), in batches that fit a laptop."""
    many, side = x.repeat(samples, 1, 1, 1), preset.size
    parts = []
    for rows in torch.arange(len(many)).split(BATCH):
        generators = seeded((SEED + rows).tolist())
        shape = (len(rows), x.shape[1], side, side)
        parts.append(answer(f, preset, many[rows], shape, generators))
    return torch.cat(parts).unflatten(0, (samples, len(x)))


def times(f: Network, ways: dict[str, Preset], x: Tensor) -> dict[str, float]:
    """Milliseconds a sample, the least of five, turn by turn."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(5):
        for name, way in ways.items():
            start = time.perf_counter()
            sampled(f, way, x, 1)
            taken[name].append(time.perf_counter() - start)
    return {name: round(1000 * min(each) / len(x), 1) for name, each in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="letters_4_32")
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--calls", type=int, nargs="*", default=[5, 10, 25, 100])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()

    f, twin = load(given.model), load(f"{given.model}_regression")
    preset, world = f.preset, letters(f.preset.size)
    y = world.batch(range(len(world)))
    x = seen(preset, y)
    exact = PicturesOracle(y, downsample(y, preset.factor), preset.x_noise)
    mean, squares = exact.mean(x), exact.shares(x) @ y.flatten(1).double().square()
    floor = (squares - mean.flatten(1).double().square()).mean().item()
    generator = torch.Generator().manual_seed(0)

    ways = {"SR3": preset.sampled(25, "ancestral")}
    ways[f"SR3, {preset.sampling_steps} calls"] = preset
    ours = {name: sampled(f, way, x, given.samples) for name, way in ways.items()}
    ms = times(f, ways, x[:BATCH])
    samples = ours["SR3"]
    drawn = torch.stack([exact.draw(x, generator) for _ in range(given.samples)])
    made = {
        "exact mean": mean[None],
        "regression twin": draw(twin, x, seeds=[0]),
        "exact draw": drawn,
        **ours,
        f"mean of {given.samples} exact draws": drawn.mean(0)[None],
        f"mean of {given.samples} of SR3": samples.mean(0)[None],
        "originals": y[None],
    }
    owns = {"twin": own(made["regression twin"], mean), "SR3": own(samples, mean)}
    table = {name: row(several, y, x) for name, several in made.items()}
    names = ["PSNR", "SSIM", "consistency", "sharpness", "diversity"]
    print(f"{'':22}" + "".join(f"{name:>13}" for name in names))
    for method, figures in table.items():
        cells = [f"{figures[name]:.3f}" if name in figures else "-" for name in names]
        print(f"{method:22}" + "".join(f"{cell:>13}" for cell in cells))
    print(f"ms a sample: {ms}, {machine()}")
    print(f"floor {floor:.4f}, own {owns}")

    if given.json:
        few = slice(None, None, EVERY)
        enough = {
            str(calls): row(sampled(f, way, x[few], FEW), y[few], x[few])
            for calls in given.calls
            for way in (preset.sampled(calls, "ancestral"),)
        }
        enough["exact"] = row(drawn[:FEW, few], y[few], x[few])
        stored = {
            "command": " ".join(["python", *sys.argv]),
            "machine": machine(),
            "samples": given.samples,
            "ms": ms,
            "table": table,
            "floor": floor,
            "own": owns,
            "calls": enough,
        }
        given.json.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")
    if given.picture:
        of = [world.find(character) for character in SHOWN]
        rows = [
            torch.nn.functional.interpolate(x[of], scale_factor=preset.factor),
            mean[of],
            made["regression twin"][0, of],
            *draw(f, x[of], steps=25, method="ancestral", seeds=range(4)),
            *drawn[:2, of],
            y[of],
        ]
        sheet = torch.stack(rows).repeat_interleave(2, -1).repeat_interleave(2, -2)
        write_picture(framed(sheet), given.picture)


if __name__ == "__main__":
    main()
