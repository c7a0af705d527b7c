"""A training in the minutes that are left: what limits it, a timetable, the training
itself (`sr3mini.training.train`), and how good the network is on pictures held out.
"""

from __future__ import annotations

import contextlib
import gc
import json
import math
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from loader import loading
from torch import Tensor
from train_step import seconds, set_up_for, stepping

from sr3mini import upsample
from sr3mini.data import open_pictures, write_picture
from sr3mini.evaluation.samples import held_out
from sr3mini.files.writing import atomic
from sr3mini.metrics import measure, sharpness
from sr3mini.model.network import Network
from sr3mini.model.preset import Preset
from sr3mini.sampler import Method
from sr3mini.training import train as training
from sr3mini.upscaling.draw import draw, grid, seen

from .board import Board, attempt, device, free, say, synchronize
from .pictures import prepared_pictures
from .sampler import Half, on_device, small_pictures, untrained
from .step import group_seconds

LOOKS = 8  # validations, if they do not take more than SHARE of the time
SHARE = 0.12
CAREFUL = 0.94  # of the measured rate: a card that works for minutes gets warmer
ENOUGH = 1.3  # times the step's rate is a loader's that never keeps it waiting
GAIN = 1.02  # from which cuDNN is left to search for its fastest kernels
TOGETHER = 100  # pictures drawn at once in the evaluation
SAMPLES = 4
DRAWS = SAMPLES + 1  # and one in bfloat16
# other ways to draw that are measured beside the preset's own: calls, method
OTHERS: tuple[tuple[int, Method], ...] = (
    (4, "multistep"),
    (6, "multistep"),
    (8, "multistep"),
    (8, "ddim"),
    (25, "ancestral"),
    (100, "ancestral"),
)
ROWS = 8  # pictures of the sheet


class Timetable(NamedTuple):
    """When a training has to look, and to end."""

    train_steps: int
    validate_every: int
    loop_seconds: float
    validation_seconds: float
    evaluation_seconds: float
    stop_after: float  # seconds from now, whatever has been reached


