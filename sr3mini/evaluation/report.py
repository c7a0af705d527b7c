r"""What `sr3mini evaluate` found, for other programs and for people: a CSV file, a
Markdown table, a sheet of pictures.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from PIL import Image

from ..files.sheet import Panel, side_by_side
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
    panels = [] if case.x is None else [Panel("input", case.x)]
    for name, answers in case.made.items():
        panels.append(Panel(name, answers[0], _note(values[name])))
    return side_by_side([*panels, Panel("reference", case.y)], case.name, PANEL)


def _note(values: dict[str, float]) -> str:
    psnr = values.get("PSNR-Y", values.get("PSNR"))
    ssim = values.get("SSIM-Y", values.get("SSIM"))
    return "" if psnr is None or ssim is None else f"{psnr:.2f} dB  {ssim:.3f}"
