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
from .table import Row, Table, cells, measured

PANEL = 256  # pixels of the longer side of a panel, at most
ROWS = 16  # pictures on a sheet, at most


def to_csv(rows: Sequence[Row], means: Table) -> str:
    """A line a picture and method, then a line a method named "mean"; empty where a
    metric was not measured.
    """
    lines = [*rows, *(Row("mean", name, values) for name, values in means.items())]
    names = ["picture", "method", *measured(row.values for row in lines)]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for picture, method, values in lines:
        numbers = {name: f"{value:.6g}" for name, value in values.items()}
        writer.writerow({"picture": picture, "method": method, **numbers})
    return text.getvalue()


def to_markdown(means: Table, about: str) -> str:
    """A sentence on what was measured and the table of means."""
    columns = measured(means.values())
    lines = [["", *columns], ["---", *("---:" for _ in columns)]]
    lines += [[name, *cells(row, columns, "–")] for name, row in means.items()]
    return f"{about}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def strip(case: Case, values: Table) -> Image.Image:
    """One picture in a row: input, bicubic and what else was made of it, each above its
    numbers, and the reference.
    """
    panels = [] if case.x is None else [Panel("input", case.x)]
    for name, answers in case.made.items():
        psnr, ssim = cells(values[name], measured([values[name]])[:2], "")
        panels.append(Panel(name, answers[0], f"{psnr} dB  {ssim}"))
    return side_by_side([*panels, Panel("reference", case.y)], case.name, PANEL)
