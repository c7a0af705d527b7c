"""Equations of deep dive K that are not the job of one room, and what its figures
measure.
"""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from checks import close, f64, randn
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from sr3mini import diffuse, load
from sr3mini.book.figures import (
    bicubic_kernel,
    block_powers,
    conv_cost,
    fit_shifts,
    gain_error,
    influence,
    power_after,
    reach,
    without_norms,
)
from sr3mini.data import glyphs
from sr3mini.degrade import as_file, degradation_matrix, downsample, upsample
from sr3mini.metrics import consistency, psnr
from sr3mini.model.network import Network
from sr3mini.oracle import GaussianOracle
from sr3mini.sampler import predict_y_0
from sr3mini.unet import ResBlock, UNet
from sr3mini.upscaling.draw import draw


def weights(size: int, factor: int, stretch: float, a: float) -> torch.Tensor:
    """(size / factor, size): every row holds the kernel, `stretch` times as wide,
    around one pixel of x, and sums to 1.
    """
    middles = (torch.arange(size // factor, dtype=torch.float64) + 0.5) * factor - 0.5
    kernel = bicubic_kernel((torch.arange(size) - middles[:, None]) / stretch, a)
    return kernel / kernel.sum(1, keepdim=True)


def test_the_rows_of_d_hold_the_kernel_stretched_by_the_factor() -> None:
    """(K.2): antialiased, a = -0.5. Two directions, one after the other: D is the
    Kronecker product of the line's matrix with itself.
    """
    W = weights(16, 4, stretch=4, a=-0.5)
    close(torch.kron(W, W), degradation_matrix(16, 4), 1e-14, "D from the kernel")


def test_without_antialiasing_torch_uses_another_kernel_at_its_own_width() -> None:
    """(K.2), a = -0.75: four pixels a line, however many lie between two of x."""
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
    """(K.3): for y_0 ~ N(U x, v I) the Gaussian oracle gives this very formula."""
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
    """(K.3): E(eps - c r)^2 with r = sqrt(gamma) d + sqrt(1 - gamma) eps, d of variance
    v, is lowest at this c.
    """
    for gamma in (0.99, 0.5, 0.01):
        v = 0.1
        best = math.sqrt(1 - gamma) / (gamma * v + 1 - gamma)
        c = f64(*[best + step for step in (-0.01, 0.0, 0.01)])
        error = 1 - 2 * c * math.sqrt(1 - gamma) + c.square() * (gamma * v + 1 - gamma)
        assert error.argmin() == 1


# -- what the dive shows with the trained network


@pytest.fixture(scope="module")
def f() -> Network:
    f = load("glyphs_8_32")
    f.preset = f.preset.sampled(25, "ancestral")
    return f


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


def test_a_scale_gives_every_gain_and_one_shifted_feature_does_not() -> None:
    """SiLU(g n + 20) - 20 = g n but for e^-14; the best of one shifted feature is off
    by more than 0.5, for slopes from -1 to 2.
    """
    gains, n = f64(-1, 0, 0.5, 1, 2), torch.linspace(-3, 3, 61, dtype=torch.float64)
    assert gain_error(gains, n, F.silu(gains[:, None] * n + 20) - 20) < 1e-4
    assert gain_error(gains, n, fit_shifts(gains, n, 1)) > 0.5
    # with one gain only, nothing is missing
    assert gain_error(f64(1.0), n, fit_shifts(f64(1.0), n, 1)) < 0.05


def test_four_features_with_shifts_alone_can_have_five_gains() -> None:
    """Shifts of -40 switch a feature off, others on; the weights of those that are on
    add up to the gain, and their shifts cancel.
    """
    gains, n = f64(-1, 0, 0.5, 1, 2), torch.linspace(-3, 3, 61, dtype=torch.float64)
    weights, off = f64(1, 3, -2, -0.5), -40.0
    shifts = torch.stack(
        [
            f64(80, off, 40, off),
            f64(off, off, off, off),
            f64(40, off, off, 80),
            f64(off, 40, 60, off),
            f64(40, 40, 80, off),
        ]
    )
    on = (shifts > 0).double()
    close(on @ weights, gains, 1e-14, "the gains")
    close((on * shifts) @ weights, 0 * gains, 1e-14, "the constants")
    outputs = F.silu(n[:, None] + shifts[:, None]) @ weights
    close(outputs, gains[:, None] * n, 1e-12, "the lines")

    # any shifts of +-40 give the slopes, if a constant may differ from level to level
    steep = F.silu(n[:, None] + 40 * (2 * on - 1)[:, None]) @ weights
    slopes = (steep[:, -1] - steep[:, 0]) / (n[-1] - n[0])
    close(slopes, gains, 3e-14, "the slopes")


def test_a_shift_before_the_normalisation_is_lost_where_a_group_shares_it() -> None:
    h = randn(2, 8, 5, 5)
    # one number for each group of two channels
    shared = randn(2, 4, 1, seed=1).expand(2, 4, 2).reshape(2, 8, 1, 1)
    close(
        F.group_norm(h + shared, 4),
        F.group_norm(h, 4),
        1e-4,
        "a shift that the group shares",
    )
    own = randn(2, 8, 1, 1, seed=1)
    assert (F.group_norm(h + own, 4) - F.group_norm(h, 4)).abs().max() > 0.1
    close(F.group_norm(h + own, 8), F.group_norm(h, 8), 1e-4, "one channel a group")


def test_the_power_follows_its_recursion() -> None:
    """(K.4): V -> (V + v)/2 step by step, or V -> V + v for a plain sum; and blocks
    with fresh weights follow it.
    """
    scaled, plain = 4.0, 4.0
    for blocks in range(6):
        assert power_after(blocks, 4.0, 0.3) == pytest.approx(scaled, abs=1e-14)
        assert power_after(blocks, 4.0, 0.3, scaled=False) == pytest.approx(
            plain, abs=1e-14
        )
        scaled, plain = (scaled + 0.3) / 2, plain + 0.3
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        blocks_ = [ResBlock(32, 32, 16, 8, 0.0) for _ in range(8)]
    h, e = randn(4, 32, 16, 16).float(), torch.zeros(4, 16)
    for is_scaled in (True, False):
        powers, branch = block_powers(blocks_, h, e, is_scaled)
        for blocks, power in enumerate(powers):
            assert power == pytest.approx(
                power_after(blocks, powers[0], branch, is_scaled), rel=0.15
            )


@pytest.mark.parametrize(
    ("multipliers", "blocks"),
    [((1,), 1), ((1,), (2,)), ((1, 2), 1), ((1, 2), (0, 1)), ((1, 1, 2), (0, 1, 1))],
)
def test_the_reach_is_what_the_gradient_shows(
    multipliers: tuple[int, ...], blocks: int | tuple[int, ...]
) -> None:
    """(K.5): the gradient of one output pixel is not 0 in a square of side 2 R + 1, and
    0 outside.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        f = without_norms(UNet(channels=8, multipliers=multipliers, blocks=blocks))
    f = f.double()  # 32-bit convolutions may round what is 0
    side = 2 * reach(multipliers, blocks) + 1
    size = (side + 16) // 4 * 4
    touched = (
        influence(
            f,
            randn(1, 1, 4, 4),
            randn(1, 1, size, size),
            f64(0.5),
            (size // 2, size // 2),
        )
        > 0
    )
    assert int(touched.any(0).sum()) == int(touched.any(1).sum()) == side


def test_with_group_norm_or_attention_every_pixel_has_a_little_influence() -> None:
    x, y_t, gamma = randn(1, 1, 8, 8).float(), randn(1, 1, 40, 40).float(), f64(0.5)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        normed = UNet(channels=8, multipliers=(1,))
        torch.nn.init.normal_(normed.head.weight)
        attends = without_norms(UNet(channels=8, multipliers=(1,), attention=(0,)))
    for f in (normed, attends):
        each = influence(f, x, y_t, gamma, (20, 20))
        assert (each > 0).all()
        assert (
            each[20 - 12 : 20 + 13, 20 - 12 : 20 + 13].mean() > 5 * each[:5, :5].mean()
        )


def test_a_trained_network_looks_close_by_where_there_is_little_noise() -> None:
    """Of its guess of y_0: the 5x5 pixels around have more of the influence."""
    f, test = load("glyphs_8_32"), glyphs("test")
    y_0 = test.batch([test.find("R")])
    x, eps = downsample(y_0, 4), randn(*y_0.shape).float()

    def guess(x: Tensor, y_t: Tensor, gamma: Tensor) -> Tensor:
        return predict_y_0(y_t, f(x, y_t, gamma), gamma[0])

    near = []
    for gamma in (f64(0.9999), f64(0.001)):
        each = influence(guess, x, diffuse(y_0, gamma, eps), gamma, (12, 16))
        near.append(each[10:15, 14:19].sum() / each.sum())
    assert near[0] > 2 * near[1]


def test_the_cost_of_a_convolution_is_what_torch_counts() -> None:
    """(K.6), both convolutions of the book: 3x3, and 1x1 where a skip changes the
    number of channels.
    """
    for side in (3, 1):
        convolution = torch.nn.Conv2d(5, 7, side, padding=side // 2)
        with FlopCounterMode(display=False) as counter:
            convolution(torch.zeros(1, 5, 6, 4))
        parameters = sum(p.numel() for p in convolution.parameters())
        assert conv_cost(5, 7, 6, 4, side) == (parameters, counter.get_total_flops())


def test_the_parameters_of_exercise_K_5_are_those_of_a_residual_block() -> None:
    from sr3mini.book.exercises import EXERCISES

    for inputs, outputs in ((16, 16), (16, 32), (48, 32)):
        counted = EXERCISES["K.5"].right(
            torch.tensor([inputs]), torch.tensor([outputs]), 64
        )
        assert counted.tolist() == [
            sum(p.numel() for p in ResBlock(inputs, outputs, 64, 8, 0.0).parameters())
        ]
