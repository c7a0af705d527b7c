"""Equations of chapter 9: the head start, what a training costs, and what happens to
it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from fractions import Fraction

import pytest
import tiny
import torch
from checks import close, f64, randn, seeded
from project import ROOT
from tiny import TINY
from torch import Tensor

from sr3mini.book.figures import error_in_picture, rotation, spike_jump, spike_memory
from sr3mini.book.figures.ch09 import BETA_1, BETA_2, readable_hours, rounded
from sr3mini.book.measured import measured
from sr3mini.degrade import downsample, upsample
from sr3mini.forward import diffuse
from sr3mini.loss import denoising_loss
from sr3mini.model.network import Network, SR3Network, build
from sr3mini.model.presets import PRESETS
from sr3mini.oracle import GaussianOracle
from sr3mini.sampler import predict_y_0
from sr3mini.training.learn import ema_decay, learning_rate
from sr3mini.training.plan import plan
from sr3mini.unet import UNet

DIVE_I = ROOT / "chapters/deeper/i_head_start_and_spikes.md"
STARTED = dataclasses.replace(TINY, detail=0.2)
GAMMAS = f64(1e-4, 0.1, 0.5, 0.9, 0.999)


def problem() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x, y_0 = U x + detail, eps and y_t for the five levels above, float64; the detail
    is in units of s = 0.2.
    """
    x, rho, eps = (
        downsample(randn(5, 1, 16, 16, seed=1), 4),
        randn(5, 1, 16, 16, seed=2),
        randn(5, 1, 16, 16, seed=3),
    )
    y_0 = upsample(x, 4) + 0.2 * rho
    return x, rho, eps, diffuse(y_0, GAMMAS, eps)


def test_an_untrained_head_start_is_the_oracle_of_a_gaussian_around_U_x() -> None:
    """(I.1): for every x and level, to float64's rounding."""
    x, _, _, y_t = problem()
    f = build(STARTED).double()
    for i in range(5):
        oracle = GaussianOracle(
            upsample(x, 4)[i].flatten(), 0.04 * torch.eye(256, dtype=torch.float64)
        )
        close(
            f(x[i : i + 1], y_t[i : i + 1], GAMMAS[i : i + 1]),
            oracle(None, y_t[i : i + 1], GAMMAS[i : i + 1]),
            1e-12,
            f"level {GAMMAS[i]}",
        )


def test_the_rest_is_the_u_net_in_units_of_what_the_gaussian_leaves_open() -> None:
    """(I.2): with weights that are not zero, f less the oracle is the U-Net's own
    output for the normalised difference, times the deviation of (6.4).
    """
    x, _, _, y_t = problem()
    f = tiny.network(STARTED).double()
    assert isinstance(f, SR3Network)
    start = build(STARTED).double()
    v = GAMMAS * 0.04 + 1 - GAMMAS
    shown = (y_t - GAMMAS.sqrt()[:, None, None, None] * upsample(x, 4)) / v.sqrt()[
        :, None, None, None
    ]
    deviation = torch.stack(
        [
            GaussianOracle(f64(0.0), f64(0.04)[None])
            .residual_covariance(g)[0, 0]
            .sqrt()
            for g in GAMMAS.tolist()
        ]
    )
    wanted = start(x, y_t, GAMMAS) + deviation[:, None, None, None] * UNet.forward(
        f, x, shown, GAMMAS
    )
    close(f(x, y_t, GAMMAS), wanted, 1e-10, "f")
    assert (f(x, y_t, GAMMAS) - start(x, y_t, GAMMAS)).abs().max() > 1e-3


