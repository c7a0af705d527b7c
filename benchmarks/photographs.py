r"""How the shipped network for photographs does on pictures that it was not trained on:
closeness, consistency, sharpness, colour.

    python benchmarks/photographs.py --data DIR [--count 300] [--samples 4]
        [--model photos_16_64] [--json FILE] [--picture FILE.png]

DIR is a folder of pictures, or what `sr3mini prepare` wrote (then its held-out part).
"cast" is the largest difference between the means of a channel, over all pictures, of
the result and of the enlarged input, in 255ths; "sharper" is sharpness, that of bicubic
being 1. The figures stored with the weights:

    sr3mini prepare SRC --size 64 --out clothing
    python benchmarks/photographs.py --data clothing \
        --json data/runs/photos_16_64.json --picture data/runs/photos_16_64.png
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from torch import Tensor

from sr3mini import downsample, upsample
from sr3mini.data import write_picture
from sr3mini.evaluation.evaluate import evaluate, held_out
from sr3mini.metrics import measure, sharpness
from sr3mini.model.checkpoint import load
from sr3mini.training.train import machine
from sr3mini.upscaling.draw import grid


def row(answer: Tensor, y: Tensor, x: Tensor) -> dict[str, float]:
    """Every figure of one answer to every picture."""
    enlarged = upsample(x, size=(y.shape[-2], y.shape[-1])).clamp(-1, 1)
    cast = ((answer - enlarged).mean(dim=(0, 2, 3)) * 127.5).abs().max().item()
    return {
        **measure(answer, y, x),
        "sharper": (sharpness(answer).mean() / sharpness(enlarged).mean()).item(),
        "cast": cast,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True)
    parser.add_argument("--model", default="photos_16_64")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0, help="of the choice of pictures")
    parser.add_argument("--json", type=Path, help="what else the file holds stays")
    parser.add_argument(
        "--picture",
        type=Path,
        help="eight pictures: input, bicubic, three samples, original",
    )
    options = parser.parse_args()
    f = load(options.model)
    y, _ = held_out(options.data, f, options.count, options.seed)
    x = downsample(y, f.preset.factor)
    _, drawn = evaluate(f, y, samples=options.samples, progress=True)
    answers = {
        "bicubic": upsample(x, f.preset.factor).clamp(-1, 1),
        "SR3": drawn[0],
        f"mean of {options.samples}": drawn.mean(0),
    }
    table = {name: row(answer, y, x) for name, answer in answers.items()}
    original = row(y, y, x)
    print(
        f"{len(y)} pictures of {options.data}, {f.preset.size // f.preset.factor} ->"
        f" {f.preset.size}, {f.preset.sampling_steps} network calls a picture"
    )
    for name, found in table.items():
        print(
            f"{name:10} "
            + "  ".join(f"{each} {value:.3f}" for each, value in found.items())
        )
    print(f"original   sharper {original['sharper']:.3f}  cast {original['cast']:.3f}")
    if options.picture:
        write_picture(grid(f, y[:8]), options.picture)
    if options.json:
        known = (
            json.loads(options.json.read_text(encoding="utf-8"))
            if options.json.exists()
            else {}
        )
        result = {
            "measured": " ".join(["python", *sys.argv]),
            "measured on": machine(),
            "count": len(y),
            "seed": options.seed,
            "table": table,
        }
        result["original"] = {name: original[name] for name in ("sharper", "cast")}
        options.json.write_text(
            json.dumps({**known, **result}, indent=2) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
