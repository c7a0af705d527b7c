"""Equations of chapter 0 that are not the job of one room."""

from __future__ import annotations

import torch


def test_expected_squared_error_is_spread_plus_squared_distance_to_the_mean() -> None:
    """(0.1), exactly, for equally likely answers; hence no answer beats their mean."""
    answers = torch.randn(
        7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    mean = answers.mean(0)
    spread = (answers - mean).square().mean(0)
    for guess in (
        mean,
        answers[0],
        answers.median(0).values,
        torch.zeros(5, dtype=torch.float64),
    ):
        error = (answers - guess).square().mean(0)
        torch.testing.assert_close(
            error, spread + (mean - guess).square(), rtol=0, atol=1e-14
        )
        assert (error >= spread - 1e-14).all()
