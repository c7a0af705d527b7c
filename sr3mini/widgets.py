r"""Things to play with: a slider above a figure that is drawn anew whenever it moves.

Each carries a still picture of its first position, so that a reader with no kernel sees a figure and not a hole.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Sequence

from ipywidgets import HTML, IntSlider, Layout, VBox
from torch import Tensor

from .figures import Picture, gamma_law, image_rows
from .schedule import NoiseSchedule


class Playable(VBox):
    """A slider over `draw`, which turns its position into a `Picture`."""

    def __init__(self, draw: Callable[[int], Picture], slider: IntSlider) -> None:
        self.still = draw(slider.value)
        picture = HTML(_image_tag(self.still))
        slider.observe(lambda change: setattr(picture, "value", _image_tag(draw(change["new"]))), names="value")
        super().__init__([slider, picture])

    def _repr_mimebundle_(self, **kwargs: object) -> tuple[dict[str, object], dict[str, object]]:
        data, metadata = self.still._repr_mimebundle_()
        return {**super()._repr_mimebundle_(**kwargs), **data}, dict(metadata)


def gamma_law_slider(schedule: NoiseSchedule, steps: int = 6) -> Playable:
    """p(gamma) and its CDF while the number of steps T changes and the two ends stay: the staircase turns into a curve."""
    return Playable(lambda T: gamma_law(schedule.respaced(T)), _slider(steps, 1, 60, "steps T"))


def trajectory_slider(steps: Sequence[tuple[int, Tensor, Tensor | None]], reference: Tensor) -> Playable:
    """Step t of a stored trajectory: y_t, the network's guess of y_0, and the original beside them."""
    by_t = {t: (y_t, y_0) for t, y_t, y_0 in steps}
    last = max(by_t)

    def draw(t: int) -> Picture:
        y_t, y_0 = by_t[t]
        rows = [("$y_t$", y_t), (r"$\hat y_0$", y_t * 0 if y_0 is None else y_0), ("original", reference)]
        return image_rows(rows, f"The trajectory at t = {t} of {last}: y_t, the guess of the clean picture, and the originals.", side=1.1)

    return Playable(draw, _slider(last // 2, 0, last, "step t"))


def _slider(value: int, low: int, high: int, name: str) -> IntSlider:
    return IntSlider(value, low, high, description=name, continuous_update=True, layout=Layout(width="28em"))


def _image_tag(picture: Picture) -> str:
    data = base64.b64encode(picture.png()).decode()
    return f'<img alt="{html.escape(picture.alt)}" src="data:image/png;base64,{data}">'
