r"""Graders for the exercises of the book: they run an answer on small inputs and name
the mistake.

    check("3.1", answer)     prints what is right or wrong with it
    verdict("3.1", answer)   the same sentence, as a string
    mine()                   the reader's own SR3: the functions she got right so far

`grader` holds what all share; each other module holds the exercises of one chapter.
"""

from types import SimpleNamespace

from . import (
    ch00,
    ch01,
    ch02,
    ch03,
    ch04,
    ch05,
    ch06,
    ch07,
    ch08,
    ch09,
    dive_a,
    dive_c,
    dive_d,
    dive_e,
    dive_f,
    dive_g,
    dive_j,
    dive_k,
)
from .grader import Answer, Exercise, grade
from .own import keep, mine_of

__all__ = ["EXERCISES", "check", "mine", "verdict"]

EXERCISES: dict[str, Exercise] = {
    **ch00.EXERCISES,
    **ch01.EXERCISES,
    **ch02.EXERCISES,
    **ch03.EXERCISES,
    **ch04.EXERCISES,
    **ch05.EXERCISES,
    **ch06.EXERCISES,
    **ch07.EXERCISES,
    **ch08.EXERCISES,
    **ch09.EXERCISES,
    **dive_a.EXERCISES,
    **dive_c.EXERCISES,
    **dive_d.EXERCISES,
    **dive_e.EXERCISES,
    **dive_f.EXERCISES,
    **dive_g.EXERCISES,
    **dive_j.EXERCISES,
    **dive_k.EXERCISES,
}


def check(number: str, answer: Answer) -> None:
    """Print the verdict on an answer to exercise `number`, such as "3.1". A right
    answer that builds the reader's own SR3 is kept, for `mine`.
    """
    said, exercise = verdict(number, answer), EXERCISES[number]
    print(f"Exercise {number}: {said}")
    if exercise.builds and said == "right.":
        keep(exercise.function, answer, EXERCISES)


def mine() -> SimpleNamespace:
    """The functions of the reader's own SR3, by name: hers where she got them right,
    the book's where not. Prints which is which.
    """
    return mine_of(EXERCISES)


def verdict(number: str, answer: Answer) -> str:
    """One sentence: "right", or what is wrong with the answer. KeyError when there is
    no such exercise.
    """
    return grade(EXERCISES[number], answer)
