"""Equations of deep dive G that are not the job of one room."""

from __future__ import annotations

import torch
from checks import seeded
from scipy.stats import kstest

from sr3mini import NoiseSchedule, gamma_cdf, sample_gamma
from sr3mini.book.figures import root_ratio
from sr3mini.forward import gamma_between, gamma_pdf

PAPER = NoiseSchedule.linear(2000, 1e-6, 1e-2)


def test_root_draw_has_the_density_of_the_change_of_variables() -> None:
    """(G.2): half of a segment's draws lie below the middle of the roots, and each
    segment still holds 1/T.
    """
    schedule = NoiseSchedule.linear(4, 0.1, 0.6)
    u = (
        torch.arange(20_000, dtype=torch.float64) + 0.5
    ) / 20_000  # midpoints of a fine grid in each segment
    for t in range(1, 5):
        step = torch.tensor(t)
        gamma = gamma_between(schedule, step, u)
        high, low = schedule.gammas[t - 1], schedule.gammas[t]
        share = (
            gamma_pdf(schedule, gamma)
            * root_ratio(schedule, step, u)
            * (high - low)
            / len(u)
        )
        assert abs(share.sum().item() - 1 / 4) < 1e-8
        below = share[gamma < ((high.sqrt() + low.sqrt()) / 2).square()].sum()
        assert abs(below.item() - 1 / 8) < 1e-4


def test_what_happens_inside_segments_moves_the_cdf_by_one_of_them_at_most() -> None:
    """Section G.6: so the Kolmogorov-Smirnov test hardly sees a missing stage two."""
    t = torch.randint(1, 2001, (20_000,), generator=seeded(0))
    u = torch.rand(20_000, dtype=torch.float64, generator=seeded(1))

    def distance(levels: torch.Tensor) -> float:
        def cdf(level: object) -> object:
            return gamma_cdf(PAPER, torch.as_tensor(level)).numpy()

        return kstest(levels.numpy(), cdf).statistic

    right, wrong = distance(gamma_between(PAPER, t, u)), distance(PAPER.gammas[t])
    assert right < 1.36 / 20_000**0.5
    assert 0 < abs(right - wrong) < 1 / 2000


def test_with_one_step_a_batch_the_mean_level_varies_as_much_as_a_single_one() -> None:
    """Section G.8: the ratio of the variances is the size of the batch."""
    size = (4000, 64)
    of_many = sample_gamma(PAPER, size, generator=seeded(0)).mean(1).var()
    t = torch.randint(1, 2001, (4000, 1), generator=seeded(1))
    u = torch.rand(size, dtype=torch.float64, generator=seeded(2))
    of_one = gamma_between(PAPER, t.expand(size), u).mean(1).var()
    assert abs(of_one / of_many - 64) < 6  # 3 standard errors
