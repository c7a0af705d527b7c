"""Chapter 0's slider."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ..figures import Picture, image_rows
from .base import Playable, slider


def trajectory_slider(
    steps: Sequence[tuple[int, Tensor, Tensor | None]], reference: Tensor
) -> Playable:
    """Step t of a stored trajectory: y_t, the network's guess of y_0, and the original
    beside them.
    """
    by_t = {t: (y_t, y_0) for t, y_t, y_0 in steps}
    last = max(by_t)

    def draw(t: int) -> Picture:
        y_t, y_0 = by_t[t]
        rows = [
            ("$y_t$", y_t),
            (r"$\hat y_0$", y_t * 0 if y_0 is None else y_0),
            ("original", reference),
        ]
        return image_rows(
            rows,
            f"The trajectory at t = {t} of {last}: y_t, the guess of the clean picture,"
            " and the originals.",
            side=1.1,
        )

    return Playable(draw, {"t": slider(last // 2, 0, last, "step t")})
