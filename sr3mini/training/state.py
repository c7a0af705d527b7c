r"""A training on disk, to go on from: a folder with state.safetensors, state.json and
SHA256SUMS (which `sha256sum -c` understands).

    save_state(path, tensors, told)   beside its place, then renamed: all or nothing
    latest_state(states)              the newest of these folders that is whole
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import warnings
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..files.text import read_json
from ..files.writing import atomic

FILES = ("state.safetensors", "state.json")


class State(NamedTuple):
    """A training as it lies on disk: every tensor by name, and the rest, which JSON can
    hold; told["step"] steps were done.
    """

    path: Path
    tensors: dict[str, Tensor]
    told: dict[str, Any]


def state_path(states: Path, step: int) -> Path:
    """The folder of the state after `step` steps: states/step_00000500. Sorted by name
    they are sorted by time.
    """
    return states / f"step_{step:08}"


def step_of(path: Path) -> int:
    """The step that a state's folder is named after."""
    return int(path.name.removeprefix("step_"))


def state_paths(states: Path) -> list[Path]:
    """The states in the folder `states`, oldest first, whole or not."""
    paths = sorted(states.glob("step_*"))
    return [path for path in paths if path.is_dir() and path.name[5:].isdecimal()]


def save_state(path: Path, tensors: dict[str, Tensor], told: dict[str, Any]) -> None:
    """Write a state into a folder beside `path`, wait until the disk has it, then give
    it its name: a kill or a power cut leaves all of it or nothing.

    OSError, in one sentence, when it cannot be written; what was there before is then
    still there.
    """
    with atomic(path) as beside:
        shutil.rmtree(beside, ignore_errors=True)  # what a kill left
        beside.mkdir(parents=True)
        save_file(tensors, beside / "state.safetensors")
        (beside / "state.json").write_text(json.dumps(told, allow_nan=False))
        (beside / "SHA256SUMS").write_text(_sums(beside))
        for name in (*FILES, "SHA256SUMS", "."):
            _to_disk(beside / name)
        # only a damaged one can have the name of a new one
        shutil.rmtree(path, ignore_errors=True)
    _to_disk(path.parent)


def load_state(path: Path) -> State:
    """A state whose checksums are right. ValueError, in one sentence, when it is not
    whole or not one of ours.
    """
    try:
        if not all((path / name).is_file() for name in (*FILES, "SHA256SUMS")):
            raise ValueError("a file is missing")
        if (path / "SHA256SUMS").read_text() != _sums(path):
            raise ValueError("a checksum is wrong")
        told = read_json(path / "state.json")
        if told.get("step") != step_of(path):
            raise ValueError("state.json tells another step")
        return State(path, load_file(path / "state.safetensors"), told)
    except (OSError, SafetensorError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"{path} is no whole training state ({reason})") from error


def latest_state(states: Path) -> State | None:
    """The newest state that is whole; a warning names each newer one that is not. None
    when there are no states.

    ValueError when there are some and none is whole: to start again would be to throw
    away what may yet be mended.
    """
    paths = state_paths(states)
    for path in reversed(paths):
        try:
            return load_state(path)
        except ValueError as error:
            warnings.warn(f"passed over: {error}", stacklevel=2)
    if paths:
        raise ValueError(
            f"none of the {len(paths)} training states in {states} is whole: restore"
            " one, or train into another folder"
        )
    return None


def forget_states(states: Path, best: int, every: int = 0) -> None:
    """Remove all states but the newest two, the one after `best` steps and those at
    multiples of `every` (0: none), and what a kill left half-written.
    """
    gone = list(states.glob(".step_*.part"))
    for path in state_paths(states)[:-2]:
        step = step_of(path)
        if step != best and not (every and step % every == 0):
            gone.append(path)
    for path in gone:
        shutil.rmtree(path, ignore_errors=True)


def _sums(folder: Path) -> str:
    """SHA256SUMS for the files in a folder."""
    lines = []
    for name in FILES:
        with (folder / name).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        lines.append(f"{digest}  {name}\n")
    return "".join(lines)


def _to_disk(path: Path) -> None:
    """Wait until what was written to a file, or the names in a folder, would survive a
    power cut.
    """
    if os.name == "nt":
        return  # Windows opens no folder, and flushes only what was opened for writing
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
