"""Chapter 3's slider."""

from __future__ import annotations

from ...schedule import NoiseSchedule
from ..figures import gamma_law
from .base import Playable, slider


def gamma_law_slider(schedule: NoiseSchedule, steps: int = 6) -> Playable:
    """p(gamma) and its CDF while the number of steps T changes and the two ends stay:
    the staircase turns into a curve.
    """
    return Playable(
        lambda T: gamma_law(schedule.respaced(T), limit=schedule),
        {"T": slider(steps, 1, 60, "steps T")},
    )
