r"""What all figures share: the `Picture`, tables of images, the colours.

Colours are the Okabe-Ito set, which colour-blind readers can tell apart.
"""

from __future__ import annotations

import base64
import inspect
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from ...schedule import log_snr

BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#666666"
DPI = 100


@dataclass(frozen=True)
class Picture:
    """A figure and its alt text. A notebook shows the PNG and stores the text beside
    it; `png()` gives the bytes.
    """

    figure: Figure
    alt: str

    def png(self) -> bytes:
        """The rendered figure."""
        buffer = io.BytesIO()
        FigureCanvasAgg(self.figure)
        self.figure.savefig(
            buffer,
            format="png",
            dpi=DPI,
            metadata={"Software": None, "Description": self.alt},
        )
        return buffer.getvalue()

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
        data = {
            "image/png": base64.b64encode(self.png()).decode(),
            "text/plain": self.alt,
        }
        return data, {"image/png": {"alt": self.alt}}


class Source:
    """Functions and classes as they stand in the package, shown as code. Their module
    is named above the first.
    """

    def __init__(self, *objects: Any) -> None:
        parts = [inspect.getsource(each).rstrip() for each in objects]
        self.text = "\n\n\n".join([f"# {objects[0].__module__}", *parts])

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> dict[str, str]:
        fenced = f"```python\n{self.text}\n```"
        return {"text/markdown": fenced, "text/plain": self.text}


def source(*objects: Any) -> Source:
    """The source of functions and classes, highlighted and whole."""
    return Source(*objects)


def image_rows(
    rows: Sequence[tuple[str, Float[Tensor, "_N _C _H _W"]]],
    alt: str,
    columns: Sequence[str] = (),
    side: float = 0.85,
) -> Picture:
    """A table of images in [-1, 1]: one labelled row for each (label, images);
    `columns` are titles above the first row.
    """
    across = max(len(images) for _, images in rows)
    figure = Figure(
        figsize=(1.35 + side * across, side * len(rows) + (0.3 if columns else 0.05)),
        layout="constrained",
    )
    axes = figure.subplots(len(rows), across, squeeze=False)
    for row, (label, images) in enumerate(rows):
        for column in range(across):
            ax = axes[row][column]
            ax.set(xticks=[], yticks=[])
            if column < len(images):
                draw_image(ax, images[column])
            else:
                ax.set_visible(False)
            if row == 0 and column < len(columns):
                ax.set_title(columns[column], fontsize=8)
        axes[row][0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
    return Picture(figure, alt)


def sample_sheet(
    rows: Mapping[str, Float[Tensor, "N 1 H W"]],
    alt: str,
    scale: int = 3,
    headline: str = "",
) -> Picture:
    """Rows of grey pictures like `image_rows`, but on one axis, which draws faster: for
    sliders. Each pixel is `scale` dots wide; `headline` stands above.
    """
    framed = [
        torch.nn.functional.pad(images.clamp(-1, 1), (1, 1, 1, 1), value=0.0)
        for images in rows.values()
    ]
    sheet = (
        torch.cat([torch.cat(list(row[:, 0]), dim=1) for row in framed], dim=0) * 16
    ).round() / 16  # fewer greys make a smaller file
    height, width = (side * scale / DPI for side in sheet.shape)
    lines = headline.splitlines()
    # inches, of the labels, above the rows, and of the other margins
    left, top, edge = (
        1.25,
        0.1 + 0.2 * len(lines) if lines else 0.06,
        0.06,
    )
    across, down = (
        max(left + width + edge, 0.085 * max(map(len, lines), default=0) + left),
        height + top + edge,
    )
    figure = Figure(figsize=(across, down))
    ax = figure.add_axes((left / across, edge / down, width / across, height / down))
    ax.imshow(
        sheet.numpy(),
        cmap="gray",
        vmin=-1,
        vmax=1,
        interpolation="nearest",
        aspect="auto",
    )
    side = sheet.shape[0] / len(rows)
    ax.set_yticks(
        [side * (row + 0.5) - 0.5 for row in range(len(rows))], list(rows), fontsize=9
    )
    ax.set_xticks([])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    middle = 1 - (top + 0.1) / 2 / down
    figure.text(left / across, middle, headline, fontsize=9, va="center")
    return Picture(figure, alt)


def draw_image(ax: Axes, image: Float[Tensor, "C H W"]) -> None:
    """One image in [-1, 1] on a Matplotlib axis, each pixel a crisp square."""
    array = (
        ((image.detach().float().clamp(-1, 1) + 1) / 2).permute(1, 2, 0).cpu().numpy()
    )
    ax.imshow(
        array[..., 0] if array.shape[2] == 1 else array,
        cmap="gray",
        vmin=0,
        vmax=1,
        interpolation="nearest",
    )
    ax.set(xticks=[], yticks=[])


def plain_ticks(
    ax: Axes, x: Sequence[int | float] = (), y: Sequence[int | float] = ()
) -> None:
    """Ticks at these values and nowhere else, as plain numbers: for logarithmic axes,
    whose scale is set before.
    """
    if x:
        ax.set_xticks(list(x), [f"{value:g}" for value in x])
    if y:
        ax.set_yticks(list(y), [f"{value:g}" for value in y])
    ax.minorticks_off()


def lines_across(ax: Axes, lines: Mapping[str, float]) -> None:
    """Grey lines at these heights, each with its name and value in the legend."""
    for style, (name, value) in zip(("--", ":", "-."), lines.items(), strict=False):
        label = f"{name}: {value:.3g}"
        ax.axhline(value, color=GREY, linestyle=style, linewidth=1.1, label=label)


def levels_above(ax: Axes, label: str = "{:g}", **style: Any) -> None:
    """A second axis above one of log-SNR, with the levels gamma that belong to it."""
    gammas = (0.0001, 0.01, 0.5, 0.99, 0.9999)
    ax.secondary_xaxis("top").set_xticks(
        log_snr(torch.tensor(gammas, dtype=torch.float64)).tolist(),
        [label.format(gamma) for gamma in gammas],
        **style,
    )


def legend_above(figure: Figure, ax: Axes, columns: int) -> None:
    """The legend of `ax`, for all axes of a figure, in a free strip above them."""
    figure.legend(
        *ax.get_legend_handles_labels(),
        loc="outside upper center",
        ncols=columns,
        fontsize=8,
        frameon=False,
    )
