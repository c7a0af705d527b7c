r"""Which result belongs to which reference, by name."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

from ..data.folder import without_results
from ..files.finding import names_below


class Pair(NamedTuple):
    """A reference and the results that belong to it, by method: none where there is no
    folder of results; several of one method are samples.
    """

    reference: Path
    results: dict[str, list[Path]]


# Which file belongs to which ----------------------------------------------------------

BESIDE = ("_sheet", "_disagreement")  # what `sr3mini upscale` draws beside results
_MARK = re.compile(
    r"([_-](sr|hr|gt|out|result|output|pred|bicubic|\d+x)|[_-]?x\d+(\.\d+)?([_-]\d+)?"
    r"|_\d+x\d+(_\d+)?)$",
    re.IGNORECASE,
)
_SAMPLE = re.compile(r"(.*_(?:x\d+(?:\.\d+)?|\d+x\d+))_(\d+)", re.IGNORECASE)
_REFERENCE = re.compile(r"[_-](hr|gt)$", re.IGNORECASE)


def pairs(
    results: Path | None, references: Path, suffix: str | None = None
) -> list[Pair]:
    """Every reference with its results: `cat.png` with `cat.png`, `cat_x4.png`,
    `cat_sr.png`, or the samples `cat_x4_1.png`, `cat_x4_2.png`, ...; with `cat_ANY.png`
    where all results end in the same ANY; or with `cat` + `suffix` alone. Without a
    folder of results, every picture with none.

    Only the samples that `sr3mini upscale` numbers are one method; other marks are
    methods of their own. What ends in _hr or _gt is never a result, and where a folder
    holds such references, only these are references, so that one folder may hold both.
    In both folders, what lies deeper is looked for in the folder of the same name.
    Names are the same in any Unicode form, and in upper or lower case where no two
    files differ in nothing else. What has no partner is named in a warning. ValueError
    when nothing has one.
    """
    if results is None:
        names = without_results(references, names_below(references).all())
        return [Pair(references / name, {}) for name in names]
    originals, made = _keyed(references), _keyed(results)
    suffix = None if suffix is None else normalize("NFC", suffix)
    folded = [
        {key.casefold(): name for key, name in it.items()} for it in (originals, made)
    ]
    if list(map(len, folded)) == [len(originals), len(made)]:
        originals, made = folded
        suffix = None if suffix is None else suffix.casefold()
    if marked := [key for key in originals if _REFERENCE.search(key)]:
        originals = {_REFERENCE.sub("", key): originals[key] for key in marked}
    if results.samefile(references):
        theirs = set(originals.values())
        made = {key: name for key, name in made.items() if name not in theirs}
    made = {key: name for key, name in made.items() if not key.endswith(BESIDE)}

    belongs = _belonging(made, originals, suffix)
    if not belongs:
        raise ValueError(
            f"no picture in {results} has the name of one in {references}: there are"
            f" {_few(made.values())}, and {_few(originals.values())}; --suffix tells"
            " what results end in, and what ends in _hr or _gt is a reference"
        )
    alone = [name for key, name in made.items() if key not in belongs]
    paired = {key for key, _ in belongs.values()}
    without = [name for key, name in originals.items() if key not in paired]
    for names, where in (
        (alone, f"in {results} without a reference"),
        (without, f"in {references} without a result"),
    ):
        if names:
            warnings.warn(f"left out, {where}: {_few(names)}", stacklevel=2)
    found = _by_method({made[key]: place for key, place in belongs.items()})
    return [
        Pair(
            references / name,
            {how: [results / it for it in files] for how, files in found[key].items()},
        )
        for key, name in originals.items()
        if key in found
    ]


def _keyed(folder: Path) -> dict[str, str]:
    """The pictures below a folder, {name without ending, in one Unicode form: name}.
    ValueError when there is no such folder, no picture, or two of one name.
    """
    found: dict[str, str] = {}
    for name in names_below(folder).all():
        key = normalize("NFC", os.path.splitext(name)[0])
        if (other := found.setdefault(key, name)) != name:
            raise ValueError(
                f"{folder} holds both {other} and {name}: keep one of them"
            )
    return found


def _belonging(
    made: dict[str, str], originals: dict[str, str], suffix: str | None
) -> dict[str, tuple[str, str]]:
    """{result: (its reference, what the result's name adds to it)}: by the suffix if
    there is one, else by known marks, else by what all results end in.
    """
    may = [key for key in made if not _REFERENCE.search(key)]
    if suffix is not None:
        ours = [key for key in made if key.endswith(suffix)]
        cut = {key: key[: len(key) - len(suffix)] for key in ours}
        return {key: (name, "") for key, name in cut.items() if name in originals}
    found = {}
    for key in may:
        name = next((name for name in _shorter(key) if name in originals), None)
        if name is not None:
            found[key] = name, key[len(name) :]
    return found or _by_tail(may, originals)


def _by_tail(made: list[str], originals: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Results whose names go on, behind a reference's, with a mark and a word, the same
    word for all. ValueError, naming two, when there are several.
    """
    found: dict[str, tuple[str, str]] = {}
    for key in made:
        for cut in reversed([match.start() for match in re.finditer(r"[-_.]", key)]):
            name, tail = key[:cut], key[cut:]
            if name in originals and re.search(r"[^\W\d_]", tail):
                found[key] = name, tail
                break
    tails = sorted({tail for _, tail in found.values()})
    if len(tails) > 1:
        raise ValueError(
            f"the results end in {few(tails)}: name what one program's end in, such as"
            f" --suffix={tails[0]}"
        )
    return found


def _by_method(
    belongs: dict[str, tuple[str, str]],
) -> dict[str, dict[str, list[str]]]:
    """{reference: {method: its results}} from {result: (its reference, its mark)}. One
    mark alone is called "results"; numbers behind our own are samples of one method.
    """
    order: dict[str, dict[str, list[tuple[int, str]]]] = {}
    for name, (reference, mark) in belongs.items():
        sample = _SAMPLE.fullmatch(mark)
        how, number = (sample[1] + "_N", int(sample[2])) if sample else (mark, 0)
        several = order.setdefault(how, {}).setdefault(reference, [])
        several.append((number, name))
    if len(order) == 2 and "" in order:  # cat_x4 and dog are of one method
        plain = order.pop("")
        how, others = next(iter(order.items()))
        alone = plain.keys().isdisjoint(others)
        order = {how: others | plain} if alone else {"": plain, how: others}

    found: dict[str, dict[str, list[str]]] = {}
    for how, of_references in sorted(order.items()):
        title = "results" if len(order) == 1 or not how else f"results {how}"
        for reference, files in of_references.items():
            names = [name for _, name in sorted(files)]
            found.setdefault(reference, {})[title] = names
    for title in dict.fromkeys(title for it in found.values() for title in it):
        count = sum(title in it for it in found.values())
        if count < len(found):
            said = f"only {count} of {len(found)} references have {title}: means of"
            warnings.warn(f"{said} different pictures do not compare", stacklevel=3)
    return found


def _shorter(key: str) -> Iterator[str]:
    """The key, then without what results are marked with, one mark after the other."""
    while True:
        yield key
        shorter = _MARK.sub("", key)
        if shorter in (key, ""):
            return
        key = shorter


def _few(names: Iterable[str]) -> str:
    """Some of the names of files, without their endings."""
    return few([os.path.splitext(name)[0] for name in names])


def few(names: Sequence[str]) -> str:
    """The first three, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3] or ["none"]) + more
