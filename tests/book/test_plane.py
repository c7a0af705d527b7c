"""The plane: its data, its exact answers and its exact f agree with each other."""

from __future__ import annotations

import io

import pytest
import torch
from checks import close, f64, seeded
from examples.plane import FIGURES
from PIL import Image
from torch import Tensor

from sr3mini import NoiseSchedule, diffuse, sample
from sr3mini.book import plane


def test_x_is_the_mean_of_the_two_pixels() -> None:
    x, y = plane.draw(1000, seeded(0))
    close(x[:, 0], y.mean(1), 1e-6, "x")


def test_for_x_0_the_mean_lies_a_third_of_the_way_where_there_is_no_data() -> None:
    """The line meets two clusters with shares 2 : 1."""
    x = torch.zeros(1, 1)
    close(plane.shares(x)[0, :2], f64(2 / 3, 1 / 3), 1e-9, "shares")
    close(plane.mean(x)[0], torch.tensor([-0.7, 0.7]) / 3, 1e-6, "mean")


@pytest.mark.parametrize("x", [0.0, 0.05, 0.6, -0.7])
def test_draws_of_the_answer_are_the_data_near_that_x(x: float) -> None:
    """Bayes by rejection: of a million points those whose x is this one, nearly."""
    seen, y = plane.draw(1_000_000, seeded(0))
    kept = y[(seen[:, 0] - x).abs() < 0.004]
    given = torch.full((20_000, 1), x)
    drawn = plane.answers(given, seeded(1))
    error = 4 / len(kept) ** 0.5
    close(kept.mean(0), drawn.mean(0), error, "mean")
    close(plane.mean(given[:1])[0], drawn.mean(0), 0.03, "mean in closed form")
    close(kept.T.cov(), drawn.T.cov(), 2 * error, "covariance")


@pytest.mark.parametrize("gamma", [0.9, 0.5, 0.1])
def test_the_exact_f_is_the_mean_of_eps_among_answers_that_could_be_this_y_t(
    gamma: float,
) -> None:
    """By importance: answers to x weighted with how well they explain y_t."""
    x, level = torch.full((1, 1), 0.1), torch.tensor([gamma], dtype=torch.float64)
    y_t = diffuse(plane.answers(x, seeded(0)), level, torch.randn(1, 2).double())
    # along the line only: across it, all answers are the same
    answers = plane.answers(x.expand(400_000, 1), seeded(1)).double()
    eps = (y_t - level.sqrt() * answers) / (1 - level).sqrt()
    weights = (-eps.square().sum(1) / 2).softmax(0)
    wanted = weights @ eps
    close(plane.oracle(x, y_t, level)[0], wanted.to(y_t), 0.01, "f")


def test_algorithm_2_with_the_exact_f_ends_on_the_line_in_the_right_clusters() -> None:
    schedule, x = NoiseSchedule.linear(300, 1e-4, 6e-2), torch.zeros(4000, 1)
    how = {"generator": seeded(0), "variance": "posterior"}
    y: Tensor = sample(plane.oracle, x, schedule, (4000, 2), **how)
    close(y.mean(1), x[:, 0], 1e-6, "D y")
    assert abs((y[:, 0] < 0).float().mean().item() - 2 / 3) < 0.03


def test_the_fall_is_an_animation_whose_still_is_the_end() -> None:
    with Image.open(io.BytesIO(FIGURES["plane_fall"][0]().png())) as film:
        assert film.n_frames == 26
        assert film.info["default_image"]
