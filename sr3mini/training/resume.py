r"""From memory to disk and back, bit by bit.

    keep(learner, out, done, told)                write a training into `out`/state
    begin_or_go_on(learner, out, told, resume)    put what was written back

Random numbers need no storing: what a step draws is computed from the seed and the
step. Nor does the schedule of the learning rate.
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from accelerate.utils import gather_object
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_state_dict,
    set_state_dict,
)

from ..model.preset import Preset
from .learner import Learner
from .monitor import forget_after
from .state import (
    State,
    forget_states,
    latest_state,
    save_state,
    state_path,
    state_paths,
    step_of,
)

MAY_CHANGE = (
    "name",
    "precision",
    "pictures",
    "train_steps",
    "batch_size",
    "learning_rate",
    "warmup_steps",
    "decay",
    "weight_decay",
    "ema_decay",
    "loss_power",
    "dropout",
    "blur",
    "from_files",
    "sampling_steps",
    "sampling_method",
    "sampling_levels",
)
"""What may have another value when a training goes on: what does not decide which
numbers there are and what they mean.
"""
WRITTEN = ("README.md", "config.json", "model.json", "samples.png")  # at the end
MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # of AdamW, for each weight


@dataclass
class Done:
    """How far a training has come."""

    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)  # of the last 200 steps
    best: float | None = None  # PSNR on held-out pictures, and the step that reached it
    best_step: int = 0

    def after(self, losses: list[float], seconds: float) -> Done:
        step, last = self.step + len(losses), (self.losses + losses)[-200:]
        return replace(self, step=step, seconds=seconds, losses=last)

    def recent(self, steps: int = 200) -> float:
        """The mean loss of the last steps."""
        return fmean(self.losses[-steps:] or [0.0])


def begin_or_go_on(
    learner: Learner, out: Path, told: Mapping[str, Any], resume: bool
) -> tuple[Done, Any]:
    """How far the training in `out` has come, its tensors put in place, and where its
    stream of pictures was left.

    `told`: what is to be written into each state; "seed" must be the state's own, other
    differences are warned of. ValueError when `out` holds a training and `resume` is
    false, or when it does not fit.
    """
    accelerator, states = learner.accelerator, out / "state"
    _demand_room(out, resume)
    state = latest_state(states) if resume else None
    step = torch.tensor([state.told["step"] if state else 0], device=accelerator.device)
    if (accelerator.gather(step) != step).any():
        raise ValueError(
            f"the processes find different training states in {states}, which must lie"
            " on a file system that all machines share"
        )
    done, streams = Done(), [None]
    if state:
        _compare(state, told)
        done, streams = _read(state)
        _restore(learner, state)

    if accelerator.is_main_process:
        forget_after(out / "metrics.jsonl", done.step)
        for path in state_paths(states):
            if step_of(path) > done.step:  # damaged, or it would have been taken
                shutil.rmtree(path, ignore_errors=True)
    same = len(streams) == accelerator.num_processes
    return done, streams[accelerator.process_index if same else 0]


def keep(
    learner: Learner,
    out: Path,
    done: Done,
    told: Mapping[str, Any],
    stream: Any,
    keep_every: int = 0,
) -> None:
    """Write the state after `done.step` steps. Of the earlier ones stay the newest, the
    best, and those at multiples of `keep_every`.
    """
    tensors, streams = _tensors(learner), gather_object([stream])
    if learner.accelerator.is_main_process:
        states = out / "state"
        written = {**vars(done), **told, "streams": streams}
        save_state(state_path(states, done.step), tensors, written)
        forget_states(states, done.best_step, keep_every)
    learner.accelerator.wait_for_everyone()


def _demand_room(out: Path, resume: bool) -> None:
    """ValueError when a new training would be written over another one."""
    paths = state_paths(out / "state")
    if paths and not resume:
        raise ValueError(
            f"{out} holds a training that came to step {step_of(paths[-1])}: pass"
            " --resume to go on with it, or another --out"
        )
    if not paths and (out / "model.safetensors").exists():
        raise ValueError(
            f"{out} holds a model, and no state of its training to go on from: pass"
            " another --out"
        )
    for name in () if paths else WRITTEN:
        if os.path.lexists(out / name):
            raise ValueError(
                f"{out / name} is there and no training's, and would be replaced: pass"
                " another --out"
            )


def _read(state: State) -> tuple[Done, list[Any]]:
    """How far a state's training had come, and where each process's stream was."""
    told = state.told
    try:
        done = Done(
            step=step_of(state.path),
            seconds=float(told["seconds"]),
            losses=[float(loss) for loss in told["losses"]],
            best=None if told["best"] is None else float(told["best"]),
            best_step=int(told["best_step"]),
        )
        streams = [dict(left) or None for left in told["streams"]]
        streams[0]
        return done, streams
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise _foreign(state, error) from error


def _foreign(state: State, error: Exception) -> ValueError:
    return ValueError(
        f"{state.path / 'state.json'} was not written by this version of sr3mini"
        f" ({type(error).__name__}: {error})"
    )


def _compare(state: State, told: Mapping[str, Any]) -> None:
    """ValueError when another network, other pictures or another order are asked for
    than the state's; a warning for what else is new.
    """
    try:
        preset = Preset.from_json(json.dumps(state.told.get("preset")))
    except ValueError as error:
        raise _foreign(state, error) from error
    old = {**state.told, **vars(preset)}
    new = {**told["preset"], **told}
    del new["preset"]
    changed = {
        name: f"{name} = {value} instead of {old.get(name)}"
        for name, value in new.items()
        if old.get(name) != value
    }
    fixed = [text for name, text in changed.items() if name not in MAY_CHANGE]
    if fixed:
        raise ValueError(
            f"{state.path} holds another kind of training: it would go on with"
            f" {', '.join(fixed)}"
        )
    if changed:
        news = ", ".join(changed.values())
        warnings.warn(f"the training goes on with {news}", stacklevel=2)


def _tensors(learner: Learner) -> dict[str, Tensor]:
    """Every tensor of a training by name, whole, on the CPU: in the first process,
    which writes them. The others lend their shares, and get {}.
    """
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    found: Any = get_state_dict(_weights(learner), learner.optimizer, options=options)
    tensors, moments = found
    for name, kinds in moments.get("state", {}).items():
        tensors |= {f"{name}.{kind}": tensor for kind, tensor in kinds.items()}
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


@torch.no_grad()
def _restore(learner: Learner, state: State) -> None:
    """Put every tensor of a state in its place. ValueError when one is missing, is left
    over, or has another shape or type.
    """
    weights, optimizer, tensors = _weights(learner), learner.optimizer, state.tensors
    shapes = {name: p.shape for name, p in weights.named_parameters()}
    trained = [name for name in shapes if name.startswith("weight.")]
    wanted = dict(shapes)
    for name in trained:
        for kind in MOMENTS:
            shape = torch.Size() if kind == "step" else shapes[name]
            wanted[f"{name}.{kind}"] = shape
    for name in [*wanted, *tensors]:
        value = tensors.get(name, torch.empty(0))
        if value.shape != wanted.get(name) or value.dtype != torch.float32:
            raise ValueError(
                f"{state.path} does not hold the training of this preset: {name} is"
                " missing, left over, or has another shape or type"
            )

    moments: Any = {
        name: {kind: tensors[f"{name}.{kind}"] for kind in MOMENTS} for name in trained
    }
    group = {**optimizer.param_groups[0], "params": trained}
    set_state_dict(
        weights,
        optimizer,
        model_state_dict={name: tensors[name] for name in shapes},
        optim_state_dict={"state": moments, "param_groups": [group]},
        options=StateDictOptions(full_state_dict=True),
    )
    for p, kinds in optimizer.state.items():  # which fused AdamW takes to lie as p does
        for kind in MOMENTS[1:]:
            kinds[kind] = torch.empty_like(p).copy_(kinds[kind])


def _weights(learner: Learner) -> nn.ModuleDict:
    return nn.ModuleDict({"weight": learner.network, "average": learner.averaged})
