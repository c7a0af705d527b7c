"""Equations of deep dive D that are not the job of one room, and the measurement it
reads.
"""

from __future__ import annotations

import math

import pytest
import torch
from checks import close, f64, flat_curve, order, randn, seeded
from project import ROOT
from torch import Tensor

from sr3mini import downsample, load, upsample
from sr3mini.book.figures import gaussian_flow
from sr3mini.book.measured import measured
from sr3mini.data import glyphs
from sr3mini.metrics import consistency, psnr
from sr3mini.model.checkpoint import WEIGHTS
from sr3mini.model.network import Network
from sr3mini.model.presets import PRESETS
from sr3mini.oracle import GaussianOracle, MixtureOracle
from sr3mini.sampler import (
    ddim_step,
    even_log_snr,
    look_ahead,
    noise_from,
    posterior_step,
    predict_y_0,
    sample,
    trajectory,
)
from sr3mini.schedule import NoiseSchedule, log_snr

GAMMA_T, BEFORE = f64(0.3)[0], f64(0.7)[0]
ALPHA_T = GAMMA_T / BEFORE
POSTERIOR = (1 - BEFORE) * (1 - ALPHA_T) / (1 - GAMMA_T)


@pytest.mark.parametrize("variance", [0.0, 0.1, POSTERIOR.item(), 0.3])
def test_every_step_of_the_ddim_family_keeps_the_marginal(variance: float) -> None:
    """(D.1): with the true y_0, the noise in y_{t-1} has variance 1 - gamma_{t-1};
    sigma = 0 is ddim_step, the posterior's sigma posterior_step.
    """
    y_t, eps, z = randn(3, 2, 5)

    def family(y_t: Tensor, eps: Tensor, z: Tensor) -> Tensor:
        return (
            BEFORE.sqrt() * predict_y_0(y_t, eps, GAMMA_T)
            + (1 - BEFORE - variance).clamp(min=0).sqrt() * eps
            + math.sqrt(variance) * z
        )

    # linear in eps and z: unit vectors give the factors
    y_0, zero, one = (
        f64(0.4),
        f64(0),
        f64(1),
    )
    mean = family(GAMMA_T.sqrt() * y_0, zero, zero)
    old = family(GAMMA_T.sqrt() * y_0 + (1 - GAMMA_T).sqrt() * one, one, zero) - mean
    fresh = family(GAMMA_T.sqrt() * y_0, zero, one) - mean
    close(mean, BEFORE.sqrt() * y_0, 1e-15, "mean")
    close(old.square() + fresh.square(), (1 - BEFORE)[None], 1e-15, "variance")
    if variance == 0:
        close(
            ddim_step(y_t, eps, ALPHA_T, GAMMA_T),
            family(y_t, eps, z),
            1e-15,
            "ddim_step",
        )
    if variance == POSTERIOR.item():
        close(
            posterior_step(y_t, eps, ALPHA_T, GAMMA_T, z),
            family(y_t, eps, z),
            1e-14,
            "posterior_step",
        )


def two_m(y_t: Tensor, y_0: Tensor, y_0_before: Tensor, gammas: Tensor) -> Tensor:
    """(D.2) as the loop does it: DDIM's step with the guess of look_ahead and the noise
    that follows it.
    """
    better = look_ahead(y_0, y_0_before, gammas)
    return ddim_step(
        y_t, noise_from(y_t, better, gammas[1]), gammas[1] / gammas[0], gammas[1]
    )


