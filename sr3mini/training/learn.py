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
from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ..degrade import as_file, blur, downsample
from ..forward import sample_gamma
from ..loss import NoisePredictor, denoising_loss, regression_loss
from ..model.preset import Preset
from .resume import Training, unsynchronised, whole


def learn(
    training: Training,
    preset: Preset,
    y: Iterator[Tensor],
    *,
    seed: int = 0,
    start: int = 0,
    share: slice = slice(None),
    micro_batches: int = 1,
) -> Iterator[Float[Tensor, ""]]:
    """Algorithm 1: a gradient step each time the next loss is asked for, without end.
    `y`: this process's rows `share` of each batch.
    """
    accelerator, f, optimizer = training.accelerator, training.f, training.optimizer
    schedule, rate, device = (
        preset.training_schedule(),
        learning_rate(preset),
        accelerator.device,
    )
    exact = (
        torch.float32 if device.type == "mps" else torch.float64
    )  # Apple's GPUs have no float64
    for step, y_0 in enumerate(y, start):
        y_0 = y_0.to(device, non_blocking=True)  # line 2: (x, y_0) ~ p(x, y)
        own = torch.Generator().manual_seed(seed_of(seed, step))
        x = condition(
            y_0, preset, torch.rand(2, preset.batch_size, generator=own)[:, share]
        )
        gamma = sample_gamma(schedule, (preset.batch_size,), generator=own)[share].to(
            device, exact
        )  # line 3: gamma ~ p(gamma)
        eps = noise(
            y_0, [seed_of(seed, step, row) for row in range(preset.batch_size)[share]]
        )  # line 4: eps ~ N(0, I)
        torch.manual_seed(
            seed_of(seed, step, -1 - accelerator.process_index)
        )  # of dropout
        optimizer.param_groups[0]["lr"] = preset.learning_rate * rate(step)
        optimizer.zero_grad()
        losses = []
        for n, part in enumerate(
            zip(
                *(each.chunk(micro_batches) for each in (x, y_0, gamma, eps)),
                strict=True,
            ),
            1,
        ):
            with unsynchronised(training, n < micro_batches):
                with accelerator.autocast():
                    losses.append(loss_of(f, preset, *part))
                accelerator.backward(
                    losses[-1] / micro_batches
                )  # line 5: a gradient step on the loss
        norm = whole(accelerator.clip_grad_norm_(f.parameters(), 1.0))
        optimizer.step()
        get_ema_multi_avg_fn(ema_decay(preset, step))(
            training.averaged, training.parameters, step
        )
        loss = torch.stack(losses).detach().mean()
        yield torch.where(
            loss.isfinite() & ~norm.isfinite(), norm, loss
        )  # a gradient that is no number has spoilt the weights, whatever the loss


def condition(
    y_0: Float[Tensor, "B C H W"], preset: Preset, u: Float[Tensor, "2 B"]
) -> Float[Tensor, "B C h w"]:
    """x = D y_0, blurred by up to `preset.blur`, and for a share `preset.from_files` of
    the pictures as a file would store it. `u` in [0, 1) decides.
    """
    x = downsample(y_0, preset.factor)
    if preset.blur > 0:
        x = blur(x, preset.blur * u[0])
    if preset.from_files > 0:
        x = torch.where(
            (u[1] < preset.from_files)[:, None, None, None].to(x.device), as_file(x), x
        )
    return x


def noise(
    like: Float[Tensor, "B C H W"], seeds: Sequence[int]
) -> Float[Tensor, "B C H W"]:
    """Standard normal noise on the device of `like`, from a seed an image."""
    generator = torch.Generator(like.device)
    return torch.stack(
        [
            torch.randn(
                like.shape[1:],
                generator=generator.manual_seed(seed),
                device=like.device,
            )
            for seed in seeds
        ]
    )


def loss_of(
    f: NoisePredictor,
    preset: Preset,
    x: Tensor,
    y_0: Tensor,
    gamma: Tensor,
    eps: Tensor,
) -> Float[Tensor, ""]:
    """SR3's loss, or that of its regression baseline."""
    if preset.objective == "regression":
        return regression_loss(f, x, y_0, preset.loss_power)
    return denoising_loss(f, x, y_0, gamma, eps, preset.loss_power)


def learning_rate(preset: Preset) -> Callable[[int], float]:
    """step -> the share of preset.learning_rate: a linear warm-up, times half a cosine
    down to 0 unless preset.decay is "none".
    """
    warmup, total = (
        preset.warmup_steps,
        preset.train_steps * (math.inf if preset.decay == "none" else 1),
    )
    return lambda step: (
        min(1.0, (step + 1) / max(1, warmup))
        * 0.5
        * (1 + math.cos(math.pi * min(1.0, step / total)))
    )


def ema_decay(preset: Preset, step: int) -> float:
    """How much of the average a step keeps: little at first, when the weights are those
    of chance, then preset.ema_decay.
    """
    return min(preset.ema_decay, (1 + step) / (10 + step))


def seed_of(*numbers: int) -> int:
    """One seed from several numbers: other numbers, another seed, and nothing in common
    between the two.
    """
    return (
        int.from_bytes(
            hashlib.blake2b(
                " ".join(map(str, numbers)).encode(), digest_size=8
            ).digest()
        )
        >> 1
    )
