"""Gauges on pictures whose fault is known, formulas against Algorithm 2 pushed through
exactly, and the smallest SR3.
"""

from __future__ import annotations

import math
from itertools import pairwise
from types import ModuleType

import pytest
import torch
from checks import close, f64, push, randn, seeded, standard_normal
from rooms import room
from torch import Tensor

from sr3mini.book.failures import (
    QUARTILE,
    PatchNet,
    answers,
    bias_by_step,
    carried,
    cast,
    grain,
    jitter_left,
    mosaic,
    patches,
    readable,
    repaired,
    surplus,
    train_patches,
    unrelated,
    vitals,
)
from sr3mini.degrade import downsample, upsample
from sr3mini.metrics import consistency, psnr
from sr3mini.oracle import GaussianOracle
from sr3mini.sampler import ddim_step, posterior_step, reverse_step
from sr3mini.schedule import NoiseSchedule
from sr3mini.unet import LevelEmbedding

SCHEDULE = NoiseSchedule.linear(12, 0.01, 0.6)
PAPER = NoiseSchedule.linear(2000, 1e-6, 1e-2)
X = torch.zeros(1, 1).double()


# Gauges -------------------------------------------------------------------------------


def test_a_constant_in_a_channel_is_its_cast_and_detail_beyond_x_is_none() -> None:
    y, colour = randn(2, 3, 16, 16), f64(0.2, -0.1, 0.0)
    x = downsample(y, 4)
    close(cast(y + colour[:, None, None], x), colour.expand(2, 3), 1e-14, "cast")
    close(cast(y, x), torch.zeros(2, 3).double(), 1e-14, "cast of the picture itself")


@pytest.mark.parametrize("sigma", [0.05, 0.2])
def test_grain_is_the_deviation_of_the_noise_on_flat_ramped_and_striped_pictures(
    sigma: float,
) -> None:
    """Stripes along the axes have no diagonal difference; a square has edges, which a
    median does not see.
    """
    ramp = torch.linspace(-1, 1, 64, dtype=torch.float64).expand(1, 1, 64, 64)
    square = torch.ones(1, 1, 64, 64).double()
    square[..., 21:41, 21:41] = -1
    pictures = torch.cat([0 * ramp, ramp, ramp.mT + ramp, square])
    assert grain(pictures).max() < 1e-12
    close(
        grain(pictures + sigma * randn(4, 1, 64, 64)) / sigma,
        torch.ones(4).double(),
        0.08,
        "grain over sigma",
    )


def test_grain_takes_odd_sides_and_the_quartile_holds_half_of_a_normal_law() -> None:
    assert grain(torch.zeros(2, 3, 7, 5)).shape == (2,)
    assert math.erf(QUARTILE / math.sqrt(2)) == pytest.approx(0.5, abs=1e-4)


def test_answers_compares_with_its_own_x_and_with_the_neighbours() -> None:
    y = randn(4, 1, 16, 16)
    x = downsample(y, 4)
    own, other = answers(y, x)
    assert own < 1e-20
    assert other == pytest.approx(consistency(y, x.roll(1, 0)).mean().item(), rel=1e-12)
    assert answers(y.roll(1, 0), x) == pytest.approx((other, 0), abs=1e-9)


def test_vitals_are_those_of_the_picture_as_it_is_shown_but_for_the_grain() -> None:
    y, original = 3 * randn(2, 1, 16, 16), randn(2, 1, 16, 16, seed=1).clamp(-1, 1)
    x, shown = downsample(original, 4), y.clamp(-1, 1)
    wanted = {
        "PSNR": psnr(shown, original),
        "consistency": consistency(shown, x),
        "grain": grain(y),
        "cast": cast(shown, x),
    }
    assert vitals(y, x, original) == {
        name: value.mean().item() for name, value in wanted.items()
    }
    assert vitals(y, x, original)["grain"] > 2.5


def test_a_line_of_vitals_shows_every_number() -> None:
    now = {"PSNR": 26.71, "consistency": 6124.83, "grain": 0.0792, "cast": -0.4781}
    line = "PSNR 26.7 dB, consistency 6124.8, grain 0.079, cast -0.478"
    assert readable(now) == line
    assert readable({**now, "cast": 0.0024}).endswith("cast +0.002")


