"""What chapter 8 says of perfect answers: on the letters, on the plane, in general; and
what it says of the trained networks, from the stored measurement.
"""

from __future__ import annotations

import pytest
import torch
from checks import close, f64, randn, seeded
from torch import Tensor

from sr3mini.book import plane, widgets
from sr3mini.book.measured import measured
from sr3mini.data import letters
from sr3mini.degrade import camera, downsample
from sr3mini.metrics import consistency, sharpness, ssim
from sr3mini.oracle import PicturesOracle

SIGMA = 20 / 255


@pytest.mark.parametrize("p", [0.5, 0.8, 0.99])
def test_a_random_answer_errs_by_spread_plus_squared_distance_to_the_mean(
    p: float,
) -> None:
    """(8.6), for answers of three values, by enumeration; and its special case, a
    sample: exactly twice the floor.
    """
    right, probability = f64(1, -1), f64(p, 1 - p)
    mean, variance = f64(2 * p - 1), f64(4 * p * (1 - p))[0]

    def error(values: Tensor, weights: Tensor) -> Tensor:
        squares = (right[:, None] - values).square()
        return (squares * probability[:, None] * weights).sum()

    values, weights = f64(0.3, -0.7, 1.0), f64(0.2, 0.5, 0.3)
    spread = ((values - mean).square() * weights).sum()
    close(error(values, weights), variance + spread, 1e-14, "(8.6)")
    close(error(mean, f64(1)), variance, 1e-14, "the mean")
    close(error(right, probability), 2 * variance, 1e-14, "a sample")


def test_in_a_world_of_pictures_a_sample_has_twice_the_error_of_the_mean() -> None:
    """On pictures of 3 x 3 pixels, by going through every true picture, many x, and
    every answer.
    """
    known, sigma = randn(5, 1, 3, 3), 0.7
    small = known.mean((2, 3), keepdim=True)
    x = small.repeat(400, 1, 1, 1) + sigma * randn(2000, 1, 1, 1, seed=2)
    # the law of the truth, given x, as well as that of a sample
    exact = PicturesOracle(known, small, sigma)
    w, flat = exact.shares(x), known.flatten(1)
    mean = exact.mean(x).flatten(1)
    floor = (w[..., None] * (flat - mean[:, None]).square()).sum(1)
    pairs = (flat[:, None] - flat).square()  # truth, answer
    twice = torch.einsum("bi,bj,ijd->bd", w, w, pairs)
    close(twice, 2 * floor, 1e-12, "error of a sample")


def test_on_the_plane_a_draw_has_twice_the_error_of_the_mean() -> None:
    generator = seeded(0)
    x = torch.zeros(20_000, 1)
    right, drawn = plane.answers(x, generator), plane.answers(x, generator)
    floor = (plane.mean(x) - right).square().mean()
    assert (drawn - right).square().mean() / floor == pytest.approx(2, rel=0.03)


@pytest.fixture(scope="module")
def world() -> dict[str, Tensor]:
    """The letters, their noisy x, and the perfect answers."""
    every = letters()
    y = every.batch(range(len(every)))
    small = downsample(y, 8)
    x = camera(small, SIGMA, seeds=range(len(y)))
    exact, generator = PicturesOracle(y, small, SIGMA), seeded(0)
    draws = torch.stack([exact.draw(x, generator) for _ in range(8)])
    return {"y": y, "x": x, "mean": exact.mean(x), "draws": draws}


def test_the_perfect_mean_has_more_decibels_and_is_blurred(
    world: dict[str, Tensor],
) -> None:
    y, mean, drawn = world["y"], world["mean"], world["draws"][0]
    ratio = (drawn - y).square().mean() / (mean - y).square().mean()
    assert ratio == pytest.approx(2, rel=0.06)
    assert ssim(mean, y).mean() > ssim(drawn, y).mean()
    sharp = sharpness(y).mean()
    assert sharpness(drawn).mean() / sharp == pytest.approx(1, abs=0.01)
    assert sharpness(mean).mean() < 0.75 * sharp


def test_a_right_answer_has_the_consistency_of_the_noise_in_x(
    world: dict[str, Tensor],
) -> None:
    """The pair (x, exact draw) has the law of (x, original)."""
    wanted = 1e5 * (SIGMA / 2) ** 2
    for name, answer in (("original", world["y"]), ("draw", world["draws"][0])):
        found = consistency(answer, world["x"]).mean().item()
        assert found == pytest.approx(wanted, rel=0.03), name
    assert consistency(world["mean"], world["x"]).mean() < 0.9 * wanted


def test_the_mean_of_k_draws_has_1_plus_1_over_k_of_the_floor(
    world: dict[str, Tensor],
) -> None:
    floor = (world["mean"] - world["y"]).square().mean()
    for k in (2, 8):
        error = (world["draws"][:k].mean(0) - world["y"]).square().mean()
        assert error / floor == pytest.approx(1 + 1 / k, rel=0.05)


def test_the_networks_are_what_the_chapter_says_of_them() -> None:
    """The stored measurement: the twin is as blurred as the exact mean; SR3 is sharp,
    has different answers, and misses x by little more than the noise.
    """
    run = measured("letters_4_32")
    rows, own = run["table"], run["own"]
    exact, twin, draw, made = (
        rows[name] for name in ("exact mean", "regression twin", "exact draw", "SR3")
    )
    assert 0 < exact["PSNR"] - twin["PSNR"] < 1
    assert twin["sharpness"] < exact["sharpness"]
    assert made["sharpness"] / rows["originals"]["sharpness"] > 0.9
    assert made["consistency"] < 1.15 * rows["originals"]["consistency"]
    assert made["diversity"] / draw["diversity"] == pytest.approx(1, abs=0.25)
    assert exact["PSNR"] - draw["PSNR"] == pytest.approx(3, abs=0.15)
    assert 0 < own["twin"] < own["SR3"] < run["floor"] / 2
    sharp = [row["sharpness"] for row in run["calls"].values()]
    assert min(sharp) > 0.9 * max(sharp)


def test_the_stored_exact_rows_are_computed_again(world: dict[str, Tensor]) -> None:
    rows = measured("letters_4_32")["table"]
    y, x = world["y"], world["x"]
    for name, answer in (("exact mean", world["mean"]), ("originals", y)):
        found = {
            "consistency": consistency(answer, x).mean().item(),
            "sharpness": sharpness(answer).mean().item(),
            "SSIM": ssim(answer, y).mean().item(),
        }
        assert found == pytest.approx({c: rows[name][c] for c in found}, rel=1e-3)


def test_the_slider_tells_more_decibels_where_x_is_less_noisy() -> None:
    every = letters()
    rows = [every.find(character) for character in "RgB8"]
    playable = widgets.openness_slider(every.batch(rows), torch.arange(2), "Rg")
    assert "exact mean" in playable.still.alt
    playable.controls["noise"].value = 2
    assert "exact draw inf dB" in playable.now().alt