def test_the_second_order_step_integrates_a_line_up_to_its_length_cubed() -> None:
    """(D.2) against w_{t-1} = w_t + integral of y_0 dr by quadrature, for a y_0 that is
    a line in log-SNR: the difference falls like h^3.
    """
    y_t, level, slope, lengths, errors = (
        randn(1, 3),
        randn(1, 3, seed=1),
        randn(1, 3, seed=2),
        [0.4, 0.2, 0.1],
        [],
    )
    for h in lengths:
        here = 0.5
        gammas = torch.sigmoid(f64(here + h, here, here - 0.7 * h))
        snr = torch.linspace(here, here + h, 20_001, dtype=torch.float64)
        middles, r = (snr[1:] + snr[:-1]) / 2, (snr / 2).exp()
        integral = (
            (level + slope * (middles[:, None] - here)) * r.diff()[:, None]
        ).sum(0, keepdim=True)
        wanted = (1 - gammas[0]).sqrt() * (y_t / (1 - gammas[1]).sqrt() + integral)
        errors.append(
            (two_m(y_t, level, level - 0.7 * h * slope, gammas) - wanted)
            .abs()
            .max()
            .item()
        )
    assert errors[0] < 0.01
    assert abs(-order(errors, lengths) - 3) < 0.1, f"{errors}"  # type: ignore[arg-type]


def test_the_flow_of_gaussian_data_solves_the_flow_equation_and_keeps_the_law() -> None:
    """(D.3): dw/dr = y_0_hat along it, by central differences, and unit deviations of
    y_t become those of the data.
    """
    oracle, start, top = (
        GaussianOracle(f64(0.3, -0.2), f64(0.3, 0.1, 0.1, 0.2).reshape(2, 2)),
        randn(3, 2),
        f64(0.2)[0],
    )

    def w(r: float) -> Tensor:
        level = f64(r * r / (1 + r * r))[0]
        return gaussian_flow(oracle, start, top, level) / (1 - level).sqrt()

    r, d = 1.3, 1e-5
    level = f64(r * r / (1 + r * r))[0]
    y = gaussian_flow(oracle, start, top, level)
    guess = predict_y_0(y, oracle(None, y, level.expand(3)), level)
    close((w(r + d) - w(r - d)) / (2 * d), guess, 1e-8, "dw/dr")
    values, vectors = torch.linalg.eigh(
        top * oracle.vectors * oracle.values @ oracle.vectors.T
        + (1 - top) * torch.eye(2).double()
    )
    ends = (
        gaussian_flow(
            oracle,
            top.sqrt() * oracle.mean + (vectors * values.sqrt()).T,
            top,
            f64(1.0)[0],
        )
        - oracle.mean
    )
    close(
        ends.T @ ends, f64(0.3, 0.1, 0.1, 0.2).reshape(2, 2), 1e-14, "covariance of y_0"
    )


def test_the_posteriors_step_keeps_a_share_of_the_old_noise() -> None:
    """(D.4): sqrt(1 - gamma_{t-1}) (e^{-h/2} eps_hat + sqrt(1 - e^{-h}) z) beside the
    picture.
    """
    y_t, eps, z = randn(3, 2, 5)
    h = (log_snr(BEFORE) - log_snr(GAMMA_T)).item()
    noise = math.exp(-h / 2) * eps + math.sqrt(1 - math.exp(-h)) * z
    wanted = (
        BEFORE.sqrt() * predict_y_0(y_t, eps, GAMMA_T) + (1 - BEFORE).sqrt() * noise
    )
    close(posterior_step(y_t, eps, ALPHA_T, GAMMA_T, z), wanted, 1e-14, "y_{t-1}")


def test_without_noise_the_marginals_of_a_mixture_are_kept_too() -> None:
    """In one dimension the share of all numbers below a path stays: DDIM changes it
    with order 1, the multistep solver with order 2.
    """
    weights, means, variances = f64(0.6, 0.4), f64(-0.7, 0.5), f64(0.02, 0.05)
    bumps, y_T = (
        MixtureOracle(weights, means[:, None], variances),
        torch.linspace(-2, 2, 41, dtype=torch.float64)[:, None],
    )

    def share(y: Tensor, gamma: Tensor) -> Tensor:
        return (
            weights
            * torch.special.ndtr(
                (y - gamma.sqrt() * means) / (gamma * variances + 1 - gamma).sqrt()
            )
        ).sum(-1)

    for method, wanted in (("ddim", 1), ("multistep", 2)):
        errors = []
        for T in (100, 200, 400):
            schedule = flat_curve(T)
            end = sample(bumps, y_T, schedule, (41, 1), method=method, y_T=y_T)  # type: ignore[arg-type]
            errors.append(
                (share(end, schedule.gammas[0]) - share(y_T, schedule.gammas[-1]))
                .abs()
                .mean()
                .item()
            )
        assert abs(order(errors, [100, 200, 400]) - wanted) < 0.15, (
            f"{method}: {errors}"
        )