def test_a_repaired_picture_has_no_cast_and_is_more_consistent() -> None:
    """D U is not quite the identity, so what differs by detail is only reduced; a
    constant is taken back exactly.
    """
    y = randn(2, 1, 16, 16) / 3
    x = downsample(y, 4)
    close(repaired(y + 0.3, x), y, 1e-14, "a picture with a cast")
    worse = y + upsample(randn(2, 1, 4, 4, seed=1), 4) / 5
    assert (consistency(repaired(worse, x), x) < consistency(worse, x) / 4).all()


# Formulas -----------------------------------------------------------------------------


def test_unrelated_is_the_mean_over_all_pairs() -> None:
    pictures = randn(5, 2, 3)
    pairs = torch.stack([(a - b).square().mean() for a in pictures for b in pictures])
    close(unrelated(pictures), pairs.mean(), 1e-14, "mean squared difference")


def pushed_mean(
    step: object,
    variance: float,
    error: float,
    start: float = 0.0,
    schedule: NoiseSchedule = SCHEDULE,
    only: int | None = None,
) -> Tensor:
    """Mean of the sample for data N(0, variance), when f errs by the constant `error`
    (at step `only` alone), from the mean `start` of y_T.
    """
    oracle = GaussianOracle(f64(0), f64(variance)[None])

    def wrong(x: Tensor, y_t: Tensor, gamma: Tensor) -> Tensor:
        here = only is None or gamma[0] == schedule.gammas[only]
        return oracle(x, y_t, gamma) + (error if here else 0.0)

    law = standard_normal(schedule.steps, 1)._replace(mean=f64(start))
    *_, last = push(step, wrong, X, schedule, law)  # type: ignore[arg-type]
    return last.mean


@pytest.mark.parametrize("variance", [0.0, 0.03, 1.0, 4.0])
@pytest.mark.parametrize("step", [reverse_step, posterior_step])
def test_an_error_of_y_T_arrives_multiplied_by_K(step: object, variance: float) -> None:
    close(
        pushed_mean(step, variance, 0.0, start=1.0),
        carried(SCHEDULE, variance)[-1:],
        1e-15,
        "what is left",
    )


def test_carried_is_1_where_nothing_is_left_to_do() -> None:
    assert carried(SCHEDULE, 0.0)[:3].tolist() == [1, 0, 0]
    assert carried(SCHEDULE, 0.5)[0] == 1


@pytest.mark.parametrize("variance", [0.0, 0.03, 1.0, 4.0])
@pytest.mark.parametrize("step", [reverse_step, posterior_step])
def test_a_constant_error_shifts_the_mean_by_the_sum_over_the_steps(
    step: object, variance: float
) -> None:
    close(
        pushed_mean(step, variance, 0.3),
        0.3 * bias_by_step(SCHEDULE, variance).sum()[None],
        1e-14,
        "shift",
    )


@pytest.mark.parametrize("t", [1, 2, 7, 12])
def test_each_term_is_the_shift_by_an_error_at_that_step_alone(t: int) -> None:
    close(
        pushed_mean(reverse_step, 0.4, 1.0, only=t),
        bias_by_step(SCHEDULE, 0.4)[t - 1 : t],
        1e-14,
        f"shift by step {t}",
    )


def test_the_shift_is_another_one_for_ddim() -> None:
    """The formula is about the mean of Algorithm 2; a method that keeps its noise keeps
    its errors as well.
    """
    assert (
        pushed_mean(ddim_step, 0.4, 1.0) - bias_by_step(SCHEDULE, 0.4).sum()
    ).abs() > 0.1


@pytest.mark.parametrize("sigma", [0.2, 0.5, 1.0, 2.0])
def test_with_many_steps_the_shift_goes_to_minus_pi_sigma(sigma: float) -> None:
    """What is missing from pi sigma is divided by more than 1.25 whenever T doubles,
    and small at the end.
    """
    schedules = [
        NoiseSchedule.linear(T, 1e-3 / T, 40 / T) for T in (200, 400, 800, 1600)
    ]
    missing = [
        math.pi * sigma + bias_by_step(schedule, sigma**2).sum().item()
        for schedule in schedules
    ]
    assert all(fewer / more > 1.25 for fewer, more in pairwise(missing))
    assert 0 < missing[-1] < 0.015


