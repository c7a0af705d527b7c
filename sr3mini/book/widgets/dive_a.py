"""Deep dive A's slider."""

from __future__ import annotations

from ipywidgets import IntSlider, Layout

from ..figures import mean_and_median
from .base import WIDTH, Playable, choice


def mean_and_median_slider(percent: int = 20, share: float = 0.7) -> Playable:
    """Two possible pictures: the level, and how probable the first is; the density of
    y_t, and what L2 and L1 answer.
    """
    level = IntSlider(
        percent,
        5,
        95,
        step=5,
        description="100 γ",
        continuous_update=True,
        layout=Layout(width=WIDTH),
    )
    return Playable(
        lambda gamma, share: mean_and_median(share, gamma / 100),
        {"gamma": level, "share": choice(share, [0.6, 0.7, 0.9], "share of +1")},
    )
