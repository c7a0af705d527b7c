"""Exercises of chapter 4."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...degrade import upsample
from .grader import Exercise, images

# sides that are no multiple of x's: only the sides of y_t will do as the size
_X, _Y_T = images(2, 4, 9), images(2, 30, 10)[..., :26]


def _joined(x_up: Tensor, y_t: Tensor) -> Tensor:
    return torch.cat([x_up, y_t], dim=1)


def _enlarged(x: Tensor, y_t: Tensor, **how: Any) -> Tensor:
    """x at the sides of y_t, by torch's own resizing."""
    return F.interpolate(x, size=_sides(y_t), **how)


def _sides(y_t: Tensor) -> tuple[int, int]:
    return y_t.shape[-2], y_t.shape[-1]


def _right(x: Tensor, y_t: Tensor) -> Tensor:
    return _joined(upsample(x, size=_sides(y_t)), y_t)


EXERCISES: dict[str, Exercise] = {
    "4.1": Exercise(
        builds=True,
        function="condition",
        inputs=(_X, _Y_T),
        right=_right,
        slips={
            (
                "x and y_t have changed places: the condition comes first, as"
                " in the weights of this book"
            ): lambda x, y_t: _joined(y_t, upsample(x, size=_sides(y_t))),
            (
                "this bicubic has a = -0.75; antialias=True chooses the kernel"
                " with a = -0.5, also when a picture is enlarged"
            ): lambda x, y_t: _joined(_enlarged(x, y_t, mode="bicubic"), y_t),
            'this repeats each pixel of x; use mode="bicubic"': lambda x, y_t: _joined(
                _enlarged(x, y_t, mode="nearest"), y_t
            ),
            'this is bilinear; use mode="bicubic"': lambda x, y_t: _joined(
                upsample(x, size=_sides(y_t), mode="bilinear"), y_t
            ),
            (
                "the corners of both pictures are aligned here; pixels are squares,"
                " so leave align_corners at False"
            ): lambda x, y_t: _joined(
                _enlarged(x, y_t, mode="bicubic", antialias=True, align_corners=True),
                y_t,
            ),
            (
                "this clips x to [-1, 1]; hand it over as it is, the overshoot"
                " tells something too"
            ): lambda x, y_t: _joined(upsample(x, size=_sides(y_t)).clamp(-1, 1), y_t),
        },
    ),
}