def test_a_flow_keeps_a_fault_of_f_and_fresh_noise_forgets_it() -> None:
    """95 % of the noise of a point mass: DDIM ends with r^0.05 times too much, whatever
    the number of calls; the posterior's step stays near 1.
    """
    point, no_x, T = (
        GaussianOracle(torch.zeros(1), torch.zeros(1, 1)),
        torch.zeros(20_000, 1).double(),
        400,
    )
    schedule, excess = even_log_snr(T), {}
    for method in ("ddim", "ancestral"):
        *_, y_1, _ = trajectory(
            lambda x, y, gamma: 0.95 * point(x, y, gamma),
            no_x,
            schedule,
            (20_000, 1),
            y_T=randn(20_000, 1),
            variance="posterior",
            method=method,  # type: ignore[arg-type]
        )
        excess[method] = (
            y_1.y_t.std() / randn(20_000, 1).std() / (1 - schedule.gammas[1]).sqrt()
        ).item()
    snr = log_snr(schedule.gammas[1:])
    assert (
        abs(excess["ddim"] / math.exp(0.05 * (snr[0] - snr[-1]).item() / 2) - 1) < 0.01
    )
    # where growth by the fault and shrinking by fresh noise balance
    assert abs(excess["ancestral"] / math.sqrt(1 / 0.9) - 1) < 0.03


def test_a_thinned_schedule_keeps_the_levels_and_multiplies_the_alphas() -> None:
    long = NoiseSchedule.linear(2000, 1e-6, 1e-2)
    short = long.respaced(100)
    close(short.gammas, long.gammas[::20], 0, "levels")
    close(short.alphas[7], long.alphas[121:141].prod(), 1e-12, "alpha of a long step")


def test_the_stored_measurement_says_how_it_was_made_and_holds_every_row() -> None:
    table = measured("steps_glyphs_8_32")
    assert "benchmarks/steps.py" in table["command"]
    assert f"--count {table['count']}" in table["command"]
    assert table["machine"]
    rows = {(row["levels"], row["method"], row["calls"]) for row in table["rows"]}
    assert {
        (l, m, c)
        for l in ("respaced", "even")
        for m in ("paper", "posterior", "ddim", "multistep")
        for c in (5, 10, 25, 50, 100)
    } <= rows
    assert {("respaced", m, 2000) for m in ("paper", "posterior")} <= rows


def test_the_text_says_how_the_shipped_models_draw() -> None:
    text = (ROOT / "chapters/deeper/d_fewer_steps.md").read_text(encoding="utf-8")
    said = (
        "The letters, of which x leaves much open, are drawn by the multistep solver "
        "with {} calls, the photographs with {} (their PSNR was to stay one decibel "
        "above that of bicubic), the glyphs with fresh noise and {}."
    )
    presets = [
        PRESETS[name] for name in ("letters_4_32", "photos_16_64", "glyphs_8_32")
    ]
    assert said.format(*(preset.sampling_steps for preset in presets)) in text
    methods = [preset.sampling_method for preset in presets]
    assert methods == ["multistep", "multistep", "ancestral"]
    for preset in presets:
        best = measured(f"defaults_{preset.name}")["best"]
        found = best["method"], best["levels"], best["calls"]
        way = preset.sampling_method, preset.sampling_levels, preset.sampling_steps
        assert found == way


def test_an_unknown_measurement_is_refused_with_the_names_that_there_are() -> None:
    with pytest.raises(
        ValueError,
        match=r"^no measurement 'nothing' is stored; there are: .*steps_glyphs_8_32",
    ):
        measured("nothing")
    assert (WEIGHTS.parent / "runs").is_dir()


