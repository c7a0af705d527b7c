"""Equations of the book that are facts about data and not the job of one room."""

from __future__ import annotations

import torch

from sr3mini import NoiseSchedule
from sr3mini.figures import root_ratio
from sr3mini.forward import gamma_between, gamma_pdf


def test_expected_squared_error_is_spread_plus_squared_distance_to_the_mean() -> None:
    """(0.1), exactly, for equally likely answers; hence no answer beats their mean."""
    answers = torch.randn(7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mean = answers.mean(0)
    spread = (answers - mean).square().mean(0)
    for guess in (mean, answers[0], answers.median(0).values, torch.zeros(5, dtype=torch.float64)):
        error = (answers - guess).square().mean(0)
        torch.testing.assert_close(error, spread + (mean - guess).square(), rtol=0, atol=1e-14)
        assert (error >= spread - 1e-14).all()


def test_root_draw_has_the_density_of_the_change_of_variables() -> None:
    """(3.5): half of a segment's draws lie below the middle of the roots, and each segment still holds 1/T."""
    schedule = NoiseSchedule.linear(4, 0.1, 0.6)
    u = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000  # midpoints of a fine grid in each segment
    for t in range(1, 5):
        step = torch.tensor(t)
        gamma = gamma_between(schedule, step, u)
        high, low = schedule.gammas[t - 1], schedule.gammas[t]
        share = gamma_pdf(schedule, gamma) * root_ratio(schedule, step, u) * (high - low) / len(u)
        assert abs(share.sum().item() - 1 / 4) < 1e-8
        below = share[gamma < ((high.sqrt() + low.sqrt()) / 2).square()].sum()
        assert abs(below.item() - 1 / 8) < 1e-4
