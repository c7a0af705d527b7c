"""The size of the package, room by room: python tools/measure.py [FOLDER ...]

For each folder (this package, if none is named) a row for every room and wing: lines of
code and characters of code, without blanks, comments and docstrings; the functions,
their median and longest length in lines, the most parameters that one has; and the
names that are public. The sums leave out `book`, which is what chapters show.
"""

from __future__ import annotations

import ast
import io
import statistics
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

BLANK = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}
BOOK = ("book", "figures", "widgets", "exercises", "translate", "failures")  # old too


class Size(NamedTuple):
    """What was counted in one file, or in several."""

    lines: int = 0
    characters: int = 0
    functions: tuple[int, ...] = ()  # their lengths
    parameters: tuple[int, ...] = (0,)  # of each
    public: int = 0

    def __add__(self, other: Size) -> Size:  # type: ignore[override]
        return Size(*(mine + its for mine, its in zip(self, other, strict=True)))


def size(source: str) -> Size:
    """One file. A docstring is a string that stands alone as a statement."""
    tree = ast.parse(source)
    prose = {line for node in _docstrings(tree) for line in _lines(node)}
    tokens = [
        token
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type not in BLANK and token.start[0] not in prose
    ]
    lines = {n for t in tokens for n in range(t.start[0], t.end[0] + 1)}
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    named = (ast.FunctionDef, ast.ClassDef)
    return Size(
        len(lines),
        sum(len(token.string) for token in tokens),
        tuple(sum(n in lines for n in _lines(node)) for node in functions),
        (0, *(_parameters(node.args) for node in functions)),
        sum(isinstance(n, named) and n.name[0] != "_" for n in tree.body),
    )


def _docstrings(tree: ast.AST) -> Iterator[ast.Expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node


def _lines(node: ast.stmt) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def _parameters(arguments: ast.arguments) -> int:
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return sum(argument.arg not in ("self", "cls") for argument in every)


def by_room(package: Path) -> dict[str, Size]:
    """{room or wing: its size}."""
    found: dict[str, Size] = {}
    for file in sorted(package.rglob("*.py")):
        room = file.relative_to(package).parts[0].removesuffix(".py")
        of_file = size(file.read_text(encoding="utf-8"))
        found[room] = found.get(room, Size()) + of_file
    return found


def table(package: Path) -> str:
    rooms = by_room(package)
    kept = [each for room, each in rooms.items() if room not in BOOK]
    rows = {**rooms, "all but the book": sum(kept, Size())}
    rows["all"] = sum(rooms.values(), Size())
    columns = ("lines", "characters", "functions", "median", "longest", "parameters")
    text = [f"{'':18}" + "".join(f"{name:>11}" for name in (*columns, "public"))]
    for room, found in rows.items():
        lengths = found.functions or (0,)
        numbers = (
            found.lines,
            found.characters,
            len(found.functions),
            round(statistics.median(lengths)),
            max(lengths),
            max(found.parameters),
            found.public,
        )
        text.append(f"{room:18}" + "".join(f"{number:11,}" for number in numbers))
    return "\n".join(text)


if __name__ == "__main__":
    here = Path(__file__).resolve().parent.parent / "sr3mini"
    for folder in map(Path, sys.argv[1:] or [here]):
        print(f"{folder}\n{table(folder)}\n")
