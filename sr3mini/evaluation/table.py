r"""The table of what was measured: a row a method, a column a metric."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import fmean
from typing import NamedTuple

Table = dict[str, dict[str, float]]

COLUMNS = {
    "PSNR": 2,
    "PSNR-Y": 2,
    "exact": 0,
    "SSIM": 3,
    "SSIM-Y": 4,
    "LPIPS": 3,
    "FID": 2,
    "consistency": 1,
    "diversity": 3,
    "legibility": 2,
}
"""Every metric that a table may have, in its order, with the digits after the point."""


def finite_mean(metric: str, values: list[float]) -> dict[str, float]:
    """{metric: mean of the finite values}, and how many pictures were "exact": their
    PSNR has no number.
    """
    finite = [value for value in values if math.isfinite(value)]
    found = {metric: fmean(finite)} if finite else {}
    exact = float(len(values) - len(finite))
    return found | ({"exact": exact} if exact else {})


def measured(rows: Iterable[dict[str, float]]) -> list[str]:
    """The metrics that some of the rows have, in their order."""
    rows = list(rows)
    return [name for name in COLUMNS if any(name in row for row in rows)]


def cells(row: dict[str, float], columns: Iterable[str], none: str) -> list[str]:
    """The row as texts; `none` where a metric makes no sense."""
    return [
        f"{row[name]:.{COLUMNS[name]}f}" if name in row else none for name in columns
    ]


def format_table(table: Table) -> str:
    """The table as text, a row a method; "-" where a metric makes no sense."""
    columns = measured(table.values())
    width = max(10, *(len(name) + 1 for name in table))
    rows = {
        "": columns,
        **{name: cells(it, columns, "-") for name, it in table.items()},
    }
    return "\n".join(
        f"{name:{width}}" + "".join(f"{cell:>13}" for cell in row)
        for name, row in rows.items()
    )


class Row(NamedTuple):
    """What was measured of one method on one picture."""

    picture: str
    method: str
    values: dict[str, float]
