"""Exercises of chapter 9."""

from __future__ import annotations

import torch
from torch import Tensor

from .grader import Exercise

_ORDER = torch.randperm(24, generator=torch.Generator().manual_seed(0))


def _taken(order: Tensor, place: int, count: int, apart: int = 1) -> Tensor:
    return order[(place + apart * torch.arange(count)) % len(order)]


EXERCISES: dict[str, Exercise] = {
    "9.1": Exercise(
        function="rows_of",
        inputs=(_ORDER, 4, 6, 1, 3),
        right=lambda order, step, batch, rank, ranks: _taken(
            order, step * batch + rank * (batch // ranks), batch // ranks
        ),
        slips={
            (
                "every rank gets the same pictures, so two do no more than one:"
                " start rank * batch / ranks further on"
            ): lambda order, step, batch, rank, ranks: _taken(
                order, step * batch, batch // ranks
            ),
            (
                "a step of all ranks together takes `batch` pictures, not batch"
                " / ranks: the ranks of the next step begin step * batch further"
                " on"
            ): lambda order, step, batch, rank, ranks: _taken(
                order,
                step * (batch // ranks) + rank * (batch // ranks),
                batch // ranks,
            ),
            (
                "rank * batch skips whole batches; a rank's share is batch /"
                " ranks, so rank r begins r shares into the batch"
            ): lambda order, step, batch, rank, ranks: _taken(
                order, step * batch + rank * batch, batch // ranks
            ),
            (
                "these are dealt out like cards, every ranks-th to one rank;"
                " here a rank's rows lie side by side"
            ): lambda order, step, batch, rank, ranks: _taken(
                order, step * batch + rank, batch // ranks, ranks
            ),
            "these are the places in the order; look up which pictures stand there": (
                lambda order, step, batch, rank, ranks: _taken(
                    torch.arange(len(order)),
                    step * batch + rank * (batch // ranks),
                    batch // ranks,
                )
            ),
            (
                "the first step is number 0 and takes the first pictures; this"
                " is one step ahead"
            ): lambda order, step, batch, rank, ranks: _taken(
                order, (step + 1) * batch + rank * (batch // ranks), batch // ranks
            ),
        },
    ),
}
