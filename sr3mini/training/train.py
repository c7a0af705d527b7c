r"""A training from its first step to its model: set up, loop, finish; on a processor, a
GPU, or many of them in many machines.

    train(preset, out, data="photos", seed=1)

The steps themselves are `learn`; what is watched and told on the way is `monitor`.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor
from tqdm.auto import tqdm

from ..data import Batches, Folder, Pictures, batches, open_pictures, rows
from ..data.pairs import Pairs
from ..data.prepared import range_of
from ..files.writing import alone_in, write_picture, write_text
from ..metrics import SMALLEST
from ..model.card import describe
from ..model.checkpoint import save
from ..model.network import Network
from ..model.preset import Preset
from ..model.presets import PRESETS
from ..shapes import High, Low
from ..upscaling.draw import grid
from .learn import learn, learning_rate
from .learner import Learner, averaged_network, set_up
from .monitor import (
    agreed,
    machine,
    note,
    start_tracker,
    stop_signals,
    validate,
    validation_pictures,
)
from .options import Options, command, demand_equal_shares
from .resume import Done, begin_or_go_on, keep
from .state import state_paths

NOTED = 20  # steps between two lines of metrics.jsonl


def train(
    preset: Preset, out: str | Path, *, progress: bool = True, **options: Any
) -> Network:
    """Train a preset into the folder `out`: the averaged network, which is returned, as
    model.safetensors (float16), its record model.json, samples.png, metrics.jsonl; and
    while it runs samples/, best.safetensors (by validation PSNR), and state/ to go on
    from. `options`: the fields of `Options`, which tells what each does.

    Ctrl-C and SIGTERM end the step in hand, save, and keep what was learnt; SIGTERM
    then leaves with SystemExit(0). Raises ValueError for pictures, numbers or states
    that do not fit, OSError when `out` cannot be written, FloatingPointError when the
    loss is no number any more.
    """
    with contextlib.ExitStack() as held:
        run = begin(preset, Path(out), Options(**options), held)
        return _run(run, progress)


def _run(run: Run, progress: bool) -> Network:
    preset = run.preset
    shown = progress and run.learner.accelerator.is_main_process
    if shown:
        _say(run)
    bar = tqdm(
        total=preset.train_steps * preset.batch_size,
        initial=run.done.step * preset.batch_size,
        disable=not shown,
        desc=preset.name,
        unit="image",
    )
    with stop_signals() as asked:
        with contextlib.closing(run.y), bar:
            loop(run, asked, bar)
        return finish(run, asked)


@dataclass
class Run:
    """A training under way. `done`, how far it has come, is all that changes here; the
    learner changes within.
    """

    preset: Preset
    out: Path
    options: Options
    learner: Learner
    pictures: Pictures
    y: Batches  # this process's share of each batch
    seen: High  # held-out pictures
    seen_x: Low | None  # and their x, where it is not made from y
    told: dict[str, Any]  # into every state
    began: Done
    done: Done
    clock: float  # when all would have begun, had it never stopped


def begin(
    preset: Preset, out: Path, options: Options, held: contextlib.ExitStack
) -> Run:
    """Everything that a training needs, checked before the first step. `held` lets go
    of `out` when the training is over.
    """
    _demand_pictures(preset, options.data)
    preset = replace(preset, range=preset.range or range_of(options.data))
    data, channels = options.data or preset.data, preset.image_channels
    held_out = open_pictures(data, preset.size, channels, "test", preset.range)
    # the x of pairs are of whole pictures
    zoom = 1 if isinstance(held_out, Pairs) else preset.zoom
    size = round(preset.size * zoom)
    pictures = open_pictures(data, size, channels, "train", preset.range)
    if preset.conditional:
        for each in (pictures, held_out):
            if isinstance(each, Pairs):
                each.factor = preset.factor
    # Accelerate's own FSDP is for GPUs only, and would round gamma to bfloat16
    shard = os.environ.pop("ACCELERATE_USE_FSDP", "") == "true" or options.shard
    if shard and "RANK" not in os.environ:
        raise ValueError(
            "--shard spreads a network over several processes, and this is one: start"
            " it by torchrun or accelerate, or leave --shard out"
        )
    accelerator = _accelerator(out, options)
    ranks, parts = accelerator.num_processes, options.micro_batches
    demand_equal_shares(preset.batch_size, ranks, parts)
    out.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=out).close()  # now, not after the training
    if accelerator.is_main_process:
        held.enter_context(alone_in(out))

    torch.manual_seed(options.seed)  # of the first weights
    learner = set_up(preset, accelerator, shard, options.compile, options.begin_with)
    told = {
        "preset": vars(preset),
        "seed": options.seed,
        "precision": options.precision,
        "pictures": _known_by(pictures),
    }
    done, stream = begin_or_go_on(learner, out, told, options.resume)
    if options.tracker is not None:
        start_tracker(accelerator, options.tracker, preset)
    workers = options.workers
    if workers is None:
        workers = 0 if accelerator.device.type == "cpu" else min(8, os.cpu_count() or 1)
    y = batches(
        pictures,
        preset.batch_size,
        seed=options.seed,
        start=done.step,
        rank=accelerator.process_index,
        ranks=ranks,
        workers=workers,
        state=stream,
    )
    y.device = accelerator.device
    seen = validation_pictures(held_out, preset.size)
    seen, x = seen if isinstance(seen, tuple) else (seen, None)
    clock = time.monotonic() - done.seconds
    return Run(
        preset, out, options, learner, pictures, y, seen, x, told, done, done, clock
    )


def loop(run: Run, asked: list[signal.Signals], bar: tqdm) -> None:
    """Step after step, until the last one or until somebody asks to stop."""
    preset, options, accelerator = run.preset, run.options, run.learner.accelerator
    learning = learn(run.learner, run.y, seed=options.seed, start=run.done.step)
    # to read a loss is to wait for the GPU
    read_every = 1 if accelerator.device.type == "cpu" else 10
    losses: list[Tensor] = []

    for step in range(run.done.step + 1, preset.train_steps + 1):
        losses.append(next(learning))
        bar.update(preset.batch_size)
        last, every = step == preset.train_steps, options.validate_every
        saves = last or step % options.save_every == 0
        validates = every > 0 and step % every == 0
        if not (saves or validates or step % read_every == 0):
            continue
        values, stopping = agreed(accelerator, losses, asked)
        losses.clear()
        _demand_finite(run, values)
        run.done = run.done.after(values, time.monotonic() - run.clock)
        bar.set_postfix(loss=f"{run.done.recent():.4f}", refresh=False)
        if last or step % NOTED == 0:
            _note_progress(run)
        if validates:
            saves |= _look(run)
        if saves or stopping:
            kept, stream = options.keep_every, run.y.state()
            keep(run.learner, run.out, run.done, run.told, stream, kept)
        if stopping:
            break


def finish(run: Run, asked: list[signal.Signals]) -> Network:
    """The averaged network, written and returned."""
    accelerator, f = run.learner.accelerator, averaged_network(run.learner)
    if accelerator.is_main_process:
        _write(f, run)
    accelerator.end_training()
    if set(asked) - {signal.SIGINT}:
        raise SystemExit(0)
    if accelerator.is_main_process:
        device, x = accelerator.device, run.seen_x
        shown = None if x is None else x[:8].to(device)
        samples = grid(f, run.seen[:8].to(device), x=shown)
        write_picture(samples, run.out / "samples.png")
        if asked:
            steps = f"{run.done.step} of {run.preset.train_steps}"
            tqdm.write(f"stopped after {steps} steps; keeping what was learnt")
    return f.cpu()


def _accelerator(out: Path, options: Options) -> Accelerator:
    # an earlier training in this process may have had another precision
    AcceleratorState._reset_state()
    return Accelerator(
        cpu=not torch.accelerator.is_available(),
        mixed_precision=options.precision,
        gradient_accumulation_steps=options.micro_batches,
        log_with=options.tracker,
        project_dir=out,
    )


def _demand_pictures(preset: Preset, data: str | None) -> None:
    name = f"preset {preset.name} trains on"
    if preset.data != "folder" and data is not None:
        raise ValueError(f"{name} {preset.data}: leave --data out")
    if preset.data == "folder" and data is None:
        raise ValueError(f"{name} your own pictures: pass --data with their folder")
    if preset.size < SMALLEST:
        raise ValueError(
            f"{name} pictures of {preset.size} pixels a side, but those held out can be"
            f" measured from {SMALLEST} on"
        )


def _known_by(pictures: Pictures) -> int | str | None:
    """What tells other pictures from these, as far as that can be told."""
    if isinstance(pictures, Folder):
        return f"{len(pictures)} (digest {pictures.digest()})"
    return len(pictures) if hasattr(pictures, "__len__") else None


def _say(run: Run) -> None:
    """Where x comes from, where that is not a matter of course, and what is small."""
    if isinstance(run.pictures, Folder) and (told := run.pictures.small()):
        tqdm.write(f"sr3mini: {told}, which teaches blur", file=sys.stderr)
    if isinstance(run.pictures, Pairs) and run.preset.conditional:
        said = run.pictures.told(run.preset.factor)
        tqdm.write(f"sr3mini: {run.preset.name} trains on {said}", file=sys.stderr)


def _demand_finite(run: Run, losses: list[float]) -> None:
    """FloatingPointError when a loss, or its gradient, is no number: with its step, the
    pictures it was measured on, and what to go on from.
    """
    for step, loss in enumerate(losses, run.done.step):
        if math.isfinite(loss):
            continue
        said = f"the loss or its gradient became {loss} at step {step}"
        states, rate = state_paths(run.out / "state"), run.preset.learning_rate
        cure = f"go on from {states[-1]} with --resume" if states else "start again"
        said += f"; lower the learning rate ({rate:g}) and {cure}"
        if isinstance(run.pictures, Folder):
            n, size = len(run.pictures), run.preset.batch_size
            taken = rows(n, size, run.options.seed, step).tolist()
            files = [run.pictures.files[row] for row in taken]
            names = [str(file.relative_to(run.pictures.path)) for file in files]
            said += f"; its pictures were {', '.join(names)}"
        raise FloatingPointError(said)


def _note_progress(run: Run) -> None:
    done, began = run.done, run.began
    images = (done.step - began.step) * run.preset.batch_size
    figures = {
        "loss": done.recent(NOTED),
        "learning_rate": learning_rate(run.preset, done.step - 1),
        "images_per_second": images / (done.seconds - began.seconds),
        "seconds": done.seconds,
    }
    note(run.learner.accelerator, run.out, done.step, figures)


def _look(run: Run) -> bool:
    """Measure held-out pictures; whether the average is the best one so far, which is
    then kept.
    """
    accelerator, done = run.learner.accelerator, run.done
    f = averaged_network(run.learner)
    sheet = run.out / "samples" / f"step_{done.step:08}.png"
    figures = validate(accelerator, f, run.seen, sheet, run.seen_x)
    if not figures:
        return False
    note(accelerator, run.out, done.step, figures)
    best = -math.inf if done.best is None else done.best
    if not figures.get("PSNR", -math.inf) > best:
        return False
    run.done = replace(done, best=figures["PSNR"], best_step=done.step)
    if accelerator.is_main_process:
        save(run.out / "best.safetensors", f, torch.float16)
    return True


def _write(f: Network, run: Run) -> None:
    """The model and what is known about it."""
    preset, done = run.preset, run.done
    save(run.out / "model.safetensors", f, torch.float16)
    speed = done.step * preset.batch_size / max(done.seconds, 1e-9)
    about: dict[str, Any] = {
        "trained": _command(preset, run.options),
        "preset": vars(preset),
        "parameters": sum(p.numel() for p in f.parameters()),
        "steps": done.step,
        "complete": done.step >= preset.train_steps,
        "seconds": round(done.seconds),
        "images_per_second": round(speed, 1),
        "machine": machine(),
        "last_losses_mean": round(done.recent(), 5),
    }
    if done.best is not None:
        about["best"] = {"step": done.best_step, "PSNR": round(done.best, 3)}
    write_text(json.dumps(about, indent=2) + "\n", run.out / "model.json")
    describe(run.out, preset)


def _command(preset: Preset, options: Options) -> str:
    """What trains the same again; config.json lies beside the model."""
    usual, steps = PRESETS.get(preset.name), preset.train_steps
    known = usual is not None and replace(usual, train_steps=steps) == preset
    flags = {
        "--preset": preset.name if known else "config.json",
        "--seed": options.seed,
        "--steps": steps,
        "--data": options.data,
        "--begin-with": options.begin_with,
        "--precision": None if options.precision == "no" else options.precision,
    }
    return command("sr3mini train", flags)
