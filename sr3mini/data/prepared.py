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
from functools import partial
from pathlib import Path
from typing import Any, get_args

from PIL import Image
from tqdm.auto import tqdm

from ..files.decoding import decode
from ..files.finding import RECORD, Names, packed, walk
from ..files.reading import squared
from ..files.text import read_json
from ..files.writing import save_picture, write_bytes, write_text
from .folder import Folder, Split, folder_kind, part
from .workers import Made, ahead

SUFFIX = ".webp"
CHUNK = 16  # files that a process takes at once
# bytes of a file's name, to which the suffix and a mark are added; most file systems
# end at 255
LONGEST = 235


def prepared(
    path: str | Path, size: int, channels: int = 3, split: Split = "train"
) -> Folder:
    """One part of a prepared folder. ValueError when its preparation was interrupted,
    or when it holds smaller pictures than `size`.
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
    return Folder(path, size, channels, names)


def _leads_out(text: bytes) -> bool:
    """Whether one of these names, each with a 0 behind it, is absolute or goes up."""
    if os.name == "nt":
        text = text.replace(b"\\", b"/")
        if b":" in text:
            return True
    before = b"\0" + text[:3]  # without a copy of all names
    return any(mark in before or mark in text for mark in (b"\0/", b"\0../", b"/../"))


def prepare(
    source: str | Path,
    out: str | Path,
    size: int = 128,
    *,
    jobs: int = 1,
    group_by_folder: bool = False,
    notes: dict[str, Any] | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Make every picture below `source` a square of `size` in `out`, and return the
    record that is written beside them.

    What is returned also tells how many squares this run "made", and how many of these
    it "enlarged" because the picture was smaller. Every file is tried, whatever its
    name; what is no picture is skipped and recorded. Stopped, it goes on where it was:
    what `out` holds already is made anew only where the source is younger. With
    `group_by_folder` a folder is held out whole or not at all (several pictures of one
    person). `notes` are added to the record. ValueError when there is no picture, or
    `out` is used otherwise.
    """
    source, out = Path(source), Path(out)
    _check(source, out, size)
    names = Names(source, packed(walk(source, leave_out=out)))
    if not len(names):
        raise ValueError(f"{source} holds no file at all")

    out.mkdir(parents=True, exist_ok=True)
    _write_record(out, {"size": size, "complete": False})
    rows = [range(len(names))[i : i + CHUNK] for i in range(0, len(names), CHUNK)]
    make = Made(partial(_make_some, names, out, size))
    skipped: dict[str, str] = {}
    made = enlarged = 0
    said = f"preparing {out}"
    with tqdm(total=len(names), disable=not progress, desc=said) as bar:
        for taken, reasons, sides in ahead(make, jobs if jobs > 1 else 0, rows):
            skipped |= reasons
            made += len(sides)
            enlarged += sum(side < size for side in sides)
            bar.update(taken)

    kept = [name for name in names.all() if name not in skipped]
    if not kept:
        (out / RECORD).unlink()
        with contextlib.suppress(OSError):  # it may hold pictures of an earlier run
            out.rmdir()
        name, reason = next(iter(skipped.items()))
        raise ValueError(
            f"no file below {source} is a picture; the first: {name} {reason}"
        )

    record: dict[str, Any] = {"size": size, "complete": True, "pictures": len(kept)}
    groups = [os.path.dirname(name) for name in kept] if group_by_folder else kept
    for split in get_args(Split):
        chosen = part(kept, groups, split, source)
        write_bytes(packed(n + SUFFIX for n in chosen), out / f"{split}.names")
        record[split] = len(chosen)
    record |= {**(notes or {}), "skipped": skipped}
    _write_record(out, record)
    return {**record, "made": made, "enlarged": enlarged}


def _check(source: Path, out: Path, size: int) -> None:
    if folder_kind(source) == "pairs":
        raise ValueError(
            f"{source} was prepared by other SR3 code, and is ready: for another size"
            " give its folder hr_... alone"
        )
    if (out / RECORD).exists():
        wrong = _read_record(out)["size"] != size
    else:
        wrong = out.is_file() or (out.is_dir() and any(out.iterdir()))
    if wrong:
        raise ValueError(
            f"{out} is a file, or holds others, or pictures of another size; name"
            " another folder to write to"
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


def _make_some(
    names: Names, out: Path, size: int, rows: range
) -> tuple[int, dict[str, str], list[int]]:
    """How many rows these were, {name: reason} of what was skipped, and the sides that
    the others had before they were resized.
    """
    skipped: dict[str, str] = {}
    sides: list[int] = []
    for name, file in ((names.name(row), names[row]) for row in rows):
        try:
            sides += _make(file, out / (name + SUFFIX), size)
        except ValueError as error:
            skipped[name] = str(error).removeprefix(f"{file} ")
    return len(rows), skipped, sides


def _make(file: Path, target: Path, size: int) -> list[int]:
    """Make one square: [the side that it had in the picture], or [] where it is there
    already.
    """
    if len(os.fsencode(file.name)) > LONGEST:
        raise ValueError(f"has a name of more than {LONGEST} bytes")
    there = file.exists() and target.is_file()
    if there and target.stat().st_mtime >= file.stat().st_mtime:
        return []
    if file.with_name(target.name).is_dir():
        raise ValueError(f"would become {target.name}, a folder beside it; rename it")
    picture = decode(file)
    square = squared(picture, size).permute(1, 2, 0).squeeze(2).numpy()
    target.parent.mkdir(parents=True, exist_ok=True)
    save_picture(Image.fromarray(square), target, lossless=True, method=0)
    return [min(picture.array.shape[:2])]
