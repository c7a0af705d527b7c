"""Exercises of deep dive E."""

from __future__ import annotations

import math

from torch import Tensor

from ...metrics import diversity
from .grader import Exercise, images


def _error(samples: Tensor, K: int) -> Tensor:
    return samples.var(0).flatten(1).mean(1) * (1 + 1 / K)


def _spread(samples: Tensor) -> Tensor:
    return samples.var(0).flatten(1).mean(1)


_SAMPLES = images(6 * 3, 5, 3).reshape(6, 3, 1, 5, 5)

EXERCISES: dict[str, Exercise] = {
    "E.1": Exercise(
        function="spread_of",
        inputs=(_SAMPLES,),
        right=diversity,
        slips={
            (
                "the pictures lie in [-1, 1], and diversity is measured on [0,"
                " 1]: halve it"
            ): (lambda s: 2 * diversity(s)),
            (
                "this divides by K; the mean was taken from the same K samples,"
                " so divide the squares by K - 1"
            ): lambda s: diversity(s) * math.sqrt((len(s) - 1) / len(s)),
            "this is the variance; take its root at the end": (
                lambda s: diversity(s).square()
            ),
            (
                "this is the mean of the deviations; average the variances over"
                " the pixels and take the root after that"
            ): lambda s: (s / 2).std(0).flatten(1).mean(1),
            (
                "this averages over the pixels first, so it measures whether"
                " whole samples are lighter or darker"
            ): (lambda s: (s / 2).flatten(2).mean(2).std(0)),
            (
                "this mixes all pixels of all samples, so a single sharp picture"
                " would already be diverse; compare each pixel over the samples"
            ): lambda s: (s / 2).transpose(0, 1).flatten(1).std(1),
        },
    ),
    "E.2": Exercise(
        function="error_of_mean",
        inputs=(_SAMPLES, 4),
        right=_error,
        slips={
            (
                "this is V / K, the variance of the mean alone; the original"
                " varies too, and adds V"
            ): (lambda s, K: _spread(s) / K),
            (
                "this is V, the floor, which only the mean of infinitely many"
                " samples reaches"
            ): lambda s, K: _spread(s),
            "this is 2 V, the error of a single sample; the mean of K does better": (
                lambda s, K: 2 * _spread(s)
            ),
            (
                "this adds V over the root of K; variances of independent samples"
                " add up without roots"
            ): (lambda s, K: _spread(s) * (1 + K**-0.5)),
            "this subtracts where two independent variances add up": (
                lambda s, K: _spread(s) * (1 - 1 / K)
            ),
            "this takes K from the number of samples given; K is the second argument": (
                lambda s, K: _error(s, len(s))
            ),
            (
                "this divides by the number of samples; the unbiased variance"
                " divides by one less"
            ): (lambda s, K: _error(s, K) * (len(s) - 1) / len(s)),
            (
                "this is measured on [0, 1]; on [-1, 1] a variance is four times"
                " as large"
            ): (lambda s, K: _error(s, K) / 4),
        },
    ),
}
