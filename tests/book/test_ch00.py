"""Equations of chapter 0 that are not the job of one room."""

from __future__ import annotations

from typing import Any

import torch
from matplotlib.cbook import get_sample_data
from torch import Tensor

from sr3mini import downsample, load, trajectory, upsample
from sr3mini.data import letters, read_picture
from sr3mini.degrade import as_file, camera
from sr3mini.metrics import consistency, diversity, psnr, sharpness
from sr3mini.oracle import PicturesOracle
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


def shown() -> tuple[Tensor, Tensor, PicturesOracle]:
    """The ten letters of the chapter, their x, and the exact answers."""
    world = letters()
    y = world.batch(range(len(world)))
    ten = y[[world.find(character) for character in "aeghkmsR25"]]
    x = camera(downsample(ten, 8), 20 / 255, seeds=range(10))
    return ten, x, PicturesOracle(y, downsample(y, 8), 20 / 255)


def test_the_twin_is_near_the_exact_mean_and_as_blurred() -> None:
    """Section 0.3: nearer to it than to the original, and not sharper."""
    y, x, exact = shown()
    answer, mean = draw(load("letters_4_32_regression"), x, seeds=[0])[0], exact.mean(x)
    assert psnr(answer, mean).mean() > psnr(answer, y).mean() + 2
    assert sharpness(answer).mean() < 1.1 * sharpness(mean).mean()
    assert sharpness(mean).mean() < 0.8 * sharpness(y).mean()


def test_samples_of_letters_are_sharp_differ_and_fit_x_up_to_its_noise() -> None:
    """Section 0.3: as sharp as the originals within a tenth; no further from x than
    the camera's noise, within a fifth; further apart than the twin's answer, which has
    no choice.
    """
    y, x, _ = shown()
    how: dict[str, Any] = {"method": "ancestral", "steps": 25}
    samples = draw(load("letters_4_32"), x, seeds=[0, 1, 2], **how)
    assert abs(sharpness(samples[0]).mean() / sharpness(y).mean() - 1) < 0.1
    off = (downsample(samples[0], 8) - x).square().mean().sqrt()
    assert off < 1.2 * (20 / 255)
    assert diversity(samples).mean() > 0.1


def test_the_trajectories_that_are_shown_end_in_letters() -> None:
    """Section 0.4: each of the four is near one of the 744 pictures."""
    y, x, exact = shown()
    f = load("letters_4_32")
    *_, (_, drawn, _) = trajectory(
        f,
        x[:4],
        f.preset.training_schedule().respaced(25),
        y[:4].shape,
        generator=torch.Generator().manual_seed(0),
        variance="posterior",
        clip=True,
    )
    every = exact.y.reshape(-1, *exact.shape)
    assert ((drawn[:, None] - every).square().mean((2, 3, 4)).amin(1) < 0.06).all()


def test_the_twin_is_closer_to_x_than_the_original() -> None:
    """Section 0.3: it follows the noise in x, so the test cannot acquit."""
    y, x, _ = shown()
    answer = draw(load("letters_4_32_regression"), x, seeds=[0])[0]
    off = [(downsample(each, 8) - x).square().mean() for each in (answer, y)]
    assert off[0] < 0.8 * off[1]


def test_with_a_fifth_of_the_noise_hardly_any_letter_is_open() -> None:
    """Exercise 0.3."""
    y, _, exact = shown()
    x = camera(downsample(y, 8), 4 / 255, seeds=range(10))
    known = PicturesOracle(
        exact.y.reshape(-1, *exact.shape).float(),
        exact.x.reshape(-1, 1, 4, 4).float(),
        4 / 255,
    )
    assert torch.special.entr(known.shares(x)).sum(1).exp().mean() < 2


def test_samples_of_a_photograph_fit_x_and_are_sharper_than_bicubic() -> None:
    """Section 0.7, on the part around glasses and mouth."""
    file = get_sample_data("grace_hopper.jpg", asfileobj=False)
    face = downsample(read_picture(file)[None, :, 132:260, 160:288], 2)
    x = as_file(downsample(face, 4))
    samples = draw(load("photos_16_64"), x, seeds=[0])
    fits(samples, x)
    assert sharpness(samples[0]) > 2 * sharpness(upsample(x, 4).clamp(-1, 1))
