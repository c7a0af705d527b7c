r"""Algorithm 1 of SR3, as one loop you can read: on a processor, on a GPU, or on many
of them in many machines.

    repeat: (x, y_0) from the data, gamma ~ p(gamma), eps ~ N(0, I), one gradient step
    on denoising_loss

What a step draws depends on the seed, the step and the row of the whole batch alone:
not on what came before, so that a training goes on exactly where it was left, and not
on who computes the row, so that two processes do what one would.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import signal
import tempfile
import time
from pathlib import Path
from typing import Literal

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor
from tqdm.auto import tqdm

from ..data import open_pictures
from ..data.batches import Pictures, batches, rows
from ..data.folder import Folder, Split
from ..files.writing import write_picture, write_text
from ..metrics import SMALLEST
from ..model.card import describe
from ..model.checkpoint import save
from ..model.network import Network
from ..model.preset import Preset
from ..model.presets import PRESETS
from ..upscaling.draw import grid
from .learn import learn
from .monitor import (
    agreed,
    machine,
    note,
    start_tracker,
    stop_signals,
    unseen,
    validate,
)
from .resume import Done, averaged_network, begin_or_go_on, keep, set_up
from .state import state_paths

Precision = Literal["no", "bf16"]
NOTED = 20  # steps between two lines of metrics.jsonl


def train(
    preset: Preset,
    out: str | Path,
    *,
    data: str | None = None,
    seed: int = 0,
    resume: bool = False,
    precision: Precision = "no",
    micro_batches: int = 1,
    shard: bool = False,
    compile: bool = False,
    workers: int | None = None,
    save_every: int = 500,
    keep_every: int = 0,
    validate_every: int = 1000,
    tracker: str | None = None,
    progress: bool = True,
) -> Network:
    """Train a preset into the folder `out`: the averaged network, which is returned, as
    model.safetensors (float16), its record model.json, samples.png, metrics.jsonl; and
    while it runs samples/, best.safetensors (by validation PSNR), and state/ to go on
    from.

    `data`: pictures, for presets that ask for them (`data.open_pictures`). `resume`: go
    on from the newest whole state in `out`, if there is one. `precision`: "bf16"
    multiplies in bfloat16; weights stay float32. `micro_batches`: how many parts a
    process takes its share of the batch in, to need less memory. `shard`: spread
    weights, average and optimizer over the processes (FSDP) instead of copying them
    (DDP). `workers`: processes that decode pictures (None: one a core, at most 8,
    beside a GPU). `save_every` so many steps a state is written; the newest two stay,
    the best, and those at multiples of `keep_every`. `validate_every` so many steps
    held-out pictures are looked at (0: never). `tracker`: one of Accelerate's.

    Ctrl-C and SIGTERM end the step in hand, save, and keep what was learnt; SIGTERM
    then leaves with SystemExit(0). Raises ValueError for pictures, numbers or states
    that do not fit, OSError when `out` cannot be written, FloatingPointError when the
    loss is no number any more.
    """
    out = Path(out)
    pictures, held_out = (_pictures(preset, data, split) for split in ("train", "test"))
    shard = (
        os.environ.pop("ACCELERATE_USE_FSDP", "") == "true" or shard
    )  # Accelerate's own FSDP is for GPUs only, and would round gamma to bfloat16
    # an earlier training in this process may have had another precision
    AcceleratorState._reset_state()
    accelerator = Accelerator(
        cpu=not torch.accelerator.is_available(),
        mixed_precision=precision,
        log_with=tracker,
        project_dir=out,
    )
    rank, share = accelerator.process_index, _share(preset, accelerator, micro_batches)
    _writable(out)
    torch.manual_seed(seed)  # of the first weights
    training = set_up(preset, accelerator, shard, compile)
    told = {
        "preset": dataclasses.asdict(preset),
        "seed": seed,
        "precision": precision,
        "pictures": len(pictures) if hasattr(pictures, "__len__") else None,
    }
    done, stream = begin_or_go_on(training, out, told, resume)
    if tracker is not None:
        start_tracker(accelerator, tracker, preset)
    seen, before, began = unseen(held_out, preset.size), done, time.monotonic()
    if workers is None:
        workers = 0 if accelerator.device.type == "cpu" else min(8, os.cpu_count() or 1)
    y = batches(
        *(pictures, preset.batch_size),
        seed=seed,
        start=done.step,
        rank=rank,
        ranks=accelerator.num_processes,
        workers=workers,
        state=stream,
    )
    learning = learn(
        training,
        preset,
        y,
        seed=seed,
        start=done.step,
        share=share,
        micro_batches=micro_batches,
    )
    read_every = (
        1 if accelerator.device.type == "cpu" else 10
    )  # to read a loss is to wait for the GPU
    losses: list[Tensor] = []
    batch = preset.batch_size
    bar = tqdm(
        total=preset.train_steps * batch,
        initial=done.step * batch,
        disable=not progress or rank > 0,
        desc=preset.name,
        unit="image",
    )
    with stop_signals() as asked:
        with contextlib.closing(y), bar:
            for step in range(done.step + 1, preset.train_steps + 1):
                losses.append(next(learning))
                bar.update(batch)
                saves, validates = (
                    _due(step, save_every) or step == preset.train_steps,
                    _due(step, validate_every),
                )
                if not (saves or validates or step % read_every == 0):
                    continue
                values, stopping = agreed(accelerator, losses, asked)
                losses.clear()
                _check(values, done.step, preset, pictures, seed, out)
                done = done.after(values, before.seconds + time.monotonic() - began)
                bar.set_postfix(loss=f"{done.recent():.4f}", refresh=False)
                if step % NOTED == 0 or step == preset.train_steps:
                    speed = (
                        (step - before.step) * batch / (done.seconds - before.seconds)
                    )
                    rate = training.optimizer.param_groups[0]["lr"]
                    note(
                        accelerator,
                        out,
                        step,
                        {
                            "loss": done.recent(NOTED),
                            "learning_rate": rate,
                            "images_per_second": speed,
                            "seconds": done.seconds,
                        },
                    )
                if validates:
                    averaged = averaged_network(training, preset)
                    figures = validate(
                        accelerator,
                        averaged,
                        seen,
                        out / "samples" / f"step_{step:08}.png",
                    )
                    if figures:
                        note(accelerator, out, step, figures)
                    if figures.get("PSNR", -math.inf) > done.best:
                        done, saves = (
                            dataclasses.replace(
                                done, best=figures["PSNR"], best_step=step
                            ),
                            True,
                        )
                        if rank == 0:
                            save(out / "best.safetensors", averaged, torch.float16)
                if saves or stopping:
                    keep(training, out, done, told, y.state(), keep_every)
                if stopping:
                    break
        trained = averaged_network(training, preset)
        if rank == 0:
            _write(trained, out, done, _command(preset, data, seed, precision))
        accelerator.end_training()
        if signal.SIGTERM in asked:
            raise SystemExit(0)
        if rank == 0:
            write_picture(
                grid(trained, seen[:8].to(accelerator.device)), out / "samples.png"
            )
        if asked and rank == 0:
            tqdm.write(
                f"stopped after {done.step} of {preset.train_steps} steps; keeping what"
                " was learnt"
            )
    return trained.cpu()


def _pictures(preset: Preset, data: str | None, split: Split) -> Pictures:
    if preset.data == "glyphs" and data is not None:
        raise ValueError(
            f"preset {preset.name} trains on glyphs, not on a folder: leave --data out"
        )
    if preset.size < SMALLEST:
        raise ValueError(
            f"preset {preset.name} trains on pictures of {preset.size} pixels a side,"
            f" but those held out can be measured from {SMALLEST} on"
        )
    if preset.data != "glyphs" and data is None:
        raise ValueError(
            f"preset {preset.name} trains on your own pictures: pass --data with the"
            " folder that holds them"
        )
    return open_pictures(data or "glyphs", preset.size, preset.image_channels, split)


def _share(preset: Preset, accelerator: Accelerator, micro_batches: int) -> slice:
    """The rows of each batch that this process computes."""
    rank, ranks = accelerator.process_index, accelerator.num_processes
    if preset.batch_size % (ranks * micro_batches):
        raise ValueError(
            f"a batch of {preset.batch_size} pictures cannot be shared by {ranks}"
            f" processes with {micro_batches} micro-batches each: it must be a multiple"
            f" of {ranks * micro_batches}"
        )
    own = preset.batch_size // ranks
    return slice(rank * own, (rank + 1) * own)


def _writable(out: Path) -> None:
    """A folder that cannot be written is told now, not after the training."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=out):
        pass


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _check(
    losses: list[float],
    done: int,
    preset: Preset,
    pictures: Pictures,
    seed: int,
    out: Path,
) -> None:
    """FloatingPointError when a loss, or its gradient, is no number: with its step, the
    pictures it was measured on, and what to go on from.
    """
    step, loss = next(
        (
            (step, loss)
            for step, loss in enumerate(losses, done)
            if not math.isfinite(loss)
        ),
        (None, 0.0),
    )
    if step is None:
        return
    states = state_paths(out / "state")
    cure = f"go on from {states[-1]} with --resume" if states else "start again"
    names: list[str] = []
    if isinstance(pictures, Folder):
        names = [
            str(pictures.files[i].relative_to(pictures.path))
            for i in rows(len(pictures), preset.batch_size, seed, step).tolist()
        ]
    shown = ", ".join(names[:8]) + (
        f" and {len(names) - 8} more" if len(names) > 8 else ""
    )
    raise FloatingPointError(
        f"the loss or its gradient became {loss} at step {step}; lower the learning"
        f" rate ({preset.learning_rate:g}) and {cure}"
        + (f"; its pictures were {shown}" if names else "")
    )


