"""Exact resume: a short training without a break, the same with a break in the middle,
and the same without one once more, which tells what the GPU itself leaves to chance.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from sr3mini.model.preset import Preset
from sr3mini.training import train as training
from sr3mini.training.resume import keep
from sr3mini.training.state import latest_state

from .board import Board, free
from .pictures import prepared_pictures

Tensors = dict[str, Tensor]


def resume(board: Board, place: Path) -> None:
    """The largest difference between the three; with deterministic algorithms too,
    where chance plays a part without them.
    """
    preset, later = board.sizes.resumed, board.sizes.trained
    sides = (round(each.size * each.zoom) for each in (preset, later))
    data = prepared_pictures(board, place, max(sides))
    for name in ("usual", "deterministic"):
        with deterministic(name == "deterministic"):
            found = compared(preset, data, place / f"resume_{name}")
        board.put("resume", {name: found})
        if found["repeated"]["equal"] and found["resumed"]["equal"]:
            break
    free()


def compared(preset: Preset, data: Path, place: Path) -> dict[str, Any]:
    whole = trained(preset, data, place / "whole")
    again = trained(preset, data, place / "again")
    stopped = place / "stopped"
    with stopping_at(preset.train_steps // 2):
        trained(preset, data, stopped)
    state = latest_state(stopped / "state")
    assert state is not None
    halted = state.told["step"]
    resumed = trained(preset, data, stopped, resume=True)
    return {
        "preset": preset.name,
        "steps": preset.train_steps,
        "stopped_after": halted,
        "resumed": difference(whole, resumed),
        "repeated": difference(whole, again),
    }


def trained(preset: Preset, data: Path, out: Path, resume: bool = False) -> Tensors:
    """Every tensor of a training at its end, or where it was stopped."""
    gpu = torch.cuda.is_available()
    training.train(
        preset,
        out,
        data=str(data),
        precision="bf16" if gpu else "no",
        workers=4 if gpu else 0,
        save_every=preset.train_steps // 2,
        validate_every=0,
        resume=resume,
        progress=False,
    )
    state = latest_state(out / "state")
    assert state is not None
    return state.tensors


@contextlib.contextmanager
def stopping_at(step: int) -> Iterator[None]:
    """Ctrl-C for the training that has just kept its state of this step."""

    def keep_and_stop(*given: Any) -> None:
        keep(*given)
        if given[2].step == step:
            signal.raise_signal(signal.SIGINT)

    with mock.patch.object(training, "keep", keep_and_stop):
        yield


@contextlib.contextmanager
def deterministic(asked: bool) -> Iterator[None]:
    """Only kernels that give the same twice, as far as torch has them."""
    torch.use_deterministic_algorithms(asked, warn_only=True)
    torch.backends.cudnn.deterministic = asked
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.deterministic = False


def difference(a: Tensors, b: Tensors) -> dict[str, Any]:
    """Whether all tensors are equal to the last bit, and how far weights and averages
    are apart at most: in itself, and over the root mean square of their tensor.
    """
    names = [
        name for name in a if not name.endswith((".step", ".exp_avg", ".exp_avg_sq"))
    ]
    apart = {name: (a[name] - b[name]).abs().max().item() for name in names}
    scale = {name: a[name].square().mean().sqrt().item() for name in names}
    return {
        "equal": a.keys() == b.keys()
        and all(map(torch.equal, a.values(), (b[name] for name in a))),
        "tensors": len(a),
        "largest": max(apart.values()),
        "largest_relative": max(
            apart[name] / max(scale[name], 1e-12) for name in names
        ),
    }