def train(board: Board, place: Path) -> None:
    """Prepare, measure, train, evaluate; each step within what is left of the time."""
    preset, margin = board.sizes.trained, board.sizes.margin
    side = round(preset.size * preset.zoom)
    ready = attempt(
        board, "pictures", 120, lambda: prepared_pictures(board, place, side)
    )
    if ready is None:
        return
    free()
    torch.backends.cudnn.benchmark = cudnn_searches(board)
    limits = limits_of(board, preset, ready)
    if limits is None:
        return
    table = timetable(board, preset, ready, limits)
    board.put("train", {"limits": limits, "timetable": table._asdict()})
    if table.loop_seconds < margin:
        board.fail("train", f"{board.left():.0f} seconds are too few for a training")
        return
    chosen = replace(
        preset,
        train_steps=table.train_steps,
        warmup_steps=min(preset.warmup_steps, table.train_steps // 20),
    )
    run = place / "run"
    f = attempt(
        board,
        "train",
        table.stop_after + 3 * margin,
        lambda: trained(board, chosen, ready, run, limits, table),
    )
    mirror(board, run)
    if f is None:
        return
    f.to(device())
    attempt(board, "evaluation", board.left(), lambda: evaluate(board, f, ready))
    attempt(board, "curve", board.left(), lambda: draw_curve(board, chosen))


# What limits a training ---------------------------------------------------------------


def limits_of(board: Board, preset: Preset, ready: Path) -> dict[str, Any] | None:
    """Images/s of the step in its two ways, and of the loader by the number of its
    workers; the ways that are best.
    """
    steps: dict[str, float] = {}
    warm = {}
    for way in ("usual", "compiled"):
        allowed = board.sizes.compiling if way == "compiled" else board.sizes.measuring
        found = attempt(
            board,
            f"step of {preset.name}, {way}, before training",
            min(allowed, board.left() / 3),
            lambda way=way: step_rate(board, preset, way),  # type: ignore[misc]
        )
        if found is not None:
            steps[way], warm[way] = found
        release()
    if not steps:
        return None
    way = max(steps, key=lambda each: steps[each])
    side = round(preset.size * preset.zoom)
    pictures = open_pictures(str(ready), side, preset.image_channels)
    loaders = {
        workers: round(loading(pictures, preset.batch_size, workers, 2.0), 1)
        for workers in board.sizes.workers
    }
    enough = [n for n, rate in loaders.items() if rate > ENOUGH * steps[way]]
    workers = enough[0] if enough else max(loaders, key=lambda n: loaders[n])
    return {
        "step_images_per_second": steps,
        "loader_images_per_second": loaders,
        "way": way,
        "workers": workers,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "rate": min(steps[way], loaders[workers]),
        "set_up_seconds": warm[way],
    }


def cudnn_searches(board: Board) -> bool:
    """Whether the part `step` found that a compiled step gains by it."""
    gains = [
        gain["cudnn.benchmark"]
        for name, gain in board.result.get("switches", {}).items()
        if name.endswith("compiled")
    ]
    return bool(gains) and min(gains) > GAIN


def step_rate(board: Board, preset: Preset, way: str) -> tuple[float, float]:
    """Images/s of the step, and the seconds until it ran at that rate."""
    start = time.monotonic()
    step = stepping(set_up_for(preset, precision(), way))
    for _ in range(board.sizes.warm):
        step()
    synchronize()
    warm = time.monotonic() - start
    rate = preset.batch_size / group_seconds(step, board.sizes)
    say(f"{preset.name}, {way}: {rate:.0f} images/s after {warm:.0f} s")
    return round(rate, 1), round(warm, 1)


def release() -> None:
    """Memory only: what was compiled may serve the training too."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def precision() -> str:
    return "bf16" if torch.cuda.is_available() else "no"


def timetable(
    board: Board, preset: Preset, ready: Path, limits: dict[str, Any]
) -> Timetable:
    """How many steps fit, when a network call takes as long as measured here."""
    f, calls, margin = untrained(preset), preset.sampling_steps, board.sizes.margin
    few, some = (call_seconds(f, n) for n in (ROWS, min(64, 2**20 // preset.size**2)))
    test = open_pictures(str(ready), preset.size, preset.image_channels, "test")
    count = min(board.sizes.held_out, len(test))  # type: ignore[arg-type]
    together = min(TOGETHER, count)
    many = device_call_seconds(f, together) * math.ceil(count / together)
    sheet = calls * 3 * few
    validation = calls * some + sheet + margin / 5  # which keeps a state
    all_calls = calls * DRAWS + sum(calls for calls, _ in others(board))
    evaluation = all_calls * many + sheet + margin
    after = evaluation + sheet + margin / 2  # a sheet that train() draws
    # what was compiled for the step's rate serves the training too
    loop = board.left() - margin - after
    looks = max(1, min(LOOKS, int(SHARE * loop / validation)))
    learning = max(0.0, loop - looks * validation)
    steps = int(CAREFUL * limits["rate"] * learning / preset.batch_size)
    steps = max(looks, min(steps, board.sizes.most_steps))
    return Timetable(
        train_steps=steps // looks * looks,
        validate_every=steps // looks,
        loop_seconds=round(loop, 1),
        validation_seconds=round(validation, 1),
        evaluation_seconds=round(evaluation, 1),
        stop_after=round(board.left() - after, 1),
    )


def call_seconds(f: Network, count: int) -> float:
    """Seconds of one network call of `draw`, the noise from the processor included."""
    x = small_pictures(f.preset, count)
    draw(f, x, steps=1, seeds=[0])
    return seconds(lambda: draw(f, x, steps=3, seeds=[0])) / 3


def device_call_seconds(f: Network, count: int) -> float:
    x = small_pictures(f.preset, count)
    on_device(f, x, 0, 1)
    return seconds(lambda: on_device(f, x, 0, 3)) / 3


# The training -------------------------------------------------------------------------


def trained(
    board: Board,
    preset: Preset,
    ready: Path,
    run: Path,
    limits: dict[str, Any],
    table: Timetable,
) -> Network:
    """The network that `train` gives back when its steps, or its time, are over."""
    # model.json tells the command: without the place where all this happens to lie
    with (
        contextlib.chdir(run.parent),
        stopping_after(table.stop_after),
        mirrored(board, run),
    ):
        start = time.monotonic()
        f = training.train(
            preset,
            run.name,
            data=ready.name,
            precision=precision(),
            compile=limits["way"] == "compiled",
            workers=limits["workers"],
            save_every=preset.train_steps,
            validate_every=table.validate_every,
            progress=False,
        )
    about = json.loads((run / "model.json").read_text(encoding="utf-8"))
    kept = ("steps", "complete", "seconds", "images_per_second", "parameters", "best")
    found = {name: about[name] for name in kept if name in about}
    found |= {
        "preset": preset.name,
        "batch": preset.batch_size,
        "learning_rate": preset.learning_rate,
        "pictures_seen": about["steps"] * preset.batch_size,
        "wall_seconds": round(time.monotonic() - start, 1),
    }
    board.put("train", {"run": found})
    return f


@contextlib.contextmanager
def stopping_after(length: float) -> Iterator[None]:
    """Ctrl-C after so many seconds: `train` then keeps what was learnt."""
    timer = threading.Timer(length, os.kill, (os.getpid(), signal.SIGINT))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextlib.contextmanager
def mirrored(board: Board, run: Path, every: float = 5.0) -> Iterator[None]:
    """What a training has written, copied every few seconds to where it outlives us."""
    over = threading.Event()

    def watch() -> None:
        told = 0
        while not over.wait(every):
            mirror(board, run)
            told = tell(run, told)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def mirror(board: Board, run: Path) -> None:
    """Copy what is small; the best model stands in for the last one until that one is
    there.
    """
    finished = (run / "model.safetensors").exists()
    best = "model.safetensors" if finished else "best.safetensors"
    names = {best: "model.safetensors"}
    names |= {name: name for name in ("model.json", "metrics.jsonl")}
    for source, target in names.items():
        there = board.out / target
        with contextlib.suppress(OSError):
            written = (run / source).stat().st_mtime
            if there.exists() and there.stat().st_mtime >= written:
                continue
            with atomic(there) as beside:
                shutil.copyfile(run / source, beside)


def tell(run: Path, told: int) -> int:
    """Print the validations that are new; how many lines have been read."""
    lines: list[str] = []
    with contextlib.suppress(OSError):
        lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    for line in lines[told:]:
        if '"PSNR"' in line:
            say(line)
    return max(told, len(lines))


# What came of it ----------------------------------------------------------------------


@torch.no_grad()
def evaluate(board: Board, f: Network, ready: Path) -> None:
    """Held-out pictures: bicubic, one sample, one in bfloat16, the mean of four, and
    one sample in other ways to draw.
    """
    y = held_out(str(ready), f, board.sizes.held_out)[0].to(device())
    x = seen(f.preset, y)
    write_picture(grid(f, y[:ROWS], x=x[:ROWS]), board.out / "sheet.png")

    def keep(method: str, answer: Tensor) -> None:
        values = measure(answer, y, x) | {"sharpness": sharpness(answer).mean().item()}
        # the PSNR of the originals is infinite
        found = {k: round(v, 4) for k, v in values.items() if math.isfinite(v)}
        board.put("evaluation", [{"method": method, "pictures": len(y), **found}])

    size = (y.shape[-2], y.shape[-1])
    keep("originals", y)
    keep("bicubic", upsample(x, size=size).clamp(-1, 1))
    drawn = [in_batches(f, x, 0)]
    keep("SR3", drawn[0])
    keep("SR3 in bf16", in_batches(Half(f), x, 0))
    drawn += [in_batches(f, x, seed) for seed in range(1, SAMPLES)]
    keep(f"mean of {SAMPLES}", torch.stack(drawn).mean(0))
    preset = f.preset
    for calls, method in others(board):
        f.preset = preset.sampled(calls, method)
        keep(f"{method}, {calls} calls", in_batches(f, x, 0))
    f.preset = preset


def others(board: Board) -> tuple[tuple[int, Method], ...]:
    """Of the twin only the first."""
    return OTHERS[:1] if board.sizes.tiny else OTHERS


def in_batches(f: Network, x: Tensor, seed: int) -> Tensor:
    """One sample a picture, with the noise drawn on the device."""
    parts = x.split(TOGETHER)
    return torch.cat(
        [on_device(f, part, 1000 * seed + k) for k, part in enumerate(parts)]
    )


def draw_curve(board: Board, preset: Preset) -> None:
    """Loss and validation PSNR over the pictures seen."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    text = (board.out / "metrics.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.2))
    for axes, name in ((left, "loss"), (right, "PSNR")):
        chosen = [line for line in lines if name in line]
        seen_by_then = [line["step"] * preset.batch_size / 1000 for line in chosen]
        values = [line[name] for line in chosen]
        axes.plot(seen_by_then, values, "o-" if name == "PSNR" else "-")
        axes.set_xlabel("thousands of pictures seen")
        axes.set_ylabel("PSNR, dB" if name == "PSNR" else "loss")
        axes.grid(alpha=0.3)
    left.set_yscale("log")
    figure.tight_layout()
    figure.savefig(board.out / "curve.png", dpi=110)
    pyplot.close(figure)
