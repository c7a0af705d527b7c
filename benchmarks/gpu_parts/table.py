"""Everything found, as one table to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def table(result: dict[str, Any]) -> str:
    """A block of lines for each part that there is something of."""
    blocks = [f"{result.get('device', '')}, torch {result.get('torch', '')}"]
    blocks += [
        f"{name}: {show(value)}"
        for name, value in result.items()
        if isinstance(value, dict)
    ]
    for name, value in result.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            blocks.append(f"{name}\n{columns(value)}")
    blocks += [f"NOT MEASURED {line}" for line in result.get("not measured", [])]
    return "\n\n".join(blocks)


def columns(rows: Sequence[dict[str, Any]]) -> str:
    """Rows under their names; what is itself a table stands in gpu.json only."""
    plain = [
        {name: value for name, value in row.items() if not isinstance(value, dict)}
        for row in rows
    ]
    names = list(dict.fromkeys(name for row in plain for name in row))
    heads = {name: max(5, *map(len, name.split("_"))) for name in names}
    widths = {
        name: max(heads[name], *(len(show(row.get(name, ""))) for row in plain))
        for name in names
    }
    lines = [row_of(row, widths) for row in (*head_lines(names), *plain)]
    return "\n".join(lines)


def head_lines(names: Sequence[str]) -> list[dict[str, str]]:
    """The names of the columns, a word below the other."""
    words = {name: name.split("_") for name in names}
    deepest = max(map(len, words.values()))
    return [
        {
            name: (each[depth] if depth < len(each) else "")
            for name, each in words.items()
        }
        for depth in range(deepest)
    ]


def row_of(row: dict[str, Any], widths: dict[str, int]) -> str:
    cells = (show(row.get(name, "")).rjust(width) for name, width in widths.items())
    return "  ".join(cells)


def show(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
    if isinstance(value, dict):
        inner = ", ".join(f"{name} {show(each)}" for name, each in value.items())
        return f"({inner})" if inner else ""
    return "" if value is None else str(value)
