"""The training loss, and the floors below which no network gets."""

from __future__ import annotations

import math

import pytest
import torch
from checks import (
    check_l1_finds_the_median_and_l2_the_mean,
    check_the_loss_reaches_its_floor,
    close,
    f64,
    gaussian_problem,
    randn,
)
from torch import Tensor

from sr3mini.loss import denoising_loss, regress, regression_loss


def nothing(x: Tensor, y_t: Tensor, gamma: Tensor) -> Tensor:
    """An untrained network."""
    return 0 * y_t


@pytest.mark.parametrize("gamma", [0.05, 0.4, 0.95])
def test_check_4_l2_reaches_its_floor_exactly(gamma: float) -> None:
    """Check 4: the oracle's L2 loss is tr(gamma Sigma S^{-1})/d, S = gamma Sigma + (1 -
    gamma) I, without Monte Carlo.
    """
    check_the_loss_reaches_its_floor(denoising_loss, 2, gamma)


@pytest.mark.parametrize("gamma", [0.05, 0.4, 0.95])
def test_check_4_l1_reaches_its_floor(gamma: float) -> None:
    """Check 4: the oracle's L1 loss is sqrt(2/pi) E sqrt(var), to 0.005 with 20,000
    draws.
    """
    check_the_loss_reaches_its_floor(denoising_loss, 1, gamma)


@pytest.mark.parametrize("p", [1, 2])
def test_check_4_other_answers_stay_above_the_floor(p: int) -> None:
    """Check 4: "trained" can mean "within x % of the floor", because shrunk, stretched
    and shifted oracles all lie above it.
    """
    oracle, m, _, L = gaussian_problem()
    n = 20_000
    y_0, eps, gamma = (
        m + randn(n, 4, seed=1) @ L.T,
        randn(n, 4, seed=2),
        f64(0.4).expand(n),
    )
    best = denoising_loss(oracle, y_0, y_0, gamma, eps, p=p)
    for scale, shift in ((0.9, 0), (1.1, 0), (1, 0.1), (1, -0.1), (0, 0)):
        assert (
            denoising_loss(
                lambda x, y_t, g, a=scale, b=shift: a * oracle(x, y_t, g) + b,
                y_0,
                y_0,
                gamma,
                eps,
                p=p,
            )
            > best + 1e-3
        )


def test_check_5_l1_finds_the_median_and_l2_the_mean() -> None:
    """Check 5: minimised over constants where y_t = 0, gamma = 0.2: L2 gives -0.20, L1
    -0.50.
    """
    check_l1_finds_the_median_and_l2_the_mean(denoising_loss)


def test_the_predictor_is_shown_x_the_noisy_image_and_its_level() -> None:
    seen: list[Tensor] = []

    def f(x: Tensor, y_t: Tensor, gamma: Tensor) -> Tensor:
        seen.extend((x, y_t, gamma))
        return y_t

    x, y_0, eps, gamma = (
        randn(2, 1, 2, 2),
        randn(2, 1, 4, 4, seed=1),
        randn(2, 1, 4, 4, seed=2),
        f64(0.36, 0.04),
    )
    denoising_loss(f, x, y_0, gamma, eps)
    assert seen[0] is x
    close(
        seen[1],
        torch.stack([0.6 * y_0[0] + 0.8 * eps[0], 0.2 * y_0[1] + 0.96**0.5 * eps[1]]),
        1e-15,
        "y_t",
    )
    assert seen[2] is gamma


def test_it_is_a_mean_over_elements_so_that_image_sizes_compare() -> None:
    """With f = 0, E |eps|^p: 1 for p = 2, sqrt(2/pi) for p = 1, whatever the number of
    pixels.
    """
    for side in (8, 64):
        y_0, eps = randn(16, 1, side, side), randn(16, 1, side, side, seed=1)
        for p, wanted in ((2, 1), (1, math.sqrt(2 / math.pi))):
            loss = denoising_loss(nothing, y_0, y_0, f64(0.5).expand(16), eps, p=p)
            assert loss.shape == ()
            assert loss.item() == pytest.approx(wanted, abs=0.1 if side == 8 else 0.02)


def test_a_perfect_prediction_costs_nothing_and_the_gradient_points_there() -> None:
    y_0, eps = randn(2, 1, 4, 4), randn(2, 1, 4, 4, seed=1)
    guess = (eps + 0.1).requires_grad_()
    for p in (1, 2):
        assert (
            denoising_loss(lambda x, y_t, gamma: eps, y_0, y_0, f64(0.3, 0.6), eps, p=p)
            == 0
        )
        (slope,) = torch.autograd.grad(
            denoising_loss(
                lambda x, y_t, gamma: guess, y_0, y_0, f64(0.3, 0.6), eps, p=p
            ),
            guess,
        )
        assert (slope > 0).all()


@pytest.mark.parametrize("p", [0, 3])
def test_another_p_is_refused(p: int) -> None:
    with pytest.raises(
        ValueError,
        match=(
            rf"^p = {p}, but SR3's loss is defined for p = 1 \(absolute error\) and p ="
            r" 2 \(squared error\)$"
        ),
    ):
        denoising_loss(
            nothing,
            torch.zeros(1, 1),
            torch.zeros(1, 1),
            f64(0.5),
            torch.zeros(1, 1),
            p=p,
        )


# The regression baseline --------------------------------------------------------------


def test_a_regression_network_is_shown_x_and_nothing_else() -> None:
    """(8.7): y_t = 0 and gamma = 0, in the shape and the number of x's batch."""
    seen: list[Tensor] = []
    x = randn(2, 1, 2, 2)
    answer = regress(
        lambda *shown: (seen.extend(shown), shown[1] + 0.25)[1], x, (2, 1, 4, 4)
    )
    assert seen[0] is x
    close(seen[1], torch.zeros(2, 1, 4, 4).double(), 0, "y_t")
    close(seen[2], f64(0, 0), 0, "gamma")
    close(
        answer,
        torch.full((2, 1, 4, 4), 0.25).double(),
        0,
        "the answer, as the network gave it",
    )


def test_the_regression_loss_is_the_mean_distance_to_the_picture() -> None:
    y_0 = f64(0.5, -0.5, 1.0, 0.0).reshape(2, 1, 1, 2)
    for p, wanted in (
        (1, (0.25 + 0.75 + 0.75 + 0.25) / 4),
        (2, (0.0625 + 0.5625 + 0.5625 + 0.0625) / 4),
    ):
        assert regression_loss(
            lambda x, y_t, gamma: y_t + 0.25, y_0, y_0, p
        ).item() == pytest.approx(wanted)
    assert regression_loss(lambda x, y_t, gamma: y_0, y_0, y_0) == 0


def test_of_all_answers_to_one_x_the_mean_has_the_lowest_regression_loss() -> None:
    """Seven pictures fit one x in ten cases, three fit in the others: the best single
    answer is their mean, 0.4.
    """
    y_0 = f64(*[1] * 7, *[-1] * 3)[:, None]
    grid = [i / 100 for i in range(-100, 101)]
    assert (
        min(
            grid,
            key=lambda c: regression_loss(
                lambda x, y_t, gamma: y_t + c, 0 * y_0, y_0
            ).item(),
        )
        == 0.4
    )
    assert (
        min(
            grid,
            key=lambda c: regression_loss(
                lambda x, y_t, gamma: y_t + c, 0 * y_0, y_0, p=1
            ).item(),
        )
        == 1.0
    )
