r"""From a high-resolution y to the low-resolution x, and from x back to y's size.

    x    = D y    antialiased bicubic; linear: D(a y + b z) = a D y + b D z     tag 4.1
    x_up = U x    the same kernel the other way: what the U-Net sees            tag 4.6

One bicubic in both directions: the a = -0.5 kernel of Pillow and of MATLAB's
`imresize`. Nothing is clipped and nothing is rounded to 8 bits, so D stays linear and
the Gaussian oracle exact. What else may have happened to an x that a network will meet,
`blur`, `camera` and `as_file`, training can add to some of its pictures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from .forward import noise
from .shapes import Anything, High, Levels, Low

Mode = Literal["bicubic", "bilinear"]
EITHER = "pass either a factor or size=(height, width), and not both"


def downsample(
    y: High,
    factor: int | None = None,
    *,
    size: tuple[int, int] | None = None,
    mode: Mode = "bicubic",
) -> Low:
    """Shrink by a whole `factor`, or to `size` = (h, w), antialiased (tag 4.1).

    Range about [-1, 1]; bicubic may overshoot a little.
    """
    height, width = y.shape[-2:]
    if factor is None:
        return _resize(y, size, mode)
    if height % factor or width % factor:
        raise ValueError(
            f"a {height}x{width} image cannot be shrunk by a factor of {factor}; crop"
            " it first, or pass size=(h, w)"
        )
    return _resize(y, _only(size, height // factor, width // factor), mode)


def upsample(
    x: Low,
    factor: int | None = None,
    *,
    size: tuple[int, int] | None = None,
    mode: Mode = "bicubic",
) -> High:
    """Enlarge by a whole `factor`, or to `size` = (H, W) (tag 4.6)."""
    height, width = x.shape[-2:]
    if factor is None:
        return _resize(x, size, mode)
    return _resize(x, _only(size, height * factor, width * factor), mode)


def degradation_matrix(size: int, factor: int) -> Float[Tensor, "low high"]:
    """`downsample` of size x size grey images as a matrix D, float64 (tag 4.1).

    x.flatten() = D @ y.flatten().
    """
    basis = torch.eye(size * size, dtype=torch.float64).reshape(-1, 1, size, size)
    return downsample(basis, factor).flatten(1).T


def unseen(y: Float[Tensor, "B C S S"], factor: int) -> Float[Tensor, "B C S S"]:
    """The part of y that x = D y does not hold, float64; its own x is 0 (tag 4.4).

    y - D^T (D D^T)^{-1} D y.

    Adding it, times anything, to a picture leaves the picture's x as it was. For small
    squares: D has S^4 / factor^2 entries.
    """
    D = degradation_matrix(y.shape[-1], factor)
    flat = y.double().flatten(2)
    seen = flat @ D.T @ torch.linalg.solve(D @ D.T, D)
    return (flat - seen).reshape(y.shape)


def blur(x: Low, sigma: Levels) -> Low:
    """Gaussian blur of `sigma` >= 0 pixels, one an image; borders are repeated.

    Training with a blurred condition prepares a network for the x that another network
    made: the later stage of a cascade (SR3's ablations). The kernel ends at 3 sigma,
    rounded up, and sums to 1; sigma = 0 changes nothing. `sigma` best lies on the CPU,
    where reading its maximum is free.
    """
    if len(sigma) != len(x) or not (sigma >= 0).all() or not sigma.isfinite().all():
        raise ValueError(
            f"sigma = {sigma.tolist()} for {len(x)} images: pass one finite number >= 0"
            " for each"
        )
    radius = math.ceil(3 * sigma.max().item())
    offsets = torch.arange(-radius, radius + 1, device=sigma.device)
    hill = -0.5 * (offsets / sigma.double().clamp(min=1e-3)[:, None]) ** 2
    weights = torch.exp(hill) * (offsets.abs() <= (3 * sigma).ceil()[:, None])
    kernels = (weights / weights.sum(1, keepdim=True)).to(x)  # (B, 2 radius + 1)
    kernels = kernels.repeat_interleave(x.shape[1], 0)[:, None]  # one a channel
    padded = F.pad(x, (radius, radius, radius, radius), mode="replicate")
    channels = padded.flatten(0, 1)[None]
    across = F.conv2d(channels, kernels[:, :, None, :], groups=len(kernels))
    return F.conv2d(across, kernels[..., None], groups=len(kernels)).reshape(x.shape)


def camera(x: Low, sigma: float, seeds: Sequence[int]) -> Low:
    """x as a cheap camera gives it: with noise of standard deviation `sigma`, on
    [-1, 1], drawn from a seed an image.
    """
    return x + sigma * noise(x, seeds)


def as_file(x: Anything) -> Anything:
    """x as a picture file gives it back: clipped to [-1, 1] and rounded to 8 bits.

    Bicubic overshoot, which D y has and no file can hold, is gone.
    """
    return ((x.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1


def _only(size: tuple[int, int] | None, height: int, width: int) -> tuple[int, int]:
    """The size that a factor leads to, if no other was asked for."""
    if size is not None:
        raise ValueError(EITHER)
    return height, width


def _resize(image: Tensor, size: tuple[int, int] | None, mode: Mode) -> Tensor:
    if size is None:
        raise ValueError(EITHER)
    if image.shape[-2:] == size:
        return image
    # torch 2.13 reads wrong pixels where a picture is, or becomes, one pixel wide
    if 1 in (image.shape[-1], size[1]) and 1 not in (image.shape[-2], size[0]):
        return _resize(image.mT, size[::-1], mode).mT
    return F.interpolate(
        image, size=size, mode=mode, antialias=True, align_corners=False
    )
