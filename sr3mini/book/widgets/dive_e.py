"""The test with two alternatives, of deep dive E: which of two pictures is original?
The reader answers, and the answers are counted.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import NamedTuple

import torch
from ipywidgets import HTML, Button, HBox, Layout
from jaxtyping import Float
from torch import Tensor

from ...metrics import fool_rate
from ..figures import Picture, alternatives
from .base import Playable, choice, slider


class Trial(NamedTuple):
    """One pair: the number of the picture, whose answer to it, and whether the original
    stands on the left.
    """

    number: int
    rival: str
    original_left: bool


class TwoAlternatives(Playable):
    """Pairs of an original and a rival's answer to the same x, in random order and on
    random sides.

    Without a kernel, the menu shows the answer to each pair. With one, two buttons take
    the reader's answer, show the right one, and count: only the first answer to a pair.
    `answers` {pair: was the reader fooled?}, pairs counted from 1.
    """

    def __init__(
        self, x: Tensor, y: Tensor, rivals: Mapping[str, Tensor], seed: int
    ) -> None:
        order = random.Random(seed)
        self.trials = [
            Trial(i, rival, order.random() < 0.5)
            for rival in rivals
            for i in range(len(y))
        ]
        order.shuffle(self.trials)
        self.answers: dict[int, bool] = {}

        def draw(pair: int, answer: str) -> Picture:
            trial = self.trials[pair - 1]
            original, made = (
                y[trial.number][None],
                rivals[trial.rival][trial.number][None],
            )
            left, right = (original, made) if trial.original_left else (made, original)
            shown = (
                f"Pair {pair} of {len(self.trials)}: left and right two pictures, and"
                " between them the small picture x that both answer; "
            )
            if answer == "hidden":
                return alternatives(
                    x[trial.number][None],
                    left,
                    right,
                    ("left", "right"),
                    shown + "which of the two is the original is hidden.",
                )
            names = (
                ("original", trial.rival)
                if trial.original_left
                else (trial.rival, "original")
            )
            return alternatives(
                x[trial.number][None],
                left,
                right,
                names,
                shown + f"the left one is: {names[0]}, the right one: {names[1]}.",
            )

        pair, answer = (
            slider(1, 1, len(self.trials), "pair"),
            choice("hidden", ["hidden", "shown"], "answer"),
        )
        # before the picture is drawn, so that no answer flashes up
        pair.observe(lambda change: setattr(answer, "value", "hidden"), names="value")
        super().__init__(draw, {"pair": pair, "answer": answer})
        buttons = []
        for side in ("left", "right"):
            button = Button(
                description=f"the {side} one is the original",
                layout=Layout(width="14em"),
            )
            button.on_click(lambda _, left=side == "left": self.answer(left))
            buttons.append(button)
        self.counted = HTML(self.score())
        *controls, picture = self.children  # type: ignore[has-type]
        self.children = (*controls, HBox(buttons), self.counted, picture)

    def answer(self, left: bool) -> None:
        """The reader says which side the original of the current pair is on: count it,
        and show the answer.
        """
        pair = self.controls["pair"].value
        self.answers.setdefault(pair, left != self.trials[pair - 1].original_left)
        self.counted.value = self.score()
        self.controls["answer"].value = "shown"

    def score(self) -> str:
        """For each rival, how often the reader took its picture for the original."""
        lines = []
        for rival in dict.fromkeys(trial.rival for trial in self.trials):
            fooled = [
                was
                for pair, was in sorted(self.answers.items())
                if self.trials[pair - 1].rival == rival
            ]
            if fooled:
                rate, error = fool_rate(
                    torch.zeros(len(fooled)), torch.tensor(fooled).float() * 2 - 1
                )
                lines.append(
                    f"{rival}: fooled {sum(fooled)} times in {len(fooled)}, fool rate"
                    f" {100 * rate:.0f} % ± {100 * error:.0f} %"
                )
        return "; ".join(lines) if lines else "no answers yet"


def two_alternatives(
    x: Float[Tensor, "N C h w"],
    y: Float[Tensor, "N C H W"],
    rivals: Mapping[str, Float[Tensor, "N C H W"]],
    seed: int = 0,
) -> Playable:
    """The reader against `rivals` {name: their answers to x}, whose originals are y:
    one pair a picture and rival, shuffled.
    """
    return TwoAlternatives(x, y, rivals, seed)
