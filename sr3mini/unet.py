r"""The noise network f_theta(x, y_t, gamma): a U-Net that is told gamma and shown x.

    h   = conv([U x, y_t])                       condition by concatenation (SR3 2.3)
    e   = SiLU(MLP(sinusoids(log-SNR(gamma))))   the level, not the step number
    h  <- (h + B(h, e)) / sqrt(2)                residual blocks, SR3's scaled skips
    out = conv(SiLU(norm(h)))                    starts at zero: predicts no noise

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
from .shapes import High, Levels

Features = Float[Tensor, "B E"]  # of the level


class LevelEmbedding(nn.Module):
    """gamma (B,) -> (B, width): sinusoids of the log-SNR, then an MLP (tag 5.1).

    Why the log-SNR: in the paper's schedule of 2000 steps sqrt(gamma) moves by 5e-7
    from t = 0 to 1 and by 3e-6 from 1 to 2, which no sinusoid with a frequency of order
    1 can see. From t = 1 on, the log-SNR moves by at least 0.0049 in a step.
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
        ends = (math.log10(lowest), math.log10(highest))
        frequencies = torch.logspace(*ends, features // 2)
        self.register_buffer("frequencies", frequencies, persistent=False)
        first, second = nn.Linear(features, width), nn.Linear(width, width)
        self.mlp = nn.Sequential(first, nn.SiLU(), second)

    def sinusoids(self, gamma: Levels) -> Float[Tensor, "B features"]:
        """sin and cos of frequency * log-SNR, clamped to [-20, 20]."""
        level = log_snr(gamma).clamp(-20, 20)  # in gamma's own precision
        angles = level[:, None].to(self.frequencies) * self.frequencies
        return torch.cat([angles.sin(), angles.cos()], dim=1)

    def forward(self, gamma: Levels) -> Float[Tensor, "B width"]:
        return self.mlp(self.sinusoids(gamma))


class ResBlock(nn.Module):
    """(h + B(h, e)) / sqrt(2) (tag 5.2).

    B normalises, is scaled and shifted by the level, and convolves twice.
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
        same = inputs == outputs
        self.skip = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1)

    def forward(self, h: High, e: Features) -> Float[Tensor, "B D H W"]:
        scale, shift = self.scale_shift(e)[:, :, None, None].chunk(2, dim=1)
        b = self.conv1(F.silu(self.norm1(h)))
        b = torch.addcmul(shift, self.norm2(b), 1 + scale)
        b = self.conv2(self.dropout(F.silu(b)))
        return (self.skip(h) + b) * math.sqrt(0.5)


class Attention(nn.Module):
    """Every pixel looks at every other: one-head self-attention, a residual branch."""

    def __init__(self, channels: int, groups: int, bias: bool = True) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=bias)
        self.out = nn.Conv2d(channels, channels, 1)

    def mixed(self, h: High) -> High:
        """Each pixel's mean of all, weighted by how well they answer it (tag 5.3)."""
        tokens = self.qkv(self.norm(h)).flatten(2).transpose(1, 2)  # (B, H*W, 3C)
        q, k, v = tokens[:, None].chunk(3, dim=-1)  # (B, 1 head, H*W, C) each
        means = F.scaled_dot_product_attention(q, k, v)[:, 0]
        return self.out(means.transpose(1, 2).reshape(h.shape))

    def forward(self, h: High) -> High:
        return (h + self.mixed(h)) * math.sqrt(0.5)


class Stage(nn.Module):
    """One residual block and, where asked, attention."""

    def __init__(self, block: nn.Module, attention: nn.Module | None = None) -> None:
        super().__init__()
        self.block = block
        self.attention = nn.Identity() if attention is None else attention

    def forward(self, h: High, e: Features) -> Float[Tensor, "B D H W"]:
        return self.attention(self.block(h, e))


class Down(nn.Conv2d):
    """Half the side: a convolution of stride 2."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 3, stride=2, padding=1)


class Up(nn.Conv2d):
    """Twice the side: every pixel repeated, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 3, padding=1)

    def forward(self, h: High) -> Float[Tensor, "B C H2 W2"]:
        return super().forward(F.interpolate(h, scale_factor=2.0, mode="nearest"))


