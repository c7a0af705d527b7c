"""Exercises of deep dive J."""

from __future__ import annotations

import torch
from torch import Tensor

from .grader import Answer, Exercise

_GRADIENTS = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
_SIZES = torch.tensor([8, 8, 4])
_STEPS = torch.arange(41)


def _weighted(gradients: Tensor, sizes: Tensor) -> Tensor:
    return (sizes[:, None] * gradients).sum(0)


def _ramp(step: Tensor, warmup: int) -> Tensor:
    return ((step + 1) / warmup).clamp(max=1)


def _fall(step: Tensor, total: int) -> Tensor:
    return (1 + torch.cos(torch.pi * step / total)) / 2


def _rate(warm: Answer, fall: Answer) -> Answer:
    return lambda step, warmup, total: warm(step, warmup) * fall(step, total)


EXERCISES: dict[str, Exercise] = {
    "J.1": Exercise(
        function="accumulate",
        inputs=(_GRADIENTS, _SIZES),
        right=lambda gradients, sizes: _weighted(gradients, sizes) / sizes.sum(),
        slips={
            (
                "this adds up the gradients of three means: three times too"
                " long a step; divide"
            ): lambda gradients, sizes: gradients.sum(0),
            (
                "this is the mean over the parts, and the smaller part counts"
                " as much as the others; weigh each by its number of pictures"
            ): lambda gradients, sizes: gradients.mean(0),
            (
                "weighed by the number of pictures, but not divided by how many"
                " they are in all"
            ): (_weighted),
            "divided by the number of parts instead of the number of pictures": (
                lambda gradients, sizes: _weighted(gradients, sizes) / len(sizes)
            ),
            "divided by the number of pictures of one part instead of all": (
                lambda gradients, sizes: _weighted(gradients, sizes) / sizes[0]
            ),
            (
                "the last part alone: the gradients of the others were overwritten,"
                " or zero_grad came between them"
            ): lambda gradients, sizes: gradients[-1],
        },
    ),
    "J.2": Exercise(
        function="rate",
        inputs=(_STEPS, 10, 40),
        right=_rate(_ramp, _fall),
        slips={
            (
                "the rate of step 0 is 0, so the first step does nothing: count"
                " (step + 1) / warmup"
            ): _rate(lambda step, warmup: (step / warmup).clamp(max=1), _fall),
            "the warm-up goes on for ever: above 1 it must stop": _rate(
                lambda step, warmup: (step + 1) / warmup, _fall
            ),
            "the warm-up is missing": _rate(
                lambda step, warmup: torch.ones(len(step)), _fall
            ),
            "the cosine is missing: the rate stays where the warm-up left it": _rate(
                _ramp, lambda step, total: torch.ones(len(step))
            ),
            (
                "this falls below 0 half-way: the cosine goes from 1 to -1,"
                " so add 1 and halve"
            ): _rate(_ramp, lambda step, total: torch.cos(torch.pi * step / total)),
            (
                "a quarter of a cosine: it reaches 0 in a corner, not flat;"
                " take half a cosine, plus 1, halved"
            ): _rate(_ramp, lambda step, total: torch.cos(torch.pi * step / total / 2)),
            "here the cosine begins with step 0, not after the warm-up": (
                lambda step, warmup, total: (
                    _ramp(step, warmup)
                    * _fall((step - warmup).clamp(min=0), total - warmup)
                )
            ),
        },
    ),
}
