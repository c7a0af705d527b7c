r"""How good is an upscaled picture? Six questions, six numbers.

    PSNR, SSIM   how close to the one original?             higher is closer
    consistency  does it shrink back to x?                  MSE x 1e5 (SR3, table 1)
    diversity    how far apart are two samples of one x?    0 for regression
    legibility   is the nearest known glyph the right one?  share in [0, 1]
    sharpness    how much do neighbouring pixels differ?    compare with the originals'
    fool rate    does a judge take it for the original?     1/2: cannot tell them apart

Images are (B, C, H, W) in [-1, 1]. Every function of images returns one number an
image, `(B,)`: average them as you like.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .degrade import downsample
from .shapes import High, Low, Numbers


def psnr(y: High, reference: High) -> Numbers:
    """Peak signal-to-noise ratio of each image in dB (tag 8.1; torchmetrics' formula).

    The peak is the range of [-1, 1], that is 2. ValueError for two shapes, whose pixels
    torch would repeat, and for bytes.
    """
    if y.shape != reference.shape or not y.is_floating_point():
        raise ValueError(
            f"PSNR compares floats in [-1, 1] of one shape, not {y.dtype} of"
            f" {tuple(y.shape)} with {tuple(reference.shape)}"
        )
    from torchmetrics.functional.image import peak_signal_noise_ratio

    return peak_signal_noise_ratio(
        y, reference, data_range=(-1.0, 1.0), reduction="none", dim=(1, 2, 3)
    )


SMALLEST = 6  # side of a picture that SSIM can look at


def ssim(y: High, reference: High) -> Numbers:
    """Structural similarity of each image, at most 1 (tag 8.2; torchmetrics).

    On [0, 1], as it is published: it compares brightness by a ratio, which makes sense
    where black is 0 and not where grey is. In float64: the variance in a window (a
    Gaussian of 11 x 11) is a small difference of large numbers, and in float32 flat
    areas would be off by 6e-4.
    ValueError when a side is shorter than `SMALLEST`, since half a window, reflected at
    the edge, then hangs over.
    """
    if min(y.shape[-2:]) < SMALLEST:
        raise ValueError(
            f"SSIM needs pictures of at least {SMALLEST} pixels a side, and one has"
            f" {y.shape[-1]} x {y.shape[-2]}"
        )
    from torchmetrics.functional.image import structural_similarity_index_measure

    a, b = (y.double() + 1) / 2, (reference.double() + 1) / 2
    value = structural_similarity_index_measure(
        a, b, data_range=(0.0, 1.0), reduction="none"
    )
    assert isinstance(value, Tensor)
    return value.reshape(-1).to(y)


def consistency(y: High, x: Low) -> Numbers:
    """Mean squared error of D y, on [0, 1], times 1e5 (SR3, table 1; tag 8.3)."""
    difference = (downsample(y, size=(x.shape[-2], x.shape[-1])) - x) / 2
    return difference.square().flatten(1).mean(1) * 1e5


def diversity(samples: Float[Tensor, "K B C H W"]) -> Numbers:
    """Standard deviation over the K >= 2 samples of each image, on [0, 1] (tag 8.5).

    Its root-mean-square over the image's elements.
    """
    if len(samples) < 2:
        raise ValueError(
            "diversity compares samples of the same input: give at least two of them"
        )
    return (samples / 2).var(0).flatten(1).mean(1).sqrt()


def nearest(y: High, known: Float[Tensor, "N C H W"]) -> Int[Tensor, " B"]:
    """Index of the known picture with the smallest squared distance to each image.

    In float64: `cdist` takes |a|^2 + |b|^2 - 2ab, and in float32 its rounding hides a
    pixel that differs by a few grey levels.
    """
    return torch.cdist(y.flatten(1).double(), known.flatten(1).double()).argmin(1)


def legibility(
    y: High,
    characters: list[str],
    known: Float[Tensor, "N C H W"],
    known_characters: list[str],
) -> Numbers:
    """1 where the nearest known glyph shows the right character, else 0 (tag E.1).

    In whatever style.
    """
    read = [known_characters[i] for i in nearest(y, known).tolist()]
    return torch.tensor([float(r == c) for r, c in zip(read, characters, strict=True)])


def sharpness(y: High) -> Numbers:
    """Mean absolute difference between a pixel and the mean of its four neighbours
    (tag 8.4).

    Over all pixels that have four.
    """
    sides = y[..., 1:-1, :-2] + y[..., 1:-1, 2:] + y[..., :-2, 1:-1] + y[..., 2:, 1:-1]
    return (y[..., 1:-1, 1:-1] - sides / 4).abs().flatten(1).mean(1)


def fool_rate(
    original: Float[Tensor, " N"], made: Float[Tensor, " N"]
) -> tuple[float, float]:
    """Share of N >= 1 pairs whose made picture is taken for the original (tag E.5).

    And its standard error. The judge gave both pictures a score and takes the higher
    one for the original; equal scores count as half a mistake.
    """
    rate = ((made > original).double() + (made == original).double() / 2).mean().item()
    return rate, (rate * (1 - rate) / len(made)) ** 0.5


def measure(estimate: High, y: High, x: Low) -> dict[str, float]:
    """PSNR (dB), SSIM and consistency (MSE x 1e5), each averaged over the pictures."""
    values = {"PSNR": psnr(estimate, y), "SSIM": ssim(estimate, y)}
    values["consistency"] = consistency(estimate, x)
    return {name: value.mean().item() for name, value in values.items()}