class UNet(nn.Module):
    """f(x, y_t, gamma) -> predicted noise, with the shape of y_t (tag 5.4).

    Args:
        image_channels: of y_t.
        condition_channels: of x; 0 makes a network that looks at y_t alone.
        channels: times each of `multipliers` is the width at each depth.
        multipliers: one a depth; the side halves in between.
        blocks: residual blocks on the way down, for all depths or one number a depth;
            on the way up there is one more, for the skip from the depth's entrance.
        attention: the depths (0 is full size) that attend.
        groups: of GroupNorm; must divide `channels`.
        dropout: in every block, before its second convolution.
    """

    middle_attends = False  # also where `attention` does not name the deepest depth

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
        self.channels, self.groups, self.dropout = channels, groups, dropout
        self.condition_channels = condition_channels
        self.side_multiple = 2 ** (len(multipliers) - 1)
        widths = [channels * m for m in multipliers]
        blocks = [blocks] * len(widths) if isinstance(blocks, int) else blocks
        deepest = len(widths) - 1

        self.level = self.make_level()
        inputs = condition_channels + image_channels
        self.stem = nn.Conv2d(inputs, channels, 3, padding=1)
        self.downs, self.ups = nn.ModuleList(), nn.ModuleList()
        width, skips = channels, [channels]
        for depth in range(deepest + 1):
            for _ in range(blocks[depth]):
                stage = self.make_stage(width, widths[depth], depth in attention)
                self.downs.append(stage)
                width = widths[depth]
                skips.append(width)
            if depth < deepest:
                self.downs.append(Down(width))
                skips.append(width)

        attends = self.middle_attends or deepest in attention
        first = self.make_stage(width, widths[deepest], attends)
        second = self.make_stage(widths[deepest], widths[deepest], False)
        self.middle = nn.ModuleList([first, second])

        width = widths[deepest]
        for depth in reversed(range(deepest + 1)):
            for _ in range(blocks[depth] + 1):
                inputs = width + skips.pop()
                stage = self.make_stage(inputs, widths[depth], depth in attention)
                self.ups.append(stage)
                width = widths[depth]
            if depth > 0:
                self.ups.append(Up(width))
        self.norm = nn.GroupNorm(groups, width)
        self.head = nn.Conv2d(width, image_channels, 3, padding=1)
        self.start()

    def make_level(self) -> nn.Module:
        """What turns gamma into the features that every block is told."""
        return LevelEmbedding(4 * self.channels)

    def make_stage(self, inputs: int, outputs: int, attends: bool) -> Stage:
        """A block, and attention behind it where wanted."""
        embedding = 4 * self.channels
        block = ResBlock(inputs, outputs, embedding, self.groups, self.dropout)
        return Stage(block, Attention(outputs, self.groups) if attends else None)

    def start(self) -> None:
        """The head starts at zero, so that an untrained f predicts no noise."""
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)

    def told(self, gamma: Levels) -> Tensor:
        """The level as every block is told it, (B, E)."""
        return F.silu(self.level(gamma))

    def shown(self, x: Tensor, y_t: Tensor) -> Tensor:
        """What the stem looks at: U x beside y_t."""
        if self.condition_channels == 0:
            return y_t
        return torch.cat([upsample(x, size=(y_t.shape[-2], y_t.shape[-1])), y_t], dim=1)

    def forward(self, x: Float[Tensor, "B c h w"], y_t: High, gamma: Levels) -> High:
        height, width = y_t.shape[-2:]
        below, right = -height % self.side_multiple, -width % self.side_multiple
        h = F.pad(self.shown(x, y_t), (0, right, 0, below), mode="replicate")
        h = self.stem(h)
        e = self.told(gamma)
        skips = [h]
        for layer in self.downs:
            h = layer(h, e) if isinstance(layer, Stage) else layer(h)
            skips.append(h)
        for layer in self.middle:
            h = layer(h, e)
        for layer in self.ups:
            if isinstance(layer, Stage):
                h = layer(torch.cat([h, skips.pop()], dim=1), e)
            else:
                h = layer(h)
        return self.head(F.silu(self.norm(h)))[..., :height, :width]
