r"""When samples are wrong: measures that tell the faults apart, and formulas that say
what a fault must look like.

    cast     mean of D y - x, a channel:
             a colour that x does not have (tag F.1)
    grain    median |diagonal difference| / 0.6745:
             noise left in a picture (tag F.2)
    answers  consistency with its own x, and with another's:
             does f look at x?
    vitals   these and PSNR in one row

For data N(m, sigma^2) and the exact f, an error in y_t reaches the picture multiplied
by K_t = sqrt(gamma_t) sigma^2 / S_t, with S_t = gamma_t sigma^2 + 1 - gamma_t: that is
all one needs to follow a constant error of f through Algorithm 2.

`PatchNet` is the smallest SR3 there is, one pixel of x to 2 x 2 pixels of y: trained in
seconds, rightly or wrongly.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ..degrade import downsample, upsample
from ..forward import sample_gamma
from ..loss import denoising_loss
from ..metrics import consistency, psnr
from ..schedule import NoiseSchedule

# Half of all standard normal numbers lie between -QUARTILE and QUARTILE.
QUARTILE = 0.6745
FEATURES = 64  # of the level, as in `LevelEmbedding`
Embedding = Callable[[Float[Tensor, " B"]], Float[Tensor, "B features"]]


# -- measures: pictures in, numbers out; in `vitals` only PSNR needs the original


def cast(
    y: Float[Tensor, "B C H W"], x: Float[Tensor, "B C h w"]
) -> Float[Tensor, "B C"]:
    """Mean over the pixels of D y - x, a number a channel, on [-1, 1]: 0 for every y
    that shrinks to x (tag F.1).
    """
    return (downsample(y, size=(x.shape[-2], x.shape[-1])) - x).mean(dim=(2, 3))


def grain(y: Float[Tensor, "B C H W"]) -> Float[Tensor, " B"]:
    """Standard deviation of the noise in pictures that are smooth in most places (tag
    F.2; Donoho & Johnstone 1994).

    From each block of 2 x 2 pixels, (a - b - c + d) / 2: 0 where y is flat or a ramp,
    and N(0, s^2) for independent noise N(0, s^2). The median of its absolute value,
    over 0.6745, is s for Gaussian noise, and few edges do not move a median.
    """
    even = y[..., : y.shape[-2] // 2 * 2, : y.shape[-1] // 2 * 2]
    a, b, c, d = (
        even[..., ::2, ::2],
        even[..., ::2, 1::2],
        even[..., 1::2, ::2],
        even[..., 1::2, 1::2],
    )
    return ((a - b - c + d) / 2).abs().flatten(1).median(dim=1).values / QUARTILE


def answers(
    y: Float[Tensor, "B C H W"], x: Float[Tensor, "B C h w"]
) -> tuple[float, float]:
    """Mean consistency of a batch of samples with their own x, and with the x of their
    neighbour: alike if f does not look at x.
    """
    return consistency(y, x).mean().item(), consistency(y, x.roll(1, 0)).mean().item()


def vitals(
    y: Float[Tensor, "B C H W"],
    x: Float[Tensor, "B C h w"],
    original: Float[Tensor, "B C H W"],
) -> dict[str, float]:
    """PSNR (dB), consistency and cast of the samples y as they are shown, clipped to
    [-1, 1], and their grain before that: batch means.
    """
    shown = y.clamp(-1, 1)
    values = {
        "PSNR": psnr(shown, original),
        "consistency": consistency(shown, x),
        "grain": grain(y),
        "cast": cast(shown, x),
    }
    return {name: value.mean().item() for name, value in values.items()}


def readable(now: dict[str, float]) -> str:
    """`vitals` as one line."""
    return (
        f"PSNR {now['PSNR']:.1f} dB, consistency {now['consistency']:.1f},"
        f" grain {now['grain']:.3f}, cast {now['cast']:+.3f}"
    )


def repaired(
    y: Float[Tensor, "B C H W"], x: Float[Tensor, "B C h w"]
) -> Float[Tensor, "B C H W"]:
    """y + U (x - D y): whatever differs from x after shrinking is enlarged and taken
    back. Mends a cast, and nothing that x does not see.
    """
    return y + upsample(
        x - downsample(y, size=(x.shape[-2], x.shape[-1])),
        size=(y.shape[-2], y.shape[-1]),
    )


# -- what a fault must look like


def unrelated(pictures: Float[Tensor, " N *dims"]) -> Float[Tensor, ""]:
    """Mean squared difference of two pictures drawn independently from `pictures`:
    twice their variance (tag F.3).
    """
    return 2 * pictures.flatten(1).var(dim=0, correction=0).mean()


def carried(schedule: NoiseSchedule, variance: float) -> Float[Tensor, " T_plus_1"]:
    """What is left in y_0 of an error 1 in y_t, t = 0..T, for data of this variance and
    the exact f: K_t, and K_0 = 1 (tag F.7).
    """
    gammas = schedule.gammas
    K = gammas.sqrt() * variance / (gammas * variance + 1 - gammas)
    return torch.cat([K.new_ones(1), K[1:]])


def surplus(schedule: NoiseSchedule) -> Float[Tensor, " T_plus_1"]:
    """Noise power in y_t over 1 - gamma_t, t = 0..T, when a point is sampled with the
    variance 1 - alpha_t; entry 0 is 0 (tag F.5).
    """
    alphas, gammas = schedule.alphas, schedule.gammas
    n = torch.ones_like(gammas)
    for t in range(schedule.steps, 1, -1):
        n[t - 1] = alphas[t] * (1 - gammas[t - 1]) / (1 - gammas[t]) * n[t] + (
            1 - alphas[t]
        ) / (1 - gammas[t - 1])
    n[0] = 0
    return n


def bias_by_step(schedule: NoiseSchedule, variance: float) -> Float[Tensor, " T"]:
    """Shift of the sample's mean by an error 1 in f at step t = 1..T alone: -K_{t-1} (1
    - alpha_t) / sqrt(alpha_t (1 - gamma_t)) (tag F.8).
    """
    alphas, gammas = schedule.alphas[1:], schedule.gammas[1:]
    return (
        -carried(schedule, variance)[:-1]
        * (1 - alphas)
        / (alphas * (1 - gammas)).sqrt()
    )


def jitter_left(decay: float) -> float:
    """Variance of an exponential moving average of independent numbers over theirs, (1
    - d) / (1 + d) (tag F.10).
    """
    return (1 - decay) / (1 + decay)


# -- the smallest SR3: one pixel of x becomes 2 x 2 pixels of y


class PatchNet(nn.Module):
    """f(x, y_t, gamma) for y of 2 x 2 pixels and x of one: three linear layers, and
    `embed`(gamma) (B, 64) added to the first two.
    """

    def __init__(self, embed: Embedding, channels: int = 3, width: int = 128) -> None:
        super().__init__()
        self.embed = embed
        self.level = nn.Linear(FEATURES, width)
        self.first, self.second, self.last = (
            nn.Linear(5 * channels, width),
            nn.Linear(width, width),
            nn.Linear(width, 4 * channels),
        )
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(
        self,
        x: Float[Tensor, "B C 1 1"],
        y_t: Float[Tensor, "B C 2 2"],
        gamma: Float[Tensor, " B"],
    ) -> Float[Tensor, "B C 2 2"]:
        e = self.level(self.embed(gamma).to(y_t))
        h = F.silu(self.first(torch.cat([x.flatten(1), y_t.flatten(1)], dim=1)) + e)
        return self.last(F.silu(self.second(h) + e)).reshape(y_t.shape)


class Training(NamedTuple):
    """What `train_patches` leaves: the loss of every step, and for each step in `keep`
    the weights as they were and their average.
    """

    losses: list[float]
    kept: list[tuple[nn.Module, nn.Module]]


def train_patches(
    f: nn.Module,
    pictures: Float[Tensor, "N C 2 2"],
    schedule: NoiseSchedule,
    *,
    steps: int,
    batch: int,
    learning_rate: float,
    decay: float = 0.995,
    keep: Collection[int] = (),
    shuffled: bool = False,
    seed: int = 0,
) -> Training:
    """Algorithm 1 with Adam and a moving average of the weights; `f` itself ends
    trained. `shuffled` pairs every y with another's x.
    """
    generator, optimizer, kept = (
        torch.Generator().manual_seed(seed),
        torch.optim.Adam(f.parameters(), learning_rate),
        [],
    )
    averaged, losses = AveragedModel(f, multi_avg_fn=get_ema_multi_avg_fn(decay)), []
    for step in range(1, steps + 1):
        y_0 = pictures[torch.randint(len(pictures), (batch,), generator=generator)]
        gamma = sample_gamma(schedule, (batch,), generator=generator)
        eps = torch.randn(y_0.shape, generator=generator)
        x = downsample(y_0, 2)
        loss = denoising_loss(f, x.roll(1, 0) if shuffled else x, y_0, gamma, eps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        averaged.update_parameters(f)
        losses.append(loss.item())
        if step in keep:
            kept.append((_frozen(f), _frozen(averaged.module)))
    return Training(losses, kept)


def _frozen(f: nn.Module) -> nn.Module:
    return copy.deepcopy(f).requires_grad_(False)


def patches(picture: Float[Tensor, "C H W"]) -> Float[Tensor, "N C 2 2"]:
    """A picture with even sides, cut into blocks of 2 x 2 pixels, row by row."""
    C, H, W = picture.shape
    return (
        picture.reshape(C, H // 2, 2, W // 2, 2)
        .permute(1, 3, 0, 2, 4)
        .reshape(-1, C, 2, 2)
    )


def mosaic(blocks: Float[Tensor, "N C k k"], columns: int) -> Float[Tensor, "C H W"]:
    """The inverse: blocks laid out in rows of `columns`."""
    N, C, k, _ = blocks.shape
    return (
        blocks.reshape(N // columns, columns, C, k, k)
        .permute(2, 0, 3, 1, 4)
        .reshape(C, N // columns * k, columns * k)
    )
