"""The reverse step proved on data whose answer is known, the loop around it, the
methods for fewer steps, and the search.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from checks import (
    check_conditional_gaussian,
    check_ddim_has_order_1,
    check_multistep_has_order_2,
    check_point_mass_is_exact,
    check_standard_normal_is_exact,
    check_the_last_step_adds_no_noise,
    check_the_loop_is_algorithm_2,
    check_the_search_ranks_by_score,
    close,
    conditional_end,
    conditional_problem,
    f64,
    flow_order,
    point_mass_errors,
    randn,
    seeded,
    shrinking,
)
from rooms import room
from torch import Tensor

from sr3mini.forward import diffuse
from sr3mini.oracle import GaussianOracle
from sr3mini.sampler import (
    Method,
    Step,
    ddim_step,
    edge_distance,
    even_log_snr,
    look_ahead,
    noise_from,
    posterior_step,
    predict_y_0,
    reverse_step,
    sample,
    search_schedule,
    trajectory,
)
from sr3mini.schedule import NoiseSchedule, log_snr

SCHEDULE = NoiseSchedule.linear(10, 0.01, 0.5)


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 100, 1000])
def test_check_1_standard_normal_is_exact_for_every_T(steps: int) -> None:
    """Check 1: N(0, I) data with the variance 1 - alpha_t: N(0, I) at every step, and
    exactly alpha_1 after the noise-free last one.
    """
    check_standard_normal_is_exact(reverse_step, steps)


def test_check_1_the_posteriors_variance_is_not_exact_for_it() -> None:
    """Check 1: the rule matters: with the other variance the same check fails."""
    with pytest.raises(AssertionError, match="variance of y_9: off by 1"):
        check_standard_normal_is_exact(posterior_step, 10)


def test_check_2_a_point_mass_is_exact_at_every_step_with_the_posteriors_variance() -> (
    None
):
    """Check 2: every intermediate marginal N(sqrt(gamma_t) m, (1 - gamma_t) I), to
    rounding.
    """
    check_point_mass_is_exact(posterior_step)


def test_check_2_with_1_minus_alpha_only_the_end_is_exact() -> None:
    """Check 2: one has to look at the intermediates, because the last step mends
    everything for both.
    """
    between, end = point_mass_errors(reverse_step)
    assert between > 0.01
    assert end < 1e-15


def test_check_3_the_conditional_gaussian_converges_at_order_1_and_obeys_x() -> None:
    """Check 3: mean and covariance pushed through Algorithm 2 exactly: covariance error
    of order 1 in 1/T, D(mean) = x to rounding.
    """
    check_conditional_gaussian(reverse_step)


def test_check_3_even_25_steps_obey_x() -> None:
    """Check 3: with the exact f, D y_0 = x at any T: the last step lands on it,
    whatever the steps before got wrong.
    """
    D, x, _, oracle = conditional_problem()
    end = conditional_end(reverse_step, 25)
    close((D @ end.mean)[None], x, 5e-15, "D(mean)")
    close(
        D @ end.covariance @ D.T, torch.zeros(4, 4).double(), 1e-16, "noise left in D y"
    )
    assert (end.covariance - oracle.posterior_covariance()).abs().max() > 0.01


def test_check_7_ddim_has_order_1() -> None:
    """Check 7: from one y_T, the distance to the exact probability flow falls with
    slope -1 against T.
    """
    check_ddim_has_order_1(sample)


def test_check_7_the_multistep_solver_has_order_2() -> None:
    """Check 7: the same with slope -2, where the schedule comes close enough to 1 for
    its first-order last step not to count.
    """
    check_multistep_has_order_2(sample)


def test_check_7_a_last_step_from_far_away_costs_the_second_order() -> None:
    """Check 7: where 1 - gamma_1 falls like 1/T, the first-order last step leaves an
    error like 1/T.
    """

    def steep(steps: int) -> NoiseSchedule:
        return NoiseSchedule.from_gammas(
            (-7 * torch.arange(1, steps + 1, dtype=torch.float64) / steps).exp()
        )

    assert abs(flow_order(sample, "multistep", steep, [100, 200, 400]) - 1) < 0.1


@pytest.mark.parametrize("method", ["ddim", "multistep"])
def test_check_7_a_method_without_noise_is_exact_for_a_point_mass(
    method: Method,
) -> None:
    """Check 7: where y_0_hat never changes, one step is enough, and more change
    nothing.
    """
    m = f64(0.4, -0.7)
    for steps in (1, 2, 5):
        oracle, x = GaussianOracle(m, torch.zeros(2, 2)), torch.zeros(3, 1).double()
        y_0 = sample(
            oracle,
            x,
            NoiseSchedule.constant(steps, 0.9),
            (3, 2),
            method=method,
            y_T=randn(3, 2),
        )
        close(y_0, m.expand(3, 2), 5e-14, "y_0")


def test_the_multistep_solver_begins_and_ends_with_ddim() -> None:
    """One step and two steps are DDIM's: nothing was seen before the first, and before
    the last the log-SNR is infinite.
    """
    x = randn(2, 1, 2, 2)
    for steps in (1, 2):
        ends = [
            sample(
                shrinking,
                x,
                NoiseSchedule.constant(steps, 0.3),
                tuple(x.shape),
                y_T=x,
                method=method,
            )
            for method in ("ddim", "multistep")
        ]
        assert torch.equal(*ends)


def test_look_ahead_continues_a_straight_line_in_log_snr() -> None:
    """Exact where y_0 is linear in the log-SNR: half-way through the next step,
    whatever the steps' sizes.
    """
    gammas = f64(0.9, 0.4, 0.05)
    ahead, here, before = (gammas / (1 - gammas)).log()
    slope, level = randn(2, 3), randn(2, 3, seed=1)
    guess = look_ahead(level + slope * here, level + slope * before, gammas)
    close(guess, level + slope * (here + ahead) / 2, 1e-14, "y_0 half-way")
    assert look_ahead(level, slope, f64(1, 0.4, 0.05)) is level


def test_check_10_a_sample_does_not_depend_on_its_batch() -> None:
    """Check 10: with one generator an image, each image of a batch is what it is alone,
    for every method.
    """
    x = randn(3, 4) / 2
    oracle = conditional_problem().oracle
    for method in ("ancestral", "ddim", "multistep"):
        together = sample(
            oracle,
            x,
            SCHEDULE,
            (3, 16),
            generator=[seeded(i) for i in range(3)],
            method=method,
        )
        for i in range(3):
            alone = sample(
                oracle,
                x[i : i + 1],
                SCHEDULE,
                (1, 16),
                generator=[seeded(i)],
                method=method,
            )
            close(alone[0], together[i], 1e-12, f"{method}, image {i}")


def test_check_10_a_batch_of_three_gives_three_different_images() -> None:
    """Check 10: one generator for the batch is no one noise for the batch; another x
    gives another image.
    """
    oracle, x = conditional_problem().oracle, randn(1, 4) / 2
    images = sample(oracle, x.expand(3, 4), SCHEDULE, (3, 16), generator=seeded(0))
    assert len(images.unique(dim=0)) == 3
    assert not torch.allclose(
        sample(oracle, -x.expand(3, 4), SCHEDULE, (3, 16), generator=seeded(0)), images
    )


def test_the_loop_is_algorithm_2() -> None:
    check_the_loop_is_algorithm_2(trajectory)


def test_the_last_step_adds_no_noise() -> None:
    check_the_last_step_adds_no_noise(trajectory)


def test_sample_is_the_last_step_of_trajectory() -> None:
    x = randn(2, 1, 2, 2)
    steps = list(trajectory(shrinking, x, SCHEDULE, x.shape, generator=seeded(3)))
    assert len(steps) == SCHEDULE.steps + 1
    assert isinstance(steps[0], Step)
    assert torch.equal(
        sample(shrinking, x, SCHEDULE, tuple(x.shape), generator=seeded(3)),
        steps[-1].y_t,
    )


def test_each_step_shows_the_clean_image_it_saw() -> None:
    """y_0 belongs to the level before the step: eq. (5) solved with the noise that f
    saw in y_t. At the end it is the sample itself.
    """
    x = randn(2, 1, 2, 2)
    steps = list(trajectory(shrinking, x, SCHEDULE, x.shape, generator=seeded(3)))
    assert steps[0].y_0 is None
    for before, after in pairwise(steps):
        gamma_t = SCHEDULE.gammas[before.t]
        eps_hat = shrinking(x, before.y_t, gamma_t.expand(2))
        close(
            diffuse(after.y_0, gamma_t.expand(2), eps_hat),
            before.y_t,
            1e-14,
            f"y_{before.t} from its y_0 and its noise",
        )
    close(steps[-1].y_0, steps[-1].y_t, 1e-14, "y_0")


def test_the_starting_noise_can_be_handed_in() -> None:
    x, y_T = randn(1, 1, 2, 2), randn(1, 1, 2, 2, seed=5)
    first = next(iter(trajectory(shrinking, x, SCHEDULE, x.shape, y_T=y_T)))
    assert first.t == SCHEDULE.steps
    assert first.y_t is y_T


@pytest.mark.parametrize("method", ["ddim", "multistep"])
def test_only_the_ancestral_method_adds_noise(method: Method) -> None:
    x = randn(1, 1, 2, 2)
    a, b = (
        sample(
            shrinking,
            x,
            SCHEDULE,
            tuple(x.shape),
            generator=seeded(seed),
            method=method,
            y_T=x,
        )
        for seed in (0, 1)
    )
    assert torch.equal(a, b)


@pytest.mark.parametrize("step", [reverse_step, posterior_step, ddim_step])
def test_with_the_true_noise_every_method_ends_at_the_clean_image(step: object) -> None:
    """At t = 1, gamma_1 = alpha_1 and no noise is added: y_0 is what eq. (5) gives."""
    y_0, eps, gamma_1 = randn(2, 3), randn(2, 3, seed=1), f64(0.8)[0]
    y_1 = diffuse(y_0, gamma_1.expand(2), eps)
    close(step(y_1, eps, gamma_1, gamma_1, None), y_0, 1e-15, "y_0")  # type: ignore[operator]


def test_y_0_and_noise_are_the_two_ways_to_solve_eq_5() -> None:
    y_0, eps, gamma = randn(2, 3), randn(2, 3, seed=1), f64(0.3)[0]
    y_t = diffuse(y_0, gamma.expand(2), eps)
    close(predict_y_0(y_t, eps, gamma), y_0, 1e-15, "y_0")
    close(noise_from(y_t, y_0, gamma), eps, 1e-15, "eps")


def test_clipping_keeps_every_guess_in_range_and_the_noise_follows() -> None:
    def wild(x: Tensor, y_t: Tensor, gamma: Tensor) -> Tensor:
        return -3 * y_t

    x = randn(2, 1, 4, 4)
    for method in ("ancestral", "ddim", "multistep"):
        steps = list(
            trajectory(
                wild,
                x,
                SCHEDULE,
                x.shape,
                generator=seeded(0),
                method=method,
                clip=True,
            )
        )
        for before, after in pairwise(steps):
            assert after.y_0.abs().max() <= 1
            if (
                method == "ddim"
                # the next level holds the clipped image and the noise that leads from
                # it to
                # y_t
            ):
                level, below = SCHEDULE.gammas[before.t], SCHEDULE.gammas[after.t]
                wanted = diffuse(
                    after.y_0, below.expand(2), noise_from(before.y_t, after.y_0, level)
                )
                close(after.y_t, wanted, 1e-13, f"y_{after.t}")
        assert steps[-1].y_t.abs().max() <= 1 + 1e-14


def test_an_image_in_float32_stays_float32_with_float64_coefficients() -> None:
    """1 - gamma_1 = 1e-9 would be 0 in float32, and the step a division by it."""
    x = randn(1, 1, 2, 2).float()
    y_0 = sample(
        shrinking_float32,
        x,
        NoiseSchedule.from_alphas(f64(1 - 1e-9, 0.5)),
        (1, 1, 2, 2),
        generator=seeded(0),
    )
    assert y_0.dtype == torch.float32
    assert y_0.isfinite().all()


def shrinking_float32(x: Tensor, y_t: Tensor, gamma: Tensor) -> Tensor:
    assert gamma.dtype == torch.float64, "the network is shown the level in float64"
    return shrinking(x, y_t, gamma).to(y_t)


def test_sampling_builds_no_graph_and_trajectory_lets_one_be_built() -> None:
    x, scale = randn(1, 1, 2, 2), f64(0.3)[0].requires_grad_()

    def f(x: Tensor, y_t: Tensor, gamma: Tensor) -> Tensor:
        return scale * y_t

    assert not sample(f, x, SCHEDULE, (1, 1, 2, 2), generator=seeded(0)).requires_grad
    assert list(trajectory(f, x, SCHEDULE, (1, 1, 2, 2), generator=seeded(0)))[
        -1
    ].y_t.requires_grad


def test_progress_is_shown_on_request_only(capfd: pytest.CaptureFixture[str]) -> None:
    x = randn(1, 1, 2, 2)
    sample(shrinking, x, SCHEDULE, (1, 1, 2, 2))
    assert capfd.readouterr() == ("", "")
    sample(shrinking, x, SCHEDULE, (1, 1, 2, 2), progress=True)
    assert "sampling: 100%" in capfd.readouterr().err


def test_too_few_generators_are_refused() -> None:
    with pytest.raises(
        ValueError,
        match=r"^2 generators for a batch of 3; pass one an image, or a single one$",
    ):
        sample(
            shrinking,
            randn(3, 1, 2, 2),
            SCHEDULE,
            (3, 1, 2, 2),
            generator=[seeded(0), seeded(1)],
        )


@pytest.mark.parametrize("choice", [{"method": "euler"}, {"variance": "learned"}])
def test_an_unknown_method_is_refused(choice: dict[str, str]) -> None:
    """In the room as users have it: in the tests, the type checks would speak first."""
    x = randn(1, 1, 2, 2)
    (name, value), *_ = choice.items()
    offered = {"method": "'ancestral', 'ddim', 'multistep'"}
    wanted = offered.get(name, "'paper' or 'posterior'")
    with pytest.raises(ValueError, match=f"^{name} = {value!r}: take {wanted}$"):
        room("sampler").sample(shrinking, x, SCHEDULE, (1, 1, 2, 2), **choice)


# The search for a schedule ------------------------------------------------------------


def test_edge_distance_sees_noise_and_blur_and_no_shift() -> None:
    """A picture with one edge: moving the edge costs nothing, noise and blur do."""
    y = torch.full((1, 1, 8, 8), -1.0).double()
    y[..., 4:] = 1
    moved, noisy, blurred = y.roll(-1, 3), y + randn(1, 1, 8, 8) / 10, y.clone()
    moved[..., -1], blurred[..., 3:5] = 1, 0
    assert edge_distance(y, y) == 0
    assert edge_distance(moved, y) == 0
    assert edge_distance(noisy, y) > 0.03
    assert (
        abs(edge_distance(blurred, y) - 8 / 112) < 1e-12
        # 112 neighbours; 8 differences of 1 became 16 of a half: half of each 8 is off
        # by a
        # half
    )
    assert edge_distance(blurred, y) == edge_distance(y, blurred)


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_even_log_snr_is_what_its_name_says(steps: int) -> None:
    schedule = even_log_snr(steps, first=0.99, last=0.001)
    assert schedule.steps == steps
    close(schedule.gammas[-1], f64(0.001)[0], 1e-15, "gamma_T")
    if steps > 1:
        close(schedule.gammas[1], f64(0.99)[0], 1e-15, "gamma_1")
        distances = log_snr(schedule.gammas[1:]).diff()
        close(distances, distances[0].expand(steps - 1), 1e-12, "distances of log-SNR")


def test_the_search_finds_the_schedule_that_reaches_noise() -> None:
    """A schedule cut off at gamma_T = 0.64 starts from pure noise and takes it for a
    picture with some noise.
    """
    check_the_search_ranks_by_score(search_schedule)


def test_every_candidate_starts_from_the_same_noise_and_is_scored_in_range() -> None:
    """Two candidates of one schedule score the same; another seed gives another score;
    nothing is trained and x is handed on.
    """
    seen: list[Tensor] = []

    def score(samples: Tensor, y: Tensor) -> float:
        seen.append(samples)
        return (samples - y).square().mean().item()

    x, y = randn(3, 1, 2, 2), randn(3, 1, 2, 2, seed=1)
    twins = {"a": SCHEDULE, "b": SCHEDULE}
    first = search_schedule(shrinking, x, y, twins, score)
    assert first["a"] == first["b"]
    assert torch.equal(*seen)
    assert seen[0].abs().max() <= 1
    assert search_schedule(shrinking, x, y, twins, score, seed=100)["a"] != first["a"]
    assert search_schedule(shrinking, -x, y, twins, score)["a"] != first["a"]
    alone = sample(
        shrinking,
        x[1:2],
        SCHEDULE,
        (1, 1, 2, 2),
        generator=[seeded(1)],
        variance="posterior",
        clip=True,
    )
    close(alone[0], seen[0][1], 1e-12, "picture 1 with seed 0 + 1")
