r"""From a high-resolution image y to the low-resolution x, and from x back to the size
of y.

    x = D y  antialiased bicubic; a linear map, D(a y + b y') = a D y + b D y'
            tags 4.1, 4.3
    x_up = U x  the same kernel the other way: what the U-Net sees beside y_t
            tag 4.2

One bicubic in both directions: the a = -0.5 kernel of Pillow and of MATLAB's
`imresize`. Nothing is clipped and nothing is rounded to 8 bits, so D stays linear and
the Gaussian oracle exact. What else may have happened to an x that a network will meet,
`blur` and `as_file`, training can add to some of its pictures.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Mode = Literal["bicubic", "bilinear"]


def downsample(
    y: Float[Tensor, "B C H W"],
    factor: int | None = None,
    *,
    size: tuple[int, int] | None = None,
    mode: Mode = "bicubic",
) -> Float[Tensor, "B C h w"]:
    """Shrink by a whole `factor`, or to `size` = (h, w), antialiased (tag 4.1). Range
    about [-1, 1]; bicubic may overshoot a little.
    """
    height, width = y.shape[-2:]
    if factor is not None and (height % factor or width % factor):
        raise ValueError(
            f"a {height}x{width} image cannot be shrunk by a factor of {factor}; crop"
            " it first, or pass size=(h, w)"
        )
    return _resize(
        y, _target(factor, size, height // (factor or 1), width // (factor or 1)), mode
    )


def upsample(
    x: Float[Tensor, "B C h w"],
    factor: int | None = None,
    *,
    size: tuple[int, int] | None = None,
    mode: Mode = "bicubic",
) -> Float[Tensor, "B C H W"]:
    """Enlarge by a whole `factor`, or to `size` = (H, W) (tag 4.2)."""
    height, width = x.shape[-2:]
    return _resize(
        x, _target(factor, size, height * (factor or 1), width * (factor or 1)), mode
    )


def degradation_matrix(size: int, factor: int) -> Float[Tensor, "low high"]:
    """`downsample` of size x size grey images written as a matrix D, float64:
    x.flatten() = D @ y.flatten() (tag 4.1).
    """
    basis = torch.eye(size * size, dtype=torch.float64).reshape(-1, 1, size, size)
    return downsample(basis, factor).flatten(1).T


def unseen(y: Float[Tensor, "B C S S"], factor: int) -> Float[Tensor, "B C S S"]:
    """The part of y that x = D y does not hold, float64: y - D^T (D D^T)^{-1} D y (tag
    4.5). Its own x is 0.

    Adding it, times anything, to a picture leaves the picture's x as it was. For small
    squares: D has S^4 / factor^2 entries.
    """
    D = degradation_matrix(y.shape[-1], factor)
    flat = y.double().flatten(2)
    seen = flat @ D.T @ torch.linalg.solve(D @ D.T, D)
    return (flat - seen).reshape(y.shape)


def blur(
    x: Float[Tensor, "B C h w"], sigma: Float[Tensor, " B"]
) -> Float[Tensor, "B C h w"]:
    """Gaussian blur with a standard deviation of `sigma` >= 0 pixels, one an image;
    border pixels are repeated outwards.

    Training with a blurred condition prepares a network for the x that another network
    made: the later stage of a cascade (SR3's ablations). The kernel ends at 3 sigma,
    rounded up, and sums to 1; sigma = 0 changes nothing. `sigma` best lies on the CPU,
    where reading its maximum is free.
    """
    radius = math.ceil(3 * sigma.max().item())
    offsets = torch.arange(-radius, radius + 1, device=sigma.device)
    weights = torch.exp(
        -0.5 * (offsets / sigma.double().clamp(min=1e-3)[:, None]) ** 2
    ) * (offsets.abs() <= (3 * sigma).ceil()[:, None])
    kernels = (
        (weights / weights.sum(1, keepdim=True))
        .to(x)
        .repeat_interleave(x.shape[1], 0)[:, None]
    )  # (B C, 1, 2 radius + 1)
    padded = F.pad(x, (radius, radius, radius, radius), mode="replicate").flatten(0, 1)[
        None
    ]
    across = F.conv2d(padded, kernels[:, :, None, :], groups=len(kernels))
    return F.conv2d(across, kernels[..., None], groups=len(kernels)).reshape(x.shape)


def as_file(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """x as a picture file gives it back: clipped to [-1, 1] and rounded to 8 bits.
    Bicubic overshoot, which D y has and no file can hold, is gone.
    """
    return ((x.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1


def _target(
    factor: int | None, size: tuple[int, int] | None, height: int, width: int
) -> tuple[int, int]:
    if (factor is None) == (size is None):
        raise ValueError("pass either a factor or size=(height, width), and not both")
    return (height, width) if size is None else size


def _resize(image: Tensor, size: tuple[int, int], mode: Mode) -> Tensor:
    if image.shape[-2:] == size:
        return image
    if (
        image.shape[-1] == 1 < image.shape[-2]
        # torch 2.13 reads the wrong pixels of a picture that is one pixel wide, not of
        # one
        # that is one high
    ):
        return _resize(image.mT, size[::-1], mode).mT
    return F.interpolate(
        image, size=size, mode=mode, antialias=True, align_corners=False
    )