def test_detail_and_noise_are_turned_by_an_angle() -> None:
    """(I.3): what the U-Net is shown, and the answer that makes f the noise itself."""
    x, rho, eps, y_t = problem()
    cos, sin = (part[:, None, None, None] for part in rotation(GAMMAS, 0.2))
    close(cos.square() + sin.square(), torch.ones_like(cos), 1e-15, "cos^2 + sin^2")
    v = (GAMMAS * 0.04 + 1 - GAMMAS)[:, None, None, None]
    shown = (y_t - GAMMAS.sqrt()[:, None, None, None] * upsample(x, 4)) / v.sqrt()
    close(shown, cos * rho + sin * eps, 1e-12, "what F sees")
    close(
        build(STARTED).double()(x, y_t, GAMMAS) + cos * (cos * eps - sin * rho),
        eps,
        1e-12,
        "f with the right answer",
    )


@pytest.mark.parametrize("s", [0.2, 0.0])
def test_how_far_an_error_of_the_u_net_moves_the_picture(s: float) -> None:
    """(I.4): add 1 to the U-Net's output, whose head's bias it is, and compare the
    guessed pictures.
    """
    preset = dataclasses.replace(STARTED, detail=s)
    x, _, _, y_t = problem()

    def guess(f: Network) -> Tensor:
        return torch.cat(
            [
                predict_y_0(y_t[i : i + 1], f(x[i : i + 1], y_t[i : i + 1], g[None]), g)
                for i, g in enumerate(GAMMAS)
            ]
        )

    f, off = (
        build(preset).double().requires_grad_(False),
        build(preset).double().requires_grad_(False),
    )
    off.head.bias += 1  # type: ignore[union-attr, operator]
    close(
        (guess(f) - guess(off)).mean((1, 2, 3)),
        error_in_picture(GAMMAS, s),
        1e-11,
        "shift",
    )
    assert s == 0 or (error_in_picture(GAMMAS, s) <= s).all()


def test_head_start_loss_is_mean_cos_squared_if_s_is_the_details_deviation() -> None:
    """Whatever the law of the detail is, by its second moment alone: here it is +s or
    -s.
    """
    generator = seeded(0)
    x = randn(400, 1, 4, 4) / 2
    y_0 = upsample(x, 4) + 0.2 * (
        torch.randint(0, 2, (400, 1, 16, 16), generator=generator) * 2.0 - 1
    )
    gamma = f64(0.7).expand(400)
    loss = denoising_loss(
        build(STARTED).double(), x, y_0, gamma, randn(400, 1, 16, 16, seed=4)
    )
    assert loss.item() == pytest.approx(
        rotation(f64(0.7), 0.2)[0].item() ** 2, rel=0.02
    )


def test_twenty_bytes_a_parameter_before_the_first_activation() -> None:
    """(9.1): weight, gradient, two moments and average, of four bytes each; and
    activations grow with the pictures on a device.
    """
    costs = [
        plan(PRESETS["glyphs_8_32"], kind="h100", micro_batches=parts)
        for parts in (2, 4)
    ]
    for cost in costs:
        assert cost.bytes - cost.memory["activations"] == pytest.approx(
            20 * cost.parameters
        )
    assert costs[0].memory["activations"] == pytest.approx(
        2 * costs[1].memory["activations"], rel=0.1
    )


def test_one_part_holds_no_gradients_at_its_fullest_moment_and_DDP_a_copy_more() -> (
    None
):
    """Section 9.3: 16 bytes a parameter where the batch is one part, since gradients
    come when features go; 9.7: DDP's 4 more, 24 with several parts.
    """
    preset = PRESETS["faces_16_128_small"]
    wanted = {(1, 1): 16, (1, 2): 20, (2, 1): 20, (2, 2): 24}
    for (gpus, parts), each in wanted.items():
        cost = plan(preset, kind="h100", gpus=gpus, micro_batches=parts)
        held = cost.bytes - cost.memory["activations"]
        assert held == pytest.approx(each * cost.parameters, rel=0.01)


