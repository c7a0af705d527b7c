r"""Pictures made ready once, so that training only reads them: central squares of one
size, in small files that decode fast.

    sr3mini prepare SRC --size 128 --out OUT

    OUT/a/cat.a.png.webp  of SRC/a/cat.a.png: the whole old name stays, so no two
                          pictures get one name
    OUT/train.names       the names to train on, OUT/test.names those held out: nothing
                          is listed at a start
    OUT/prepared.json     the size, the counts, and every file that was skipped, with
                          the reason

Lossless WebP: of photographs of 128 x 128, measured on one core, a file takes 19 KB and
0.34 ms to decode; PNG 26 KB and 0.43 ms.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from ..files.decoding import decode
from ..files.finding import RECORD, Names, packed, walk
from ..files.ranges import Range, RangeNeeded, is_range, told
from ..files.reading import squared
from ..files.text import read_json
from ..files.writing import save_picture, write_bytes, write_text
from .folder import Folder, Split, folder_kind, part, without_results
from .workers import Made, ahead

Folders = Literal["any", "group", "balance"]
SUFFIX = ".webp"
FEW = 64  # levels of grey, of 256
CHUNK = 16  # files that a process takes at once
# bytes of a file's name, to which the suffix and a mark are added; most file systems
# end at 255
LONGEST = 235


def prepared(
    path: str | Path,
    size: int,
    channels: int = 3,
    split: Split = "train",
    bounds: Range | None = None,
) -> Folder:
    """One part of a prepared folder. ValueError when its preparation was interrupted,
    or when it holds smaller pictures than `size`, or such of another range.
    """
    path = Path(path)
    record = _read_record(path)
    index = path / f"{split}.names"
    text = index.read_bytes() if index.is_file() else b""
    names = Names(path, text)
    if not (record.get("complete") and text) or record.get(split) != len(names):
        raise ValueError(
            f"{path} is half prepared: run the same sr3mini prepare once more"
        )
    if _leads_out(text):
        raise ValueError(
            f"{index} names pictures outside of {path}: prepare them again"
        )
    if record["size"] < size:
        raise ValueError(
            f"{path} holds pictures of {record['size']} pixels a side: prepare them"
            f" again with --size {size}"
        )
    if bounds is not None and bounds != _range(record):
        raise ValueError(f"{path} was prepared without {told(bounds)}: prepare it anew")
    return Folder(path, size, channels, names)


def _leads_out(text: bytes) -> bool:
    """Whether one of these names, each with a 0 behind it, is absolute or goes up."""
    if os.name == "nt":
        text = text.replace(b"\\", b"/")
        if b":" in text:
            return True
    before = b"\0" + text[:3]  # without a copy of all names
    return any(mark in before or mark in text for mark in (b"\0/", b"\0../", b"/../"))


def range_of(data: str | None) -> Range | None:
    """The range that a prepared folder was prepared with; None for all else."""
    if data is None or not (Path(data) / RECORD).is_file():
        return None
    return _range(_read_record(Path(data)))


def _range(record: dict[str, Any]) -> Range | None:
    bounds = record.get("range")
    bounds = tuple(bounds) if isinstance(bounds, list) else bounds
    return bounds if is_range(bounds) else None


def prepare(
    source: str | Path,
    out: str | Path,
    size: int = 128,
    *,
    jobs: int = 1,
    folders: Folders = "any",
    bounds: Range | None = None,
    notes: dict[str, Any] | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Make every picture below `source` a square of `size` in `out`, and return the
    record that is written beside them.

    What is returned also tells how many squares this run "made", how many of these it
    "enlarged" because the picture was smaller, "remarks" on what they lost, and a
    "hint" at the range of those whose files tell none. Every file is tried, whatever
    its name; what is no picture is skipped and recorded. Stopped, it goes on where it
    was: what `out` holds already is made anew only where the source is younger.
    `folders`: of "group" each is held out whole or not at all (several pictures of one
    person); with "balance" those at the top of `source` are trained on equally often:
    train.names lists the pictures of smaller ones several times. `bounds`: the values
    that are black and white, where files do not tell. `notes` are added to the record.
    ValueError when there is no picture, or `out` is used otherwise.
    """
    source, out = Path(source), Path(out)
    _check(source, out, size, bounds)
    found = without_results(source, list(walk(source, leave_out=out)))
    names = Names(source, packed(found))
    if not len(names):
        raise ValueError(f"{source} holds no file at all")

    out.mkdir(parents=True, exist_ok=True)
    _write_record(out, {"size": size, "range": bounds, "complete": False})
    rows = [range(len(names))[i : i + CHUNK] for i in range(0, len(names), CHUNK)]
    make = Made(partial(_make_some, names, out, size, bounds))
    total = Outcome(0, {}, {}, [], [])
    said = f"preparing {out}"
    with tqdm(total=len(names), disable=not progress, desc=said) as bar:
        for some in ahead(make, jobs if jobs > 1 else 0, rows):
            total.add(some)
            bar.update(some.files)

    skipped = total.skipped
    kept = [name for name in names.all() if name not in skipped]
    if not kept:
        (out / RECORD).unlink()
        with contextlib.suppress(OSError):  # it may hold pictures of an earlier run
            out.rmdir()
        name, reason = next(iter(skipped.items()))
        raise ValueError(
            f"no file below {source} could be prepared; the first: {name}"
            f" {reason}{total.hint()}"
        )

    record: dict[str, Any] = {"size": size, "range": bounds, "complete": True}
    record["pictures"] = len(kept)
    groups = [os.path.dirname(name) for name in kept] if folders == "group" else kept
    for split in get_args(Split):
        chosen = part(kept, groups, split, source)
        if folders == "balance" and split == "train":
            chosen, record["times"] = balanced(chosen)
        write_bytes(packed(n + SUFFIX for n in chosen), out / f"{split}.names")
        record[split] = len(chosen)
    record |= {**(notes or {}), "skipped": skipped}
    _write_record(out, record)
    return {
        **record,
        "made": len(total.sides),
        "enlarged": sum(side < size for side in total.sides),
        "remarks": total.remarks,
        "hint": total.hint(),
    }


