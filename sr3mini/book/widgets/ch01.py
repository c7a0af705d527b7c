"""Chapter 1's slider."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ...schedule import NoiseSchedule
from ..figures import Picture, noised_step
from .base import Playable, slider


def noising_slider(
    chain: Sequence[Tensor], schedule: NoiseSchedule, what: str, stride: int = 40
) -> Playable:
    """A picture going under: y_0, ..., y_T, made step by step, beside the closed form
    of the step that the slider shows.

    `chain` holds T + 1 pictures (C, H, W). The slider stands at every `stride`-th of
    them.
    """

    def draw(t: int) -> Picture:
        return noised_step(chain[0], chain[t], t, schedule, what)

    control = slider(
        stride * (schedule.steps // (4 * stride)), 0, schedule.steps, "step t"
    )
    control.step = stride
    return Playable(draw, {"t": control})
