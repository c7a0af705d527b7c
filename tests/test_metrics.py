"""Six numbers for an upscaled picture, where each is known in closed form."""

from __future__ import annotations

import math

import pytest
import torch
from checks import close, f64, randn
from rooms import room
from torch import Tensor

from sr3mini.book.figures import blur
from sr3mini.degrade import downsample
from sr3mini.metrics import (
    consistency,
    diversity,
    fool_rate,
    legibility,
    nearest,
    psnr,
    sharpness,
    ssim,
)


def flat(*values: float) -> Tensor:
    """One 16 x 16 image of a single grey for each value."""
    return torch.tensor(values)[:, None, None, None].expand(-1, 3, 16, 16)


def test_psnr_is_10_log10_of_4_over_the_squared_error_of_each_image() -> None:
    """The range of [-1, 1] is 2, so the peak's square is 4."""
    close(
        psnr(flat(0.1, 0.0, -0.5), flat(0.0, 0.2, 0.5)),
        10 * torch.log10(4 / torch.tensor([0.01, 0.04, 1.0])),
        1e-4,
        "PSNR",
    )
    assert psnr(flat(0.3), flat(0.3)).item() == math.inf


def test_ssim_of_flat_images_is_their_luminance_term() -> None:
    """(2ab + c)/(a^2 + b^2 + c) with c = 0.01^2, as nothing varies, and a, b on [0, 1];
    1 for equal images, in each image of a batch.
    """
    a, b, c = 0.6, 0.8, 0.01**2
    close(
        ssim(flat(2 * a - 1, 2 * a - 1), flat(2 * b - 1, 2 * a - 1)),
        torch.tensor([(2 * a * b + c) / (a * a + b * b + c), 1.0]),
        1e-4,
        "SSIM",
    )


def test_ssim_of_two_greys_on_either_side_of_the_middle_is_high() -> None:
    """On [-1, 1] their means would have opposite signs, and the brightness term would
    be negative.
    """
    assert ssim(flat(0.1), flat(-0.1)).item() > 0.97


def published_ssim(a: Tensor, b: Tensor) -> float:
    """(8.2) written out on [0, 1]: Gaussian windows of deviation 1.5 and 11 x 11
    pixels, reflected at the edge, averaged over the picture.
    """
    place = torch.arange(-5, 6, dtype=torch.float64)
    bell = (-place.square() / (2 * 1.5**2)).exp()
    window = (bell[:, None] * bell / bell.sum() ** 2)[None, None]

    def mean(image: Tensor) -> Tensor:
        return torch.nn.functional.conv2d(
            torch.nn.functional.pad(image, (5, 5, 5, 5), mode="reflect"), window
        )

    a, b = (a + 1) / 2, (b + 1) / 2
    m_a, m_b = mean(a), mean(b)
    v_a, v_b, v_ab = mean(a * a) - m_a**2, mean(b * b) - m_b**2, mean(a * b) - m_a * m_b
    brightness = (2 * m_a * m_b + 0.01**2) / (m_a**2 + m_b**2 + 0.01**2)
    return (brightness * (2 * v_ab + 0.03**2) / (v_a + v_b + 0.03**2)).mean().item()


def test_ssim_is_the_published_formula() -> None:
    y = randn(3, 1, 32, 32).tanh()
    other = (0.8 * y + 0.3 * randn(3, 1, 32, 32, seed=1)).clamp(-1, 1)
    wanted = torch.tensor(
        [published_ssim(a[None], b[None]) for a, b in zip(y, other, strict=True)],
        dtype=torch.float64,
    )
    close(ssim(y, other), wanted, 1e-6, "SSIM")


def test_ssim_falls_with_noise() -> None:
    y = randn(1, 1, 32, 32).float().clamp(-1, 1)
    near, far = (
        ssim((y + s * randn(1, 1, 32, 32, seed=1).float()).clamp(-1, 1), y).item()
        for s in (0.1, 0.5)
    )
    assert 1 > near > far > 0


def test_consistency_is_the_error_after_shrinking_on_0_to_1_times_1e5() -> None:
    """Two greys 0.02 apart on [-1, 1] are 0.01 apart on [0, 1]: 1e-4, that is 10e-5."""
    close(
        consistency(flat(0.5, 0.5), downsample(flat(0.48, 0.5), 4)),
        torch.tensor([10.0, 0.0]),
        1e-3,
        "consistency",
    )


def test_consistency_looks_at_what_x_shows_and_at_nothing_else() -> None:
    """A change that D does not see costs nothing: the null space of D is where SR3 is
    free.
    """
    y = randn(1, 1, 8, 8)
    x = downsample(y, 2)
    _, _, rows = torch.linalg.svd(
        downsample(torch.eye(64).double().reshape(64, 1, 8, 8), 2).flatten(1).T
    )
    unseen = rows[-1].reshape(1, 1, 8, 8)
    assert consistency(y + unseen, x).item() < 1e-20
    assert consistency(y + 0.1, x).item() == pytest.approx(0.05**2 * 1e5)


def test_diversity_is_the_standard_deviation_over_samples_on_0_to_1() -> None:
    """Two samples a distance s apart on [-1, 1]: s/2 / sqrt(2). Equal samples: 0."""
    pairs = torch.stack([flat(-1.0, 0.3), flat(1.0, 0.3)])
    close(diversity(pairs), torch.tensor([1 / math.sqrt(2), 0.0]), 1e-6, "diversity")


def test_diversity_of_noise_is_its_deviation_whatever_the_number_of_samples() -> None:
    """The variance is the unbiased one: 3 samples of deviation 0.4 say what 50 do."""
    for k in (3, 50):
        close(
            diversity(0.4 * randn(k, 2, 3, 40, 40)),
            f64(0.2, 0.2),
            0.005,
            f"{k} samples",
        )


