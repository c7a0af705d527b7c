"""Figures of chapter 8: answers to the same x, one below the other."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from ...metrics import sharpness
from .base import Picture, image_rows, sample_sheet


def answer_rows(
    rows: Mapping[str, Float[Tensor, "N C _H _W"]], characters: str
) -> Picture:
    """A row of pictures for every kind of answer, the same letters in each; the first
    row is what was given.
    """
    return image_rows(list(rows.items()), _alt(rows, characters), side=0.62)


def answer_sheet(
    rows: Mapping[str, Float[Tensor, "N 1 H W"]], characters: str, numbers: str
) -> Picture:
    """The same below a line of `numbers`, all rows of one size: for sliders."""
    alt = f"{_alt(rows, characters)} Above them: {numbers}."
    return sample_sheet(rows, alt, 2, numbers)


def _alt(rows: Mapping[str, Tensor], characters: str) -> str:
    given, *answers = rows
    found = [f"{name}, {sharpness(rows[name]).mean():.3f}" for name in answers]
    return (
        f"The letters {', '.join(characters)}, in rows: {given}, then answers to it,"
        f" each with its sharpness: {'; '.join(found)}."
    )
