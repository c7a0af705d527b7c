r"""From a high-resolution y to the low-resolution x, and from x back to y's size.

    x    = D y    antialiased bicubic; linear: D(a y + b z) = a D y + b D z     tag 4.1
    x_up = U x    the same kernel the other way: what the U-Net sees            tag 4.6

One bicubic in both directions: the a = -0.5 kernel of Pillow and of MATLAB's
`imresize`. Nothing is clipped and nothing is rounded to 8 bits, so D stays linear and
the Gaussian oracle exact. What else may have happened to an x that a network will meet,
`blur`, `camera`, `jpeg` and `as_file`, training can add to some of its pictures, and
`cut` shows it parts of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from .forward import noise, per_image
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


def camera(x: Low, sigma: float | Levels, seeds: Sequence[int]) -> Low:
    """x as a cheap camera gives it: with noise of standard deviation `sigma`, on
    [-1, 1], one for all or one an image, drawn from a seed an image.
    """
    deviation = per_image(sigma, x) if isinstance(sigma, Tensor) else sigma
    return x + deviation * noise(x, seeds)


# ITU-T T.81 (JPEG), tables K.1 and K.2: the steps of quality 50, for brightness and
# colour, of waves that grow finer to the right and down.
_BRIGHTNESS = """
16 11 10 16 24 40 51 61    12 12 14 19 26 58 60 55
14 13 16 24 40 57 69 56    14 17 22 29 51 87 80 62
18 22 37 56 68 109 103 77  24 35 55 64 81 104 113 92
49 64 78 87 103 121 120 101  72 92 95 98 112 100 103 99
"""
_COLOUR = (
    """
17 18 24 47 99 99 99 99  18 21 26 66 99 99 99 99
24 26 56 99 99 99 99 99  47 66 99 99 99 99 99 99
"""
    + " 99" * 32
)
# JFIF: brightness, blueness, redness of red, green, blue
_YCC = torch.tensor(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
)


def jpeg(x: Low, quality: Levels) -> Low:
    """x as a JPEG file of `quality` 1 to 100, one an image, gives it back: of each
    square of 8 x 8 pixels, the waves rounded to multiples of the format's steps, whole
    levels after that. Colours keep their resolution (4:4:4).
    """
    height, width = x.shape[-2:]
    sides = (0, -width % 8, 0, -height % 8)
    levels = F.pad((x.clamp(-1, 1) + 1) * 127.5, sides, mode="replicate").round() - 128
    q = quality.to(x).clamp(1, 100)[:, None, None, None]
    scale = torch.where(q < 50, 50 / q, 2 - q / 50)  # as libjpeg counts
    if x.shape[1] == 1:
        back = _waves_rounded(levels, _BRIGHTNESS, scale)
    else:
        matrix, inverse = (m.to(x) for m in (_YCC, _YCC.inverse()))
        ycc = torch.einsum("ij,bjhw->bihw", matrix, levels)
        bright = _waves_rounded(ycc[:, :1], _BRIGHTNESS, scale)
        colour = _waves_rounded(ycc[:, 1:], _COLOUR, scale)
        back = torch.einsum("ij,bjhw->bihw", inverse, torch.cat([bright, colour], 1))
    return as_file((back[..., :height, :width] + 128) / 127.5 - 1)


def _waves_rounded(levels: High, table: str, scale: Tensor) -> High:
    """Each 8 x 8 square's cosine transform in whole steps, and back."""
    k = torch.arange(8, device=levels.device, dtype=levels.dtype)
    waves = torch.cos(math.pi / 8 * (k + 0.5) * k[:, None]) / 2
    waves[0] *= math.sqrt(0.5)  # now orthogonal
    steps = levels.new_tensor([float(step) for step in table.split()]).reshape(8, 8)
    steps = (steps * scale).round().clamp(1, 255)[:, :, None, :, None, :]
    squares = levels.unflatten(3, (-1, 8)).unflatten(2, (-1, 8))  # (B, C, n, 8, m, 8)
    found = torch.einsum("ui,vj,bcnimj->bcnumv", waves, waves, squares)
    found = (found / steps).round() * steps
    back = torch.einsum("ui,vj,bcnumv->bcnimj", waves, waves, found)
    return back.flatten(4, 5).flatten(2, 3)


def cut(y: High, size: int, u: Float[Tensor, "4 B"]) -> Float[Tensor, "B C S S"]:
    """A part of each picture, `size` x `size`: a square of `size` pixels a side or
    more, up to the whole, from anywhere, shrunk with the book's bicubic and mirrored or
    not. `u` in [0, 1) decides: how large, where from above, where from the left,
    whether mirrored.

    Sizes are even in their logarithm. So a network meets what it learns from nearer and
    from further away.
    """
    scale, down, right, mirrored = u.to(y)
    height, width = y.shape[-2:]
    side = size * (min(height, width) / size) ** scale
    rows = _resampling(side, down * (height - side), size, height)
    columns = _resampling(side, right * (width - side), size, width)
    turned = (mirrored < 0.5)[:, None, None]
    columns = torch.where(turned, columns.flip(1), columns)
    return (rows[:, None] @ y @ columns[:, None].mT).clamp(-1, 1)


def _resampling(
    side: Levels, start: Levels, size: int, length: int
) -> Float[Tensor, "B size length"]:
    """The weights by which `size` pixels look at `side` >= `size` of `length` pixels,
    from `start` on: the a = -0.5 cubic, as wide as the scale asks.
    """
    scale = (side / size)[:, None, None]
    pixels = torch.arange(size, device=side.device, dtype=side.dtype)[:, None]
    centres = start[:, None, None] + (pixels + 0.5) * scale
    places = torch.arange(length, device=side.device, dtype=side.dtype) + 0.5
    d = ((places - centres) / scale).abs()
    near = (1.5 * d - 2.5) * d * d + 1
    far = ((-0.5 * d + 2.5) * d - 4) * d + 2
    weights = torch.where(d < 1, near, torch.where(d < 2, far, 0))
    return weights / weights.sum(2, keepdim=True)


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
