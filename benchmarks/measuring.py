"""The letters: trained networks beside the perfect answers, which are known, and how
many calls are enough.

    python benchmarks/measuring.py [--samples 8] [--calls 5 10 25 100] [--json FILE]

The figures that chapter 8 reads, about 20 minutes on one core:

    python benchmarks/measuring.py --json data/runs/measuring_letters_4_32.json

Each of the 744 letters is seen once, through a noisy x that no training saw. PSNR is
that of the mean error of all of them, since some exact draws have no error. "floor" is
the mean variance of p(y | x) on [-1, 1], the error of the best answer; "own" is what an
answer's error has beyond that: its squared distance from the exact mean, and for SR3
that of the mean of endlessly many samples. The rows of "calls" are measured on every
third letter, with two samples of each.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

import torch
from torch import Tensor

from sr3mini import downsample, load, upsample
from sr3mini.data import letters
from sr3mini.degrade import camera
from sr3mini.metrics import consistency, diversity, sharpness, ssim
from sr3mini.model.network import Network
from sr3mini.oracle import PicturesOracle
from sr3mini.training.train import machine
from sr3mini.upscaling.draw import draw

SEED = 1000  # of the first sample: those of the noise on x are below 744


def row(drawn: Tensor, y: Tensor, x: Tensor) -> dict[str, float]:
    """The five numbers of the first of some answers (K, N, C, H, W); diversity of
    all.
    """
    first = drawn[0]
    error = (first - y).square().mean().item()
    values = {
        "PSNR": 10 * math.log10(4 / error) if error else math.inf,
        "SSIM": ssim(first, y).mean().item(),
        "consistency": consistency(first, x).mean().item(),
        "sharpness": sharpness(first).mean().item(),
    }
    if len(drawn) > 1:
        values["diversity"] = diversity(drawn).mean().item()
    return {name: round(value, 5) for name, value in values.items()}


def own(drawn: Tensor, mean: Tensor) -> float:
    """Squared distance of the mean of endlessly many samples from the exact mean: that
    of K, less what their spread adds to it.
    """
    apart = (drawn.mean(0) - mean).square().mean()
    spread = drawn.var(0).mean() / len(drawn) if len(drawn) > 1 else 0.0
    return (apart - spread).item()


def several(f: Network, x: Tensor, samples: int, steps: int | None = None) -> Tensor:
    """(samples, N, C, H, W), in batches that fit a laptop."""
    seeds = range(SEED, SEED + samples)
    parts = [draw(f, some, steps=steps, seeds=seeds) for some in x.split(64)]
    return torch.cat(parts, 1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="letters_4_32")
    parser.add_argument("--rival", default="letters_4_32_regression")
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--calls", type=int, nargs="*", default=[5, 10, 25, 100])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    f, rival, K = load(options.model), load(options.rival), options.samples
    sigma, factor = f.preset.x_noise, f.preset.factor

    world = letters()
    y = world.batch(range(len(world)))
    small = downsample(y, factor)
    x = camera(small, sigma, seeds=range(len(y)))
    exact, generator = PicturesOracle(y, small, sigma), torch.Generator().manual_seed(0)
    mean = exact.mean(x)
    draws = torch.stack([exact.draw(x, generator) for _ in range(K)])
    variance = exact.shares(x) @ y.flatten(1).double().square()
    floor = (variance - mean.flatten(1).double().square()).mean().item()
    twin, drawn = several(rival, x, 1), several(f, x, K)

    answers = {
        "bicubic": upsample(x, factor).clamp(-1, 1)[None],
        "exact mean": mean[None],
        "regression": twin,
        "exact draw": draws,
        "SR3": drawn,
        f"mean of {K} exact draws": draws.mean(0, keepdim=True),
        f"mean of {K} of SR3": drawn.mean(0, keepdim=True),
        "original": y[None],
    }
    third = slice(None, None, 3)
    calls = []
    for steps in options.calls:
        some = several(f, x[third], 2, steps)
        apart = {"own": own(some, mean[third])}
        calls.append({"calls": steps, **row(some, y[third], x[third]), **apart})
        print(calls[-1], flush=True)
    result = {
        "command": " ".join(["python", *sys.argv]),
        "machine": machine(),
        "models": [options.model, options.rival],
        "count": len(y),
        "samples": K,
        "floor": floor,
        "own": {"regression": own(twin, mean), "SR3": own(drawn, mean)},
        "rows": {name: row(some, y, x) for name, some in answers.items()},
        "calls": calls,
    }
    result["rows"]["original"].pop("PSNR")  # endless, which JSON cannot tell
    for name, found in result["rows"].items():
        print(f"{name:24}" + "  ".join(f"{k} {v:.4g}" for k, v in found.items()))
    print(f"floor {floor:.4f}, own {result['own']}")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
