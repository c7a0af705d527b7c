r"""What all things to play with share: controls above a picture that is drawn anew
whenever one of them moves.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Mapping, Sequence

from ipywidgets import HTML, Dropdown, IntSlider, Layout, SelectionSlider, VBox, Widget

from ..figures import Picture

WIDTH = "28em"


class Playable(VBox):
    """`controls` by name above `draw(**values)`, which turns their positions into a
    `Picture`.

    It carries a still picture of its first position, so that a reader with no kernel
    sees a figure and not a hole.
    """

    def __init__(
        self, draw: Callable[..., Picture], controls: Mapping[str, Widget]
    ) -> None:
        self.draw, self.controls = draw, dict(controls)
        self.still = self.now()
        picture = HTML(image_tag(self.still))
        for control in self.controls.values():
            control.observe(
                lambda change: setattr(picture, "value", image_tag(self.now())),
                names="value",
            )
        super().__init__([*self.controls.values(), picture])

    def now(self) -> Picture:
        """The picture of the controls as they stand."""
        return self.draw(
            **{name: control.value for name, control in self.controls.items()}
        )

    def _repr_mimebundle_(
        self, **kwargs: object
    ) -> tuple[dict[str, object], dict[str, object]]:
        data, metadata = self.still._repr_mimebundle_()
        return {**super()._repr_mimebundle_(**kwargs), **data}, dict(metadata)


def slider(value: int, low: int, high: int, name: str) -> IntSlider:
    """A slider over whole numbers that reports every move, not only where it stops."""
    return IntSlider(
        value,
        low,
        high,
        description=name,
        continuous_update=True,
        layout=Layout(width=WIDTH),
    )


def stops(
    value: object, options: Sequence[tuple[str, object]], name: str
) -> SelectionSlider:
    """A slider over listed values, (label, value) pairs, which need not be evenly
    spaced.
    """
    return SelectionSlider(
        options=options,
        value=value,
        description=name,
        continuous_update=True,
        layout=Layout(width=WIDTH),
    )


def choice(
    value: object, options: Sequence[object] | Sequence[tuple[str, object]], name: str
) -> Dropdown:
    """A menu: plain values, or (label, value) pairs."""
    return Dropdown(
        options=options, value=value, description=name, layout=Layout(width=WIDTH)
    )


def positions(control: Widget) -> list[tuple[str, object]]:
    """Every place that a slider or a menu can stand at, (label, value), in order."""
    if isinstance(control, (Dropdown, SelectionSlider)):
        return [
            option if isinstance(option, tuple) else (str(option), option)
            for option in control.options
        ]
    return [
        (str(value), value)
        for value in range(control.min, control.max + 1, control.step)
    ]


def image_tag(picture: Picture) -> str:
    """The picture as HTML that needs no file, with its alt text."""
    data = base64.b64encode(picture.png()).decode()
    return f'<img alt="{html.escape(picture.alt)}" src="data:image/png;base64,{data}">'
