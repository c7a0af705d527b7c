"""alpha_t and gamma_t: the tables of every family, what they must satisfy, and what is
refused in one sentence.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from checks import (
    check_betas_are_what_is_not_kept,
    check_gamma_is_the_running_product,
    close,
    f64,
)
from rooms import room

from sr3mini.schedule import NoiseSchedule, log_snr

FAMILIES = {
    "linear": lambda: NoiseSchedule.linear(2000, 1e-6, 1e-2),
    "quadratic": lambda: NoiseSchedule.quadratic(2000, 1e-6, 1e-2),
    "constant": lambda: NoiseSchedule.constant(50, 0.1),
    "warmup": lambda: NoiseSchedule.warmup(100, 1e-4, 0.1, fraction=0.2),
    "cosine": lambda: NoiseSchedule.cosine(1000),
    "fibonacci": lambda: NoiseSchedule.fibonacci(),
    "from_alphas": lambda: NoiseSchedule.from_alphas(f64(0.9, 0.5, 0.7)),
    "from_gammas": lambda: NoiseSchedule.from_gammas(f64(0.9, 0.5, 0.1)),
    "from_betas": lambda: NoiseSchedule.from_betas(f64(0.1, 0.5, 0.3)),
    "one step": lambda: NoiseSchedule.linear(1, 0.3, 0.3),
}


def betas(schedule: NoiseSchedule) -> torch.Tensor:
    """The noise added at t = 1..T, 1 - alpha_t."""
    return 1 - schedule.alphas[1:]


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES.keys())
def test_every_family_makes_falling_tables_that_start_at_1(
    family: Callable[[], NoiseSchedule],
) -> None:
    schedule = family()
    alphas, gammas = schedule.alphas, schedule.gammas
    assert alphas.shape == gammas.shape == (schedule.steps + 1,)
    assert alphas.dtype == gammas.dtype == torch.float64
    assert alphas[0] == gammas[0] == 1
    assert ((alphas[1:] > 0) & (alphas[1:] < 1)).all()
    assert (gammas.diff() < 0).all()
    close(
        gammas[:-1] * alphas[1:] / gammas[1:],
        torch.ones(schedule.steps).double(),
        1e-13,
        "gamma_{t-1} alpha_t / gamma_t",
    )


def test_gamma_t_is_the_product_of_alpha_1_to_alpha_t() -> None:
    check_gamma_is_the_running_product(NoiseSchedule.from_alphas)


def test_tables_of_alphas_and_of_gammas_are_two_ways_to_the_same_schedule() -> None:
    schedule = NoiseSchedule.linear(300, 1e-4, 0.05)
    again = NoiseSchedule.from_gammas(schedule.gammas[1:])
    close(again.alphas, schedule.alphas, 1e-15, "alphas")
    assert torch.equal(again.gammas, schedule.gammas)


def test_a_table_of_betas_is_ddpms() -> None:
    check_betas_are_what_is_not_kept(NoiseSchedule.from_betas)


def test_betas_make_the_linear_schedule_of_the_same_ends() -> None:
    """(1.5): a float32 table, as DDPM code has it, is widened before the subtraction,
    so a small beta keeps its digits.
    """
    ddpm, linear = (
        NoiseSchedule.from_betas(torch.linspace(1e-4, 0.02, 1000)),
        NoiseSchedule.linear(1000, 1e-4, 0.02),
    )
    close(ddpm.alphas, linear.alphas, 2e-9, "alphas")
    close(ddpm.gammas / linear.gammas, torch.ones(1001).double(), 1e-6, "gammas")


def test_a_float32_table_is_taken_in_and_continued_in_float64() -> None:
    """A product of 2000 factors near 1: float32 would be wrong in the fourth digit by
    the end.
    """
    table = 1 - torch.linspace(1e-6, 1e-2, 2000)
    gamma_T = NoiseSchedule.from_alphas(table).gammas[-1].item()
    assert gamma_T == pytest.approx(math.prod(table.tolist()), rel=1e-12)


def test_linear_rises_evenly_from_start_to_end() -> None:
    close(
        betas(NoiseSchedule.linear(5, 0.1, 0.3)),
        f64(0.1, 0.15, 0.2, 0.25, 0.3),
        1e-15,
        "1 - alpha",
    )


def test_quadratic_rises_evenly_in_the_root() -> None:
    close(
        betas(NoiseSchedule.quadratic(3, 0.01, 0.25)),
        f64(0.01, 0.09, 0.25),
        1e-15,
        "1 - alpha",
    )


def test_constant_adds_the_same_noise_at_every_step() -> None:
    schedule = NoiseSchedule.constant(4, 0.5)
    assert schedule.gammas.tolist() == [1, 0.5, 0.25, 0.125, 0.0625]


def test_warmup_rises_over_its_fraction_and_stays() -> None:
    close(
        betas(NoiseSchedule.warmup(6, 0.1, 0.3, fraction=0.5)),
        f64(0.1, 0.2, 0.3, 0.3, 0.3, 0.3),
        1e-15,
        "1 - alpha",
    )


def test_warmup_of_less_than_a_step_takes_one_step() -> None:
    close(
        betas(NoiseSchedule.warmup(3, 0.1, 0.3, fraction=0.01)),
        f64(0.1, 0.3, 0.3),
        1e-15,
        "1 - alpha",
    )


def test_cosine_follows_its_curve_until_the_noise_is_capped() -> None:
    """Nichol & Dhariwal 2021, eq. 17: gamma_t = g(t)/g(0), and 1 - alpha_t at most
    0.999, which the last step reaches.
    """
    T, s = 100, 0.008
    schedule = NoiseSchedule.cosine(T, offset=s)
    for t in (1, 50, 99):
        g = [math.cos((i / T + s) / (1 + s) * math.pi / 2) ** 2 for i in (0, t)]
        assert schedule.gammas[t].item() == pytest.approx(g[1] / g[0], rel=1e-12)
    assert schedule.alphas[T].item() == 0.001


def test_fibonacci_is_wavegrads_schedule() -> None:
    """1e-6 times 1, 2, 3, 5, 8, ...: every entry the sum of the two before it, the 25th
    being F_26 = 121393.
    """
    noise = betas(NoiseSchedule.fibonacci())
    assert len(noise) == 25
    close(noise[:5], 1e-6 * f64(1, 2, 3, 5, 8), 1e-15, "the first five")
    close(noise[2:], noise[1:-1] + noise[:-2], 1e-15, "the sum of the two before")
    assert noise[-1].item() == pytest.approx(0.121393, abs=1e-12)


def test_fibonacci_stops_where_the_noise_would_pass_1() -> None:
    """F_30 = 832040 still fits below 1e6, F_31 = 1346269 does not."""
    assert NoiseSchedule.fibonacci(29).steps == 29
    with pytest.raises(
        ValueError,
        match=(
            r"^alpha_30 = -0\.346269, but every alpha_t .* must lie strictly between 0"
            r" and 1$"
        ),
    ):
        NoiseSchedule.fibonacci(30)


def test_fewer_fibonacci_steps_are_the_first_ones() -> None:
    close(betas(NoiseSchedule.fibonacci(1)), f64(1e-6), 1e-15, "1 - alpha")


@pytest.mark.parametrize(("end", "left"), [(1e-2, 0.605), (0.1, 0.0056)])
def test_a_hundred_steps_need_a_larger_end_than_two_thousand(
    end: float, left: float
) -> None:
    """The training schedule's 1e-6 -> 1e-2 leaves 60 % of the signal's power at T =
    100, where nothing should be left.
    """
    assert NoiseSchedule.linear(100, 1e-6, end).gammas[-1].item() == pytest.approx(
        left, rel=0.01
    )
    assert NoiseSchedule.linear(2000, 1e-6, 1e-2).gammas[-1].item() < 1e-4


def test_log_snr_is_the_logit_and_infinite_at_the_ends() -> None:
    close(
        log_snr(f64(0.5, 0.2, 1 - 1e-6)),
        f64(0, math.log(0.25), math.log(1e6 - 1)),
        1e-9,
        "log-SNR",
    )
    assert log_snr(f64(0, 1)).tolist() == [-math.inf, math.inf]


def test_a_schedule_introduces_itself_by_its_steps_and_its_end() -> None:
    assert (
        repr(NoiseSchedule.constant(2, 0.5)) == "NoiseSchedule(steps=2, gamma_T=0.25)"
    )


REFUSED: list[tuple[Callable[[], object], str]] = [
    (
        lambda: NoiseSchedule.linear(0, 1e-4, 0.1),
        r"^steps = 0, but a schedule needs at least one step$",
    ),
    (lambda: NoiseSchedule.cosine(-3), r"^steps = -3, but"),
    (lambda: NoiseSchedule.fibonacci(0), r"^steps = 0, but"),
    (
        lambda: NoiseSchedule.linear(10, 0.0, 0.1),
        r"^start = 0, but 1 - alpha_t must lie strictly between 0 and 1$",
    ),
    (lambda: NoiseSchedule.quadratic(10, 0.1, 1.0), r"^end = 1, but"),
    (lambda: NoiseSchedule.quadratic(10, -0.1, 0.1), r"^start = -0\.1, but"),
    (
        lambda: NoiseSchedule.constant(10, -0.1),
        r"^value = -0\.1, but 1 - alpha_t must lie",
    ),
    (
        lambda: NoiseSchedule.warmup(10, 1e-4, 0.1, fraction=0.0),
        r"^fraction = 0\.0, but it must lie in \(0, 1\]",
    ),
    (lambda: NoiseSchedule.from_alphas(f64(0.9, 1.2)), r"^alpha_2 = 1\.2, but"),
    (lambda: NoiseSchedule.from_alphas(f64(0.9, 0.0)), r"^alpha_2 = 0, but"),
    (lambda: NoiseSchedule.from_alphas(f64(0.9, math.nan)), r"^alpha_2 = nan, but"),
    (lambda: NoiseSchedule.from_betas(f64(0.1, 1.0)), r"^alpha_2 = 0, but"),
    (lambda: NoiseSchedule.from_gammas(f64(0.5, 0.6)), r"^alpha_2 = 1\.2, but"),
    (
        lambda: NoiseSchedule.from_alphas(torch.full((400,), 0.1)),
        r"^gamma must fall strictly from 1 and stay above 0; it ends at gamma_T = 0$",
    ),
    (
        lambda: NoiseSchedule(torch.ones(3), torch.ones(3)),
        r"^alphas and gammas must be float64",
    ),
    (
        lambda: NoiseSchedule(f64(0.9, 0.5), f64(0.9, 0.45)),
        r"^entry 0 of alphas and gammas must be 1",
    ),
    (
        lambda: NoiseSchedule(f64(1, 0.9, 0.5), f64(1, 0.9, 0.5)),
        r"^gamma_t must equal gamma_\{t-1\} \* alpha_t$",
    ),
    (
        lambda: NoiseSchedule(f64(1), f64(1)),
        r"must both have shape \(T\+1,\), T >= 1; got \(1,\) and \(1,\)$",
    ),
]


@pytest.mark.parametrize(
    ("make", "sentence"), REFUSED, ids=[sentence.strip("^$") for _, sentence in REFUSED]
)
def test_what_is_no_schedule_is_refused_in_one_sentence(
    make: Callable[[], object], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        make()


@pytest.mark.parametrize("shape", [(0,), (2, 2), ()])
def test_a_table_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    """In the room as users have it: in the tests, shape checks would speak first."""
    with pytest.raises(
        ValueError,
        match=r"^a schedule needs a table of shape \(T,\), T >= 1, .* got shape \(",
    ):
        room("schedule").NoiseSchedule.from_alphas(torch.full(shape, 0.5))


@pytest.mark.parametrize(
    "start", [0.0, -1e-6, 1.0, 2.0, float("nan"), float("inf"), 0.4]
)
def test_a_bad_start_of_fibonacci_is_refused_at_once(start: float) -> None:
    """However many steps: as whole numbers these would fill the memory."""
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        NoiseSchedule.fibonacci(10**9, start)
