"""Figures of chapter 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from .base import Picture, image_rows


def letter_sheet(rows: Mapping[str, Float[Tensor, "_N 1 _H _W"]]) -> Picture:
    """Rows of letters under their names, a column for each letter."""
    count = len(next(iter(rows.values())))
    alt = (
        f"A table of {count} letters, a column each. Its rows are: {', '.join(rows)}."
        " The small pictures are a few grey squares, means and enlargements of them"
        " are blurred, and draws, samples and originals are sharp black strokes."
    )
    return image_rows(list(rows.items()), alt, side=0.62)


def portrait(rows: Sequence[tuple[str, Float[Tensor, "_N 3 _H _W"]]]) -> Picture:
    """A photograph in five versions, whole and a part of it."""
    alt = (
        "A portrait as 48x48 pixels, enlarged bicubically, two SR3 samples with crisper"
        " edges and texture, and the original; below, the part around one eye"
        " and the nose."
    )
    columns = ["given x", "bicubic", "seed 0", "seed 1", "original y"]
    return image_rows(rows, alt, columns, side=1.6)


def trajectory_strip(
    steps: Sequence[tuple[int, Tensor, Tensor | None]], what: str
) -> Picture:
    """Above, y_t on its way from noise to image; below, y_0 as the network guessed it
    at that moment.
    """
    titles = [f"t = {t}" for t, _, _ in steps]
    y_t = torch.cat([y[:1] for _, y, _ in steps])
    guesses = torch.cat(
        [torch.zeros_like(y[:1]) if y_0 is None else y_0[:1] for _, y, y_0 in steps]
    )
    rows = [("$y_t$", y_t), (r"$\hat y_0$", guesses)]
    alt = (
        f"{what}: y_t from noise at {titles[0]} to the picture at {titles[-1]}; below"
        " it the network's guess of the clean picture: none at first, then blurred,"
        " then sharp."
    )
    return image_rows(rows, alt, titles)
