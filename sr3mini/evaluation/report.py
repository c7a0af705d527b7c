r"""What `sr3mini evaluate` found, for other programs and for people: a CSV file, a
Markdown table, a sheet of pictures.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

from ..files.reading import to_bytes
from .compare import Case
from .table import COLUMNS, Row, Table, measured

PANEL = 256  # pixels of the longer side of a panel, at most
ROWS = 16  # pictures on a sheet, at most


def to_csv(rows: Sequence[Row], means: Table) -> str:
    """A line a picture and method, then a line a method named "mean"; empty where a
    metric was not measured.
    """
    lines = [*rows, *(Row("mean", name, values) for name, values in means.items())]
    metrics = measured(row.values for row in lines)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["picture", "method", *metrics])
    for picture, method, values in lines:
        cells = [f"{values[each]:.6g}" if each in values else "" for each in metrics]
        writer.writerow([picture, method, *cells])
    return text.getvalue()


def to_markdown(means: Table, about: str) -> str:
    """A sentence on what was measured and the table of means."""
    columns = measured(means.values())
    lines = [f"| | {' | '.join(columns)} |", "|---|" + "---:|" * len(columns)]
    for name, row in means.items():
        cells = [
            f"{row[each]:.{COLUMNS[each]}f}" if each in row else "–" for each in columns
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return f"{about}\n\n" + "\n".join(lines) + "\n"


def strip(case: Case, values: Table) -> Image.Image:
    """One picture in a row: input, bicubic and what else was made of it, each above its
    numbers, and the reference.
    """
    panels: list[tuple[str, Tensor, dict[str, float]]] = (
        [] if case.x is None else [("input", case.x, {})]
    )
    panels += [
        (name, answers[0], values[name]) for name, answers in case.made.items()
    ] + [("reference", case.y, {})]
    height, width = case.y.shape[-2:]
    scale = min(
        PANEL / max(height, width), max(1, 128 // max(height, width))
    )  # large pictures shrink; small ones get larger pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    column = max(size[0], 96)
    canvas = Image.new("RGB", (len(panels) * (column + 8) + 8, size[1] + 64), "white")
    pen = ImageDraw.Draw(canvas)
    pen.text(
        (8, 4), case.name.encode("ascii", "backslashreplace").decode(), fill="gray"
    )
    for place, (name, image, row) in enumerate(panels):
        left = 8 + place * (column + 8)
        pen.text((left, 18), name, fill="black")
        smaller = size[0] < image.shape[-1]
        canvas.paste(
            _picture(image).resize(
                size, Image.Resampling.LANCZOS if smaller else Image.Resampling.NEAREST
            ),
            (left, 34),
        )
        psnr, ssim = (
            next((row[m] for m in metrics if m in row), None)
            for metrics in (("PSNR-Y", "PSNR"), ("SSIM-Y", "SSIM"))
        )
        if psnr is not None and ssim is not None:
            pen.text((left, size[1] + 38), f"{psnr:.2f} dB  {ssim:.3f}", fill="black")
    return canvas


def stacked(strips: Sequence[Image.Image]) -> Image.Image:
    """The sheet: rows below each other, on white."""
    canvas = Image.new(
        "RGB",
        (max(each.width for each in strips), sum(each.height for each in strips)),
        "white",
    )
    top = 0
    for each in strips:
        canvas.paste(each, (0, top))
        top += each.height
    return canvas


def _picture(image: Float[Tensor, "C H W"]) -> Image.Image:
    array = to_bytes(image).permute(1, 2, 0).numpy()
    return Image.fromarray(
        np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array
    )
