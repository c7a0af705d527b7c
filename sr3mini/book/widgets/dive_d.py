"""Deep dive D's slider."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from ..figures import Picture, sample_sheet
from .base import Playable, choice, stops

Runs = Mapping[tuple[str, int], Mapping[str, Tensor]]


def calls_slider(runs: Runs, y: Float[Tensor, "B 1 H W"], calls: int = 5) -> Playable:
    """Samples after a number of network calls, a row a method: `runs` holds {(levels,
    calls): {method: pictures}}, `y` the originals.
    """
    counts, levels = (
        sorted({count for _, count in runs}),
        list(dict.fromkeys(name for name, _ in runs)),
    )

    def draw(count: int, spacing: str) -> Picture:
        shown = {**runs[spacing, count], "original": y}
        what = (
            f"Samples after {count} network call{'s' if count > 1 else ''}, levels"
            f" {spacing}, a row for each of {len(shown) - 1} methods, and the"
            " originals."
        )
        return sample_sheet(shown, what)

    controls = {
        "count": stops(calls, [(str(count), count) for count in counts], "calls"),
        "spacing": choice(levels[0], list(levels), "levels"),
    }
    return Playable(draw, controls)
