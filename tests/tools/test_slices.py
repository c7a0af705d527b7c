"""Which cells a cell needs: by the names that it takes from others, and no more."""

from __future__ import annotations

import nbformat
import pytest
from slices import names, needed


@pytest.mark.parametrize(
    ("source", "defined", "used"),
    [
        ("x = f(x)", "x", "f x"),
        ("x += y", "x", "x y"),
        ("a, b = c", "a b", "c"),
        ("import torch.nn as nn, math\nfrom a import b as c", "nn math c", ""),
        ("for name, row in rows:\n    print(name, row, z)", "name row", "rows print z"),
        ("y = [g(i) for i in range(n) if i]", "y", "g range n"),
        ("y = [x for x in x]", "y", "x"),
        ("y = {k: v for k, v in d.items()}", "y", "d"),
        ("h = lambda a, b=c: a + b + d", "h", "c d"),
        (
            "def f(a, b=c):\n    t = a + g\n    return t + late\nlate = 1",
            "f late",
            "c g",
        ),
        ("with open(p) as file:\n    text = file.read()", "file text", "open p"),
        ("if a:\n    b = 1\nelse:\n    b = e", "b", "a e"),
        ("obj.field = v", "obj", "obj v"),
        ("table[k] = v", "table", "table k v"),
        (
            "try:\n    t = u\nexcept ValueError as error:\n    print(error)",
            "t",
            "u ValueError print error",
        ),
    ],
)
def test_what_a_cell_defines_and_what_it_takes(
    source: str, defined: str, used: str
) -> None:
    assert names(source) == (set(defined.split()), set(used.split()))


def test_a_cell_gets_what_it_needs_in_order_and_not_what_shares_a_loop_name() -> None:
    sources = [
        "import math",
        "a = 1",
        "for name in 'xy':\n    print(name)",
        "unused = a",
        "b = a + 1",
        "a = 5",
        "for name in [b]:\n    print(math.pi, name)",
    ]
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    cells.insert(1, nbformat.v4.new_markdown_cell("a = 1"))
    assert [cell.source for cell in needed(cells, cells[-1])] == [
        sources[0],
        sources[1],
        sources[4],
        sources[6],
    ]
