r"""Algorithm 1 of SR3, as one loop you can read.

    repeat: (x, y_0) from the data, gamma ~ p(gamma), eps ~ N(0, I), one gradient step on denoising_loss

What a step draws depends on (seed, step) alone. Ctrl-C ends the run early and keeps what was learnt.
"""

from __future__ import annotations

import dataclasses
import json
import math
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch
from accelerate import Accelerator
from jaxtyping import Float
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from .checkpoint import save
from .data import Folder, Glyphs, glyphs, write_text
from .degrade import as_file, blur, downsample
from .forward import sample_gamma
from .loss import denoising_loss, regression_loss
from .preset import Network, Preset

Precision = Literal["no", "bf16"]


def train(preset: Preset, out: str | Path, *, data: str | None = None, seed: int = 0, precision: Precision = "no", progress: bool = True) -> Network:
    """Train a preset; write `out`/model.safetensors (the averaged weights, float16) and the record `out`/model.json; return the network.

    `data`: a folder of pictures, for presets that ask for one. `precision`: "bf16" multiplies in bfloat16, on a CPU too; weights
    stay float32. Raises ValueError when it holds none, OSError when `out`
    cannot be written, FloatingPointError when the loss stops being finite, with the step at which it did, and
    KeyboardInterrupt when stopped before the first step was done: then nothing is written.
    """
    out = Path(out)
    pictures = _pictures(preset, data)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=out):
        pass  # a folder that cannot be written is told now, not after the training
    torch.manual_seed(seed)
    accelerator = Accelerator(mixed_precision=precision)
    f = preset.network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(f.parameters(), preset.learning_rate, weight_decay=preset.weight_decay, fused=True)
    warm_up = LambdaLR(optimizer, learning_rate(preset))
    schedule = preset.training_schedule()
    f, optimizer = accelerator.prepare(f, optimizer)
    averaged = AveragedModel(accelerator.unwrap_model(f), multi_avg_fn=get_ema_multi_avg_fn(preset.ema_decay))
    losses: list[float] = []
    started = time.monotonic()
    bar = tqdm(range(preset.train_steps), disable=not progress, desc=preset.name, unit_scale=preset.batch_size, unit="image")
    try:
        for step in bar:
            generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
            y_0 = _batch(pictures, preset.batch_size, generator)
            gamma = sample_gamma(schedule, (len(y_0),), generator=generator)
            eps = torch.randn(y_0.shape, generator=generator)
            x = condition(y_0, preset, generator)
            x, y_0, gamma, eps = (tensor.to(accelerator.device) for tensor in (x, y_0, gamma, eps))
            if preset.objective == "regression":
                loss = regression_loss(f, x, y_0, preset.loss_power)
            else:
                loss = denoising_loss(f, x, y_0, gamma, eps, preset.loss_power)
            value = loss.item()
            if not math.isfinite(value):
                raise FloatingPointError(f"the loss became {value} at step {step}; lower the learning rate ({preset.learning_rate:g}) and start again")
            optimizer.zero_grad()
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(f.parameters(), 1.0)
            optimizer.step()
            warm_up.step()
            averaged.update_parameters(accelerator.unwrap_model(f))
            losses.append(value)
            if step % 20 == 0:
                recent = losses[-200:]
                bar.set_postfix(loss=f"{sum(recent) / len(recent):.4f}")
    except KeyboardInterrupt:
        if not losses:
            raise
        tqdm.write(f"stopped after {len(losses)} of {preset.train_steps} steps; keeping what was learnt")
    trained = averaged.module.eval().requires_grad_(False)
    assert isinstance(trained, Network)
    save(out / "model.safetensors", trained, torch.float16)
    seconds = time.monotonic() - started
    record = {
        "trained": f"sr3mini train --preset {preset.name} --seed {seed} --steps {preset.train_steps}"
        + (f" --data {data}" if data else "")
        + (f" --precision {precision}" if precision != "no" else ""),
        "preset": dataclasses.asdict(preset),
        "parameters": sum(p.numel() for p in trained.parameters()),
        "steps": len(losses),
        "seconds": round(seconds),
        "images_per_second": round(len(losses) * preset.batch_size / seconds, 1),
        "machine": machine(),
        "last_losses_mean": round(sum(losses[-200:]) / max(1, len(losses[-200:])), 5),
    }
    write_text(json.dumps(record, indent=2) + "\n", out / "model.json")
    return trained


def condition(y_0: Float[Tensor, "B C H W"], preset: Preset, generator: torch.Generator) -> Float[Tensor, "B C h w"]:
    """x = D y_0, blurred by up to `preset.blur`, and for a share `preset.from_files` of the pictures as a file would store it."""
    x = downsample(y_0, preset.factor)
    if preset.blur > 0:
        x = blur(x, preset.blur * torch.rand(len(x), generator=generator))
    if preset.from_files > 0:
        filed = torch.rand(len(x), generator=generator) < preset.from_files
        x = torch.where(filed[:, None, None, None].to(x.device), as_file(x), x)
    return x


def learning_rate(preset: Preset) -> Callable[[int], float]:
    """step -> the share of preset.learning_rate: a linear warm-up, times half a cosine down to 0 unless preset.decay is "none"."""
    warmup, total = preset.warmup_steps, preset.train_steps * (math.inf if preset.decay == "none" else 1)
    return lambda step: min(1.0, (step + 1) / max(1, warmup)) * 0.5 * (1 + math.cos(math.pi * min(1.0, step / total)))


def machine() -> str:
    """The kind of machine a figure was measured on: processor, cores in use, GPU if there is one."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        processor = next((line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")), processor)
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    cores = torch.get_num_threads()
    return f"{processor}, {cores} core{'s' if cores > 1 else ''}{gpu}"


def _pictures(preset: Preset, data: str | None) -> Glyphs | Folder:
    if preset.data == "glyphs":
        if data is not None:
            raise ValueError(f"preset {preset.name} trains on glyphs, not on a folder: leave --data out")
        return glyphs("train", preset.size)
    if data is None:
        raise ValueError(f"preset {preset.name} trains on your own pictures: pass --data with the folder that holds them")
    return Folder(data, preset.size, preset.image_channels)


def _batch(pictures: Dataset[Tensor], size: int, generator: torch.Generator) -> Tensor:
    rows = torch.randint(0, len(pictures), (size,), generator=generator)  # type: ignore[arg-type]
    return pictures.batch(rows) if isinstance(pictures, Glyphs) else torch.stack([pictures[i] for i in rows.tolist()])
