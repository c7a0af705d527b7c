"""p(gamma), its two-stage draw, and the noising of an image."""

from __future__ import annotations

import pytest
import torch
from checks import (
    check_diffuse_weighs_by_the_roots,
    check_every_image_has_its_own_level,
    check_every_segment_is_drawn,
    check_the_level_is_the_inverse_cdf,
    close,
    f64,
    randn,
    segments,
)
from rooms import Edit, room
from scipy import stats

from sr3mini.forward import (
    diffuse,
    gamma_between,
    gamma_cdf,
    gamma_icdf,
    gamma_pdf,
    per_image,
    sample_gamma,
)
from sr3mini.schedule import NoiseSchedule

TRAINING = NoiseSchedule.linear(2000, 1e-6, 1e-2)
SHORT = NoiseSchedule.from_gammas(f64(0.9, 0.5, 0.1))

# WaveGrad's code draws sqrt(gamma) uniformly between its neighbours, not gamma
UNIFORM_IN_THE_ROOT: Edit = (
    "return gamma_t + u * (gamma_before - gamma_t)",
    "return (gamma_t.sqrt() + u * (gamma_before.sqrt() - gamma_t.sqrt())).square()",
)


def test_check_8_the_level_is_the_inverse_cdf_at_the_uniforms_handed_in() -> None:
    """Check 8: with t and u handed in, the two-stage draw is the inverse of the CDF, to
    1e-12.
    """
    check_the_level_is_the_inverse_cdf(gamma_between)


def test_check_8_the_two_stages_and_the_inverse_cdf_are_one_function() -> None:
    """Check 8: gamma_icdf at q = (T - t + u)/T is the level that t and u give, and
    gamma_cdf leads back to q.
    """
    q = torch.linspace(0, 1, 4001, dtype=torch.float64)
    gamma = gamma_icdf(TRAINING, q)
    t = (2000 - (2000 * q).floor()).clamp(min=1).long()
    close(
        gamma,
        gamma_between(TRAINING, t, 2000 * q - (2000 - t)),
        1e-15,
        "the two ways to gamma",
    )
    close(gamma_cdf(TRAINING, gamma), q, 1e-9, "F(F^{-1}(q))")


def p_value(levels: torch.Tensor) -> float:
    """Kolmogorov-Smirnov: how often levels that do follow p(gamma) would look at least
    as far from it.
    """
    return stats.kstest(
        levels.numpy(),
        lambda gamma: gamma_cdf(TRAINING, torch.as_tensor(gamma)).numpy(),
    ).pvalue


def test_check_8_drawn_levels_follow_p_of_gamma(generator: torch.Generator) -> None:
    """Check 8: a Kolmogorov-Smirnov test finds nothing wrong with 20,000 levels, and
    finds U(0, 1) wrong at once.
    """
    assert p_value(sample_gamma(TRAINING, (20_000,), generator=generator)) > 0.05
    assert p_value(torch.rand(20_000, dtype=torch.float64, generator=generator)) < 1e-9


def test_check_8_uniform_in_the_root_passes_ks_and_fails_with_uniforms_handed_in(
    generator: torch.Generator,
) -> None:
    """Check 8: drawing sqrt(gamma) uniformly moves a level by at most 0.07 % of its
    interval: only the exact check sees it.
    """
    wrong = room("forward", UNIFORM_IN_THE_ROOT)
    assert p_value(wrong.sample_gamma(TRAINING, (20_000,), generator=generator)) > 0.05
    with pytest.raises(AssertionError, match="gamma against the inverse CDF"):
        check_the_level_is_the_inverse_cdf(wrong.gamma_between)
    t = torch.arange(1, 2001)
    u = torch.full((2000,), 0.5).double()
    width = TRAINING.gammas[t - 1] - TRAINING.gammas[t]
    shift = (
        wrong.gamma_between(TRAINING, t, u) - gamma_between(TRAINING, t, u)
    ).abs() / width
    assert 5e-4 < shift.max() < 7e-4
    assert shift.mean() < 5e-4


def test_every_segment_is_drawn_equally_often() -> None:
    check_every_segment_is_drawn(sample_gamma)


def test_every_image_has_its_own_level() -> None:
    check_every_image_has_its_own_level(sample_gamma)


