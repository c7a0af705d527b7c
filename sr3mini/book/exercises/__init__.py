r"""Graders for the exercises of the book: they run an answer on small inputs and name
the mistake.

    check("3.1", answer)     prints what is right or wrong with it
    verdict("3.1", answer)   the same sentence, as a string

`grader` holds what all share; each other module holds the exercises of one chapter.
"""

from . import ch00, ch01, ch02, ch03, ch04, ch05, ch06, ch07, ch08, ch09, dive_d, dive_f
from .grader import Answer, Exercise, grade

__all__ = ["EXERCISES", "check", "verdict"]

EXERCISES: dict[str, Exercise] = {
    **ch00.EXERCISES,
    **ch01.EXERCISES,
    **ch02.EXERCISES,
    **ch03.EXERCISES,
    **ch04.EXERCISES,
    **ch05.EXERCISES,
    **ch06.EXERCISES,
    **ch07.EXERCISES,
    **dive_d.EXERCISES,
    **ch08.EXERCISES,
    **dive_f.EXERCISES,
    **ch09.EXERCISES,
}


def check(number: str, answer: Answer) -> None:
    """Print the verdict on an answer to exercise `number`, such as "3.1"."""
    print(f"Exercise {number}: {verdict(number, answer)}")


def verdict(number: str, answer: Answer) -> str:
    """One sentence: "right", or what is wrong with the answer. KeyError when there is
    no such exercise.
    """
    return grade(EXERCISES[number], answer)
