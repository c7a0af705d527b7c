"""Deep dive K's slider."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from ...degrade import unseen
from ..figures import Picture, null_space_walk
from .base import Playable, choice, slider


def null_space_slider(
    pairs: Mapping[tuple[str, str], Float[Tensor, "2 1 S S"]],
) -> Playable:
    """From the first picture of a pair towards the second, with and without a change of
    x; the names of both -> the two pictures.
    """
    steps = {names: unseen(two[1:] - two[:1], 4)[0] for names, two in pairs.items()}
    by_label = {" and ".join(names): names for names in pairs}

    def draw(pair: str, tenths: int) -> Picture:
        names = by_label[pair]
        return null_space_walk(
            pairs[names][0], steps[names], pairs[names][1], tenths / 10, names
        )

    labels: list[object] = list(by_label)
    return Playable(
        draw,
        {
            "tenths": slider(7, 0, 10, "tenths"),
            "pair": choice(labels[0], labels, "pair"),
        },
    )
