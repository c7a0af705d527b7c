r"""Algorithm 1 of SR3.

    repeat: (x, y_0) from the data, gamma ~ p(gamma), eps ~ N(0, I), one gradient step
    on denoising_loss

What a step draws depends on the seed, the step and the row of the whole batch alone:
not on what came before, so that a training goes on exactly where it was left, and not
on who computes the row, so that two processes do what one would.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ..degrade import as_file, blur, camera, cut, downsample, jpeg
from ..forward import noise, per_image, sample_gamma
from ..loss import NoisePredictor, denoising_loss, regression_loss
from ..model.preset import Preset
from ..shapes import High, Levels, Low, Scalar
from .learner import Learner, whole

# largest standard deviation of a cheap camera's noise: 2 of 255 levels, on [-1, 1]
GRAIN = 4 / 255


def learn(
    learner: Learner, y: Iterator[Any], *, seed: int = 0, start: int = 0
) -> Iterator[Scalar]:
    """Algorithm 1: a gradient step each time the next loss is asked for, without end.
    `y`: this process's rows, `share`, of each batch, from that of step `start` on; with
    their x, (y, x), where that is not made from y.
    """
    preset, accelerator, f, network, averaged, optimizer = learner
    rank, device = accelerator.process_index, accelerator.device
    # Apple's GPUs have no float64
    exact = torch.float32 if device.type == "mps" else torch.float64
    schedule, size = preset.training_schedule(), preset.batch_size
    rows = size // accelerator.num_processes
    share = slice(rank * rows, (rank + 1) * rows)
    mine = range(size)[share]
    micro_batches = accelerator.gradient_accumulation_steps

    for step, batch in enumerate(y, start):
        # line 2: (x, y_0) ~ p(x, y)
        y_0, x = batch if isinstance(batch, tuple) else (batch, None)
        y_0 = y_0.to(device, non_blocking=True)
        own = torch.Generator().manual_seed(seed_of(seed, step))
        if y_0.shape[-1] > preset.size:  # a part of each picture, at some scale
            scaled = torch.Generator().manual_seed(seed_of(seed, step, size))
            y_0 = cut(y_0, preset.size, torch.rand(4, size, generator=scaled)[:, share])
        # u: how much blur each x gets, and whether it is one of those from files
        u = torch.rand(2, size, generator=own)[:, share]
        if x is None:  # D y_0, then what the preset adds to it
            x = condition(y_0, preset, u, [seed_of(seed, step, row, 1) for row in mine])
        x = x.to(device, non_blocking=True)
        # line 3: gamma ~ p(gamma)
        gamma = sample_gamma(schedule, (size,), generator=own)[share].to(device, exact)
        # line 4: eps ~ N(0, I), drawn for each picture from its own seed
        eps = noise(y_0, [seed_of(seed, step, row) for row in mine])

        # line 5: a gradient step on the loss; dropout draws by a seed a process
        torch.manual_seed(seed_of(seed, step, -1 - rank))
        optimizer.param_groups[0]["lr"] = learning_rate(preset, step)
        optimizer.zero_grad()
        losses = []
        parts = [each.chunk(micro_batches) for each in (x, y_0, gamma, eps)]
        for part in zip(*parts, strict=True):
            with accelerator.accumulate(f):  # after the last, gradients meet
                with accelerator.autocast():
                    losses.append(loss_of(f, preset, *part))
                accelerator.backward(losses[-1])  # over the number of parts
        # its length before it is cut to 1, in one piece where FSDP spreads it
        norm = whole(accelerator.clip_grad_norm_(f.parameters(), 1.0))
        optimizer.step()
        # of the old average, the share ema_decay stays: little in the first steps
        average = get_ema_multi_avg_fn(ema_decay(preset, step))
        average([*averaged.parameters()], [*network.parameters()], step)

        # a gradient that is no number has spoilt the weights, whatever the loss
        loss = torch.stack(losses).detach().mean()
        yield torch.where(loss.isfinite() & ~norm.isfinite(), norm, loss)


def condition(
    y_0: High, preset: Preset, u: Float[Tensor, "2 B"], seeds: Sequence[int]
) -> Low:
    """x = D y_0, blurred by up to `preset.blur`, with noise of deviation
    `preset.x_noise`; for a share `preset.from_files` of the pictures as a file would
    store it, and for a share `preset.worn` as a cheap camera and a JPEG file of quality
    90 to 100 leave it. `u` in [0, 1) decides, and a seed an image.
    """
    x = downsample(y_0, preset.factor)
    if preset.blur > 0:
        x = blur(x, preset.blur * u[0])
    if preset.x_noise > 0:
        x = camera(x, preset.x_noise, seeds)
    if preset.from_files > 0:
        stored = (u[1] < preset.from_files)[:, None, None, None].to(x.device)
        x = torch.where(stored, as_file(x), x)
    if preset.worn > 0:
        rows = [i for i, each in enumerate(u[1].tolist()) if each >= 1 - preset.worn]
        if rows:
            much = u[0][rows]
            grain = camera(x[rows], much * GRAIN, [seeds[i] for i in rows])
            x = x.index_copy(
                0, torch.tensor(rows, device=x.device), jpeg(grain, 100 - 10 * much)
            )
    return x


def loss_of(
    f: NoisePredictor, preset: Preset, x: Low, y_0: High, gamma: Levels, eps: High
) -> Scalar:
    """SR3's loss, or that of its regression baseline."""
    if preset.objective == "regression":
        return regression_loss(f, x, y_0, preset.loss_power)
    if preset.weighting > 1:
        f = _weighted(f, eps, level_weight(preset, gamma) ** (1 / preset.loss_power))
    return denoising_loss(f, x, y_0, gamma, eps, preset.loss_power)


def level_weight(preset: Preset, gamma: Levels) -> Levels:
    """How much the loss counts at each level: v / (gamma s^2), which makes the error of
    (I.2) the U-Net's own, from 1 up to `preset.weighting`.
    """
    power = gamma * preset.detail**2
    return ((power + 1 - gamma) / power).clamp(max=preset.weighting)


def _weighted(f: NoisePredictor, eps: High, factor: Levels) -> NoisePredictor:
    """f with its error enlarged."""

    def enlarged(x: Low, y_t: High, gamma: Levels) -> High:
        return eps + per_image(factor, eps) * (f(x, y_t, gamma) - eps)

    return enlarged


def learning_rate(preset: Preset, step: int) -> float:
    """A linear warm-up, times half a cosine down to 0 unless preset.decay is "none"."""
    warmup = min(1.0, (step + 1) / max(1, preset.warmup_steps))
    done = 0.0 if preset.decay == "none" else min(1.0, step / preset.train_steps)
    return preset.learning_rate * (warmup * 0.5 * (1 + math.cos(math.pi * done)))


def ema_decay(preset: Preset, step: int) -> float:
    """How much of the average a step keeps: little at first, when the weights are those
    of chance, then preset.ema_decay.
    """
    return min(preset.ema_decay, (1 + step) / (10 + step))


def seed_of(*numbers: int) -> int:
    """One seed from several numbers: other numbers, another seed, and nothing in common
    between the two.
    """
    name = " ".join(map(str, numbers)).encode()
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest()) >> 1
