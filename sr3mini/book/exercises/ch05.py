"""Exercises of chapter 5."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .grader import Exercise, images

_H = images(2, 4, 12).repeat(1, 2, 1, 1)  # two channels
_SCALE, _SHIFT = (
    torch.tensor([[0.5, -0.3], [-0.8, 2.0]]),
    torch.tensor([[0.2, -1.0], [0.6, 0.1]]),
)


def _modulate(h: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return (1 + scale[..., None, None]) * h + shift[..., None, None]


EXERCISES: dict[str, Exercise] = {
    "5.1": Exercise(
        builds=True,
        function="modulate",
        inputs=(_H, _SCALE, _SHIFT),
        right=_modulate,
        slips={
            (
                "h is multiplied by the scale, not by 1 + scale; then a layer"
                " that says nothing, scale = shift = 0, would wipe out the feature"
            ): lambda h, scale, shift: _modulate(h, scale - 1, shift),
            "the level only shifts h here; multiply h by 1 + scale first": (
                lambda h, scale, shift: _modulate(h, 0 * scale, shift)
            ),
            "the level only scales h here; add the shift": (
                lambda h, scale, shift: _modulate(h, scale, 0 * shift)
            ),
            "scale and shift have changed places": (
                lambda h, scale, shift: _modulate(h, shift, scale)
            ),
            (
                "the shift is scaled as well; multiply h first and add the shift"
                " afterwards"
            ): lambda h, scale, shift: _modulate(h, scale, (1 + scale) * shift),
            (
                "scale and shift of the first picture are used for all; each picture"
                " of a batch has its own level"
            ): lambda h, scale, shift: _modulate(h, scale[:1], shift[:1]),
            (
                "all channels get the numbers of the first; each channel has its own"
            ): lambda h, scale, shift: _modulate(h, scale[:, :1], shift[:, :1]),
            "SiLU comes afterwards; here h is only scaled and shifted": (
                lambda h, scale, shift: F.silu(_modulate(h, scale, shift))
            ),
        },
    ),
}
