"""Equations of chapter 4 that are not the job of one room."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from checks import close, f64, randn
from torch import Tensor

from sr3mini import diffuse, load
from sr3mini.book.figures import bicubic_kernel
from sr3mini.data import glyphs
from sr3mini.degrade import as_file, degradation_matrix, downsample, unseen, upsample
from sr3mini.metrics import consistency, psnr
from sr3mini.model.network import Network
from sr3mini.oracle import GaussianOracle
from sr3mini.upscaling.draw import draw


def weights(size: int, factor: int, stretch: float, a: float) -> torch.Tensor:
    """(size / factor, size): every row holds the kernel, `stretch` times as wide,
    around one pixel of x, and sums to 1.
    """
    middles = (torch.arange(size // factor, dtype=torch.float64) + 0.5) * factor - 0.5
    kernel = bicubic_kernel((torch.arange(size) - middles[:, None]) / stretch, a)
    return kernel / kernel.sum(1, keepdim=True)


def test_the_rows_of_d_hold_the_kernel_stretched_by_the_factor() -> None:
    """(4.6): antialiased, a = -0.5. Two directions, one after the other: D is the
    Kronecker product of the line's matrix with itself.
    """
    W = weights(16, 4, stretch=4, a=-0.5)
    close(torch.kron(W, W), degradation_matrix(16, 4), 1e-14, "D from the kernel")


def test_without_antialiasing_torch_uses_another_kernel_at_its_own_width() -> None:
    """(4.6), a = -0.75: four pixels a line, however many lie between two of x."""
    line = torch.eye(16, dtype=torch.float64).reshape(16, 1, 1, 16)
    sparse = F.interpolate(line, size=(1, 4), mode="bicubic", align_corners=False)[
        :, 0, 0
    ].T
    close(weights(16, 4, stretch=1, a=-0.75), sparse, 1e-14, "the line's matrix")


def test_the_kernel_is_1_in_the_middle_0_at_other_whole_numbers_and_smooth() -> None:
    """So x is met exactly when a picture is not resized; value and slope have no jump
    at 1 and at 2.
    """
    for a in (-0.5, -0.75):
        close(
            bicubic_kernel(f64(0, 1, -1, 2, 3), a),
            f64(1, 0, 0, 0, 0),
            1e-15,
            "whole numbers",
        )
        s = f64(1, 2).requires_grad_()
        for side in (-1e-9, 1e-9):
            (slope,) = torch.autograd.grad(bicubic_kernel(s + side, a).sum(), s)
            close(slope, f64(a, 0), 1e-7, f"slopes at 1 and 2, coming from {side}")


def test_enlarging_uses_the_same_kernel_unstretched() -> None:
    """U: between the pixels of x, a = -0.5, at the width of a pixel of x (away from the
    border, where the weights that fall outside are left out).
    """
    line = torch.eye(8, dtype=torch.float64).reshape(8, 1, 1, 8)
    U = upsample(line, size=(1, 32))[:, 0, 0].T
    where = (torch.arange(32, dtype=torch.float64) + 0.5) / 4 - 0.5
    wanted = bicubic_kernel(where[:, None] - torch.arange(8))
    close(U[8:24], wanted[8:24], 2e-7, "rows of U")  # torch keeps float32 coordinates


def test_the_hand_made_guess_is_the_best_one_when_y_minus_ux_is_white() -> None:
    """(4.7): for y_0 ~ N(U x, v I) the Gaussian oracle gives this very formula."""
    x_up, y_t, gamma, v = randn(16), randn(3, 16, seed=1), f64(0.9, 0.5, 0.1), 0.1
    level = gamma[:, None]
    guess = (1 - level).sqrt() / (level * v + 1 - level) * (y_t - level.sqrt() * x_up)
    close(
        GaussianOracle(x_up, v * torch.eye(16).double())(None, y_t, gamma),
        guess,
        1e-14,
        "the guess",
    )


def test_the_factor_of_the_hand_made_guess_has_the_smallest_squared_error() -> None:
    """(4.7): E(eps - c r)^2 with r = sqrt(gamma) d + sqrt(1 - gamma) eps, d of variance
    v, is lowest at this c.
    """
    for gamma in (0.99, 0.5, 0.01):
        v = 0.1
        best = math.sqrt(1 - gamma) / (gamma * v + 1 - gamma)
        c = f64(*[best + step for step in (-0.01, 0.0, 0.01)])
        error = 1 - 2 * c * math.sqrt(1 - gamma) + c.square() * (gamma * v + 1 - gamma)
        assert error.argmin() == 1


def test_the_mean_of_consistent_answers_is_consistent() -> None:
    """(4.3) at work: D is linear, so answers that all shrink to x have a mean that
    shrinks to x.
    """
    x = downsample(randn(1, 1, 8, 8), 4)
    answers = randn(5, 1, 8, 8, seed=1)
    answers = randn(1, 1, 8, 8) + unseen(answers, 4)
    close(downsample(answers, 4), x.expand(5, -1, -1, -1), 1e-14, "each answer")
    close(downsample(answers.mean(0, keepdim=True), 4), x, 1e-14, "their mean")


# -- what the chapter shows with the trained network


@pytest.fixture(scope="module")
def f() -> Network:
    return load("glyphs_8_32")


@pytest.fixture(scope="module")
def y() -> Tensor:
    """Eight letters that the network has not seen."""
    test = glyphs("test")
    return test.batch([test.find(character) for character in "ABCDR5ga"])


def test_neither_way_of_resizing_undoes_the_other(y: Tensor) -> None:
    """And clipping x, unlike shrinking, is not linear."""
    x = downsample(y, 4)
    assert (upsample(x, 4) - y).square().mean().sqrt() > 0.2
    assert (downsample(upsample(x, 4), 4) - x).square().mean().sqrt() > 0.03

    twice, flat = downsample(2 * y - 1, 4).clamp(-1, 1), torch.ones_like(x)
    assert (twice - (2 * x.clamp(-1, 1) - flat)).abs().max() > 0.1


def test_between_two_letters_every_draw_obeys_x(f: Network) -> None:
    test = glyphs("test")
    names = ("a", "DejaVuSansMono"), ("ə", "DejaVuSans")
    middle = downsample(test.batch([test.find(*name) for name in names]), 4)
    middle = middle.mean(0, keepdim=True)
    answers = draw(f, middle, seeds=range(8))[:, 0]
    assert (consistency(answers, middle.expand(8, -1, -1, -1)) < 20).all()


def test_the_network_can_use_the_x_it_was_trained_on_and_no_other(
    f: Network, y: Tensor
) -> None:
    x = downsample(y, 4)
    usable = {"its own": x, "8 bits": ((x + 1) * 127.5).round() / 127.5 - 1}
    foreign = {
        "a file's": as_file(x),
        "bilinear": downsample(y, 4, mode="bilinear"),
        "aliased": F.interpolate(y, (8, 8), mode="bicubic", align_corners=False),
    }
    assert f.preset.from_files == 0  # else the chapter has another story to tell
    for name, small in {**usable, **foreign}.items():
        quality = psnr(draw(f, small, seeds=[0])[0], y).mean().item()
        assert quality > 25 if name in usable else quality < 20, (name, quality)


def test_another_x_changes_the_answer(f: Network, y: Tensor) -> None:
    """Samples no longer shrink to the x that was meant, and the loss notices."""
    x = downsample(y, 4)
    wrong = {"another's": x.roll(1, 0), "white": torch.ones_like(x)}
    assert (consistency(draw(f, x, seeds=[0])[0], x) < 20).all()
    for small in wrong.values():
        assert (consistency(draw(f, small, seeds=[0])[0], x) > 100).all()

    eps, gamma = randn(*y.shape).float(), f64(0.9).expand(len(y))
    y_t = diffuse(y, gamma, eps)
    own, others = (
        (f(small, y_t, gamma) - eps).square().mean() for small in (x, x.roll(1, 0))
    )
    assert others > 10 * own