def test_what_the_full_run_is_said_to_have_reached() -> None:
    """Section 9.8 tells it in words, 9.9 the number of pictures."""
    run = measured("photos_16_64")
    assert run["images"] == 12_211
    assert 10 * math.log10(2 / 1.25) == pytest.approx(2.0, abs=0.05)
    for found in run["sets"].values():
        table = found["table"]
        bicubic, twin = table["bicubic"], table["photos_16_64_regression"]
        one, several = table["photos_16_64"], table["mean of 4"]
        assert bicubic["PSNR"] < one["PSNR"] < several["PSNR"]
        assert 0.65 < several["PSNR"] - one["PSNR"] < 1.35
        assert twin["PSNR"] == pytest.approx(several["PSNR"], abs=0.6)
        assert one["consistency"] < min(bicubic["consistency"], twin["consistency"])
        sharpest = max(row["sharpness"] for row in (bicubic, twin, several))
        assert sharpest < one["sharpness"] < table["original"]["sharpness"]
        assert one["flat"] < 1.3  # little more texture than is there


def test_the_table_of_dive_i_is_what_was_measured() -> None:
    tried = measured("photos_16_64")["tried"]
    assert tried["columns"] == ["PSNR", "consistency", "sharpness", "flat"]
    text = DIVE_I.read_text(encoding="utf-8")
    for name, decibels, consistency, sharpness, flat in tried["set5"]:
        cells = f"{decibels:.2f} | {consistency:.2f} | {sharpness:.4f} | {flat:.2f}"
        assert f"| {name} | {cells} |" in text


def test_what_the_gpu_is_said_to_have_reached() -> None:
    """Sections 9.3 and 9.9 name these in their text."""
    gpu = measured("gpu")
    compiled, usual = gpu["step"]
    assert usual["peak_memory_gb"] == pytest.approx(usual["planned_memory_gb"], rel=0.1)
    assert compiled["peak_memory_gb"] / compiled["planned_memory_gb"] < 0.5
    rates = [row["images_per_second"] for row in (compiled, usual)]
    shares = [rate / compiled["planned_images_per_second"] for rate in rates]
    assert [round(share, 2) for share in shares] == [0.83, 0.46]
    run = gpu["faces"]["run"]
    assert (run["steps"] * run["batch"], run["seconds"]) == (67_200, 75)
    found = {row["method"]: row for row in gpu["faces"]["evaluation"]}
    one, bicubic = found["multistep, 4 calls"], found["bicubic"]
    assert (round(one["PSNR"], 1), round(one["SSIM"], 2)) == (23.1, 0.66)
    assert round(one["consistency"], 1) == 2.5
    assert round(bicubic["PSNR"], 1) == 21.7
    assert (round(bicubic["SSIM"], 2), round(bicubic["consistency"])) == (0.61, 46)
    assert one["pictures"] == 169


def test_a_training_step_is_three_forward_passes_and_no_plan_beats_arithmetic() -> None:
    """(9.2)."""
    preset = PRESETS["faces_16_128_small"]
    for gpus in (1, 4):
        cost = plan(preset, kind="h100", gpus=gpus)
        assert cost.training_flops == pytest.approx(3 * cost.forward_flops, rel=0.03)
        assert cost.seconds > 0.97 * 3 * cost.forward_flops * preset.batch_size / (
            gpus * cost.rate
        )


def test_the_learning_rate_climbs_in_equal_steps_and_falls_along_half_a_cosine() -> (
    None
):
    """(9.3)."""
    preset = dataclasses.replace(TINY, warmup_steps=10, train_steps=100)
    eta = preset.learning_rate
    for s in (0, 4, 9, 50, 99):
        share = min(1, (s + 1) / 10) * (1 + math.cos(math.pi * s / 100)) / 2
        assert learning_rate(preset, s) == pytest.approx(eta * share, rel=1e-12)
    stays = dataclasses.replace(preset, decay="none")
    rates = [learning_rate(stays, s) for s in (4, 9, 5000)]
    assert rates == [0.5 * eta, eta, eta]


