r"""Everything that is worth measuring on a GPU, in one command and in a given time: the
card's peaks, the training step, the sampler, exact resume, and with the minutes that
are left a training and its evaluation. No network is needed.

    python benchmarks/gpu.py --minutes 12 --data faces.zip [more.zip ...] --out DIR
        [--preset faces_16_128_small] [--batch-size 128] [--learning-rate 4e-4]
        [--parts peaks step sampler resume train] [--step-presets NAME ...]
        [--step-seconds 240] [--tiny]

peaks    rates of large products in bfloat16, TF32 and float32, and of a copy
step     training steps of three presets, by batch size: images/s and share of the bf16
         peak, in torch's own layout of memory (contiguous), in that of train.py (usual:
         channels_last), and compiled; beside them memory and images/s as `sr3mini plan`
         has them, and what is spent outside the network
sampler  images/s at 10, 25 and 100 network calls, in float32 and bfloat16
resume   a training that is stopped and goes on beside one that is not
train    the pictures in the ZIP files: prepared, trained on until the time is over (the
         learning rate reaches 0 just then), measured on those held out

Whatever is found is in DIR/gpu.json and DIR/table.txt at once, so a run can be ended at
any moment; a part that fails is noted there, and the next one has its turn. Beside them
lie profile.txt, sheet.png, curve.png, metrics.jsonl, model.safetensors and model.json.
A minute to make these is left at the end. Without a GPU everything is tiny, as with
--tiny, and shows only that it runs; without --data the pictures are made up.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import gpu_parts  # noqa: F401  (whose clock starts here)
import torch
from gpu_parts.board import Board, attempt, end_by_force, say
from gpu_parts.peaks import peaks
from gpu_parts.resume import resume
from gpu_parts.sampler import sampler
from gpu_parts.sizes import STEPS, full, tiny
from gpu_parts.step import step
from gpu_parts.table import table
from gpu_parts.training import train

from sr3mini.model.presets import PRESETS
from sr3mini.training.monitor import machine

PARTS: dict[str, Callable[[Board, Path], None]] = {
    "peaks": lambda board, place: peaks(board),
    "step": lambda board, place: step(board),
    "sampler": lambda board, place: sampler(board),
    "resume": resume,
    "train": train,
}
OWN_TIME = ("step", "train")  # parts that keep the time themselves


def options(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--minutes", type=float, default=10.0, help="for everything together")
    add("--data", type=Path, nargs="*", default=[], help="ZIP files of pictures")
    add("--out", type=Path, default=Path("build/gpu"))
    add("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    add("--preset", default="faces_16_128_small", choices=PRESETS, help="to be trained")
    add("--batch-size", type=int, default=128, help="of the training")
    add("--learning-rate", type=float, help="if not the preset's own")
    names = list(dict.fromkeys(name for name, _, _ in STEPS))
    add("--step-presets", nargs="+", default=names, choices=names)
    add(
        "--step-seconds", type=float, default=240.0, help="for the part `step`, at most"
    )
    add("--tiny", action="store_true", help="as without a GPU")
    return parser.parse_args(given)


def prepared_board(asked: argparse.Namespace) -> Board:
    """The settings of this run, and a folder to write to."""
    preset = replace(
        PRESETS[asked.preset],
        batch_size=asked.batch_size,
        learning_rate=asked.learning_rate or PRESETS[asked.preset].learning_rate,
    )
    small = asked.tiny or not torch.cuda.is_available()
    sizes = (
        tiny(preset) if small else full(preset, asked.step_presets, asked.step_seconds)
    )
    asked.out.mkdir(parents=True, exist_ok=True)
    data = [path.resolve() for path in asked.data]
    board = Board(asked.out.resolve(), 60 * asked.minutes, sizes, data)
    gpu = torch.cuda.is_available()
    board.result = {
        "command": " ".join(["python", *sys.argv]),
        "device": torch.cuda.get_device_name() if gpu else machine(),
        "machine": machine(),
        "torch": torch.__version__,
        "minutes": asked.minutes,
        "tiny": small,
    }
    board.keep()
    return board


def measure(board: Board, parts: Sequence[str]) -> None:
    """One part after the other; the pictures lie in a folder that goes away."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for name in parts:
            say(f"== {name}")
            before = board.left()
            box = None if name in OWN_TIME else board.sizes.boxes[name]
            attempt(board, name, box, partial(PARTS[name], board, Path(folder)))
            board.put("seconds", {name: round(before - board.left(), 1)})


def main() -> None:
    asked = options()
    board = prepared_board(asked)
    end_by_force(board)
    try:
        measure(board, [name for name in PARTS if name in asked.parts])
    finally:
        print(f"\n{table(board.result)}", flush=True)


if __name__ == "__main__":
    main()
