"""`sr3mini prepare`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from .base import RangeOption, between


def prepare(
    source: Annotated[
        tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="SRC")
    ] = None,
    size: int = 128,
    out: Path | None = None,
    jobs: int | None = None,
    range: RangeOption = None,
    folders: Literal["any", "group", "balance"] = "any",
    public: str | None = None,
    yes: bool = False,
) -> None:
    """Make a folder of pictures ready for training: central squares of one size, a
    twentieth held out. Stopped, it goes on where it was.

    Args:
        source: folder of pictures of any kind, size and depth; what is no picture is
            skipped and named.
        size: side of the squares, pixels.
        out: folder to write to (default: data/NAME_SIZE).
        jobs: how many processes work at once, if not one a core.
        range: the values that are black and white, where files do not tell: floats,
            signed and 32-bit numbers, 12 bits in 16.
        folders: what a folder of SRC means. group: it is held out whole or not at all,
            such as one of each person. balance: those at the top are trained on equally
            often, the pictures of smaller ones several times in an epoch.
        public: download this set instead of giving SRC: clothing.
        yes: accept the licence of the public set without being asked.
    """
    from ..data.prepared import prepare as run
    from ..files.ranges import demand_range

    between("size", size, 1, 4096)
    jobs = (os.cpu_count() or 1) if jobs is None else between("jobs", jobs, 1, 1024)
    if (source is None) == (public is None):
        raise ValueError("give either the folder of your pictures, or --public NAME")
    name = public or (source or Path()).resolve().name
    out = out or Path("data") / f"{name}_{size}"
    notes: dict[str, str] = {}
    if public is not None:
        source = out.parent / public
        notes = _fetch(public, source, yes)
    assert source is not None
    record = run(
        source,
        out,
        size,
        jobs=jobs,
        folders=folders,
        bounds=demand_range(range),
        notes=notes,
    )
    _summary(record, out)


def _summary(record: dict[str, Any], out: Path) -> None:
    from ..files.finding import RECORD

    square = f"{record['size']} x {record['size']}"
    print(
        f"{record['pictures']} pictures of {square} in {out}:"
        f" {record['train']} to train on, {record['test']} held out"
    )
    if times := record.get("times"):
        told = ", ".join(f"{top or 'files at the top'} {n}" for top, n in times.items())
        print(f"times that a picture is taken in an epoch: {told}")
    if enlarged := record["enlarged"]:
        made = f"{record['made']} made in this run"
        print(f"{enlarged} of the {made} were enlarged, which teaches blur")
    if skipped := record["skipped"]:
        print(f"{len(skipped)} files were skipped; {out / RECORD} names each, such as")
        _list(skipped)
    if hint := record["hint"]:
        print(f"pictures were skipped whose range nothing tells{hint}")
    if remarks := record["remarks"]:
        made = f"{record['made']} made in this run"
        print(f"{len(remarks)} of the {made} lost something, such as")
        _list(remarks)


def _list(told: dict[str, str]) -> None:
    for file, reason in list(told.items())[:5]:
        print(f"  {file} {reason}")


def _fetch(name: str, folder: Path, yes: bool) -> dict[str, str]:
    """Show the licence, have it accepted, download into a folder: notes on where its
    pictures come from.
    """
    from ..data.public_sets import fetch, public

    chosen = public(name)
    terms = f"from     {chosen.home}\nlicence  {chosen.licence}"
    print(f"{chosen.title}\n{terms}", flush=True)
    if not yes:
        if not sys.stdin.isatty():
            raise ValueError("to accept the licence above, add --yes")
        if input("Download on these terms? Type yes: ").strip().lower() != "yes":
            raise ValueError("nothing was downloaded")
    sha256 = fetch(name, folder)
    return {"from": chosen.address, "sha256": sha256, "licence": chosen.licence}
