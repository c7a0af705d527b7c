r"""Weights on disk: one safetensors file that carries its own preset, so `load` needs nothing else. And training on disk, to go on from.

    save(path, f)                    written beside its place, then renamed: there is never half a checkpoint
    load(name)                       a shipped name, a .safetensors file, or a folder that holds model.safetensors
    save_state(path, tensors, told)  a folder: state.safetensors, state.json and SHA256SUMS (which `sha256sum -c` understands)
    latest_state(states)             the newest of these folders that is whole

No pickle is ever read. Schedules are not stored as weights, only as three numbers of the preset: any T can be used.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from .preset import Network, Preset

WEIGHTS = next(p for p in (Path(__file__).parent / "weights", Path(__file__).parent.parent / "data" / "weights") if p.is_dir() or p.parent.name == "data")
"""Where the shipped weights lie: inside an installed package, or in data/ of a clone."""


def shipped() -> list[str]:
    """The names that `load` knows without a path."""
    return sorted(p.stem for p in WEIGHTS.glob("*.safetensors"))


def save(path: str | Path, f: Network, dtype: torch.dtype = torch.float32) -> None:
    """Write the weights of `f` as `dtype` (float16 halves the file and keeps 11 bits) and its preset to a .safetensors file."""
    path = Path(path)
    beside = path.with_name(f".{path.name}.part")
    tensors = {name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in f.state_dict().items()}
    try:
        save_file(tensors, beside, metadata={"preset": f.preset.to_json()})
        beside.chmod(0o666 & ~_umask())
        beside.replace(path)
    except (OSError, SafetensorError) as error:
        raise OSError(f"{path} could not be written: {getattr(error, 'strerror', None) or error}") from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def load(name: str | Path, device: str | torch.device = "cpu") -> Network:
    """The trained f(x, y_t, gamma) of a shipped name, a file or a folder: float32, ready to sample with, `f.preset` beside it.

    ValueError, in one sentence, when there is no such model or the file is not one of ours.
    """
    path = _find(name)
    try:
        with safe_open(path, framework="pt") as file:
            written = (file.metadata() or {}).get("preset")
            tensors = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118 (safe_open is no dict)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is no readable safetensors file ({error})") from error
    if written is None:
        raise ValueError(f"{path} carries no preset, so it was not written by sr3mini")
    try:
        preset = Preset.from_json(written)
        with torch.device("meta"):  # shapes are compared before a network of that size asks for memory
            preset.network().load_state_dict(tensors, assign=True)
        f = preset.network()
        f.load_state_dict(tensors)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{path} does not hold the weights that its preset describes ({_line(error)})") from error
    demand_finite(tensors, path)
    return f.to(device).to(memory_format=torch.channels_last).eval().requires_grad_(False)  # type: ignore[call-overload]


def demand_finite(weights: Mapping[str, Tensor], path: Path) -> None:
    """ValueError, naming the tensor, when one of the weights that `path` holds is NaN or infinite."""
    spoilt = next((name for name, tensor in weights.items() if not tensor.isfinite().all()), None)
    if spoilt is not None:
        raise ValueError(f"{path} holds weights that are no finite numbers, in {spoilt}: its training went astray; take an earlier checkpoint of it")


def card(name: str | Path) -> dict[str, Any]:
    """What is known about a model: the JSON beside its weights (how it was trained, what was measured); {} if there is none."""
    path = _find(name).with_suffix(".json")
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def measured(name: str) -> dict[str, Any]:
    """What a benchmark measured once and stored as data/runs/NAME.json: the figures, with the command and the machine that gave them."""
    path = WEIGHTS.parent / "runs" / f"{name}.json"
    if not path.is_file():
        raise ValueError(f"no measurement {name!r} is stored; there are: {', '.join(sorted(p.stem for p in path.parent.glob('*.json'))) or 'none'}")
    return json.loads(path.read_text(encoding="utf-8"))


class State(NamedTuple):
    """A training as it lies on disk: every tensor by name, and the rest, which JSON can hold; told["step"] steps were done."""

    path: Path
    tensors: dict[str, Tensor]
    told: dict[str, Any]


def state_path(states: Path, step: int) -> Path:
    """The folder of the state after `step` steps: states/step_00000500. Sorted by name they are sorted by time."""
    return states / f"step_{step:08}"


def state_paths(states: Path) -> list[Path]:
    """The states in the folder `states`, oldest first, whole or not."""
    return sorted(path for path in states.glob("step_*") if path.is_dir() and path.name[5:].isdecimal())


def save_state(path: Path, tensors: dict[str, Tensor], told: dict[str, Any]) -> None:
    """Write a state into a folder beside `path`, wait until the disk has it, then give it its name: a kill or a power cut leaves all of it or nothing.

    OSError, in one sentence, when it cannot be written; what was there before is then still there.
    """
    beside = path.with_name(f".{path.name}.part")
    try:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        save_file(tensors, beside / "state.safetensors")
        (beside / "state.json").write_text(json.dumps(told, allow_nan=False), encoding="utf-8")
        (beside / "SHA256SUMS").write_text("".join(f"{_sha256(beside / name)}  {name}\n" for name in _STATE), encoding="utf-8")
        for name in (*_STATE, "SHA256SUMS", "."):
            _to_disk(beside / name)
        shutil.rmtree(path, ignore_errors=True)  # only a damaged one can have the name of a new one
        beside.rename(path)
        _to_disk(path.parent)
    except (OSError, SafetensorError) as error:
        raise OSError(f"{path} could not be written: {getattr(error, 'strerror', None) or error}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def load_state(path: Path) -> State:
    """A state whose checksums are right. ValueError, in one sentence, when it is not whole or not one of ours."""
    try:
        written = (path / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
        for name in _STATE:
            if f"{_sha256(path / name)}  {name}" not in written:
                raise ValueError(f"the checksum of {name} is another one")
        told = json.loads((path / "state.json").read_text(encoding="utf-8"))
        if not isinstance(told, dict) or type(told.get("step")) is not int or state_path(path.parent, told["step"]).name != path.name:
            raise ValueError("state.json does not tell the step of the folder's name")
        return State(path, load_file(path / "state.safetensors"), told)
    except (OSError, SafetensorError, ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is no whole training state ({getattr(error, 'strerror', None) or error})") from error


def latest_state(states: Path) -> State | None:
    """The newest state that is whole; a warning names each newer one that is not. None when there are no states.

    ValueError when there are some and none is whole: to start again would be to throw away what may yet be mended.
    """
    paths = state_paths(states)
    for path in reversed(paths):
        try:
            return load_state(path)
        except ValueError as error:
            warnings.warn(f"passed over: {error}", stacklevel=2)
    if paths:
        raise ValueError(f"none of the {len(paths)} training states in {states} is whole; restore one, or train into another folder")
    return None


def forget_states(states: Path, keep: Iterable[int], newest: int = 2) -> None:
    """Remove all states but the `newest` ones and those after the steps `keep`, and what a kill left half-written."""
    kept = {state_path(states, step) for step in keep}
    for path in (*state_paths(states)[:-newest], *states.glob(".step_*.part")):
        if path not in kept:
            shutil.rmtree(path, ignore_errors=True)


_STATE = ("state.safetensors", "state.json")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _to_disk(path: Path) -> None:
    """Wait until what was written to a file, or the names in a folder, would survive a power cut."""
    if os.name == "nt":
        return  # Windows opens no folder, and flushes only what was opened to be written
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    """safetensors writes files that only their owner can read; ours get the usual rights."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _line(error: Exception) -> str:
    """The first line that tells something: torch opens with a headline and lists what is wrong below it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[min(1, len(lines) - 1)].rstrip(".")


def _find(name: str | Path) -> Path:
    shipped_file = WEIGHTS / f"{name}.safetensors"
    for path in (shipped_file, Path(name), Path(name) / "model.safetensors"):
        if path.is_file():
            return path
    known = ", ".join(shipped()) or "none"
    raise ValueError(f"no model {str(name)!r}: it is neither shipped ({known}) nor a .safetensors file, nor a folder with a model.safetensors")
