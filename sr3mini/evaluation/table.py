r"""The table of what was measured: a row a method, a column a metric."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

Table = dict[str, dict[str, float]]

COLUMNS = {
    "PSNR": 2,
    "PSNR-Y": 2,
    "SSIM": 3,
    "SSIM-Y": 4,
    "LPIPS": 3,
    "FID": 2,
    "consistency": 1,
    "diversity": 3,
    "legibility": 2,
}
"""Every metric that a table may have, in its order, with the digits after the point."""


def measured(rows: Iterable[dict[str, float]]) -> list[str]:
    """The metrics that some of the rows have, in their order."""
    rows = list(rows)
    return [name for name in COLUMNS if any(name in row for row in rows)]


def format_table(table: Table) -> str:
    """The table as text, a row a method; "-" where a metric makes no sense."""
    columns = measured(table.values())
    width = max(10, *(len(name) + 1 for name in table))
    lines = [" " * width + "".join(f"{name:>13}" for name in columns)]
    for method, row in table.items():
        cells = [
            f"{row[name]:.{COLUMNS[name]}f}" if name in row else "-" for name in columns
        ]
        lines.append(f"{method:{width}}" + "".join(f"{cell:>13}" for cell in cells))
    return "\n".join(lines)


class Row(NamedTuple):
    """What was measured of one method on one picture."""

    picture: str
    method: str
    values: dict[str, float]
