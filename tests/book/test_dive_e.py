"""Equations of deep dive E that are not the job of one room, and its test with two
alternatives.
"""

from __future__ import annotations

from itertools import product
from typing import cast

import pytest
import torch
from checks import close, f64, randn, seeded
from examples.dive_e import many

from sr3mini.book.figures import blur, estimators, least_error, spoilt
from sr3mini.book.widgets import two_alternatives
from sr3mini.book.widgets.dive_e import TwoAlternatives
from sr3mini.data import ALPHABET, glyphs
from sr3mini.metrics import psnr

POINTS = [(0.5, "equal"), (0.8, "unequal"), (0.99, "nearly settled")]


def two_points(p: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The right answers +1 and -1 and their probabilities."""
    return f64(1, -1), f64(p, 1 - p)


def error(p: float, values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """E (Y - Y_hat)^2 by going through all pairs of a right answer and an answer given,
    which are independent.
    """
    right, probability = two_points(p)
    return ((right[:, None] - values).square() * probability[:, None] * weights).sum()


# (E.2) -------------------------------------------------------------------------------


@pytest.mark.parametrize("K", [1, 2, 3, 5])
def test_the_mean_of_K_samples_has_1_plus_1_over_K_of_the_floor(K: int) -> None:
    """(E.2), by enumeration of all 2^K draws, and all 3^K draws of a law that is no
    two-point one.
    """
    for right, probability in (
        two_points(0.8),
        (f64(-1, 0.2, 0.7), f64(0.5, 0.2, 0.3)),
    ):
        mean = (right * probability).sum()
        variance = ((right - mean).square() * probability).sum()
        draws = torch.tensor(list(product(range(len(right)), repeat=K)))
        means, weights = right[draws].mean(1), probability[draws].prod(1)
        found = (
            (right[:, None] - means).square() * probability[:, None] * weights
        ).sum()
        close(found, variance * (1 + 1 / K), 1e-13, f"K = {K}")


# (E.3), (E.4) ------------------------------------------------------------------------


def best_share(real: torch.Tensor, made: torch.Tensor) -> float:
    """The best judge of all: every set of answers to be called real is tried."""
    sets = torch.tensor(
        list(product((0.0, 1.0), repeat=len(real))), dtype=torch.float64
    )
    return ((sets @ real + (1 - sets) @ made) / 2).max().item()


def test_the_best_judge_is_right_with_probability_one_half_plus_half_the_distance() -> (
    None
):
    for seed in range(5):
        real, made = (randn(5, seed=seed + shift).softmax(0) for shift in (0, 50))
        distance = (real - made).abs().sum().item() / 2
        assert best_share(real, made) == pytest.approx((1 + distance) / 2, abs=1e-14)
    assert best_share(real, real) == pytest.approx(0.5)


@pytest.mark.parametrize("p", [0.5, 0.6, 0.8, 0.99])
def test_no_estimator_beats_the_least_error_and_some_reach_it(p: float) -> None:
    """(E.4): 20,000 random answers lie above it; mixtures of the mean and the right
    answers lie on it, for every P.
    """
    P, found = estimators(p, 20_000)
    assert (found >= least_error(p, P) - 1e-12).all()
    q, mean, variance = 1 - p, 2 * p - 1, 4 * p * (1 - p)
    for distance in f64(0, 0.05, 0.3, 0.7, 1):
        # probability left at -1, then at +1; the rest goes to the mean
        unlikely = (q - distance).clamp(min=0)
        weights = torch.stack([1 - distance - unlikely, unlikely, distance])
        close(
            error(p, f64(1, -1, mean), weights),
            least_error(p, distance),
            1e-14,
            f"P = {distance}",
        )
    close(least_error(p, f64(0, 1)), variance * f64(2, 1), 1e-14, "both ends")


@pytest.mark.parametrize("p", [0.5, 0.8])
def test_the_least_error_falls_and_is_convex(p: float) -> None:
    curve = least_error(p, torch.linspace(0, 1, 101, dtype=torch.float64))
    assert (curve.diff() < 0).all()
    assert (curve.diff().diff() > -1e-14).all()


def test_with_equal_points_the_least_error_is_1_plus_2F_of_the_floor() -> None:
    """F = (1 - P)/2, the fool rate of the best judge; the floor of two equal points is
    1.
    """
    P = torch.linspace(0, 1, 11, dtype=torch.float64)
    close(least_error(0.5, P), 1 + 2 * (1 - P) / 2, 1e-14, "1 + 2 F")


def test_estimators_are_measured_as_they_are() -> None:
    """P of a cloud point is the distance of its law: never negative, never above 1, and
    the error never below the floor.
    """
    P, found = estimators(0.7, 500, seed=1)
    assert ((P >= 0) & (P <= 1)).all()
    assert P.min() < 0.1
    assert P.max() > 0.9
    assert (found >= 4 * 0.7 * 0.3).all()


# Letters ------------------------------------------------------------------------------


def test_the_most_similar_other_letters_are_those_of_the_figure() -> None:
    """B for R, q for g, Q for O, and no tie that rounding could decide."""
    test = glyphs("test")
    originals = test.batch([test.find(character) for character in ALPHABET])
    flat = originals.flatten(1).double()
    distance = torch.cdist(flat, flat).fill_diagonal_(torch.inf)
    for character, other in zip("RgO", "BqQ", strict=True):
        row = distance[ALPHABET.index(character)]
        nearest, next_one = row.sort().values[:2]
        assert next_one - nearest > 1e-3
        assert ALPHABET[int(row.argmin())] == other


# Spoilt pictures ----------------------------------------------------------------------


def test_spoilt_pictures_have_the_same_psnr_each_and_differ() -> None:
    y = -torch.ones(2, 1, 16, 16)
    y[0, :, 4:12, 4:7] = 1
    y[1, :, 2:4] = y[1, :, 9:14, 5:9] = 1
    ways = spoilt(y)
    assert list(ways) == ["shifted", "blurred", "noisy", "faded"]
    for picture in ways.values():
        close(psnr(picture, y), psnr(ways["shifted"], y), 0.01, "PSNR")
        assert picture.abs().max() <= 1 + 1e-6
    assert all(
        (a - b).abs().max() > 0.2
        for a, b in zip(list(ways.values())[1:], list(ways.values())[:-1], strict=True)
    )


def test_blur_is_a_gaussian_of_each_pictures_own_width() -> None:
    """A black point on white becomes a bell: its variance is sigma^2, its sum stays."""
    y = torch.ones(2, 1, 33, 33)
    y[:, :, 16, 16] = -1
    sigma = torch.tensor([1.0, 2.0])
    bell = (1 - blur(y, sigma)) / 2
    close(bell.sum((1, 2, 3)), torch.ones(2), 1e-3, "sum")
    place = torch.arange(33.0) - 16
    close(
        (bell.sum((1, 2)) * place.square()).sum(1),
        sigma.square(),
        0.01,
        "variance across",
    )
    close(
        (bell.sum((1, 3)) * place.square()).sum(1),
        sigma.square(),
        0.01,
        "variance down",
    )


# Two alternatives ---------------------------------------------------------------------


@pytest.fixture
def game() -> TwoAlternatives:
    y = many(4, 16, 1)
    return cast(
        TwoAlternatives,
        two_alternatives(many(4, 4, 0), y, {"SR3": -y, "regression": y / 2}, seed=3),
    )


def test_every_picture_meets_every_rival_once_in_mixed_order_on_both_sides(
    game: TwoAlternatives,
) -> None:
    assert sorted((trial.rival, trial.number) for trial in game.trials) == [
        (rival, i) for rival in ("SR3", "regression") for i in range(4)
    ]
    assert [trial.rival for trial in game.trials] != sorted(
        trial.rival for trial in game.trials
    )
    assert {trial.original_left for trial in game.trials} == {True, False}
    other = cast(
        TwoAlternatives,
        two_alternatives(
            many(4, 4, 0),
            many(4, 16, 1),
            {"SR3": many(4, 16, 2), "regression": many(4, 16, 2)},
            seed=4,
        ),
    )
    assert other.trials != game.trials


def test_the_original_stands_where_the_answer_says(
    game: TwoAlternatives, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sr3mini.book.widgets import dive_e as room

    real, seen = room.alternatives, []
    monkeypatch.setattr(
        room,
        "alternatives",
        lambda x, left, right, names, alt: (
            seen.append((x, left, right, names)),
            real(x, left, right, names, alt),
        )[1],
    )
    x, y = many(4, 4, 0), many(4, 16, 1)
    for pair, trial in enumerate(game.trials, start=1):
        hidden, shown = game.draw(pair, "hidden"), game.draw(pair, "shown")
        for drawn, left, right, _ in seen[-2:]:
            assert torch.equal(drawn[0], x[trial.number])
            assert torch.equal(
                (left if trial.original_left else right)[0], y[trial.number]
            )
            assert not torch.equal(
                (right if trial.original_left else left)[0], y[trial.number]
            )
        assert seen[-2][3] == ("left", "right")
        assert set(seen[-1][3]) == {"original", trial.rival}
        assert "is hidden" in hidden.alt
        assert "SR3" not in hidden.alt
        assert "regression" not in hidden.alt
        assert (
            f"the left one is: {'original' if trial.original_left else trial.rival},"
            in shown.alt
        )


def press(game: TwoAlternatives, pair: int, right: bool) -> None:
    """The reader answers rightly, or wrongly, by the buttons."""
    game.controls["pair"].value = pair
    left, other = game.children[2].children
    (left if game.trials[pair - 1].original_left == right else other).click()


def test_answers_are_counted_for_each_rival_and_once_for_a_pair(
    game: TwoAlternatives,
) -> None:
    assert game.counted.value == "no answers yet"
    of = {
        rival: [
            pair
            for pair, trial in enumerate(game.trials, start=1)
            if trial.rival == rival
        ]
        for rival in ("SR3", "regression")
    }
    for pair, right in zip(of["SR3"], (True, False, False, True), strict=True):
        press(game, pair, right)
    press(game, of["regression"][0], True)
    # a second answer to a pair whose answer was seen does not count
    press(game, of["SR3"][0], False)
    assert (
        game.counted.value
        == "SR3: fooled 2 times in 4, fool rate 50 % ± 25 %; regression: fooled 0 times"
        " in 1, fool rate 0 % ± 0 %"
    )


def test_a_button_shows_the_answer_and_the_next_pair_hides_it_before_it_is_drawn(
    game: TwoAlternatives, monkeypatch: pytest.MonkeyPatch
) -> None:
    press(game, 1, True)
    assert game.controls["answer"].value == "shown"
    drawn: list[tuple[int, str]] = []
    draw = game.draw
    monkeypatch.setattr(
        game,
        "draw",
        lambda pair, answer: (drawn.append((pair, answer)), draw(pair, answer))[1],
    )
    game.controls["pair"].value = 2
    assert game.controls["answer"].value == "hidden"
    assert (2, "shown") not in drawn
    assert (2, "hidden") in drawn


def test_a_reader_who_guesses_is_fooled_half_of_the_time() -> None:
    y = many(200, 8, 1)
    game = cast(TwoAlternatives, two_alternatives(many(200, 2, 0), y, {"SR3": -y}))
    coin = torch.rand(200, generator=seeded(5)) < 0.5
    fooled = [
        bool(heads) != trial.original_left
        for heads, trial in zip(coin, game.trials, strict=True)
    ]
    assert 70 < sum(fooled) < 130
