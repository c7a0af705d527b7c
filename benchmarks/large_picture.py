r"""How much memory `sr3mini upscale` takes for pictures of growing size, the network
aside: a stand-in that is nearly free answers in its place.

    python benchmarks/large_picture.py [--sizes 750x500 1500x1000] [--steps 2] [--json
    FILE]

    python benchmarks/large_picture.py --model photos_16_64 --sizes 512x512 \
        --ways before now [--json FILE]

The second form takes a trained network, and upscales in several ways: "now" is what
`sr3mini upscale` does, "before" what it did until it was made fast: 25 calls of
Algorithm 2 in float32, and windows that share 64 pixels.

Every size is upscaled 4 times in a process of its own, from a PNG file to a PNG file. A
network adds what its own windows take, which is the same for all sizes. The picture
itself takes about 8 copies of the result in float32: `copies` is what a size takes more
than the one before it, in copies of the result. `upscaling.upscale.COPIES` is to be no
less than that, the result itself not counted.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image

from sr3mini.training.monitor import machine

COLUMNS = ("way", "input", "output", "float32_MB", "peak_MB", "anonymous_MB", "seconds")


def measure(
    size: str, steps: int | None, model: str | None, way: str
) -> dict[str, object]:
    """Upscale one made-up colour picture in this process, and tell what it took."""
    import torch
    import torch.nn.functional as F

    from sr3mini import load
    from sr3mini.model.network import Network
    from sr3mini.model.presets import PRESETS
    from sr3mini.upscaling import tiled
    from sr3mini.upscaling.upscale_files import Wish, upscale_files

    class StandIn(Network):
        """The noise that leads to every pixel of x repeated."""

        def __init__(self) -> None:
            super().__init__()
            self.preset = PRESETS["photos_16_64"]

        def forward(
            self, x: torch.Tensor, y_t: torch.Tensor, gamma: torch.Tensor
        ) -> torch.Tensor:
            level = gamma.to(y_t)[:, None, None, None]
            return (y_t - level.sqrt() * F.interpolate(x, scale_factor=4.0)) / (
                1 - level
            ).sqrt()

    f = StandIn() if model is None else load(model)
    wish = Wish(steps=steps)
    if way == "before":
        wish = Wish(steps=steps or 25, method="ancestral", dtype=torch.float32)
        tiled.OVERLAP = 64
    width, height = (int(side) for side in size.split("x"))
    with tempfile.TemporaryDirectory(dir=".") as beside:
        folder = Path(beside)
        coarse = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
        Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(
            folder / "picture.png"
        )
        before, watched, done = peak_rss(), [0], threading.Event()
        watcher = threading.Thread(target=watch, args=(watched, done))
        watcher.start()
        started = time.monotonic()
        (result,) = upscale_files([folder / "picture.png"], [f], folder / "out", wish)
        seconds = time.monotonic() - started
        done.set()
        watcher.join()
        assert peak_rss() >= before
        row = (
            way,
            size,
            f"{4 * width}x{4 * height}",
            4 * 48 * width * height / 1e6,
            peak_rss() / 1e6,
            watched[0] / 1e6,
            seconds,
        )
        with Image.open(folder / "picture.png") as small:
            corner = np.asarray(small.crop((0, 0, 8, 8)))
        Image.MAX_IMAGE_PIXELS = None
        with Image.open(result) as large:
            assert large.size == (4 * width, 4 * height)
            if (
                model is None and width * height < 1e7
            ):  # to see that the right picture came out, Pillow has to hold it whole
                assert (
                    abs(np.asarray(large)[2:32:4, 2:32:4].astype(int) - corner).max()
                    <= 1
                )
    return {
        name: round(value) if isinstance(value, float) else value
        for name, value in zip(COLUMNS, row, strict=True)
    }


def peak_rss() -> int:
    """The most memory that this process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )


def watch(most: list[int], done: threading.Event) -> None:
    """The most memory of its own, not shared with a file, while the picture is
    upscaled. Linux alone tells it.
    """
    status = Path("/proc/self/status")
    while not done.wait(0.02) and status.exists():
        line = next(
            line
            for line in status.read_text().splitlines()
            if line.startswith("RssAnon")
        )
        most[0] = max(most[0], int(line.split()[1]) * 1024)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--sizes", nargs="+", default=["750x500", "1500x1000"], metavar="WxH"
    )
    parser.add_argument("--steps", type=int, help="of a stand-in 2 if not given")
    parser.add_argument("--model")
    parser.add_argument("--ways", nargs="+", default=["now"], choices=("now", "before"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    steps = options.steps or (2 if options.model is None else None)
    if options.child:
        (size,), (way,) = options.sizes, options.ways
        print(json.dumps(measure(size, steps, options.model, way)))
        return
    rows: list[dict[str, object]] = []
    print("".join(f"{name:>14}" for name in (*COLUMNS, "copies")))
    for way, size in itertools.product(options.ways, options.sizes):
        command = [sys.executable, __file__, "--child", "--sizes", size, "--ways", way]
        command += ["--steps", str(steps)] if steps else []
        command += ["--model", options.model] if options.model else []
        told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        row = json.loads(told.stdout)
        if rows and rows[-1]["way"] == way:
            more = row["anonymous_MB"] - rows[-1]["anonymous_MB"]
            large = row["float32_MB"] - rows[-1]["float32_MB"]
            row["copies"] = round(more / large, 1)
        rows.append(row)
        print("".join(f"{value!s:>14}" for value in row.values()), flush=True)
    if options.json:
        said = "python benchmarks/large_picture.py " + " ".join(sys.argv[1:])
        about = {"command": said, "machine": machine()}
        found = json.dumps({**about, "rows": rows}, indent=2)
        options.json.write_text(found + "\n")


if __name__ == "__main__":
    main()
