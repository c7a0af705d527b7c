r"""The noise network f_theta(x, y_t, gamma): a U-Net that is told the level gamma and
shown the low-resolution image x.

    h  = conv([upsample(x), y_t])
            SR3 section 2.3: condition by concatenation
    e  = MLP(sinusoids(log-SNR(gamma)))
            the level, not the step number
    h  <- (h + B(h, e)) / sqrt(2)
            residual blocks B, skips scaled as in SR3
    out = conv(SiLU(norm(h))), starting at zero  an untrained network predicts no noise
                                                 at all

Depth k halves the image k times; sides that 2^k does not divide are padded, and the
result is cropped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .degrade import upsample
from .schedule import log_snr


class LevelEmbedding(nn.Module):
    """gamma (B,) -> (B, width): sinusoids of the log-SNR at geometric frequencies, then
    a two-layer MLP (tag 5.1).

    Why the log-SNR: between neighbouring levels of a 2000-step schedule sqrt(gamma)
    moves by 5e-7 near gamma = 1, which no sinusoid with a frequency of order 1 can see.
    The log-SNR moves by at least 0.004 everywhere.
    """

    frequencies: Tensor

    def __init__(
        self,
        width: int,
        features: int = 64,
        lowest: float = 0.1,
        highest: float = 100.0,
    ) -> None:
        super().__init__()
        frequencies = torch.logspace(
            math.log10(lowest), math.log10(highest), features // 2
        )
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.mlp = nn.Sequential(
            nn.Linear(features, width), nn.SiLU(), nn.Linear(width, width)
        )

    def sinusoids(self, gamma: Float[Tensor, " B"]) -> Float[Tensor, "B features"]:
        """sin and cos of frequency * log-SNR; the log-SNR is clamped to [-20, 20],
        taken in gamma's own precision.
        """
        level = log_snr(gamma).clamp(-20, 20)
        angles = level[:, None].to(self.frequencies) * self.frequencies
        return torch.cat([angles.sin(), angles.cos()], dim=1)

    def forward(self, gamma: Float[Tensor, " B"]) -> Float[Tensor, "B width"]:
        return self.mlp(self.sinusoids(gamma))


class ResBlock(nn.Module):
    """(h + B(h, e)) / sqrt(2), where B normalises, is scaled and shifted by the level,
    and convolves twice (tag 5.2).
    """

    def __init__(
        self, inputs: int, outputs: int, embedding: int, groups: int, dropout: float
    ) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.scale_shift = nn.Linear(embedding, 2 * outputs)
        self.norm2 = nn.GroupNorm(groups, outputs)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = (
            nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        )

    def forward(
        self, h: Float[Tensor, "B C H W"], e: Float[Tensor, "B E"]
    ) -> Float[Tensor, "B D H W"]:
        scale, shift = self.scale_shift(e)[:, :, None, None].chunk(2, dim=1)
        b = self.conv1(F.silu(self.norm1(h)))
        b = torch.addcmul(shift, self.norm2(b), 1 + scale)
        b = self.conv2(self.dropout(F.silu(b)))
        return (self.skip(h) + b) * math.sqrt(0.5)


class Attention(nn.Module):
    """Every pixel looks at every other: one-head self-attention by torch's fused SDPA,
    as a residual branch.
    """

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, h: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        tokens = self.qkv(self.norm(h)).flatten(2).transpose(1, 2)  # (B, H*W, 3C)
        q, k, v = tokens[:, None].chunk(3, dim=-1)  # (B, 1 head, H*W, C) each
        mixed = (
            F.scaled_dot_product_attention(q, k, v)[:, 0]
            .transpose(1, 2)
            .reshape(h.shape)
        )
        return (h + self.out(mixed)) * math.sqrt(0.5)


class Stage(nn.Module):
    """One residual block and, where asked, attention."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        embedding: int,
        groups: int,
        dropout: float,
        attention: bool,
    ) -> None:
        super().__init__()
        self.block = ResBlock(inputs, outputs, embedding, groups, dropout)
        self.attention = Attention(outputs, groups) if attention else nn.Identity()

    def forward(
        self, h: Float[Tensor, "B C H W"], e: Float[Tensor, "B E"]
    ) -> Float[Tensor, "B D H W"]:
        return self.attention(self.block(h, e))


class Down(nn.Conv2d):
    """Half the side: a convolution of stride 2."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 3, stride=2, padding=1)


class Up(nn.Conv2d):
    """Twice the side: every pixel repeated, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 3, padding=1)

    def forward(self, h: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H2 W2"]:
        return super().forward(F.interpolate(h, scale_factor=2.0, mode="nearest"))


class UNet(nn.Module):
    """f(x, y_t, gamma) -> predicted noise, with the shape of y_t (tag 5.3).

    `image_channels`: of y_t. `condition_channels`: of x; 0 makes a network that looks
    at y_t alone. `channels` times each of `multipliers` is the width at each depth; the
    side halves in between. `blocks`: residual blocks on the way down, for all depths or
    one number a depth; on the way up there is one more, for the skip from the level's
    entrance. `attention`: the depths (0 is full size) that attend. `groups`: of
    GroupNorm; must divide `channels`.
    """

    def __init__(
        self,
        image_channels: int = 1,
        condition_channels: int = 1,
        channels: int = 32,
        multipliers: Sequence[int] = (1, 2, 4),
        blocks: int | Sequence[int] = 1,
        attention: Sequence[int] = (),
        groups: int = 8,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if channels % groups:
            raise ValueError(
                f"channels = {channels} cannot be split into {groups} groups for"
                f" GroupNorm; make it a multiple of {groups}"
            )
        self.condition_channels = condition_channels
        self.side_multiple = 2 ** (len(multipliers) - 1)
        widths = [channels * m for m in multipliers]
        blocks = [blocks] * len(widths) if isinstance(blocks, int) else blocks
        embedding, deepest = 4 * channels, len(widths) - 1

        def stage(inputs: int, depth: int, attends: bool = True) -> Stage:
            return Stage(
                inputs,
                widths[depth],
                embedding,
                groups,
                dropout,
                attends and depth in attention,
            )

        self.level = LevelEmbedding(embedding)
        self.stem = nn.Conv2d(
            condition_channels + image_channels, channels, 3, padding=1
        )
        self.downs, self.ups = nn.ModuleList(), nn.ModuleList()
        width, skips = channels, [channels]
        for depth in range(deepest + 1):
            for _ in range(blocks[depth]):
                self.downs.append(stage(width, depth))
                width = widths[depth]
                skips.append(width)
            if depth < deepest:
                self.downs.append(Down(width))
                skips.append(width)
        self.middle = nn.ModuleList(
            [stage(width, deepest), stage(widths[deepest], deepest, attends=False)]
        )
        width = widths[deepest]
        for depth in reversed(range(deepest + 1)):
            for _ in range(blocks[depth] + 1):
                self.ups.append(stage(width + skips.pop(), depth))
                width = widths[depth]
            if depth > 0:
                self.ups.append(Up(width))
        self.norm = nn.GroupNorm(groups, width)
        self.head = nn.Conv2d(width, image_channels, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]  # torch: a bias may be None; not this one

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
            else torch.cat([upsample(x, size=(height, width)), y_t], dim=1)
        )
        h = F.pad(
            h,
            (0, -width % self.side_multiple, 0, -height % self.side_multiple),
            mode="replicate",
        )
        h = self.stem(h)
        e = F.silu(self.level(gamma))
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
