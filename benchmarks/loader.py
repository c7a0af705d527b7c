"""Whether pictures are ready before the training step wants them: the loader's images/s
beside the step's, measured turn by turn.

    python benchmarks/loader.py [--preset photos_16_64] [--data FOLDER]
        [--workers 0 1 2] [--batch 16] [--rounds 3] [--json FILE]

Without --data, pictures of 400 x 300 are made up. Each way of keeping them is read with
each number of workers: the folder as it is, what `sr3mini prepare` makes of it, and
that as WebDataset shards (where `datasets` is installed). Turn by turn with them runs
the whole training step of the preset, on a GPU where there is one. Below 1, the last
column says that the loader keeps the step waiting.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import tarfile
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from train_step import training_step

from sr3mini.data import batches, open_pictures
from sr3mini.data.batches import Pictures
from sr3mini.data.prepared import prepare
from sr3mini.data.workers import AHEAD
from sr3mini.model.preset import Preset
from sr3mini.model.presets import PRESETS
from sr3mini.training.monitor import machine


def made_up(folder: Path, count: int) -> Path:
    """JPEG files of 400 x 300, smooth with some grain, as photographs are."""
    generator = np.random.default_rng(0)
    folder.mkdir()
    for number in range(count):
        coarse = Image.fromarray(generator.integers(0, 256, (12, 16, 3), np.uint8))
        smooth = coarse.resize((400, 300), Image.Resampling.BICUBIC)
        grainy = np.asarray(smooth) + generator.normal(0, 6, (300, 400, 3))
        photo = Image.fromarray(grainy.clip(0, 255).astype(np.uint8))
        photo.save(folder / f"{number:05d}.jpg", quality=90)
    return folder


def shards(prepared: Path, folder: Path, count: int = 8) -> str:
    """The files of a prepared folder as WebDataset shards; their pattern."""
    folder.mkdir()
    files = sorted(prepared.rglob("*.webp"))
    for shard in range(count):
        with tarfile.open(folder / f"{shard:03d}.tar", "w") as tar:
            for number, file in enumerate(files[shard::count]):
                tar.add(file, f"{shard:03d}{number:06d}.webp")
    return str(folder / "*.tar")


def loading(pictures: Pictures, batch: int, workers: int, seconds: float) -> float:
    """Images/s that come out of `batches`, the start of the workers left out."""
    dealt = batches(pictures, batch, seed=0, workers=workers)
    for _ in range(1 + AHEAD * workers):  # prepared while the workers started
        next(dealt)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds or count == 0:
        count += len(next(dealt))
    rate = count / (time.perf_counter() - start)
    dealt.close()
    return rate


def stepping(step: Callable[[], None], batch: int, seconds: float) -> float:
    """Images/s of the training step, on a batch that is there already."""
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds or count == 0:
        step()
        count += batch
        if torch.cuda.is_available():
            torch.cuda.synchronize()
    return count / (time.perf_counter() - start)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--preset", default="photos_16_64", choices=PRESETS)
    add("--data", type=Path, help="folder of pictures")
    add("--workers", type=int, nargs="+", default=[0, 1, 2])
    add("--pictures", type=int, default=200, help="how many are made up")
    add("--batch", type=int, default=16)
    add("--rounds", type=int, default=3)
    add("--seconds", type=float, default=1.0, help="of each measurement")
    add("--json", type=Path)
    return parser.parse_args()


def measured(
    asked: argparse.Namespace, preset: Preset, place: Path
) -> tuple[float, dict[str, float]]:
    """Images/s of the step, and of each way of loading: medians of turns."""
    step = training_step(preset)
    step()
    raw = asked.data or made_up(place / "raw", asked.pictures)
    ready = place / "prepared"
    prepare(raw, ready, preset.size, jobs=max(1, *asked.workers), progress=False)
    kinds = {"folder": str(raw), "prepared": str(ready)}
    if find_spec("datasets") is not None:
        kinds["shards"] = shards(ready, place / "shards")

    rates: dict[str, list[float]] = defaultdict(list)
    steps: list[float] = []
    for _ in range(asked.rounds):
        for kind, data in kinds.items():
            steps.append(stepping(step, asked.batch, asked.seconds))
            pictures = open_pictures(data, preset.size, preset.image_channels)
            for workers in asked.workers:
                rate = loading(pictures, asked.batch, workers, asked.seconds)
                rates[f"{kind}, {workers} workers"].append(rate)
    medians = {name: statistics.median(each) for name, each in rates.items()}
    return statistics.median(steps), medians


def main() -> None:
    asked = options()
    preset = dataclasses.replace(PRESETS[asked.preset], batch_size=asked.batch)
    with tempfile.TemporaryDirectory() as place:
        wanted, rates = measured(asked, preset, Path(place))
    result = {
        "machine": machine(),
        "preset": preset.name,
        "batch": asked.batch,
        "step_images_per_second": round(wanted, 1),
        "loader_images_per_second": {n: round(r, 1) for n, r in rates.items()},
        "loader_over_step": {n: round(r / wanted, 2) for n, r in rates.items()},
    }
    print(
        f"{result['machine']}\n{preset.name}, batches of {asked.batch}: the step"
        f" alone takes {wanted:.1f} images/s\n"
    )
    print(f"{'loader':24}{'images/s':>10}{'x the step':>12}")
    for name, rate in rates.items():
        print(f"{name:24}{rate:10.0f}{rate / wanted:12.1f}")
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