@pytest.mark.parametrize("n", [1, 10, 100])
def test_what_the_average_keeps_of_the_first_weights(n: int) -> None:
    """(J.1): the product of (1 + s)/(10 + s) is n! 9!/(n + 9)!, while the ramp is
    below the decay.
    """
    preset = dataclasses.replace(TINY, ema_decay=0.9999)
    product = math.prod(ema_decay(preset, s) for s in range(n))
    exact = Fraction(math.factorial(n) * math.factorial(9), math.factorial(n + 9))
    assert product == pytest.approx(float(exact), rel=1e-12)


def test_the_gradient_of_a_batch_is_the_mean_of_the_gradients_of_its_equal_parts() -> (
    None
):
    """(9.4): for 1, 2 and 4 parts of 8 pictures, in float64."""
    f = tiny.network().double().requires_grad_(True)
    x, y_0, eps = (
        downsample(randn(8, 1, 16, 16, seed=1), 4),
        randn(8, 1, 16, 16, seed=1),
        randn(8, 1, 16, 16, seed=2),
    )
    gamma = torch.rand(8, dtype=torch.float64, generator=seeded(0))

    def gradient(parts: int) -> Tensor:
        f.zero_grad()
        for part in zip(
            *(each.chunk(parts) for each in (x, y_0, gamma, eps)), strict=True
        ):
            (denoising_loss(f, *part) / parts).backward()
        return torch.cat(
            [p.grad.flatten() for p in f.parameters() if p.grad is not None]
        )

    for parts in (2, 4):
        close(
            gradient(parts),
            gradient(1),
            1e-12 * gradient(1).abs().max().item(),
            f"{parts} parts",
        )


def adam(gradient: Callable[[int], float], steps: int) -> Tensor:
    """Where Adam with the learning rate 1 takes a weight that starts at 0, after each
    step.
    """
    weight = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer, places = torch.optim.Adam([weight], lr=1.0, betas=(BETA_1, BETA_2)), []
    for step in range(steps):
        weight.grad = torch.tensor(gradient(step), dtype=torch.float64)
        optimizer.step()
        places.append(weight.detach().clone())
    return torch.stack(places)


def usual(step: int) -> float:
    return 1.0 if step % 2 else -1.0


@pytest.mark.parametrize("c", [3.0, 30.0, 1000.0])
def test_one_large_gradient_moves_a_weight_by_many_learning_rates(c: float) -> None:
    """(I.5): gradients +1, -1, ..., and one that is c times as large; the place 60
    steps later, less where the weight would have been.
    """
    # long enough for Adam's averages to settle; an odd step, whose usual gradient is +1
    start = 5_001
    with_spike = adam(lambda step: c if step == start else usual(step), start + 60)
    moved = adam(usual, start + 60)[-1] - with_spike[-1]
    assert moved.item() == pytest.approx(spike_jump(c) - spike_jump(1.0), rel=0.04)


@pytest.mark.parametrize("c", [100.0, 1000.0])
def test_adam_remembers_a_large_gradient_for_thousands_of_steps(c: float) -> None:
    """(I.6): the size of its steps, half of the usual one after just so many; and a
    small spike is no brake at all.
    """
    start, after = 5_001, round(spike_memory(c))
    places = adam(lambda step: c if step == start else usual(step), start + after + 2)
    usually = adam(usual, start + 2).diff().abs()[-1]
    assert (places.diff().abs()[-1] / usually).item() == pytest.approx(0.5, rel=0.02)
    assert spike_memory(10.0) == 0


def test_times_and_sizes_are_told_in_two_digits() -> None:
    told = {
        0.31: "0.31 hours",
        5.0: "5 hours",
        47.0: "47 hours",
        48.0: "2 days",
        1000.0: "42 days",
        30_000.0: "3.4 years",
    }
    assert {hours: readable_hours(hours) for hours in told} == told
    assert [rounded(value) for value in (312.08, 4.58, 0.0123, 1234.0)] == [
        "310",
        "4.6",
        "0.012",
        "1,200",
    ]
