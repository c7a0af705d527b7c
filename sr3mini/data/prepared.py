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
from typing import Any, NamedTuple, get_args

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from ..files.reading import read_square_and_side
from ..files.writing import save_picture, write_bytes, write_text
from .folder import RECORD, Folder, Names, Split, folder_kind, part, walk
from .workers import worker_starts


def prepared(
    path: str | Path, size: int, channels: int = 3, split: Split = "train"
) -> Folder:
    """One part of a prepared folder. ValueError when its preparation was interrupted,
    or when it holds smaller pictures than `size`.
    """
    path = Path(path)
    record = read_record(path)
    if not record.get("complete"):
        raise ValueError(
            f"the preparation of {path} was interrupted; run the same sr3mini prepare"
            " again, it goes on where it stopped"
        )
    if record["size"] < size:
        raise ValueError(
            f"{path} holds pictures of {record['size']} x {record['size']}, but {size}"
            f" x {size} are wanted; prepare them again with --size {size}"
        )
    index = path / index_name(split)
    if not index.is_file():
        raise ValueError(f"{index} is missing; run the same sr3mini prepare again")
    files = Names(path, np.fromfile(index, np.uint8))
    if not len(files):
        raise ValueError(f"{path} holds no picture for {split}ing")
    return Folder(path, size, channels, files)


def index_name(split: Split) -> str:
    """The file of a prepared folder that holds the names of a part, each with a 0
    behind it.
    """
    return f"{split}.names"


def read_record(path: Path) -> dict[str, Any]:
    """What `sr3mini prepare` noted about a folder that it wrote."""
    try:
        record = json.loads((path / RECORD).read_text(encoding="utf-8"))
        if isinstance(record.get("size"), int):
            return dict(record)
    except (ValueError, AttributeError):
        pass
    raise ValueError(f"{path / RECORD} was not written by sr3mini prepare")


SUFFIX = ".webp"
CHUNK = 16  # files that a process takes at once
# bytes of a file's name, to which the suffix and a mark are added; most file systems
# end at 255
LONGEST = 235


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
    names = Names(
        source,
        b"".join(os.fsencode(name) + b"\0" for name in walk(source, leave_out=out)),
    )
    if not len(names):
        raise ValueError(f"{source} holds no file at all")
    out.mkdir(parents=True, exist_ok=True)
    write_text(json.dumps({"size": size, "complete": False}) + "\n", out / RECORD)
    loader = DataLoader(
        _Maker(names, out, size),
        batch_size=None,
        sampler=[
            range(first, min(first + CHUNK, len(names)))
            for first in range(0, len(names), CHUNK)
        ],
        num_workers=jobs if jobs > 1 else 0,
        worker_init_fn=worker_starts,
        generator=torch.Generator(),
    )
    skipped: dict[str, str] = {}
    made = enlarged = 0
    with tqdm(
        total=len(names), disable=not progress, desc=f"preparing {out}", unit="file"
    ) as bar:
        for reasons, sides, error in loader:
            if error:
                raise OSError(error)
            skipped |= reasons
            made += len(sides)
            enlarged += sum(side < size for side in sides)
            bar.update(min(CHUNK, len(names) - bar.n))
    kept = [name for name in names.raw() if os.fsdecode(name) not in skipped]
    if not kept:
        (out / RECORD).unlink()
        with contextlib.suppress(OSError):  # it may hold pictures of an earlier run
            out.rmdir()
        name, reason = next(iter(skipped.items()))
        raise ValueError(
            f"none of the {len(names)} files below {source} is a picture; the first:"
            f" {name} {reason}"
        )
    groups = [os.path.dirname(name) for name in kept] if group_by_folder else kept
    counts: dict[str, int] = {}
    for split in get_args(Split):
        chosen = part(kept, groups, split, source)
        counts[split] = len(chosen)
        write_bytes(
            b"".join(name + SUFFIX.encode() + b"\0" for name in chosen),
            out / index_name(split),
        )
    record: dict[str, Any] = {
        "size": size,
        "complete": True,
        "pictures": len(kept),
        **counts,
        "grouped_by_folder": group_by_folder,
    }
    record |= {**(notes or {}), "skipped": skipped}
    write_text(json.dumps(record, indent=1) + "\n", out / RECORD)
    return {**record, "made": made, "enlarged": enlarged}


def _check(source: Path, out: Path, size: int) -> None:
    if not source.is_dir():
        raise ValueError(
            f"{source} is not a folder; give the folder that holds your pictures"
        )
    if folder_kind(source) == "pairs":
        raise ValueError(
            f"{source} was prepared by other SR3 code: train and evaluate take it as it"
            " is; for another size give its folder hr_... alone"
        )
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file; name a folder to write to")
    if out.exists() and out.samefile(source):
        raise ValueError(
            f"{out} holds your pictures themselves; name another folder to write to"
        )
    if (out / RECORD).exists():
        before = read_record(out)["size"]
        if before != size:
            raise ValueError(
                f"{out} holds pictures of {before} x {before}; name another folder for"
                f" {size} x {size}"
            )
    elif out.exists() and any(out.iterdir()):
        raise ValueError(f"{out} holds other files; name a new folder to write to")


class _Made(NamedTuple):
    """What came of a list of rows."""

    skipped: dict[str, str]  # {name: reason}
    sides: list[int]  # of the pictures that were made, before they were resized
    error: str = ""  # what stopped it, such as a full disk


class _Maker(Dataset[_Made]):
    """Makes the pictures of a list of rows."""

    def __init__(self, names: Names, out: Path, size: int) -> None:
        self.names, self.out, self.size = names, out, size

    def __getitem__(self, rows: range) -> _Made:
        skipped: dict[str, str] = {}
        sides: list[int] = []
        for row in rows:
            name = self.names.name(row)
            try:
                side = self._make(self.names[row], self.out / (name + SUFFIX))
            except ValueError as error:
                skipped[name] = str(error).removeprefix(f"{self.names[row]} ")
            except OSError as error:
                return _Made({}, [], str(error))
            else:
                sides += [] if side is None else [side]
        return _Made(skipped, sides)

    def _make(self, file: Path, target: Path) -> int | None:
        """Make one square; the side that it had in the picture, or None where it is
        there already.
        """
        if len(os.fsencode(file.name)) > LONGEST:
            raise ValueError(f"has a name of more than {LONGEST} bytes")
        if (
            target.is_file()
            and file.exists()
            and target.stat().st_mtime >= file.stat().st_mtime
        ):
            return None
        if file.with_name(target.name).is_dir():
            raise ValueError(
                f"would become {target.name}, as a folder beside it is called; rename"
                " one of them"
            )
        square, side = read_square_and_side(file, self.size)
        array = square.permute(1, 2, 0).numpy()
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise OSError(
                f"{target.parent} could not be made a folder: a file of an earlier run"
                " is in its way; remove it"
            ) from error
        save_picture(
            Image.fromarray(array[..., 0] if array.shape[2] == 1 else array),
            target,
            lossless=True,
            method=0,
        )
        return side
