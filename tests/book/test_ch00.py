"""Equations of chapter 0 that are not the job of one room."""

from __future__ import annotations

import torch
from matplotlib.cbook import get_sample_data
from torch import Tensor

from sr3mini import downsample, load, upsample
from sr3mini.data import glyphs, read_picture
from sr3mini.degrade import as_file
from sr3mini.metrics import consistency, diversity, psnr, sharpness
from sr3mini.upscaling.draw import draw


def test_expected_squared_error_is_spread_plus_squared_distance_to_the_mean() -> None:
    """(0.1), exactly, for equally likely answers; hence no answer beats their mean."""
    answers = torch.randn(
        7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    mean = answers.mean(0)
    spread = (answers - mean).square().mean(0)
    for guess in (
        mean,
        answers[0],
        answers.median(0).values,
        torch.zeros(5, dtype=torch.float64),
    ):
        error = (answers - guess).square().mean(0)
        torch.testing.assert_close(
            error, spread + (mean - guess).square(), rtol=0, atol=1e-14
        )
        assert (error >= spread - 1e-14).all()


def fits(samples: Tensor, x: Tensor) -> None:
    """Every sample shrinks to x ten times as exactly as the bicubic enlargement."""
    blurred = upsample(x, 4).clamp(-1, 1)
    for sample in samples:
        assert consistency(sample, x).mean() < consistency(blurred, x).mean() / 10


def test_samples_of_glyphs_fit_x_and_differ_and_their_mean_is_closest() -> None:
    """Sections 0.4 and 0.5: all fit x, no two are alike, and PSNR prefers the mean."""
    test = glyphs("test")
    y = test.batch([test.find("m", "DejaVuSansMono"), test.find("8")])
    x = downsample(y, 4)
    samples = draw(load("glyphs_8_32"), x, seeds=[0, 1, 2])
    fits(samples, x)
    assert diversity(samples).min() > 0.01

    single = torch.stack([psnr(sample, y).mean() for sample in samples]).mean()
    blurred = psnr(upsample(x, 4).clamp(-1, 1), y).mean()
    assert psnr(samples.mean(0), y).mean() > single + 0.3
    assert single > blurred + 1


def test_samples_of_a_photograph_fit_x_and_are_sharper_than_bicubic() -> None:
    """Section 0.7, on the part around glasses and mouth."""
    file = get_sample_data("grace_hopper.jpg", asfileobj=False)
    face = downsample(read_picture(file)[None, :, 132:260, 160:288], 2)
    x = as_file(downsample(face, 4))
    samples = draw(load("photos_16_64"), x, seeds=[0])
    fits(samples, x)
    assert sharpness(samples[0]) > 2 * sharpness(upsample(x, 4).clamp(-1, 1))
