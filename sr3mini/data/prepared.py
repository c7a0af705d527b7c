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
from pathlib import Path
from typing import Any, get_args

from PIL import Image
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from ..files.reading import read_square_and_side
from ..files.writing import save_picture, write_bytes, write_text
from .folder import (
    RECORD,
    Folder,
    Names,
    Split,
    demand_folder,
    folder_kind,
    packed,
    part,
    walk,
)
from .workers import ahead

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
    if not (record.get("complete") and text):
        raise ValueError(
            f"the preparation of {path} was interrupted; run the same sr3mini prepare"
            " again"
        )
    held = record["size"]
    if held < size:
        raise ValueError(
            f"{path} holds pictures of {held} x {held}, but {size} x {size} are wanted;"
            f" prepare them again with --size {size}"
        )
    return Folder(path, size, channels, Names(path, text))


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
    skipped, made, enlarged = _make_all(_Maker(names, out, size), jobs, progress)
    kept = [name for name in names.all() if name not in skipped]
    if not kept:
        (out / RECORD).unlink()
        with contextlib.suppress(OSError):  # it may hold pictures of an earlier run
            out.rmdir()
        name, reason = next(iter(skipped.items()))
        raise ValueError(
            f"none of the {len(names)} files below {source} is a picture; the first:"
            f" {name} {reason}"
        )

    record: dict[str, Any] = {"size": size, "complete": True, "pictures": len(kept)}
    groups = [os.path.dirname(name) for name in kept] if group_by_folder else kept
    for split in get_args(Split):
        chosen = part(kept, groups, split, source)
        index = packed(name + SUFFIX for name in chosen)
        write_bytes(index, out / f"{split}.names")
        record[split] = len(chosen)
    record |= {"grouped_by_folder": group_by_folder, **(notes or {})}
    record["skipped"] = skipped
    _write_record(out, record)
    return {**record, "made": made, "enlarged": enlarged}


def _check(source: Path, out: Path, size: int) -> None:
    demand_folder(source)
    if folder_kind(source) == "pairs":
        raise ValueError(
            f"{source} was prepared by other SR3 code, and is ready: for another size"
            " give its folder hr_... alone"
        )
    if not out.exists():
        return
    wrong = ""
    if not out.is_dir():
        wrong = "is a file"
    elif out.samefile(source):
        wrong = "holds your pictures themselves"
    elif (out / RECORD).exists():
        before = _read_record(out)["size"]
        if before != size:
            wrong = f"holds pictures of {before} x {before}, not {size} x {size}"
    elif any(out.iterdir()):
        wrong = "holds other files"
    if wrong:
        raise ValueError(f"{out} {wrong}; name another folder to write to")


def _read_record(path: Path) -> dict[str, Any]:
    """What `sr3mini prepare` noted about a folder that it wrote."""
    try:
        record = json.loads((path / RECORD).read_text(encoding="utf-8"))
        if isinstance(record["size"], int):
            return dict(record)
    except (ValueError, TypeError, KeyError):
        pass
    raise ValueError(f"{path / RECORD} was not written by sr3mini prepare")


def _write_record(path: Path, record: dict[str, Any]) -> None:
    write_text(json.dumps(record, indent=1) + "\n", path / RECORD)


Made = tuple[dict[str, str], list[int]]


class _Maker(Dataset[Made | OSError]):
    """Makes the pictures of a list of rows: ({name: reason} of what was skipped, the
    sides that the others had before they were resized).
    """

    def __init__(self, names: Names, out: Path, size: int) -> None:
        self.names, self.out, self.size = names, out, size

    def __getitem__(self, rows: range) -> Made | OSError:
        skipped: dict[str, str] = {}
        sides: list[int] = []
        for row in rows:
            name, file = self.names.name(row), self.names[row]
            try:
                sides += self._make(file, self.out / (name + SUFFIX))
            except ValueError as error:
                skipped[name] = str(error).removeprefix(f"{file} ")
            except OSError as error:  # such as a full disk
                return OSError(str(error))
        return skipped, sides

    def _make(self, file: Path, target: Path) -> list[int]:
        """Make one square: [the side that it had in the picture], or [] where it is
        there already.
        """
        if len(os.fsencode(file.name)) > LONGEST:
            raise ValueError(f"has a name of more than {LONGEST} bytes")
        there = file.exists() and target.is_file()
        if there and target.stat().st_mtime >= file.stat().st_mtime:
            return []
        if file.with_name(target.name).is_dir():
            raise ValueError(
                f"would become {target.name}, a folder beside it; rename it"
            )
        square, side = read_square_and_side(file, self.size)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise OSError(
                f"a file of an earlier run is in the way of the folder {target.parent};"
                " remove it"
            ) from error
        picture = Image.fromarray(square.permute(1, 2, 0).squeeze(2).numpy())
        save_picture(picture, target, lossless=True, method=0)
        return [side]


def _make_all(
    maker: _Maker, jobs: int, progress: bool
) -> tuple[dict[str, str], int, int]:
    """({name: reason} of what was skipped, how many were made, and enlarged)."""
    n = len(maker.names)
    rows = [range(i, min(i + CHUNK, n)) for i in range(0, n, CHUNK)]
    skipped: dict[str, str] = {}
    made = enlarged = 0
    with tqdm(total=n, disable=not progress, desc=f"preparing {maker.out}") as bar:
        for reasons, sides in ahead(maker, jobs if jobs > 1 else 0, rows):
            skipped |= reasons
            made += len(sides)
            enlarged += sum(side < maker.size for side in sides)
            bar.update(min(CHUNK, n - bar.n))
    return skipped, made, enlarged
