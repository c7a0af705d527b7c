"""Chapter 2's sliders: any schedule, at any step, on two pictures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ...forward import diffuse
from ...schedule import NoiseSchedule
from ..figures import Picture, schedule_view
from .base import Playable, choice, slider, stops

FAMILIES = (
    "linear",
    "quadratic",
    "constant",
    "warmup",
    "cosine",
    "fibonacci",
    "respaced",
)
STEPS = (5, 10, 25, 50, 100, 250, 500, 1000, 2000)
STARTS = (1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
ENDS = (1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2)
TRAINED = 2000  # steps of the schedule that "respaced" keeps T levels of


class ScheduleExplorer(Playable):
    """It keeps its clean `pictures` so that pages without Python can noise them too."""

    def __init__(self, pictures: Sequence[Float[Tensor, "_C _H _W"]]) -> None:
        self.pictures = list(pictures)
        self.noise = [
            torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
            for y in self.pictures
        ]
        controls = {
            "family": choice(FAMILIES[0], FAMILIES, "family"),
            "T": stops(100, [(str(T), T) for T in STEPS], "steps T"),
            "start": stops(1e-6, [(f"{value:g}", value) for value in STARTS], "start"),
            "end": stops(1e-2, [(f"{value:g}", value) for value in ENDS], "end"),
            "percent": slider(50, 0, 100, "t, % of T"),
        }
        super().__init__(self.view, controls)

    def view(
        self, family: str, T: int, start: float, end: float, percent: int
    ) -> Picture:
        """The schedule of these controls, with step t = `percent` % of T marked, and
        the pictures noised there.
        """
        schedule, title, note = explored(family, T, start, end)
        t = (schedule.steps * percent + 50) // 100
        level = schedule.gammas[t][None]
        noisy = [
            diffuse(y[None], level, eps[None])[0]
            for y, eps in zip(self.pictures, self.noise, strict=True)
        ]
        return schedule_view(schedule, t, noisy, title, note)


def schedule_explorer(*pictures: Float[Tensor, "_C _H _W"]) -> Playable:
    """Family, T, start, end and t -> the schedule's four curves and the pictures noised
    at t. At most two pictures, of 32 or 96 pixels a side.
    """
    return ScheduleExplorer(pictures)


def explored(
    family: str, T: int, start: float, end: float
) -> tuple[NoiseSchedule, str, str]:
    """The schedule, its title, and a note on what this family leaves unused ("" when it
    uses all).
    """
    title = f"{family}, T = {T}"
    if family == "cosine":
        return NoiseSchedule.cosine(T), title, "start and end are not used"
    if family == "constant":
        return (
            NoiseSchedule.constant(T, end),
            f"{title}, 1 − α = {end:g}",
            "start is not used",
        )
    if family == "fibonacci":
        steps = min(T, longest_fibonacci(start))
        unused = (
            "end is not used"
            if steps == T
            else "end is not used, and T stops where 1 − α would pass 1"
        )
        return (
            NoiseSchedule.fibonacci(steps, start),
            f"{family}, T = {steps}, 1 − α from {start:g}",
            unused,
        )
    title += f", 1 − α from {start:g} to {end:g}"
    if family == "respaced":
        return (
            NoiseSchedule.linear(TRAINED, start, end).respaced(T),
            (
                f"{T} levels of a linear schedule, T = {TRAINED}, 1 − α from {start:g}"
                f" to {end:g}"
            ),
            "",
        )
    make = {
        "linear": NoiseSchedule.linear,
        "quadratic": NoiseSchedule.quadratic,
        "warmup": NoiseSchedule.warmup,
    }[family]
    return make(T, start, end), title, ""


def longest_fibonacci(start: float) -> int:
    """How many steps `NoiseSchedule.fibonacci` can take before 1 - alpha_t would reach
    1.
    """
    steps, noise, following = 0, start, 2 * start
    while noise < 1:
        steps, noise, following = steps + 1, following, noise + following
    return steps
