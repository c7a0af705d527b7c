r"""Which result belongs to which reference, by name."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..data.folder import names_below


class Pair(NamedTuple):
    """A reference and the results that belong to it: none where there is no folder of
    results, several where they are samples.
    """

    reference: Path
    results: list[Path]


# Which file belongs to which ----------------------------------------------------------

BESIDE = ("_sheet", "_disagreement")  # what `sr3mini upscale` draws beside results
_ENDINGS = re.compile(
    r"([_-](sr|hr|gt|out|result|output|pred|bicubic|x\d+|\d+x)|[_-]?x\d+([_-]\d+)?)$",
    re.IGNORECASE,
)
_REFERENCE = re.compile(r"[_-](hr|gt)$", re.IGNORECASE)


def pairs(results: Path | None, references: Path) -> list[Pair]:
    """Every reference with its results: `cat.png` with `cat.png`, `cat_x4.png`,
    `cat_sr.png`, or the samples `cat_x4_1.png`, `cat_x4_2.png`, ... Without a folder of
    results, every picture with none.

    In both folders, what lies deeper is looked for in the folder of the same name.
    Where a folder holds references that end in _hr or _gt, only these are references,
    so that one folder may hold both. What has no partner is named in a warning.
    ValueError when nothing has one.
    """
    if results is None:
        return [Pair(references / name, []) for name in names_below(references).all()]
    originals, made = _by_key(references), _by_key(results)
    if marked := [key for key in originals if _REFERENCE.search(key)]:
        originals = {_REFERENCE.sub("", key): originals[key] for key in marked}
    if results.samefile(references):
        theirs = set(originals.values())
        made = {key: path for key, path in made.items() if path not in theirs}
    found: dict[str, list[Path]] = {}
    alone = []
    for name, path in made.items():
        key = next((key for key in _shorter(name) if key in originals), None)
        if key is not None:
            found.setdefault(key, []).append(path)
        elif not name.endswith(BESIDE):
            alone.append(name)
    if not found:
        raise ValueError(
            f"no picture in {results} has the name of one in {references}: there are"
            f" {_few(list(made))}, and {_few(list(originals))}"
        )
    without = [key for key in originals if key not in found]
    for names, where in (
        (alone, f"in {results} without a reference"),
        (without, f"in {references} without a result"),
    ):
        if names:
            warnings.warn(f"left out, {where}: {_few(names)}", stacklevel=2)
    return [Pair(path, found[key]) for key, path in originals.items() if key in found]


def _by_key(folder: Path) -> dict[str, Path]:
    """The pictures below a folder by their names in it, without endings. ValueError
    when there is no such folder or no picture.
    """
    found: dict[str, Path] = {}
    for name in names_below(folder).all():
        path, key = folder / name, name.rpartition(".")[0]
        if (other := found.setdefault(key, path)) != path:
            raise ValueError(
                f"{folder} holds both {other.name} and {path.name}: keep one of them"
            )
    return found


def _shorter(key: str) -> Iterator[str]:
    """The key, then without what results are marked with, one mark after the other."""
    while True:
        yield key
        shorter = _ENDINGS.sub("", key)
        if shorter in (key, ""):
            return
        key = shorter


def _few(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3] or ["none"]) + more
