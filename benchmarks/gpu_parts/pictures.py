"""The pictures to train on: those of ZIP files, made ready once for all parts."""

from __future__ import annotations

import os
import time
import zipfile
from pathlib import Path

from loader import made_up

from sr3mini.data.prepared import prepare

from .board import Board, say


def prepared_pictures(board: Board, place: Path, size: int) -> Path:
    """A folder as `sr3mini prepare` makes it, of squares of `size`, prepared when it is
    first asked for. Each ZIP file counts equally; without any the pictures are made up.
    """
    ready = place / f"prepared_{size}"
    if (ready / "prepared.json").exists():
        return ready
    source, start = place / "pictures", time.monotonic()
    for path in board.data:
        say(f"unpacking {path}")
        with zipfile.ZipFile(path) as packed:
            packed.extractall(source / path.stem)
    if not board.data:
        made_up(source, 24 if board.sizes.tiny else 600)
    unpacked = time.monotonic()
    cores = os.cpu_count() or 1
    jobs = 1 if board.sizes.tiny else cores
    record = prepare(source, ready, size, jobs=jobs, folders="balance", progress=False)
    found = {
        "pictures": record["pictures"],
        "train": record["train"],
        "held_out": record["test"],
        "size": size,
        "cores": jobs,
        "unpacking_seconds": round(unpacked - start, 1),
        "preparing_seconds": round(time.monotonic() - unpacked, 1),
    }
    board.put("pictures", [found])
    return ready
