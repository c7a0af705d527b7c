r"""From a preset to its network: f(x, y_t, gamma), and the head start that a Gaussian
around U x gives it.

build(preset)      the U-Net, untrained
"""

from __future__ import annotations

from typing import Any

from torch import nn

from ..degrade import upsample
from ..shapes import High, Levels, Low
from ..unet import UNet
from .ddpm_unet import DDPMUNet
from .memory import keep_freed_memory
from .preset import Preset

# what a preset and the U-Net call by the same name
SIZES = (
    "image_channels",
    "channels",
    "multipliers",
    "blocks",
    "attention",
    "groups",
    "dropout",
)


class Network(nn.Module):
    """What `build` makes: a callable f(x, y_t, gamma); `f.preset` tells its schedule
    and sizes.
    """

    preset: Preset


class SR3Network(UNet, Network):
    """The U-Net of a preset. With `preset.detail` = s > 0 it learns only what a
    Gaussian around U x leaves over.

    If y ~ N(U x, s^2 I), then y_t - sqrt(gamma) U x has the variance v = gamma s^2 + 1
    - gamma, and (A.1) and (A.2) give the noise: its mean sqrt(1 - gamma) / v (y_t -
    sqrt(gamma) U x), and its variance gamma s^2 / v. The U-Net sees the difference over
    sqrt(v) in place of y_t, and its output counts in units of the deviation. The head
    starts at 0, so an untrained f is already the oracle of this Gaussian: no cast to
    unlearn, and U x as the first ŷ_0. That is worth hours of training where time is
    short.
    """

    def forward(self, x: Low, y_t: High, gamma: Levels) -> High:
        s = self.preset.detail
        if s == 0:
            return super().forward(x, y_t, gamma)
        signal = gamma.to(y_t)[:, None, None, None]
        noise = (1 - gamma).to(y_t)[:, None, None, None]
        u_x = upsample(x, size=(y_t.shape[-2], y_t.shape[-1]))
        difference = y_t - signal.sqrt() * u_x
        v = signal * s**2 + noise
        # u_x has its size, so `shown` need not enlarge it once more
        rest = super().forward(u_x, difference / v.sqrt(), gamma).to(y_t)
        return noise.sqrt() / v * difference + signal.sqrt() * s / v.sqrt() * rest


class DDPMNetwork(DDPMUNet, Network):
    """The U-Net of a preset in the layout of the best-known public SR3 code."""


def build(preset: Preset) -> Network:
    """The U-Net of a preset, in its layout, with fresh random weights."""
    keep_freed_memory()
    sizes: dict[str, Any] = {name: getattr(preset, name) for name in SIZES}
    sizes["condition_channels"] = preset.image_channels * preset.conditional
    f: Network
    if preset.layout == "sr3mini":
        f = SR3Network(**sizes)
    else:
        f = DDPMNetwork(affine=preset.layout == "ddpm_affine", **sizes)
    f.preset = preset
    return f
