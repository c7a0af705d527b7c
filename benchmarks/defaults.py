r"""How a trained network is best asked: every method, on both lists of levels, with
three to eight calls, on pictures that it was not trained on.

    python benchmarks/defaults.py --model NAME [--data DIR ...] [--count 64]
        [--json FILE] [--store]

The searches that gave the shipped models their defaults, minutes each on one core:

    python benchmarks/defaults.py --model letters_4_32 --count 128 \
        --json data/runs/defaults_letters_4_32.json --store
    python benchmarks/defaults.py --model glyphs_8_32 --count 128 \
        --json data/runs/defaults_glyphs_8_32.json --store

The best is what has the smallest edge distance with at most eight calls, among those
whose consistency is at most `WORSE` times that of 25 calls of Algorithm 2. So it looks
most like the originals without leaving x; PSNR, which prefers blur, is told and does
not decide, but with `--below-bicubic DB` it may lie at most so far below bicubic's:

    python benchmarks/defaults.py --model photos_16_64 --data mixture --count 48 \
        --below-bicubic -1 --json data/runs/defaults_photos_16_64.json --store

`--store` writes it into the weights' preset; the tensors stay as they are.

DIR is a folder of pictures, or what `sr3mini prepare` wrote (then its held-out part);
of several all pictures are taken together. Sample s of picture i starts from a
generator seeded with 1000 s + i, so all rows start from the same noise. "respaced"
levels are taken evenly from the training schedule, "even" ones are even in log-SNR.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from safetensors.torch import save as to_safetensors
from torch import Tensor

from sr3mini import upsample
from sr3mini.evaluation.samples import held_out
from sr3mini.files.writing import write_bytes, write_text
from sr3mini.metrics import diversity, measure, psnr, sharpness
from sr3mini.model.checkpoint import card, find, load
from sr3mini.model.network import Network
from sr3mini.model.preset import CHOICES, Preset
from sr3mini.sampler import edge_distance
from sr3mini.training.monitor import machine
from sr3mini.upscaling.draw import answer, seeded, seen

CALLS, MOST = range(3, 9), 8
WORSE = 1.5  # times the consistency of 25 calls of Algorithm 2
BATCH = 16  # pictures that are drawn together

Row = dict[str, Any]


def candidates(preset: Preset) -> list[Preset]:
    """The preset asked in every way, and Algorithm 2 with 25 and 100 calls."""
    ways = [
        (levels, method, calls)
        for levels in CHOICES["sampling_levels"]
        for method in CHOICES["sampling_method"]
        for calls in CALLS
    ]
    ways += [("respaced", "ancestral", calls) for calls in (25, 100)]
    fields = ("sampling_levels", "sampling_method", "sampling_steps")
    every = [dict(zip(fields, way, strict=True)) for way in ways]
    return [replace(preset, **changes) for changes in every]  # type: ignore[arg-type]


def row(drawn: Tensor, y: Tensor, x: Tensor) -> dict[str, float]:
    """Every measure of the samples (K, N, C, H, W), averaged over them."""
    each = [
        {
            **measure(one, y, x),
            "sharpness": sharpness(one).mean().item(),
            "edge distance": edge_distance(one, y),
        }
        for one in drawn
    ]
    means = {name: sum(values[name] for values in each) / len(each) for name in each[0]}
    if len(drawn) > 1:
        means["diversity"] = diversity(drawn).mean().item()
    return {name: round(value, 5) for name, value in means.items()}


def drawn(f: Network, preset: Preset, x: Tensor, samples: int) -> Tensor:
    """(samples, N, C, H, W), in batches that fit a laptop."""
    side, parts = preset.size, []
    for s in range(samples):
        for rows in torch.arange(len(x)).split(BATCH):
            generators = seeded((1000 * s + rows).tolist())
            shape = (len(rows), x.shape[1], side, side)
            parts.append(answer(f, preset, x[rows], shape, generators))
    return torch.cat(parts).unflatten(0, (samples, len(x)))


def best(rows: Sequence[Row], least: float) -> Row:
    """By the rule that stands above, `least` being the lowest PSNR."""
    (today,) = (row for row in rows if row["calls"] == 25)
    few = [row for row in rows if row["calls"] <= MOST and row["PSNR"] >= least]
    near = [row for row in few if row["consistency"] <= WORSE * today["consistency"]]
    return min(near, key=lambda row: row["edge distance"])


def store(name: str, preset: Preset) -> None:
    """Write the preset into the model's weights file and the JSON beside it."""
    path = find(name)
    written = to_safetensors(load_file(path), {"preset": preset.to_json()})
    write_bytes(written, path)
    if about := card(name):
        about["preset"] = asdict(preset)
        write_text(json.dumps(about, indent=2) + "\n", path.with_suffix(".json"))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", nargs="+", help="if not the glyphs or letters of it")
    parser.add_argument("--count", type=int, default=64, help="pictures of each")
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--seed", type=int, default=8, help="of the choice of pictures")
    parser.add_argument("--below-bicubic", type=float, help="dB of PSNR, at most")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--store", action="store_true", help="in the weights file")
    given = parser.parse_args()

    f = load(given.model)
    sets = given.data or [f.preset.data]
    y = torch.cat([held_out(data, f, given.count, given.seed)[0] for data in sets])
    x = seen(f.preset, y)
    same, rows = row(y[None], y, x), []
    originals = {name: value for name, value in same.items() if math.isfinite(value)}
    print("originals: " + told(originals))
    for preset in candidates(f.preset):
        started = time.perf_counter()
        made = drawn(f, preset, x, given.samples)
        seconds = (time.perf_counter() - started) / len(y) / given.samples
        rows.append(
            {
                "levels": preset.sampling_levels,
                "method": preset.sampling_method,
                "calls": preset.sampling_steps,
                **row(made, y, x),
                "ms": round(1000 * seconds, 1),
            }
        )
        print(told(rows[-1]), flush=True)
    least = -math.inf
    if given.below_bicubic is not None:
        enlarged = upsample(x, f.preset.factor).clamp(-1, 1)
        least = psnr(enlarged, y).mean().item() - given.below_bicubic
    found = best(rows, least)
    print("best: " + told(found))

    if given.store:
        changes = {f"sampling_{name}": found[name] for name in ("levels", "method")}
        store(given.model, replace(f.preset, sampling_steps=found["calls"], **changes))
    if given.json:
        result = {
            "command": " ".join(["python", *sys.argv]),
            "machine": machine(),
            "count": len(y),
            "samples": given.samples,
            "originals": originals,
            "rows": rows,
            "best": found,
        }
        if math.isfinite(least):
            result["least PSNR"] = least
        write_text(json.dumps(result, indent=2) + "\n", given.json)


def told(row: Row) -> str:
    """One line."""
    return "  ".join(
        f"{value:10}" if isinstance(value, str) else f"{name} {value:.4g}"
        for name, value in row.items()
    )


if __name__ == "__main__":
    main()