def _command(preset: Preset, data: str | None, seed: int, precision: str) -> str:
    """What trains the same again."""
    usual = PRESETS.get(preset.name, preset)
    named = (
        preset.name if preset.name in PRESETS else "config.json"
    )  # which lies beside the model
    said = f"sr3mini train --preset {named} --seed {seed} --steps {preset.train_steps}"
    said += (
        f" --batch-size {preset.batch_size}"
        if preset.batch_size != usual.batch_size
        else ""
    )
    said += (
        f" --learning-rate {preset.learning_rate:g}"
        if preset.learning_rate != usual.learning_rate
        else ""
    )
    return (
        said
        + (f" --data {data}" if data else "")
        + (f" --precision {precision}" if precision != "no" else "")
    )


def _write(f: Network, out: Path, done: Done, trained: str) -> None:
    """The model and what is known about it."""
    save(out / "model.safetensors", f, torch.float16)
    about = {
        "trained": trained,
        "preset": dataclasses.asdict(f.preset),
        "parameters": sum(p.numel() for p in f.parameters()),
        "steps": done.step,
        "complete": done.step >= f.preset.train_steps,
        "seconds": round(done.seconds),
        "images_per_second": round(
            done.step * f.preset.batch_size / max(done.seconds, 1e-9), 1
        ),
        "machine": machine(),
        "last_losses_mean": round(done.recent(), 5),
    }
    if done.best_step:
        about["best"] = {"step": done.best_step, "PSNR": round(done.best, 3)}
    write_text(json.dumps(about, indent=2) + "\n", out / "model.json")
    describe(out, f.preset)
