"""Exercises of chapter 0."""

from __future__ import annotations

from ...degrade import upsample
from ...metrics import consistency
from .grader import Exercise, images

EXERCISES: dict[str, Exercise] = {
    "0.1": Exercise(
        function="best_guess",
        inputs=(images(5, 4, 0),),
        right=lambda samples: samples.mean(0),
        slips={
            (
                "this is the median of each pixel; it has the lowest expected"
                " absolute error, and the question asks for the squared one"
            ): (lambda s: s.median(0).values),
            (
                "this is one of the answers; it is right by itself, but the"
                " mean is closer to all the others"
            ): lambda s: s[0],
            "this is the sum; divide it by the number of answers": lambda s: s.sum(0),
        },
    ),
    "0.2": Exercise(
        function="consistency_error",
        inputs=(images(3, 16, 1), images(3, 4, 2)),
        right=consistency,
        slips={
            (
                "the pictures lie in [-1, 1], and the paper measures on [0,"
                " 1]: halve the difference before you square it"
            ): (lambda y, x: 4 * consistency(y, x)),
            "right but for the unit: the paper counts in 1e-5": (
                lambda y, x: consistency(y, x) / 1e5
            ),
            (
                "this compares the enlarged x with y; shrink y and compare there,"
                " or every missing detail counts as an error"
            ): lambda y, x: (
                ((upsample(x, 4) - y) / 2).square().flatten(1).mean(1) * 1e5
            ),
            "this is the root of the mean squared error; leave the root out": (
                lambda y, x: (consistency(y, x) / 1e5).sqrt() * 1e5
            ),
            "this is the sum over the pixels; take their mean": (
                lambda y, x: consistency(y, x) * x[0].numel()
            ),
        },
    ),
}
