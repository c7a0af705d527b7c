r"""How good is an upscaled picture? Six questions, six numbers.

    PSNR, SSIM   how close to the one original?             higher is closer
    consistency  does it shrink back to x?                  MSE x 1e5 on [0, 1], lower
                                                            is better (SR3, table 1)
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


def psnr(
    y: Float[Tensor, "B C H W"], reference: Float[Tensor, "B C H W"]
) -> Float[Tensor, " B"]:
    """Peak signal-to-noise ratio of each image in dB, the peak being the range of [-1,
    1], that is 2 (tag 9.5; torchmetrics' formula).
    """
    from torchmetrics.functional.image import peak_signal_noise_ratio

    return peak_signal_noise_ratio(
        y, reference, data_range=(-1.0, 1.0), reduction="none", dim=(1, 2, 3)
    )


SMALLEST = 6  # side of a picture that SSIM can look at


def ssim(
    y: Float[Tensor, "B C H W"], reference: Float[Tensor, "B C H W"]
) -> Float[Tensor, " B"]:
    """Structural similarity of each image, at most 1 (tag 9.6; torchmetrics: an 11 x 11
    Gaussian window).

    On [0, 1], as it is published: it compares brightness by a ratio, which makes sense
    where black is 0 and not where grey is. In float64: a window's variance is a small
    difference of large numbers, and in float32 flat areas would be off by 6e-4.
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


def consistency(
    y: Float[Tensor, "B C H W"], x: Float[Tensor, "B C h w"]
) -> Float[Tensor, " B"]:
    """Mean squared error between D y and x, on [0, 1], times 1e5, as in the paper's
    table 1 (tag 9.1).
    """
    difference = (downsample(y, size=(x.shape[-2], x.shape[-1])) - x) / 2
    return difference.square().flatten(1).mean(1) * 1e5


def diversity(samples: Float[Tensor, "K B C H W"]) -> Float[Tensor, " B"]:
    """Standard deviation over the K >= 2 samples of each image, root-mean-squared over
    its elements, on [0, 1] (tag 9.2).
    """
    if len(samples) < 2:
        raise ValueError(
            "diversity compares samples of the same input: give at least two of them"
        )
    return (samples / 2).var(0).flatten(1).mean(1).sqrt()


def nearest(
    y: Float[Tensor, "B C H W"], known: Float[Tensor, "N C H W"]
) -> Int[Tensor, " B"]:
    """Index of the known picture with the smallest squared distance to each image.
    Legibility is how often it is the right one.

    In float64: `cdist` takes |a|^2 + |b|^2 - 2ab, and in float32 its rounding hides a
    pixel that differs by a few grey levels.
    """
    return torch.cdist(y.flatten(1).double(), known.flatten(1).double()).argmin(1)


def legibility(
    y: Float[Tensor, "B C H W"],
    characters: list[str],
    known: Float[Tensor, "N C H W"],
    known_characters: list[str],
) -> Float[Tensor, " B"]:
    """1 where the nearest high-resolution glyph shows the right character, in any
    style, else 0 (tag 9.3).
    """
    read = [known_characters[i] for i in nearest(y, known).tolist()]
    return torch.tensor([float(r == c) for r, c in zip(read, characters, strict=True)])


def sharpness(y: Float[Tensor, "B C H W"]) -> Float[Tensor, " B"]:
    """Mean absolute difference between a pixel and the mean of its four neighbours,
    over all pixels that have four.
    """
    sides = y[..., 1:-1, :-2] + y[..., 1:-1, 2:] + y[..., :-2, 1:-1] + y[..., 2:, 1:-1]
    return (y[..., 1:-1, 1:-1] - sides / 4).abs().flatten(1).mean(1)


def fool_rate(
    original: Float[Tensor, " N"], made: Float[Tensor, " N"]
) -> tuple[float, float]:
    """Share of N >= 1 pairs in which a judge takes the made picture for the original,
    and its standard error (tag 9.12).

    The judge gave both pictures a score and takes the higher one for the original;
    equal scores count as half a mistake.
    """
    rate = ((made > original).double() + (made == original).double() / 2).mean().item()
    return rate, (rate * (1 - rate) / len(made)) ** 0.5


def measure(
    estimate: Float[Tensor, "N C H W"],
    y: Float[Tensor, "N C H W"],
    x: Float[Tensor, "N C h w"],
) -> dict[str, float]:
    """PSNR (dB), SSIM and consistency (MSE x 1e5), each averaged over the pictures."""
    values = {
        "PSNR": psnr(estimate, y),
        "SSIM": ssim(estimate, y),
        "consistency": consistency(estimate, x),
    }
    return {name: value.mean().item() for name, value in values.items()}
