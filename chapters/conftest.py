"""What a cell prints is compared as words with numbers in between, so that
`pytest --nbval chapters/` holds on every machine: another processor adds the same
numbers in another order, and prints 0.85 where 0.84 is stored, both for 0.845.

The words must be the stored ones, blank for blank except beside a number. Of numbers,

- a whole one (no point, no exponent, no % behind it) counts something: it is equal;
- any other may be off by one unit of its last digit, the finer one if the two have not
  as many: 9.99 and 10.0 agree, and 0.8 (0.80 without its zero) and 0.81, but not 0.8
  and 0.84. A zero has no sign;
- or by a share of the stored one, where the cell's metadata says so, because the number
  comes out of a training or a random sample: `:tolerance: 0.05` in the chapter's text.

nan and inf are words, and so are digits in names and versions: glyphs_8_32, 2.13.0.
Which outputs are compared is nbval's business; it leaves out PNG and JPEG.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

import matplotlib.font_manager  # noqa: F401  or a cell builds its cache, and says so
import pytest
from nbval.plugin import IPyNbCell

NUMBER = re.compile(
    r"""[ \t]*(?<![\w.])                       # not inside a name or a version
    (   [-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)       # 1,211,553 or 1211553,
        (?:\.\d+)?(?:[eE][-+]?\d{1,3}(?!\w))?  # with .84, with e-05
    )   (?!\.?\d)[ \t]*""",
    re.VERBOSE,
)


def differences(stored: str, printed: str, tolerance: float = 0) -> Iterator[str]:
    """A sentence for the first words that differ; if none do, one for each number."""
    words, numbers = _split(stored)
    new_words, new_numbers = _split(printed)
    if words != new_words:
        pairs = zip([*words, "(end)"], [*new_words, "(end)"], strict=False)
        old, new = next((old, new) for old, new in pairs if old != new)
        yield f"{old!r} is stored, {new!r} was printed"
        return
    for old, new, behind in zip(numbers, new_numbers, words[1:], strict=True):
        allowed = _allowed(old, new, tolerance, percent=behind.startswith("%"))
        if abs(_value(new) - _value(old)) > allowed:
            yield f"{old} is stored, {new} was printed, {allowed} apart is allowed"


def _split(text: str) -> tuple[list[str], list[str]]:
    """The words before, between and behind the numbers of a text, and the numbers."""
    parts = NUMBER.split(text)
    return parts[::2], parts[1::2]


def _allowed(old: str, new: str, tolerance: float, percent: bool) -> Decimal:
    if not percent and not re.search("[.eE]", old + new):
        return Decimal(0)
    places = [int(_value(number).as_tuple().exponent) for number in (old, new)]
    share = Decimal(str(tolerance)) * abs(_value(old))
    return max(Decimal(1).scaleb(min(places)), share)


def _value(number: str) -> Decimal:
    return Decimal(number.replace(",", "").replace("−", "-"))


class Printed(str):
    """A printed text. `!=`, which is how nbval compares, asks for `differences`."""

    tolerance: float = 0

    def __ne__(self, other: object) -> bool:
        return any(differences(self, str(other), self.tolerance))


class Cell(IPyNbCell):
    """nbval's cell, which compares what `sanitize` makes of stored and new outputs."""

    def sanitize(self, s: object) -> object:
        if not isinstance(s, str):
            return s
        printed = Printed(super().sanitize(s))
        printed.tolerance = self.cell.metadata.get("tolerance", 0)
        return printed

    def format_output_compare(self, key: str, left: Printed, right: str) -> None:
        """Name the numbers that differ, then let nbval show both outputs whole."""
        self.comparison_traceback.extend(differences(left, right, left.tolerance))
        super().format_output_compare(key, left, right)

    def runtest(self) -> None:
        tolerance = self.cell.metadata.get("tolerance", 0)
        if not isinstance(tolerance, int | float) or not 0 <= tolerance < 1:
            self.raise_cell_error(f"tolerance is {tolerance!r}, not a share like 0.05")
        super().runtest()


def pytest_itemcollected(item: pytest.Item) -> None:
    """pytest calls this for each cell below this folder; nbval has no hook for it."""
    if isinstance(item, IPyNbCell):
        item.__class__ = Cell
