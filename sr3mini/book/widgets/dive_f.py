"""Deep dive F's slider."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from ..failures import readable, vitals
from ..figures import Picture, faulty
from .base import Playable, choice, slider

Runs = Mapping[tuple[str, int], tuple[Tensor, Tensor]]


def fault_slider(
    runs: Runs, original: Float[Tensor, "B 1 H W"], strength: int = 2
) -> Playable:
    """Samples with a fault of some strength, and the numbers that tell it: `runs` holds
    {(fault, strength): (x, samples)}, strengths from 0.
    """
    faults: list[object] = list(dict.fromkeys(fault for fault, _ in runs))

    def draw(fault: str, strength: int) -> Picture:
        x, y = runs[fault, strength]
        numbers = readable(vitals(y, x, original))
        alt = (
            f"Fault: {fault}, strength {strength}. The input, the samples and the"
            f" originals of {len(y)} pictures; above them: {numbers}."
        )
        return faulty(x, y, original, numbers, alt)

    return Playable(
        draw,
        {
            "fault": choice(faults[0], faults, "fault"),
            "strength": slider(strength, 0, max(s for _, s in runs), "strength"),
        },
    )
