r"""The noise network as the best-known public SR3 code lays it out: DDPM's U-Net.

    h   = conv([U x, y_t])
    e   = MLP(sinusoids(sqrt(gamma)))     frequencies 1 ... 1/10000, as DDPM's for t
    h  <- skip(h) + conv(act(norm(conv(act(norm(h))) + level(e))))
    out = conv(SiLU(norm(h)))

The level is added, and nothing is divided by sqrt(2). What `unet.UNet` does otherwise,
chapter 5 and deep dive G explain. This one serves to use checkpoints of that code.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ..degrade import upsample
from ..shapes import High, Levels
from ..unet import Attention, Features, ResBlock, Stage, UNet


class RootLevelEmbedding(nn.Module):
    """gamma (B,) -> (B, width): sinusoids of sqrt(gamma), then a two-layer MLP."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.count = width // 2
        first, second = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.mlp = nn.Sequential(first, nn.SiLU(), second)

    def forward(self, gamma: Levels) -> Float[Tensor, "B width"]:
        like = next(self.parameters())
        steps = torch.arange(self.count, device=like.device) / self.count
        frequencies = torch.exp(-math.log(1e4) * steps).to(like)
        angles = gamma.sqrt()[:, None].to(like) * frequencies
        return self.mlp(torch.cat([angles.sin(), angles.cos()], dim=1))


class DDPMBlock(ResBlock):
    """skip(h) + B(h, e): two convolutions, the level added before the second norm.

    With `affine` the level scales and shifts instead.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        embedding: int,
        groups: int,
        dropout: float,
        affine: bool,
    ) -> None:
        super().__init__(inputs, outputs, embedding, groups, dropout)
        del self.scale_shift  # `level` takes its place
        self.level = nn.Linear(embedding, outputs * (1 + affine))
        self.affine = affine

    def forward(self, h: High, e: Features) -> Float[Tensor, "B D H W"]:
        b, level = self.conv1(F.silu(self.norm1(h))), self.level(e)[:, :, None, None]
        if self.affine:
            scale, shift = level.chunk(2, dim=1)
            b = torch.addcmul(shift, b, 1 + scale)
        else:
            b = b + level
        return self.skip(h) + self.conv2(self.dropout(F.silu(self.norm2(b))))


class DDPMAttention(Attention):
    """The branch is added as it is."""

    def forward(self, h: High) -> High:
        return h + self.mixed(h)


class DDPMUNet(UNet):
    """f(x, y_t, gamma) -> predicted noise, with the shape of y_t.

    The arguments are those of `unet.UNet`; the middle always attends. `x` of the size
    of y_t is taken as it is; a smaller one is enlarged and cut to [-1, 1], since that
    code enlarges it to a picture file. ValueError when GroupNorm or the sinusoids
    cannot be split.
    """

    middle_attends = True

    def __init__(self, *, affine: bool = False, **sizes: Any) -> None:
        self.affine = affine
        super().__init__(**sizes)

    def make_level(self) -> nn.Module:
        if self.channels % 2:
            raise ValueError(
                f"channels = {self.channels}, but this layout needs an even number"
            )
        return RootLevelEmbedding(self.channels)

    def make_stage(self, inputs: int, outputs: int, attends: bool) -> Stage:
        sizes = (inputs, outputs, self.channels, self.groups, self.dropout)
        attention = DDPMAttention(outputs, self.groups, bias=False) if attends else None
        return Stage(DDPMBlock(*sizes, affine=self.affine), attention)

    def start(self) -> None:
        """That code's head starts at random."""

    def told(self, gamma: Levels) -> Tensor:
        return self.level(gamma)

    def shown(self, x: Tensor, y_t: Tensor) -> Tensor:
        if self.condition_channels == 0:
            return y_t
        return torch.cat([enlarged(x, (y_t.shape[-2], y_t.shape[-1])), y_t], dim=1)


def enlarged(x: Tensor, size: tuple[int, int]) -> Tensor:
    """What that code calls the SR image: x enlarged, without overshoot."""
    return x if x.shape[-2:] == size else upsample(x, size=size).clamp(-1, 1)