def balanced(names: list[str]) -> tuple[list[str], dict[str, int]]:
    """The names, those of small folders several times, so that each folder at the top
    is named about as often as the largest one; and {folder: times}.
    """
    tops = [name.partition("/")[0] if "/" in name else "" for name in names]
    counts = Counter(tops)
    times = {top: round(max(counts.values()) / n) for top, n in counts.items()}
    pairs = zip(names, tops, strict=True)
    return [name for name, top in pairs for _ in range(times[top])], times


def _check(source: Path, out: Path, size: int, bounds: Range | None) -> None:
    if folder_kind(source) == "pairs":
        raise ValueError(
            f"{source} was prepared by other SR3 code, and is ready: for another size"
            " give its folder hr_... alone"
        )
    if (out / RECORD).exists():
        record = _read_record(out)
        wrong = record["size"] != size or _range(record) != bounds
    else:
        wrong = out.is_file() or (out.is_dir() and any(out.iterdir()))
    if wrong:
        raise ValueError(
            f"{out} is a file, or holds others, or pictures of another size or range;"
            " name another folder to write to"
        )


def _read_record(path: Path) -> dict[str, Any]:
    """What `sr3mini prepare` noted about a folder that it wrote."""
    with contextlib.suppress(ValueError):
        record = read_json(path / RECORD)
        if type(record.get("size")) is int:
            return record
    raise ValueError(
        f"{path / RECORD} was not written by sr3mini prepare, or is damaged: remove"
        f" {path}, and prepare it anew"
    )


def _write_record(path: Path, record: dict[str, Any]) -> None:
    write_text(json.dumps(record, indent=1) + "\n", path / RECORD)


class Outcome(NamedTuple):
    """What some files became: how many they were, {name: reason} of what was skipped,
    {name: remark} of what was not but lost something, the sides that the pictures had
    before they were resized, and the ends of the ranges that somebody has to tell.
    """

    files: int
    skipped: dict[str, str]
    remarks: dict[str, str]
    sides: list[int]
    unknown: list[float]

    def add(self, other: Outcome) -> None:
        """Take in what other files became."""
        self.skipped.update(other.skipped)
        self.remarks.update(other.remarks)
        self.sides.extend(other.sides)
        self.unknown.extend(other.unknown)

    def hint(self) -> str:
        """The range that would hold what no file tells."""
        if not self.unknown:
            return ""
        return f"; all of them lie in {told((min(self.unknown), max(self.unknown)))}"


def _make_some(
    names: Names, out: Path, size: int, bounds: Range | None, rows: range
) -> Outcome:
    made = Outcome(len(rows), {}, {}, [], [])
    for name, file in ((names.name(row), names[row]) for row in rows):
        try:
            remarks = _make(file, out / (name + SUFFIX), size, bounds, made.sides)
            if remarks:
                made.remarks[name] = "; ".join(remarks)
        except ValueError as error:
            made.skipped[name] = str(error).removeprefix(f"{file} ")
            if isinstance(error, RangeNeeded):
                made.unknown.extend(error.found)
    return made


def _make(
    file: Path, target: Path, size: int, bounds: Range | None, sides: list[int]
) -> list[str]:
    """Make one square, and add the side that it had in the picture to `sides`; what it
    lost. Nothing is done where it is there already.
    """
    if len(os.fsencode(file.name)) > LONGEST:
        raise ValueError(f"has a name of more than {LONGEST} bytes")
    # os.path's answer where a folder cannot be entered is False
    there = os.path.exists(file) and target.is_file()
    if there and target.stat().st_mtime >= file.stat().st_mtime:
        return []
    if os.path.isdir(file.with_name(target.name)):
        raise ValueError(f"would become {target.name}, a folder beside it; rename it")
    picture = decode(file, given=bounds)
    square = squared(picture, size).permute(1, 2, 0).squeeze(2).numpy()
    target.parent.mkdir(parents=True, exist_ok=True)
    save_picture(Image.fromarray(square), target, lossless=True, method=0)
    sides.append(min(picture.array.shape[:2]))
    return [*picture.remarks, *_few_levels(picture.array, square)]


def _few_levels(array: np.ndarray, square: np.ndarray) -> list[str]:
    """A remark when most of what tells the pixels of a deep picture apart was lost."""
    levels = len(np.unique(square))
    if array.dtype == np.uint8 or levels >= FEW or len(np.unique(array)) <= levels:
        return []
    found = (float(array.min()), float(array.max()))
    return [f"keeps {levels} levels of grey: its values lie in {told(found)}"]
