"""Chapter 9's sliders."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from ...model.preset import Preset
from ...training.plan import plan
from ..figures import Picture, memory_bar
from .base import Playable, choice, stops


def plan_slider(
    preset: Preset,
    kinds: Sequence[str],
    gpus: Sequence[int],
    micro_batches: Sequence[int],
) -> Playable:
    """What it costs to train `preset`: kinds of device, how many of them, and in how
    many parts each takes its share of the batch.
    """
    costs = {
        (kind, n, parts): plan(preset, kind=kind, gpus=n, micro_batches=parts)
        for kind, n, parts in product(kinds, gpus, micro_batches)
    }

    def draw(kind: str, gpus: int, micro_batches: int) -> Picture:
        return memory_bar(costs[kind, gpus, micro_batches])

    controls = {
        "gpus": stops(gpus[0], [(str(n), n) for n in gpus], "devices"),
        "micro_batches": stops(
            micro_batches[0],
            [(str(parts), parts) for parts in micro_batches],
            "in parts",
        ),
        "kind": choice(kinds[0], list(kinds), "kind"),
    }
    return Playable(draw, controls)
