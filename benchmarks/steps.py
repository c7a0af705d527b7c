r"""Quality against the number of network calls: four ways to take a step, on two lists
of levels, on the same held-out glyphs.

    python benchmarks/steps.py [--count 16] [--samples 2] [--calls 5 10 25] [--seed 8]
        [--json FILE]

The table that deep dive D reads, an hour and three quarters on one core:

    python benchmarks/steps.py --count 32 --calls 5 10 25 50 100 2000 \
        --json data/runs/steps_glyphs_8_32.json

Sample s of picture i starts from a generator seeded with 1000 s + i, so all rows start
from the same noise. ŷ_0 is clipped. "respaced" levels are taken evenly from the
training schedule, "even" ones are even in log-SNR. More than 100 calls are spent on
Algorithm 2 with respaced levels alone.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sr3mini import NoiseSchedule, downsample
from sr3mini.evaluation.samples import held_out
from sr3mini.metrics import diversity, measure
from sr3mini.model.checkpoint import load
from sr3mini.model.network import Network
from sr3mini.sampler import edge_distance, even_log_snr, sample
from sr3mini.training.train import machine

METHODS: dict[str, dict[str, Any]] = {
    "paper": {"method": "ancestral", "variance": "paper"},
    "posterior": {"method": "ancestral", "variance": "posterior"},
    "ddim": {"method": "ddim"},
    "multistep": {"method": "multistep"},
}


def draw(
    f: Network,
    x: Tensor,
    shape: tuple[int, ...],
    schedule: NoiseSchedule,
    samples: int,
    how: dict[str, Any],
) -> Tensor:
    """`samples` pictures for every x, (samples, B, C, H, W) in [-1, 1]."""

    def once(s: int) -> Tensor:
        return sample(
            f,
            x,
            schedule,
            shape,
            generator=[
                torch.Generator().manual_seed(1000 * s + i) for i in range(len(x))
            ],
            clip=True,
            **how,
        )

    return torch.stack([once(s) for s in range(samples)]).clamp(-1, 1)


def row(drawn: Tensor, y: Tensor, x: Tensor) -> dict[str, float]:
    """Every metric, averaged over pictures and samples."""
    each = [
        {**measure(one, y, x), "edge distance": edge_distance(one, y)} for one in drawn
    ]
    means = {name: sum(values[name] for values in each) / len(each) for name in each[0]}
    if len(drawn) > 1:
        means["diversity"] = diversity(drawn).mean().item()
    return {name: round(value, 5) for name, value in means.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="glyphs_8_32")
    parser.add_argument("--count", type=int, default=16)
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--calls", type=int, nargs="+", default=[5, 10, 25])
    parser.add_argument("--seed", type=int, default=8, help="of the choice of pictures")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    f = load(options.model)
    y, _ = held_out("glyphs", f, options.count, options.seed)
    x = downsample(y, f.preset.factor)
    rows: list[dict[str, Any]] = []
    started = time.monotonic()
    spacings: dict[str, Callable[[int], NoiseSchedule]] = {
        "respaced": f.preset.training_schedule().respaced,
        "even": even_log_snr,
    }
    for levels, calls, name in itertools.product(spacings, options.calls, METHODS):
        how = METHODS[name]
        if calls > 100 and (levels == "even" or how["method"] != "ancestral"):
            continue
        found = row(
            draw(f, x, tuple(y.shape), spacings[levels](calls), options.samples, how),
            y,
            x,
        )
        rows.append({"levels": levels, "method": name, "calls": calls, **found})
        print(
            f"{levels:9} {name:10} {calls:5}  "
            + "  ".join(f"{metric} {value:.4g}" for metric, value in found.items()),
            flush=True,
        )
    if options.json:
        about = {
            "command": " ".join(["python", *sys.argv]),
            "machine": machine(),
            "model": options.model,
            "count": len(y),
            "samples": options.samples,
        }
        result = {
            **about,
            "seed": options.seed,
            "seconds": round(time.monotonic() - started),
            "rows": rows,
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
