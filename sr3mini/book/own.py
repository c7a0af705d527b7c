r"""The reader's own SR3: letters of 16 x 16 from 4 x 4, drawn with the functions that
she wrote in the exercises, which come as `own` from `exercises.mine()`.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.glyphs import letters
from ..degrade import downsample

SIZE, FACTOR = 16, 4
LEVELS = (200, 1e-4, 0.08)  # steps, and 1 - alpha_t at the first and at the last


class Block(nn.Module):
    def __init__(self, own: SimpleNamespace, inputs: int, outputs: int) -> None:
        super().__init__()
        self.own, self.norm = own, nn.GroupNorm(4, outputs)
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.told = nn.Linear(64, 2 * outputs)
        self.skip = nn.Conv2d(inputs, outputs, 1)

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        b = self.own.modulate(self.norm(self.first(h)), *self.told(e).chunk(2, 1))
        return (self.skip(h) + self.second(F.silu(b))) * 0.5**0.5


class Network(nn.Module):
    def __init__(self, own: SimpleNamespace, w: int = 12) -> None:
        super().__init__()
        self.own, self.rates = own, torch.logspace(-1, 1, 16)
        self.level = nn.Sequential(nn.Linear(32, 64), nn.SiLU())
        sizes = [(2, w), (w, 3 * w), (3 * w, 6 * w), (6 * w, 6 * w), (9 * w, 3 * w)]
        blocks = [Block(own, *size) for size in [*sizes, (4 * w, w)]]
        self.blocks, self.head = nn.ModuleList(blocks), nn.Conv2d(w, 1, 3, padding=1)
        nn.init.zeros_(self.head.weight)

    def forward(self, x: Tensor, y_t: Tensor, gamma: Tensor) -> Tensor:
        waves = gamma.double().logit(1e-6)[:, None].float() * self.rates
        e = self.level(torch.cat([waves.sin(), waves.cos()], 1))
        full, half, low, deep, up, last = self.blocks
        a = full(self.own.condition(x, y_t), e)
        b = half(F.avg_pool2d(a, 2), e)
        c = deep(low(F.avg_pool2d(b, 2), e), e)
        b = up(torch.cat([F.interpolate(c, scale_factor=2.0), b], 1), e)
        return self.head(
            F.silu(last(torch.cat([F.interpolate(b, scale_factor=2.0), a], 1), e))
        )


def train(own: SimpleNamespace, steps: int = 1100) -> Network:
    """Algorithm 1 on the letters, about half a minute."""
    torch.manual_seed(0)
    f, gammas, world = Network(own), own.linear(*LEVELS), letters(SIZE)
    optimizer = torch.optim.Adam(f.parameters())
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, steps, pct_start=0.1)
    for _ in range(steps):
        y_0 = world.batch(torch.randint(len(world), (32,)))
        t, u = torch.randint(1, len(gammas), (32,)), torch.rand(32).double()
        gamma, eps = own.draw_gamma(gammas, t, u), torch.randn_like(y_0)
        optimizer.zero_grad()
        own.loss(f, downsample(y_0, FACTOR), y_0, gamma, eps).backward()
        optimizer.step()
        rate.step()
    return f


@torch.no_grad()
def draw(own: SimpleNamespace, f: Any, characters: Sequence[str]) -> tuple[Tensor, ...]:
    """x, two samples of each x, and the originals: Algorithm 2."""
    world, gammas = letters(SIZE), own.linear(*LEVELS)
    y = world.batch([world.find(character) for character in characters])
    x = downsample(y, FACTOR)
    alphas = torch.cat([gammas[:1], gammas[1:] / gammas[:-1]])
    samples = []
    for seed in range(2):
        generator = torch.Generator().manual_seed(seed)
        noises = torch.randn(len(gammas), *y.shape, generator=generator)
        samples.append(own.sample(f, x, alphas, gammas, noises).clamp(-1, 1))
    return x, torch.stack(samples), y