# -- few steps, slips and clipping with the trained network


@pytest.fixture(scope="module")
def f() -> Network:
    return load("glyphs_8_32")


@pytest.fixture(scope="module")
def y() -> Tensor:
    test = glyphs("test")
    return test.batch([test.find(character) for character in "Rga5"])


def generators() -> list[torch.Generator]:
    return [seeded(seed) for seed in range(4)]


def grain(picture: Tensor, y: Tensor) -> Tensor:
    """How far pixels that are white for certain are from white, root mean square."""
    ground = upsample(downsample(y, 4), 4) > 0.98
    return (picture - 1)[ground].square().mean().sqrt()


def test_noise_at_t_1_and_a_missing_step_are_grain(f: Network, y: Tensor) -> None:
    schedule, x = f.preset.training_schedule().respaced(25), downsample(y, 4)
    *_, before, last = trajectory(
        f, x, schedule, y.shape, generator=generators(), variance="posterior"
    )
    noisy = last.y_t + (1 - schedule.alphas[1]).sqrt() * randn(*y.shape)
    assert grain(last.y_t, y) < 0.02
    assert grain(noisy, y) > 0.1
    assert grain(before.y_t, y) > 0.1
    assert psnr(last.y_t, y).mean() - psnr(noisy.float(), y).mean() > 1


def test_with_few_steps_the_papers_variance_leaves_grain(f: Network, y: Tensor) -> None:
    """More steps take it away, and so does the posterior's variance."""
    x, pictures, left, close_to, fits = downsample(y, 4), {}, {}, {}, {}
    for variance, steps in (("paper", 25), ("paper", 100), ("posterior", 25)):
        schedule = f.preset.training_schedule().respaced(steps)
        picture = sample(
            f, x, schedule, y.shape, generator=generators(), variance=variance
        )
        pictures[variance, steps] = picture
        left[variance, steps] = grain(picture, y)
        close_to[variance, steps] = psnr(picture.clamp(-1, 1), y).mean()
        fits[variance, steps] = consistency(picture.clamp(-1, 1), x).mean()
    assert left["posterior", 25] < 0.02
    assert left["paper", 25] > 0.08
    assert left["paper", 100] < left["paper", 25] / 2
    assert close_to["posterior", 25] - close_to["paper", 25] > 2
    assert fits["paper", 25] > 20 * fits["posterior", 25]

    # a cut at white is one-sided, and darkens the ground
    speckled = pictures["paper", 25]
    ground = upsample(x, 4) > 0.98
    darker = [(1 - each[ground]).mean() for each in (speckled, speckled.clamp(-1, 1))]
    assert darker[0] < 0.02
    assert darker[1] > 0.03


def test_clipping_mends_a_network_that_sees_too_much_noise(
    f: Network, y: Tensor
) -> None:
    def spoilt(x: Tensor, y_t: Tensor, gamma: Tensor) -> Tensor:
        return f(x, y_t, gamma) + 0.1

    x, reached = downsample(y, 4), {}
    schedule = f.preset.training_schedule().respaced(25)
    for clip in (False, True):
        picture = sample(
            spoilt,
            x,
            schedule,
            y.shape,
            generator=generators(),
            variance="posterior",
            clip=clip,
        )
        reached[clip] = psnr(picture.clamp(-1, 1), y).mean()
    assert reached[True] - reached[False] > 4


def test_clipping_spoils_data_that_leave_the_range() -> None:
    """N(0, 1) data and their exact f."""
    f = GaussianOracle(torch.zeros(1), torch.eye(1))
    schedule, spread = NoiseSchedule.linear(25, 0.01, 0.5), {}
    for clip in (False, True):
        drawn = sample(
            f, torch.zeros(5000, 1), schedule, (5000, 1), generator=seeded(0), clip=clip
        )
        spread[clip] = drawn.var().item()
    assert spread[False] == pytest.approx(schedule.alphas[1].item(), rel=0.06)
    assert spread[True] < 0.6
