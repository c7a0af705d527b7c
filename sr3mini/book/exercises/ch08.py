"""Exercises of chapter 8."""

from __future__ import annotations

import torch
from torch import Tensor

from ...metrics import psnr
from .grader import Exercise, images


def _mse(y: Tensor, reference: Tensor) -> Tensor:
    return (y - reference).square().flatten(1).mean(1)


_Y, _NEAR = (
    images(3, 6, 1),
    (
        images(3, 6, 1)
        + torch.tensor([0.1, 0.3, 0.6])[:, None, None, None] * images(3, 6, 2)
    ).clamp(-1, 1),
)

EXERCISES: dict[str, Exercise] = {
    "8.1": Exercise(
        function="psnr_of",
        inputs=(_NEAR, _Y),
        right=psnr,
        slips={
            (
                "the peak is 1, but pictures in [-1, 1] have a range of 2: this"
                " is 6.02 dB too low"
            ): (lambda y, r: 10 * torch.log10(1 / _mse(y, r))),
            "the peak of 2 is not squared: this is 3.01 dB too low": (
                lambda y, r: 10 * torch.log10(2 / _mse(y, r))
            ),
            "this is the natural logarithm; decibels are ten times the decimal one": (
                lambda y, r: 10 * torch.log(4 / _mse(y, r))
            ),
            (
                "20 goes with the root of the squared error, and 10 with the"
                " squared error itself"
            ): (lambda y, r: 20 * torch.log10(4 / _mse(y, r))),
            (
                "the squared errors were averaged over the batch first; every"
                " picture has a PSNR of its own"
            ): lambda y, r: 10 * torch.log10(4 / _mse(y, r).mean()).expand(len(y)),
            "this takes the sum over the pixels; PSNR takes their mean": (
                lambda y, r: 10 * torch.log10(4 / _mse(y, r) / y[0].numel())
            ),
            "the fraction is upside down: a larger error has to give a lower number": (
                lambda y, r: -psnr(y, r)
            ),
        },
    ),
}
