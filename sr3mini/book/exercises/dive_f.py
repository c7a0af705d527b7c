"""Exercises of deep dive F."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ...degrade import downsample, upsample
from ...schedule import NoiseSchedule, log_snr
from .grader import Answer, Exercise, images

_Y = images(5, 16, 1)
_X = downsample(_Y, 4) + images(5, 4, 2) / 10
_LEVELS = NoiseSchedule.linear(12, 0.02, 0.5).gammas[1:, None]
_HANDS = torch.tensor([0.1, 0.5, 2.0])
_FEATURES = torch.stack(
    [
        torch.cat([(number * _HANDS).sin(), (number * _HANDS).cos()], dim=1)
        for number in (log_snr(_LEVELS), _LEVELS.sqrt())
    ]
)
_CLEAN = images(3, 16, 3) * torch.linspace(0.5, 1, 3)[:, None, None, None]
_NOISES = [
    images(3, 16, seed) * torch.tensor([0.1, 0.3, 0.2])[:, None, None, None]
    for seed in (4, 5)
]


def _error(one: Tensor, other: Tensor) -> Tensor:
    return (one - other).square().flatten(1).mean(1)


def _ratio(y: Tensor, x: Tensor) -> Tensor:
    return _error(downsample(y, 4), x) / _error(downsample(y, 4), x.roll(1, 0))


def _sparse(y: Tensor, x: Tensor) -> Tensor:
    small = F.interpolate(y, scale_factor=0.25, mode="bicubic")
    return _error(small, x) / _error(small, x.roll(1, 0))


def _told_apart(summary: Callable[[Tensor], Tensor]) -> Answer:
    """A summary of the changes from level to level, (E, L - 1, n) -> (E,)."""
    return lambda features: summary(features.diff(dim=1).abs())


def _last_noise(y: Tensor, again: Tensor) -> Tensor:
    return (_error(y, again) / 2).sqrt()


EXERCISES: dict[str, Exercise] = {
    "F.1": Exercise(
        function="condition_ratio",
        inputs=(_Y, _X),
        right=_ratio,
        slips={
            "this is upside down: the error against its own x goes on top": (
                lambda y, x: 1 / _ratio(y, x)
            ),
            (
                "the two errors are to be divided; a difference depends on how"
                " bright and how varied the pictures are"
            ): lambda y, x: (
                _error(downsample(y, 4), x) - _error(downsample(y, 4), x.roll(1, 0))
            ),
            (
                "roll(1) without a dimension moves everything by one pixel;"
                " roll(1, 0) gives every picture its neighbour's x"
            ): lambda y, x: (
                _error(downsample(y, 4), x) / _error(downsample(y, 4), x.roll(1))
            ),
            (
                "roll(1, 1) moves along the channels; a grey picture has one,"
                " so nothing is exchanged; the pictures are dimension 0"
            ): lambda y, x: (
                _error(downsample(y, 4), x) / _error(downsample(y, 4), x.roll(1, 1))
            ),
            (
                "this compares the enlarged x with y, where every detail that"
                " x lacks counts as an error; shrink y"
            ): lambda y, x: (
                _error(upsample(x, 4), y) / _error(upsample(x.roll(1, 0), 4), y)
            ),
            (
                "this shrinks without antialiasing; x was made with it, so use"
                " downsample"
            ): (_sparse),
            "the root is too much: the ratio of mean squared errors is asked for": (
                lambda y, x: _ratio(y, x).sqrt()
            ),
        },
    ),
    "F.2": Exercise(
        function="least_change",
        inputs=(_FEATURES,),
        right=_told_apart(lambda change: change.amax(2).amin(1)),
        slips={
            (
                "this asks for the best pair of neighbours; one pair that cannot"
                " be told apart is a fault, so take the worst"
            ): _told_apart(lambda change: change.amax((1, 2))),
            (
                "this asks for the feature that changes least; one good feature"
                " is enough, so take the largest change of each pair"
            ): _told_apart(lambda change: change.amin((1, 2))),
            (
                "this averages over the features; one good feature is enough,"
                " so take the largest change"
            ): _told_apart(lambda change: change.mean(2).amin(1)),
            "this averages over the pairs, and the worst pair hides in the mean": (
                _told_apart(lambda change: change.amax(2).mean(1))
            ),
            (
                "the sign is in the way: a feature that falls tells two levels"
                " apart as well as one that rises"
            ): lambda features: features.diff(dim=1).amax(2).amin(1),
            (
                "this compares the first level with the last; neighbours are"
                " what is hard to tell apart"
            ): lambda features: (features[:, -1] - features[:, 0]).abs().amax(1),
            (
                "this takes differences between features, not between levels:"
                " the levels are dimension 1"
            ): lambda features: features.diff(dim=2).abs().amax(2).amin(1),
        },
    ),
    "F.3": Exercise(
        function="last_noise",
        inputs=(_CLEAN + _NOISES[0], _CLEAN + _NOISES[1]),
        right=_last_noise,
        slips={
            (
                "too large by the root of 2: the difference of two independent"
                " noises has twice the variance of one"
            ): lambda y, again: _last_noise(y, again) * 2**0.5,
            (
                "this halves the difference; it is the variance that has to"
                " be halved, so divide by the root of 2"
            ): (lambda y, again: _last_noise(y, again) / 2**0.5),
            "this is the variance; take its root": (
                lambda y, again: _last_noise(y, again).square()
            ),
            "positive and negative differences cancel here; square them first": (
                lambda y, again: (y - again).flatten(1).mean(1) / 2**0.5
            ),
            (
                "this is the mean absolute difference; a standard deviation"
                " wants squares"
            ): (lambda y, again: (y - again).abs().flatten(1).mean(1) / 2**0.5),
            (
                "this is the spread of the picture itself; the picture drops"
                " out of the difference of the two"
            ): (lambda y, again: y.flatten(1).std(1)),
        },
    ),
}