@pytest.mark.parametrize("schedule", [SCHEDULE, PAPER.respaced(25)])
def test_surplus_is_the_variance_of_a_point_pushed_through_algorithm_2(
    schedule: NoiseSchedule,
) -> None:
    start = standard_normal(schedule.steps, 1)._replace(
        covariance=(1 - schedule.gammas[-1]) * torch.eye(1).double()
    )
    laws = list(
        push(
            reverse_step,
            GaussianOracle(f64(0), torch.zeros(1, 1).double()),
            X,
            schedule,
            start,
        )
    )
    n = surplus(schedule)
    assert n[-1] == 1
    for law in laws[:-1]:
        close(
            law.covariance.flatten() / (1 - schedule.gammas[law.t]),
            n[law.t : law.t + 1],
            1e-12,
            f"surplus at t = {law.t}",
        )
    close(laws[-1].covariance.flatten(), n[:1], 1e-15, "nothing is left at the end")


def test_the_average_of_independent_numbers_is_calmer_by_the_formula() -> None:
    """Summed weights of the average, squared, for a decay of 0.9; and for 0.998 the
    share that the chapter names.
    """
    weights = 0.1 * 0.9 ** torch.arange(400, dtype=torch.float64)
    assert weights.square().sum().item() == pytest.approx(jitter_left(0.9), rel=1e-12)
    assert jitter_left(0.998) == pytest.approx(1 / 999, rel=1e-9)


def formulas(failures: ModuleType) -> None:
    """Every formula of the room once more, in one check: on the room as it stands it
    passes, on each mutant below it fails.
    """
    close(
        pushed_mean(reverse_step, 0.4, 0.0, start=1.0),
        failures.carried(SCHEDULE, 0.4)[-1:],
        1e-14,
        "K_T",
    )
    close(
        pushed_mean(reverse_step, 0.4, 1.0),
        failures.bias_by_step(SCHEDULE, 0.4).sum()[None],
        1e-14,
        "shift",
    )
    start = standard_normal(SCHEDULE.steps, 1)._replace(
        covariance=(1 - SCHEDULE.gammas[-1]) * torch.eye(1).double()
    )
    *_, law, _ = push(
        reverse_step,
        GaussianOracle(f64(0), torch.zeros(1, 1).double()),
        X,
        SCHEDULE,
        start,
    )
    close(
        law.covariance.flatten() / (1 - SCHEDULE.gammas[1]),
        failures.surplus(SCHEDULE)[1:2],
        1e-12,
        "surplus at t = 1",
    )
    noise = 0.1 * randn(1, 1, 128, 128)
    close(failures.grain(noise), f64(0.1), 0.005, "grain")
    close(
        failures.cast(noise + 0.3, downsample(noise, 4)), f64(0.3)[None], 1e-14, "cast"
    )
    pairs = torch.stack(
        [(a - b).square().mean() for a in noise[0, 0] for b in noise[0, 0]]
    )
    close(
        failures.unrelated(noise[0, 0]), pairs.mean(), 1e-14, "mean squared difference"
    )
    assert failures.jitter_left(0.9) == pytest.approx(0.1 / 1.9, rel=1e-12)


def test_the_formulas_hold_in_the_room_as_it_stands() -> None:
    formulas(room("book.failures"))


@pytest.mark.parametrize(
    "edit",
    [
        ("K = gammas.sqrt() * variance", "K = gammas * variance"),
        ("(gammas * variance + 1 - gammas)", "(variance + 1 - gammas)"),
        ("-carried(schedule, variance)[:-1]", "-carried(schedule, variance)[1:]"),
        ("-carried(schedule, variance)[:-1]", "carried(schedule, variance)[:-1]"),
        (
            "(1 - alphas) / (alphas * (1 - gammas)).sqrt()",
            "(1 - alphas) / (1 - gammas).sqrt()",
        ),
        (
            "(1 - alphas) / (alphas * (1 - gammas)).sqrt()",
            "(1 - alphas) / (alphas * (1 - gammas))",
        ),
        ("(1 - alphas[t]) / (1 - gammas[t - 1])", "(1 - alphas[t]) / (1 - gammas[t])"),
        ("n[t - 1] = alphas[t] * (1", "n[t - 1] = (1"),
        ("(a - b - c + d) / 2", "(a - b - c + d)"),
        ("(a - b - c + d) / 2", "(a + b - c - d) / 2 + b"),
        ("values / QUARTILE", "values"),
        ("return 2 * pictures", "return pictures"),
        ("(1 - decay) / (1 + decay)", "1 - decay"),
        ("- x).mean(dim=(2, 3))", "- x).abs().mean(dim=(2, 3)) * -1"),
    ],
)
def test_a_formula_with_a_slip_is_caught(edit: tuple[str, str]) -> None:
    with pytest.raises(AssertionError):
        formulas(room("book.failures", edit))


