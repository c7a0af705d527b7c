"""Exercises of chapter 0."""

from __future__ import annotations

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
}
