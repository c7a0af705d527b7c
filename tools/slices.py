"""Which cells of a notebook another one needs, found by the names that cells define and
use.

To try out one thing to play with, the tests and the HTML edition run these cells, and
not the whole chapter.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import NamedTuple

from nbformat import NotebookNode

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class Names(NamedTuple):
    """What a cell defines or changes, and what it takes from the cells before it."""

    defined: set[str]
    used: set[str]


def needed(cells: list[NotebookNode], wanted: NotebookNode) -> list[NotebookNode]:
    """The code cells that `wanted` depends on, in order, and itself last."""
    *before, last = cells[: cells.index(wanted) + 1]
    chosen, wanting = [last], names(last.source).used
    for cell in reversed([cell for cell in before if cell.cell_type == "code"]):
        defined, used = names(cell.source)
        if defined & wanting:
            chosen.append(cell)
            wanting = (wanting - defined) | used
    return chosen[::-1]


def names(source: str) -> Names:
    """The names of one cell. What it sets before it reads, a loop's variable for
    example, it does not take from others.
    """
    found, later = Names(set(), set()), set()
    _read(ast.parse(source).body, found, later)
    return Names(found.defined, found.used | (later - found.defined))


def _read(statements: Iterable[ast.stmt], found: Names, later: set[str]) -> None:
    """Add the names of the statements, in the order in which they run; `later`: what
    functions will look up when called.
    """
    for statement in statements:
        if isinstance(statement, ast.FunctionDef):
            later |= _free(statement)
            found.defined.add(statement.name)
            continue
        blocks = [
            block
            for name in ("body", "orelse", "finalbody")
            for block in getattr(statement, name, [])
        ]
        inside = {id(node) for block in blocks for node in ast.walk(block)}
        head = [
            child
            for child in ast.iter_child_nodes(statement)
            if id(child) not in inside
        ]
        found.used.update(set().union(*map(_free, head)) - found.defined)
        if isinstance(statement, ast.AugAssign):
            found.used.update(_set_by(statement.target) - found.defined)
        found.defined.update(*map(_set_by, head))
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            found.defined.update(
                (alias.asname or alias.name).split(".")[0] for alias in statement.names
            )
        if isinstance(statement, ast.ClassDef):
            found.defined.add(statement.name)
        _read([block for block in blocks if isinstance(block, ast.stmt)], found, later)


def _free(node: ast.AST) -> set[str]:
    """The names that an expression or a function looks up outside itself."""
    if isinstance(node, ast.Name):
        return {node.id} if isinstance(node.ctx, ast.Load) else set()
    inner = set().union(*map(_free, ast.iter_child_nodes(node)))
    if isinstance(node, FUNCTIONS):
        return (
            inner
            - {each.arg for each in ast.walk(node.args) if isinstance(each, ast.arg)}
            - _set_by(node, inside=True)
        )
    if isinstance(node, COMPREHENSIONS):
        return (inner - _set_by(node, inside=True)) | _free(node.generators[0].iter)
    return inner


def _set_by(node: ast.AST, *, inside: bool = False) -> set[str]:
    """The names that a node binds, and those of which it sets an attribute or an item;
    a function's or a comprehension's own only from `inside`.
    """
    if isinstance(node, (*FUNCTIONS, *COMPREHENSIONS)) and not inside:
        return set()
    bound = set().union(*map(_set_by, ast.iter_child_nodes(node)))
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        bound.add(node.id)
    if (
        isinstance(node, (ast.Attribute, ast.Subscript))
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
    ):
        bound.add(node.value.id)
    return bound