def test_levels_are_float64_and_come_from_the_generator_alone() -> None:
    draws = [
        sample_gamma(TRAINING, (2, 3), generator=torch.Generator().manual_seed(seed))
        for seed in (0, 0, 1)
    ]
    assert draws[0].shape == (2, 3)
    assert draws[0].dtype == torch.float64
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    before = torch.get_rng_state()
    sample_gamma(TRAINING, (2,), generator=torch.Generator())
    assert torch.equal(before, torch.get_rng_state())


def test_the_cdf_is_1_minus_t_over_T_at_every_gamma_t_and_clamped_outside() -> None:
    close(gamma_cdf(SHORT, SHORT.gammas), f64(1, 2 / 3, 1 / 3, 0), 1e-15, "F(gamma_t)")
    close(
        gamma_cdf(SHORT, f64(0.05, 0.3, 0.7, 1.5)), f64(0, 1 / 6, 1 / 2, 1), 1e-15, "F"
    )


def test_the_density_is_flat_on_each_segment_with_a_share_1_over_T() -> None:
    gamma = f64(0.95, 0.7, 0.3)
    close(gamma_pdf(SHORT, gamma), 1 / (3 * f64(0.1, 0.4, 0.4)), 1e-14, "p(gamma)")
    assert gamma_pdf(SHORT, f64(0.0, 0.09, 1.01)).tolist() == [0, 0, 0]


def test_the_density_is_the_slope_of_the_cdf() -> None:
    middle = (TRAINING.gammas[1:] + TRAINING.gammas[:-1]) / 2
    h = (TRAINING.gammas[:-1] - TRAINING.gammas[1:]) / 4
    slope = (gamma_cdf(TRAINING, middle + h) - gamma_cdf(TRAINING, middle - h)) / (
        2 * h
    )
    close(
        slope / gamma_pdf(TRAINING, middle),
        torch.ones(2000).double(),
        1e-7,
        "slope over density",
    )


def test_a_boundary_belongs_to_the_segment_above_it() -> None:
    """At gamma_t itself, segment t. Counted here by hand, as the checks above count."""
    assert segments(SHORT, SHORT.gammas[1:]).tolist() == [1, 2, 3]
    close(
        gamma_pdf(SHORT, SHORT.gammas[1:]),
        1 / (3 * f64(0.1, 0.4, 0.4)),
        1e-14,
        "p(gamma_t)",
    )


def test_the_inverse_cdf_covers_the_whole_range_and_refuses_what_is_no_share() -> None:
    assert gamma_icdf(SHORT, f64(0, 1)).tolist() == pytest.approx([0.1, 1])
    for q in (-0.01, 1.01):
        with pytest.raises(
            ValueError, match=r"^q must lie in \[0, 1\]: it is a probability$"
        ):
            gamma_icdf(SHORT, f64(q))


def test_diffuse_weighs_signal_and_noise_by_the_roots() -> None:
    check_diffuse_weighs_by_the_roots(diffuse)


def test_diffuse_keeps_unit_power_and_mixes_images_of_any_shape() -> None:
    gamma = f64(0.3, 0.8)
    y_t = diffuse(randn(2, 3, 50, 50), gamma, randn(2, 3, 50, 50, seed=1))
    close(
        y_t.square().mean((1, 2, 3)),
        torch.ones(2).double(),
        5 * (2 / 7500) ** 0.5,
        "power of y_t",
    )


def test_the_roots_are_taken_in_float64_before_they_meet_a_float32_image() -> None:
    """1 - gamma = 1e-9 is 0 in float32; its root, 3e-5, is not lost."""
    one = torch.ones(1, 1)
    y_t = diffuse(0 * one, f64(1 - 1e-9), one)
    assert y_t.dtype == torch.float32
    assert y_t.item() == pytest.approx(1e-9**0.5, rel=1e-6)


def test_per_image_numbers_take_the_dtype_and_rank_of_the_image() -> None:
    scaled = per_image(f64(1, 2), torch.zeros(2, 3, 4, 5))
    assert scaled.shape == (2, 1, 1, 1)
    assert scaled.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int64, torch.bool])
def test_images_of_whole_numbers_are_refused(dtype: torch.dtype) -> None:
    """Which would cast the levels to whole numbers, and make zeros."""
    y_0 = torch.ones(2, 1, 4, 4, dtype=dtype)
    with pytest.raises(ValueError, match="pass floats in"):
        room("forward").diffuse(y_0, torch.tensor([0.5, 0.9]), torch.zeros(2, 1, 4, 4))
