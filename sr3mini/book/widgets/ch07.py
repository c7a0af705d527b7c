"""Chapter 7's slider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor

from ...degrade import downsample
from ..figures import Picture, trajectory_residuals
from .base import Playable, choice, slider


def residual_slider(
    trajectories: Mapping[str, Sequence[tuple[int, Tensor, Tensor | None]]],
    x: Float[Tensor, "B 1 h w"],
    y: Float[Tensor, "B 1 H W"],
) -> Playable:
    """Step t of stored trajectories, one a name: y_t, the guess of y_0 made from it,
    and what is still wrong with this guess.
    """
    # y_t, and y_0 as seen from it
    pairs = {name: list(pairwise(steps)) for name, steps in trajectories.items()}
    last = len(next(iter(pairs.values())))

    def draw(t: int, name: str) -> Picture:
        (_, y_t, _), (_, _, y_0) = pairs[name][last - t]
        assert y_0 is not None
        return trajectory_residuals(
            y_t,
            y_0,
            y - y_0,
            downsample(y_0, size=(x.shape[-2], x.shape[-1])) - x,
            f"Step t = {t} of {last}, {name}",
        )

    names: list[object] = list(trajectories)
    return Playable(
        draw,
        {
            "t": slider(last * 4 // 5, 1, last, "step t"),
            "name": choice(names[0], names, "variance"),
        },
    )