# The smallest SR3 ---------------------------------------------------------------------


def network(seed: int = 0) -> PatchNet:
    torch.manual_seed(seed)
    return PatchNet(LevelEmbedding(8).sinusoids, channels=1, width=32)


def flat_blocks(n: int = 400) -> Tensor:
    """Blocks of one grey each, so that x says everything."""
    return (
        (torch.rand(n, 1, 1, 1, generator=seeded(0)) * 2 - 1)
        .expand(n, 1, 2, 2)
        .contiguous()
    )


def test_blocks_and_mosaic_are_inverse_and_a_block_is_four_neighbours() -> None:
    picture = randn(3, 6, 8)
    blocks = patches(picture)
    assert blocks.shape == (12, 3, 2, 2)
    assert torch.equal(blocks[5], picture[:, 2:4, 2:4])
    assert torch.equal(mosaic(blocks, 4), picture)
    close(
        mosaic(downsample(blocks, 2), 4),
        picture.reshape(3, 3, 2, 4, 2).mean(dim=(2, 4)),
        1e-14,
        "x of the blocks",
    )


def test_an_untrained_net_answers_0_and_another_x_or_level_changes_a_trained_one() -> (
    None
):
    f, y, gamma = (
        network(),
        randn(4, 1, 2, 2).float(),
        torch.full((4,), 0.5, dtype=torch.float64),
    )
    x = downsample(y, 2)
    assert f(x, y, gamma).abs().max() == 0
    train_patches(f, flat_blocks(), PAPER, steps=20, batch=8, learning_rate=1e-2)
    assert not torch.equal(f(x, y, gamma), f(x + 1, y, gamma))
    assert not torch.equal(f(x, y, gamma), f(x, y, gamma / 2))


def test_training_learns_keeps_what_was_asked_for_and_repeats_itself() -> None:
    runs = []
    for _ in range(2):
        f = network()
        run = train_patches(
            f,
            flat_blocks(),
            PAPER,
            steps=200,
            batch=16,
            learning_rate=5e-3,
            keep=(100, 200),
            decay=0.9,
        )
        runs.append((run, f))
    (one, f), (other, _) = runs
    assert one.losses == other.losses
    assert len(one.losses) == 200
    assert sum(one.losses[-50:]) < sum(one.losses[:50]) / 2
    assert len(one.kept) == 2
    (early, _), (late, averaged) = one.kept
    for name, weight in f.named_parameters():
        assert torch.equal(late.get_parameter(name), weight)
    assert any(
        not torch.equal(a, b)
        for a, b in zip(early.parameters(), late.parameters(), strict=True)
    )
    assert any(
        not torch.equal(a, b)
        for a, b in zip(averaged.parameters(), late.parameters(), strict=True)
    )


def test_with_decay_0_the_average_is_the_last_weight() -> None:
    run = train_patches(
        network(),
        flat_blocks(),
        PAPER,
        steps=5,
        batch=4,
        learning_rate=1e-2,
        decay=0.0,
        keep=(5,),
    )
    ((raw, averaged),) = run.kept
    assert all(
        torch.equal(a, b)
        for a, b in zip(raw.parameters(), averaged.parameters(), strict=True)
    )


def test_shuffled_training_sees_anothers_x() -> None:
    """With x all there is to know about a flat block, the shuffled net ends much
    higher.
    """
    ends = {}
    for shuffled in (False, True):
        losses = train_patches(
            network(),
            flat_blocks(),
            PAPER,
            steps=300,
            batch=32,
            learning_rate=5e-3,
            shuffled=shuffled,
        ).losses
        ends[shuffled] = sum(losses[-100:])
    assert ends[True] > 1.2 * ends[False]