def test_diversity_of_one_sample_is_refused() -> None:
    with pytest.raises(
        ValueError,
        match=(
            r"^diversity compares samples of the same input: give at least two of them$"
        ),
    ):
        diversity(torch.zeros(1, 2, 1, 8, 8))


def test_nearest_finds_a_noisy_picture_again() -> None:
    known = randn(40, 1, 8, 8).float()
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    assert torch.equal(
        nearest(known[order] + 0.1 * randn(40, 1, 8, 8, seed=1).float(), known), order
    )


def test_nearest_tells_pictures_apart_that_differ_in_one_pixel_by_one_grey_level() -> (
    None
):
    """64 white pictures with one pixel each a level darker: float32 distances of 32 x
    32 pictures would lose this.
    """
    known = torch.ones(64, 1, 32, 32)
    known.view(64, -1)[torch.arange(64), torch.arange(64)] -= 1 / 127.5
    assert nearest(known, known).tolist() == list(range(64))


def test_legibility_counts_the_right_character_in_any_style() -> None:
    """Two styles of a, one of b: a picture near the other style of its character still
    reads right.
    """
    known, names = flat(-0.8, 0.8, 0.0), ["a", "a", "b"]
    assert legibility(
        flat(0.7, -0.7, 0.1, 0.9), ["a", "a", "b", "b"], known, names
    ).tolist() == [1, 1, 1, 0]


def test_legibility_wants_a_character_for_every_picture() -> None:
    with pytest.raises(ValueError, match="zip"):
        legibility(flat(0.7, -0.7), ["a"], flat(-0.8), ["a"])


def test_sharpness_of_a_slope_is_nothing_and_of_a_checkerboard_all_there_is() -> None:
    """A pixel of an even slope is the mean of its neighbours; one of a checkerboard
    differs from each of them by 2.
    """
    place = torch.arange(8.0)
    slope = (place[:, None] / 10 + place / 5 - 1)[None, None]
    board = ((place[:, None] + place) % 2 * 2 - 1)[None, None]
    close(
        sharpness(torch.cat([slope, board, board / 2, flat(0.3)[:, :1, :8, :8]])),
        torch.tensor([0.0, 2.0, 1.0, 0.0]),
        1e-6,
        "sharpness",
    )


def test_sharpness_of_a_step_by_hand() -> None:
    """A black and a white half, 6 x 6: in the 4 x 4 pixels inside, the two columns at
    the step differ from a quarter of their neighbours by 2.
    """
    step = torch.ones(1, 1, 6, 6)
    step[..., :3] = -1
    close(sharpness(step), torch.tensor([0.5 * 8 / 16]), 1e-6, "sharpness")
    close(
        sharpness(step.mT),
        torch.tensor([0.5 * 8 / 16]),
        1e-6,
        "sharpness, the other way",
    )


def test_blur_takes_sharpness() -> None:
    y = randn(1, 1, 16, 16).float().clamp(-1, 1)
    values = [
        sharpness(y).item(),
        *(sharpness(blur(y, torch.tensor([s]))).item() for s in (0.5, 1.0, 2.0)),
    ]
    assert values == sorted(values, reverse=True)


def test_the_fool_rate_counts_pairs_and_halves_ties() -> None:
    """Of four made pictures one scores higher than its original, one the same: (1 +
    1/2)/4, give or take sqrt(r (1 - r)/4).
    """
    rate, error = fool_rate(f64(1, 2, 3, 4), f64(0, 3, 3, 3))
    assert rate == 0.375
    assert error == pytest.approx(math.sqrt(0.375 * 0.625 / 4))
    assert fool_rate(f64(0, 0), f64(1, 1)) == (1.0, 0.0)


def test_the_standard_error_is_the_spread_of_repeated_tests() -> None:
    """(E.5): 2,000 readers answer 25 pairs each at random; their fool rates spread as
    sqrt(r (1 - r)/N) says.
    """
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(2000, 25, generator=generator)
    tests = [fool_rate(torch.full((25,), 0.3), row) for row in scores]
    rates = torch.tensor([rate for rate, _ in tests])
    assert rates.mean().item() == pytest.approx(0.7, abs=0.01)
    assert rates.std().item() == pytest.approx(math.sqrt(0.7 * 0.3 / 25), rel=0.05)
    assert torch.tensor([error for _, error in tests]).mean().item() == pytest.approx(
        math.sqrt(0.7 * 0.3 / 25), rel=0.05
    )


def test_ssim_says_what_it_cannot_look_at() -> None:
    small = torch.zeros(1, 3, 5, 9)
    with pytest.raises(ValueError, match="at least 6 pixels a side, and one has 9 x 5"):
        ssim(small, small)
    assert ssim(
        small.new_zeros(1, 3, 6, 9), small.new_zeros(1, 3, 6, 9)
    ).item() == pytest.approx(1)


@pytest.mark.parametrize(
    ("y", "reference"),
    [
        (torch.zeros(2, 3, 8, 8), torch.zeros(1, 3, 8, 8)),
        (torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8)),
        (torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 1)),
        (torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 9, 8)),
        (torch.zeros(2, 1, 8, 8).byte(), torch.zeros(2, 1, 8, 8).byte()),
        (torch.zeros(2, 1, 8, 8).long(), torch.zeros(2, 1, 8, 8)),
    ],
)
def test_psnr_of_two_shapes_or_of_bytes_is_refused(
    y: torch.Tensor, reference: torch.Tensor
) -> None:
    with pytest.raises(ValueError, match="PSNR compares floats"):
        room("metrics").psnr(y, reference)  # without the tests' check of shapes
