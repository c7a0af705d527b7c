"""Equations of chapter 3 that are not the job of one room."""

from __future__ import annotations

import torch

from sr3mini import NoiseSchedule
from sr3mini.book.figures import root_ratio
from sr3mini.forward import gamma_between, gamma_pdf


def test_root_draw_has_the_density_of_the_change_of_variables() -> None:
    """(3.5): half of a segment's draws lie below the middle of the roots, and each
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
