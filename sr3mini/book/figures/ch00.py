"""Figures of chapter 0."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .base import Picture, image_rows


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
        " it the network's guess of the clean picture: none at first, then wild, then"
        " sharp."
    )
    return image_rows(rows, alt, titles)
