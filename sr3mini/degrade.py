r"""From a high-resolution image y to the low-resolution x, and from x back to the size of y.

    x = D y          antialiased bicubic; a linear map, D(a y + b y') = a D y + b D y'      tags 4.1, 4.3
    x_up = U x       the same kernel the other way: what the U-Net sees beside y_t          tag 4.2

One bicubic in both directions: the a = -0.5 kernel of Pillow and of MATLAB's `imresize`.
Nothing is clipped and nothing is rounded to 8 bits, so D stays linear and the Gaussian oracle exact.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Mode = Literal["bicubic", "bilinear"]


def downsample(
    y: Float[Tensor, "B C H W"], factor: int | None = None, *, size: tuple[int, int] | None = None, mode: Mode = "bicubic"
) -> Float[Tensor, "B C h w"]:
    """Shrink by a whole `factor`, or to `size` = (h, w), antialiased (tag 4.1). Range about [-1, 1]; bicubic may overshoot a little."""
    height, width = y.shape[-2:]
    if factor is not None and (height % factor or width % factor):
        raise ValueError(f"a {height}x{width} image cannot be shrunk by a factor of {factor}; crop it first, or pass size=(h, w)")
    return _resize(y, _target(factor, size, height // (factor or 1), width // (factor or 1)), mode)


def upsample(
    x: Float[Tensor, "B C h w"], factor: int | None = None, *, size: tuple[int, int] | None = None, mode: Mode = "bicubic"
) -> Float[Tensor, "B C H W"]:
    """Enlarge by a whole `factor`, or to `size` = (H, W) (tag 4.2)."""
    height, width = x.shape[-2:]
    return _resize(x, _target(factor, size, height * (factor or 1), width * (factor or 1)), mode)


def degradation_matrix(size: int, factor: int) -> Float[Tensor, "low high"]:
    """`downsample` of size x size grey images written as a matrix D, float64: x.flatten() = D @ y.flatten() (tag 4.1)."""
    basis = torch.eye(size * size, dtype=torch.float64).reshape(-1, 1, size, size)
    return downsample(basis, factor).flatten(1).T


def unseen(y: Float[Tensor, "B C S S"], factor: int) -> Float[Tensor, "B C S S"]:
    """The part of y that x = D y does not hold, float64: y - D^T (D D^T)^{-1} D y (tag 4.5). Its own x is 0.

    Adding it, times anything, to a picture leaves the picture's x as it was. For small squares: D has S^4 / factor^2 entries.
    """
    D = degradation_matrix(y.shape[-1], factor)
    flat = y.double().flatten(2)
    seen = flat @ D.T @ torch.linalg.solve(D @ D.T, D)
    return (flat - seen).reshape(y.shape)


def _target(factor: int | None, size: tuple[int, int] | None, height: int, width: int) -> tuple[int, int]:
    if (factor is None) == (size is None):
        raise ValueError("pass either a factor or size=(height, width), and not both")
    return (height, width) if size is None else size


def _resize(image: Tensor, size: tuple[int, int], mode: Mode) -> Tensor:
    if image.shape[-2:] == size:
        return image
    if image.shape[-1] == 1 < image.shape[-2]:  # torch 2.13 reads the wrong pixels of a picture that is one pixel wide, not of one that is one high
        return _resize(image.mT, size[::-1], mode).mT
    return F.interpolate(image, size=size, mode=mode, antialias=True, align_corners=False)
