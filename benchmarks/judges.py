"""What becomes of the mean of K samples, and who can tell it from an original: on
held-out glyphs.

    python benchmarks/judges.py [--count 64] [--samples 8] [--seed 0] [--json FILE]

The figures that deep dive E reads, about a quarter of an hour on two cores:

    python benchmarks/judges.py --count 1024 --json data/runs/judges_glyphs_8_32.json

"error" is the mean squared error on [-1, 1], "sharpness" that of the originals being 1,
and "fooled" the fool rate of each judge. "spread" is the variance of the samples,
averaged over pixels and pictures: S of the dive.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from torch import Tensor

from sr3mini import downsample, upsample
from sr3mini.evaluation.samples import (
    JUDGES,
    error_of_means,
    held_out,
    measured_samples,
)
from sr3mini.metrics import fool_rate, sharpness
from sr3mini.model.checkpoint import load
from sr3mini.training.train import machine
from sr3mini.upscaling.draw import draw


def row(answer: Tensor, y: Tensor) -> dict[str, Any]:
    """Error, sharpness and the judges' verdicts on one answer to every picture."""
    fooled = {
        name: fool_rate(judge(y), judge(answer))[0] for name, judge in JUDGES.items()
    }
    return {
        "error": (answer - y).square().mean().item(),
        "sharpness": (sharpness(answer).mean() / sharpness(y).mean()).item(),
        "fooled": fooled,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="glyphs_8_32")
    parser.add_argument("--rival", default="glyphs_8_32_regression")
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0, help="of the choice of pictures")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    f, rival = load(options.model), load(options.rival)
    y, _ = held_out("glyphs", f, options.count, options.seed)
    x = downsample(y, f.preset.factor)
    f.preset = f.preset.sampled(25, "ancestral")  # Algorithm 2
    _, drawn = measured_samples(f, y, samples=options.samples, progress=True)
    counts = [k for k in (1, 2, 4, 8, 16) if k <= options.samples]
    rows = {
        "bicubic": row(upsample(x, f.preset.factor).clamp(-1, 1), y),
        "regression": row(draw(rival, x, seeds=[0])[0], y),
    }
    rows |= {
        f"mean of {k}": {
            **row(drawn[:k].mean(0), y),
            "error": error_of_means(drawn, y, k),
        }
        for k in counts
    }
    result = {
        **{
            "command": " ".join(["python", *sys.argv]),
            "machine": machine(),
            "models": [options.model, options.rival],
        },
        **{
            "count": len(y),
            "samples": options.samples,
            "seed": options.seed,
            "spread": drawn.var(0).mean().item(),
            "rows": rows,
        },
    }
    for name, found in rows.items():
        print(
            f"{name:12} error {found['error']:.5f}  sharpness"
            f" {found['sharpness']:.3f}  "
            + "  ".join(f"{k} {v:.3f}" for k, v in found["fooled"].items())
        )
    print(f"spread {result['spread']:.5f}")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
