r"""How networks for photographs do on pictures that they were not trained on:
closeness, consistency, sharpness, and what they draw where there is nothing.

    python benchmarks/photographs.py --data MIXTURE [--whole FOLDER ...]
        [--model photos_16_64 ...] [--count 100] [--samples 4]
        [--json FILE] [--picture FILE.png]

MIXTURE is what `sr3mini prepare` wrote; each folder at its top is a set, and `--count`
pictures of the part held out are measured, at the size that the network was made for.
Of each FOLDER all pictures are measured whole, with x rounded to 8 bits. Rows: bicubic,
one sample of each model, drawn as its preset says or as NAME@METHOD:CALLS asks, the
mean of several of the first one. Columns, means over the pictures:

    PSNR, SSIM, consistency   as everywhere; consistency is MSE x 1e5
    sharpness                 compare with the original's
    edges                     distance of sorted neighbour differences, x 1e3 (`search`)
    flat                      texture where there is none: deviation of the result over
                              that of the original, in windows of 7 x 7 that are flat in
                              the original (a deviation below 3 of 255), and so are all
                              others within 8 pixels: bicubic carries edges so far

The figures stored with the weights:

    python benchmarks/photographs.py --data mixture --whole set5 set14 \
        --model photos_16_64 photos_16_64_regression photos_16_64@ancestral:25 \
        --json data/runs/photos_16_64.json --picture data/runs/photos_16_64.png
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm.auto import tqdm

from sr3mini import downsample, upsample
from sr3mini.data import read_picture, write_picture
from sr3mini.data.prepared import prepared
from sr3mini.degrade import as_file
from sr3mini.metrics import measure, sharpness
from sr3mini.model.checkpoint import load
from sr3mini.model.network import Network
from sr3mini.sampler import Method, edge_distance
from sr3mini.training.monitor import machine
from sr3mini.upscaling.draw import draw, grid
from sr3mini.upscaling.upscale import upscale

# largest deviation, on [-1, 1]; side of a window, and how far edges must be, in pixels
FLAT, WINDOW, FAR = 3 / 127.5, 7, 8
Rows = dict[str, dict[str, float]]


def deviations(y: Tensor) -> Tensor:
    """Standard deviation in each window of each channel."""
    mean = F.avg_pool2d(y.double(), WINDOW, stride=1)
    square = F.avg_pool2d(y.double().square(), WINDOW, stride=1)
    return (square - mean.square()).clamp(min=0).sqrt()


def flat_texture(answer: Tensor, y: Tensor) -> tuple[float, float]:
    """Sum of the deviations in the windows where y is flat: of the answer, of y."""
    original = deviations(y)
    flat = F.max_pool2d(original, 2 * FAR + 1, stride=1, padding=FAR) < FLAT
    return deviations(answer)[flat].sum().item(), original[flat].sum().item()


def row(answer: Tensor, y: Tensor, x: Tensor) -> dict[str, float]:
    """Every figure of one answer (1, C, H, W) to one picture."""
    found, there = flat_texture(answer, y)
    return {
        **measure(answer, y, x),
        "sharpness": sharpness(answer).item(),
        "edges": 1e3 * edge_distance(answer, y),
        "flat found": found,
        "flat there": there,
    }


def means(rows: list[dict[str, float]]) -> dict[str, float]:
    """Means over the pictures; flat places count by their number."""
    names = [name for name in rows[0] if not name.startswith("flat")]
    table = {name: statistics.mean(row[name] for row in rows) for name in names}
    found, there = (sum(row[f"flat {k}"] for row in rows) for k in ("found", "there"))
    return {**table, "flat": found / there} if there else table


def answers(
    networks: dict[str, Network], x: Tensor, samples: int, whole: bool
) -> dict[str, Tensor]:
    """What is made of one x (1, C, h, w): the first network's samples, one of each
    other.
    """
    made: dict[str, Tensor] = {}
    for name, f in networks.items():
        count = samples if not made and f.preset.label == "SR3" else 1
        if whole:
            several = upscale(f, x[0], samples=count)
        else:
            several = draw(f, x, seeds=range(count))[:, 0]
        made[name] = several[:1]
        if count > 1:
            made[f"mean of {count}"] = several.mean(0, keepdim=True)
    return made


def asked(model: str) -> Network:
    """A model, drawn as its preset says, or as NAME@METHOD:CALLS says."""
    name, _, how = model.partition("@")
    f = load(name)
    if how:
        method, _, calls = how.partition(":")
        f.preset = f.preset.sampled(int(calls), cast(Method, method))
    return f


def squares(mixture: str, f: Network, count: int) -> dict[str, list[Tensor]]:
    """{set: its first pictures}, (1, C, S, S): of each folder at the top."""
    pictures = prepared(mixture, f.preset.size, f.preset.image_channels, "test")
    found: dict[str, list[Tensor]] = {}
    for i in range(len(pictures)):
        top = pictures.files[i].relative_to(pictures.path).parts[0]
        some = found.setdefault(top, [])
        if len(some) < count:
            some.append(pictures[i][None])
    return found


def whole_pictures(folder: Path, factor: int) -> Iterator[Tensor]:
    """All pictures of a folder, in colour, cropped to a multiple of the factor."""
    for file in sorted(folder.iterdir()):
        y = read_picture(file, 3)
        height, width = (side // factor * factor for side in y.shape[1:])
        yield y[None, :, :height, :width]


def table(
    pictures: list[Tensor], networks: dict[str, Network], samples: int, whole: bool
) -> Rows:
    """The rows of one set."""
    factor = next(iter(networks.values())).preset.factor
    rows: dict[str, list[dict[str, float]]] = {}
    for y in tqdm(pictures, leave=False):
        x = downsample(y, factor)
        x = as_file(x) if whole else x
        made = {"bicubic": upsample(x, factor).clamp(-1, 1)}
        made |= answers(networks, x, samples, whole)
        for name, answer in {**made, "original": y}.items():
            rows.setdefault(name, []).append(row(answer, y, x))
    found = {name: means(some) for name, some in rows.items()}
    found["original"] = {"sharpness": found["original"]["sharpness"]}
    return found


def print_table(name: str, count: int, rows: Rows) -> None:
    columns = list(rows["bicubic"])
    print(f"\n{name}, {count} pictures")
    print(f"{'':26}", *(f"{column:>11}" for column in columns))
    for method, found in rows.items():
        cells = [f"{found[c]:11.4g}" if c in found else f"{'-':>11}" for c in columns]
        print(f"{method:26}", *cells, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="a prepared folder")
    parser.add_argument("--whole", nargs="*", type=Path, default=[])
    parser.add_argument("--model", nargs="+", default=["photos_16_64"])
    parser.add_argument("--count", type=int, default=100, help="of each set")
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--json", type=Path, help="what else the file holds stays")
    parser.add_argument(
        "--picture",
        type=Path,
        help="eight pictures: input, bicubic, three samples, original",
    )
    options = parser.parse_args()
    networks = {model: asked(model) for model in options.model}
    first = next(iter(networks.values()))
    square = squares(options.data, first, options.count)
    sets = {name: (pictures, False) for name, pictures in square.items()}
    for folder in options.whole:
        sets[folder.name] = (list(whole_pictures(folder, first.preset.factor)), True)

    there = options.json is not None and options.json.exists()
    known = json.loads(options.json.read_text()) if there else {}
    result: dict[str, Any] = {
        "measured": " ".join(["python", *sys.argv]),
        "measured on": machine(),
    }
    result["sets"] = {}
    for name, (pictures, whole) in sets.items():
        rows = table(pictures, networks, options.samples, whole)
        print_table(name, len(pictures), rows)
        result["sets"][name] = {"count": len(pictures), "table": rows}
        if options.json:
            options.json.write_text(json.dumps({**known, **result}, indent=2) + "\n")
    if options.picture:
        chosen = torch.cat([one for k in range(8) for one in _turn(square, k)])
        write_picture(grid(first, chosen), options.picture)


def _turn(sets: dict[str, list[Tensor]], k: int) -> list[Tensor]:
    """Picture k of the sheet, of the sets in turn."""
    of_set = list(sets.values())[k % len(sets)]
    return [of_set[k // len(sets)]]


if __name__ == "__main__":
    main()
