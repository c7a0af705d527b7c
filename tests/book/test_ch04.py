"""Equations of chapter 4 that are not the job of one room, and what the chapter says of
the plane and of the letters.
"""

from __future__ import annotations

import math

import pytest
import torch
from checks import close, f64, randn, seeded
from torch import Tensor

from sr3mini.book import plane
from sr3mini.data import Glyphs, letters
from sr3mini.degrade import camera, degradation_matrix, downsample, unseen
from sr3mini.metrics import sharpness
from sr3mini.oracle import PicturesOracle

SIGMA = 20 / 255


@pytest.fixture(scope="module")
def world() -> Glyphs:
    return letters()


@pytest.fixture(scope="module")
def y(world: Glyphs) -> Tensor:
    return world.batch(range(len(world)))


def test_the_mean_of_consistent_answers_is_consistent() -> None:
    """(4.2) at work: D is linear, so answers that all shrink to x have a mean that
    shrinks to x.
    """
    x = downsample(randn(1, 1, 8, 8), 4)
    answers = randn(5, 1, 8, 8, seed=1)
    answers = randn(1, 1, 8, 8) + unseen(answers, 4)
    close(downsample(answers, 4), x.expand(5, -1, -1, -1), 1e-14, "each answer")
    close(downsample(answers.mean(0, keepdim=True), 4), x, 1e-14, "their mean")


def test_the_exact_answers_of_the_plane_are_the_data_that_lie_near_the_line() -> None:
    """(4.3): p(y) along the line D y = x, added up on a fine grid, gives the shares of
    the clusters and the mean.
    """
    for x in (0.0, 0.13, -0.7):
        along = torch.linspace(-4, 4, 40_001, dtype=torch.float64)[:, None]
        y = x + along * f64(1, -1)  # D y = x
        apart = (y[:, None] - plane.CENTRES).square().sum(2)
        p = plane.SHARES * (-apart / (2 * plane.SPREAD**2)).exp()
        p = p / p.sum()
        close(plane.shares(f64(x)[:, None])[0], p.sum(0), 1e-9, f"shares at {x}")
        mean = (p.sum(1, keepdim=True) * y).sum(0)
        close(plane.mean(f64(x)[:, None])[0], mean, 1e-7, f"the mean at {x}")


def test_the_mean_lies_on_the_line_and_far_from_all_data() -> None:
    x = torch.zeros(2000, 1)
    answers, mean = plane.answers(x, seeded(0)), plane.mean(x[:1])
    close(answers.double() @ plane.D.double().T, x.double(), 1e-6, "D of the answers")
    close(mean.double() @ plane.D.double().T, x[:1].double(), 1e-7, "D of the mean")
    assert (answers - mean).norm(dim=1).min() > 0.25
    upper = (answers[:, 1] > 0).double().mean()
    assert upper == pytest.approx(2 / 3, abs=0.04)


def test_the_rank_of_d_leaves_1008_of_1024_numbers_open() -> None:
    singular = torch.linalg.svdvals(degradation_matrix(32, 8))
    assert len(singular) == 16
    assert singular.min() > 0.05


def test_the_unseen_part_of_another_letter_leaves_x_and_changes_the_picture(
    world: Glyphs,
) -> None:
    rows = [world.find(c, "DejaVuSerif") for c in "RgM8"]
    first, *others = world.batch(rows).double().split(1)
    n = unseen(torch.cat(others) - first, 8)
    x = downsample(first, 8).expand(3, -1, -1, -1)
    close(downsample(first + n, 8), x, 1e-12, "x")
    assert (n.square().mean((1, 2, 3)).sqrt() > 0.3).all()


def test_different_letters_have_x_that_the_cameras_noise_does_not_tell_apart(
    world: Glyphs, y: Tensor
) -> None:
    """The pairs that the chapter shows: apart by less than half of sigma."""
    pairs = {
        ("8", "DejaVuSerif"): ("0", "DejaVuSans"),
        ("v", "DejaVuSans"): ("x", "DejaVuSansMono"),
        ("b", "DejaVuSerif"): ("h", "DejaVuSerif"),
        ("R", "DejaVuSerif-Italic"): ("B", "DejaVuSerif-Italic"),
        ("X", "DejaVuSans"): ("6", "DejaVuSerif"),
    }
    for one, other in pairs.items():
        change = y[[world.find(*one)]] - y[[world.find(*other)]]
        assert downsample(change, 8).square().mean().sqrt() < SIGMA / 2
        assert change.square().mean().sqrt() > 0.2


def test_the_shares_are_bayes_rule_written_out() -> None:
    """(4.5): the density of x around each D y_i, pixel by pixel, over their sum."""
    pictures, sigma = randn(5, 1, 8, 8), 0.4
    small = downsample(pictures, 4)
    x = small[:3] + sigma * randn(3, 1, 2, 2, seed=1)
    densities = [
        [
            math.prod(
                math.exp(-((seen - own) ** 2) / (2 * sigma**2))
                / math.sqrt(2 * math.pi * sigma**2)
                for seen, own in zip(
                    one.flatten().tolist(), each.flatten().tolist(), strict=True
                )
            )
            for each in small
        ]
        for one in x
    ]
    wanted = torch.tensor(densities, dtype=torch.float64)
    wanted = wanted / wanted.sum(1, keepdim=True)
    oracle = PicturesOracle(pictures, small, sigma)
    close(oracle.shares(x), wanted, 1e-12, "the shares")
    mean = (wanted @ pictures.flatten(1)).reshape(3, 1, 8, 8)
    close(oracle.mean(x), mean, 1e-12, "the mean")


def test_the_exact_mean_of_the_letters_is_a_smear_and_has_the_least_error(
    y: Tensor,
) -> None:
    """x leaves several pictures open; a draw is as sharp as a letter and twice as far
    off as the mean, in square (exercise 4.3).
    """
    small = downsample(y, 8)
    x = camera(small, SIGMA, seeds=range(len(y)))
    oracle = PicturesOracle(y, small, SIGMA)
    count = torch.special.entr(oracle.shares(x)).sum(1).exp()
    assert 5 < count.median() < 10
    assert count.max() > 30

    mean, draws = (
        oracle.mean(x),
        torch.stack([oracle.draw(x, seeded(seed)) for seed in range(4)]),
    )
    of_mean = (mean - y).square().mean()
    of_draw = (draws - y).square().mean()
    assert (of_draw / of_mean).item() == pytest.approx(2, rel=0.1)
    sharp = [sharpness(each).mean().item() for each in (y, draws[0], mean)]
    assert sharp[1] == pytest.approx(sharp[0], rel=0.05)
    assert sharp[2] < 0.75 * sharp[0]


def test_the_answer_to_exercise_4_2() -> None:
    D, y = plane.D.double(), f64(3, 1)
    seen = D.T @ torch.linalg.inv(D @ D.T) @ D @ y
    close(seen, f64(2, 2), 1e-14, "the seen part")
    close(y - seen, f64(1, -1), 1e-14, "the unseen part")
