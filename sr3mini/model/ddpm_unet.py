r"""The noise network as the best-known public SR3 code lays it out: DDPM's U-Net, told
sqrt(gamma).

    h  = conv([upsample(x), y_t])
    e  = MLP(sinusoids(sqrt(gamma)))
            frequencies 1 ... 1/10000, as DDPM has them for t
    h  <- skip(h) + conv(act(norm(conv(act(norm(h))) + shift(e))))
            the level is added, and nothing divided by sqrt(2)
    out = conv(SiLU(norm(h)))

What `unet.UNet` does differently, chapters 5 and 10 explain. This one is here so that
checkpoints of that code can be used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ..degrade import upsample
from ..unet import Down, Up


class RootLevelEmbedding(nn.Module):
    """gamma (B,) -> (B, width): sin and cos of sqrt(gamma) times 1 ... 1/10000, then a
    two-layer MLP.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.count = width // 2
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width)
        )

    def forward(self, gamma: Float[Tensor, " B"]) -> Float[Tensor, "B width"]:
        like = next(self.parameters())
        frequencies = torch.exp(
            -math.log(1e4) * torch.arange(self.count, device=like.device) / self.count
        ).to(like)
        angles = gamma.sqrt()[:, None].to(like) * frequencies
        return self.mlp(torch.cat([angles.sin(), angles.cos()], dim=1))


class ResBlock(nn.Module):
    """skip(h) + B(h, e): two convolutions, between them the level, added (or with
    `affine` scaled and shifted) before the norm.
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
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.level = nn.Linear(embedding, outputs * (1 + affine))
        self.norm2 = nn.GroupNorm(groups, outputs)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = (
            nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        )
        self.affine = affine

    def forward(
        self, h: Float[Tensor, "B C H W"], e: Float[Tensor, "B E"]
    ) -> Float[Tensor, "B D H W"]:
        b, level = self.conv1(F.silu(self.norm1(h))), self.level(e)[:, :, None, None]
        if self.affine:
            scale, shift = level.chunk(2, dim=1)
            b = torch.addcmul(shift, b, 1 + scale)
        else:
            b = b + level
        return self.skip(h) + self.conv2(self.dropout(F.silu(self.norm2(b))))


class Attention(nn.Module):
    """One-head self-attention by torch's fused SDPA, whose scale 1/sqrt(C) is that
    code's too; q, k, v have no bias.
    """

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, h: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        tokens = self.qkv(self.norm(h)).flatten(2).transpose(1, 2)  # (B, H*W, 3C)
        q, k, v = tokens[:, None].chunk(3, dim=-1)  # (B, 1 head, H*W, C) each
        mixed = (
            F.scaled_dot_product_attention(q, k, v)[:, 0]
            .transpose(1, 2)
            .reshape(h.shape)
        )
        return h + self.out(mixed)


class Stage(nn.Module):
    """One residual block and, where asked, attention."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        embedding: int,
        groups: int,
        dropout: float,
        affine: bool,
        attention: bool,
    ) -> None:
        super().__init__()
        self.block = ResBlock(inputs, outputs, embedding, groups, dropout, affine)
        self.attention = Attention(outputs, groups) if attention else nn.Identity()

    def forward(
        self, h: Float[Tensor, "B C H W"], e: Float[Tensor, "B E"]
    ) -> Float[Tensor, "B D H W"]:
        return self.attention(self.block(h, e))


class DDPMUNet(nn.Module):
    """f(x, y_t, gamma) -> predicted noise, with the shape of y_t.

    The arguments mean what they mean for `unet.UNet`; the middle always attends. `x` of
    the size of y_t is taken as it is; a smaller one is enlarged and cut to [-1, 1],
    since that code enlarges it to a picture file. Sides that 2^depth does not divide
    are padded, and the result is cropped. ValueError when GroupNorm or the sinusoids
    cannot be split.
    """

    def __init__(
        self,
        image_channels: int = 3,
        condition_channels: int = 3,
        channels: int = 64,
        multipliers: Sequence[int] = (1, 2, 4, 8, 8),
        blocks: int = 2,
        attention: Sequence[int] = (3,),
        groups: int = 32,
        dropout: float = 0.0,
        affine: bool = False,
    ) -> None:
        super().__init__()
        if channels % groups or channels % 2:
            raise ValueError(
                f"channels = {channels}, but this layout needs an even number that"
                f" {groups} groups divide"
            )
        self.condition_channels = condition_channels
        self.side_multiple = 2 ** (len(multipliers) - 1)
        widths, deepest = [channels * m for m in multipliers], len(multipliers) - 1

        def stage(inputs: int, outputs: int, attends: bool) -> Stage:
            return Stage(inputs, outputs, channels, groups, dropout, affine, attends)

        self.level = RootLevelEmbedding(channels)
        self.stem = nn.Conv2d(
            condition_channels + image_channels, channels, 3, padding=1
        )
        self.downs, self.ups = nn.ModuleList(), nn.ModuleList()
        width, skips = channels, [channels]
        for depth in range(deepest + 1):
            for _ in range(blocks):
                self.downs.append(stage(width, widths[depth], depth in attention))
                width = widths[depth]
                skips.append(width)
            if depth < deepest:
                self.downs.append(Down(width))
                skips.append(width)
        self.middle = nn.ModuleList(
            [stage(width, width, True), stage(width, width, False)]
        )
        for depth in reversed(range(deepest + 1)):
            for _ in range(blocks + 1):
                self.ups.append(
                    stage(width + skips.pop(), widths[depth], depth in attention)
                )
                width = widths[depth]
            if depth > 0:
                self.ups.append(Up(width))
        self.norm = nn.GroupNorm(groups, width)
        self.head = nn.Conv2d(width, image_channels, 3, padding=1)

    def forward(
        self,
        x: Float[Tensor, "B c h w"],
        y_t: Float[Tensor, "B C H W"],
        gamma: Float[Tensor, " B"],
    ) -> Float[Tensor, "B C H W"]:
        height, width = y_t.shape[-2:]
        h = (
            y_t
            if self.condition_channels == 0
            else torch.cat([enlarged(x, (height, width)), y_t], dim=1)
        )
        h = F.pad(
            h,
            (0, -width % self.side_multiple, 0, -height % self.side_multiple),
            mode="replicate",
        )
        h = self.stem(h)
        e = self.level(gamma)
        skips = [h]
        for layer in self.downs:
            h = layer(h, e) if isinstance(layer, Stage) else layer(h)
            skips.append(h)
        for layer in self.middle:
            h = layer(h, e)
        for layer in self.ups:
            h = (
                layer(torch.cat([h, skips.pop()], dim=1), e)
                if isinstance(layer, Stage)
                else layer(h)
            )
        return self.head(F.silu(self.norm(h)))[..., :height, :width]


def enlarged(
    x: Float[Tensor, "B C h w"], size: tuple[int, int]
) -> Float[Tensor, "B C H W"]:
    """What that code calls the SR image: x enlarged bicubically, without the overshoot
    that no picture file holds.
    """
    return x if x.shape[-2:] == size else upsample(x, size=size).clamp(-1, 1)
