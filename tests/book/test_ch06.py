"""Equations of chapter 6 that are not the job of one room."""

from __future__ import annotations

import math

import pytest
import torch
from checks import close, f64, joint

from sr3mini import NoiseSchedule

WEIGHTS, MEANS, VARIANCES = f64(0.7, 0.3), f64(0.8, -1.0), f64(0.05, 0.2)
SCHEDULE = NoiseSchedule.from_alphas(f64(0.9, 0.7, 0.4))
Y_0 = f64(0.6)


@pytest.mark.parametrize("gamma", [0.2, 0.8])
def test_the_squared_loss_is_a_floor_plus_the_distance_to_the_conditional_mean(
    gamma: float,
) -> None:
    """(6.2), by summing over a grid: for any f, E (f - eps)^2 = E (eps - E[eps |
    y_t])^2 + E (f - E[eps | y_t])^2.
    """
    y_t, y_0, mass = joint(gamma, WEIGHTS, MEANS, VARIANCES)
    eps = (y_t - math.sqrt(gamma) * y_0) / math.sqrt(1 - gamma)
    best = (mass * eps).sum(1, keepdim=True) / mass.sum(1, keepdim=True)
    floor = (mass * (eps - best).square()).sum()
    for f in (best, 0 * y_t, y_t, torch.tanh(3 * y_t) - 0.2):
        close(
            (mass * (f - eps).square()).sum(),
            floor + (mass * (f - best).square()).sum(),
            1e-12,
            "loss against floor plus excess",
        )
