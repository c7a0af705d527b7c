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

_ENDINGS = re.compile(
    r"([_-](sr|hr|gt|out|result|output|pred|bicubic|x\d+|\d+x)|[_-]?x\d+([_-]\d+)?)$",
    re.IGNORECASE,
)
_REFERENCE = re.compile(r"[_-](hr|gt)$", re.IGNORECASE)


def pairs(results: Path, references: Path) -> list[Pair]:
    """Every reference with its results: `cat.png` with `cat.png`, `cat_x4.png`,
    `cat_sr.png`, or the samples `cat_x4_1.png`, `cat_x4_2.png`, ...

    In both folders, what lies deeper is looked for in the folder of the same name.
    Where a folder holds references that end in _hr or _gt, only these are references,
    so that one folder may hold both. What has no partner is named in a warning.
    ValueError when nothing has one.
    """
    originals, made = _by_key(references), _by_key(results)
    if marked := {
        key: path for key, path in originals.items() if _REFERENCE.search(key)
    }:
        originals = {_REFERENCE.sub("", key): path for key, path in marked.items()}
    if results.samefile(references):
        made = {
            key: path for key, path in made.items() if path not in originals.values()
        }
    found: dict[str, list[Path]] = {}
    alone = []
    for name, path in made.items():
        key = next((key for key in _shorter(name) if key in originals), None)
        if key is not None:
            found.setdefault(key, []).append(path)
        elif not name.endswith(
            ("_sheet", "_disagreement")
        ):  # what `sr3mini upscale` draws beside its results
            alone.append(name)
    if not found:
        raise ValueError(
            f"no picture in {results} has the name of one in {references}: there are"
            f" {_few(list(made))}, and {_few(list(originals))}"
        )
    _name_the_lonely(alone, f"in {results} without a reference")
    _name_the_lonely(
        [key for key in originals if key not in found],
        f"in {references} without a result",
    )
    return [Pair(path, found[key]) for key, path in originals.items() if key in found]


def pictures_below(folder: Path) -> list[Path]:
    """The pictures below a folder, in the order of their names. ValueError when there
    is no such folder or no picture.
    """
    return list(names_below(folder))


def _by_key(folder: Path) -> dict[str, Path]:
    """The pictures below a folder by their names in it, without endings."""
    found: dict[str, Path] = {}
    for path in pictures_below(folder):
        key = path.relative_to(folder).with_suffix("").as_posix()
        if (other := found.setdefault(key, path)) != path:
            raise ValueError(
                f"{folder} holds both {other.name} and {path.name}, so it is not clear"
                " which one belongs to what; keep one of them"
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
    return ", ".join(names[:3] or ["none"]) + (
        f" and {len(names) - 3} more" if len(names) > 3 else ""
    )


def _name_the_lonely(names: list[str], where: str) -> None:
    if names:
        warnings.warn(f"left out, {where}: {_few(names)}", stacklevel=3)
