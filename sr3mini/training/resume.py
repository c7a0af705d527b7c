r"""A training as it lies in memory and on disk: network, average and optimizer, and how
far they have come.

    set_up(preset, accelerator)          a training that begins
    keep(training, out, done, told)      write it into `out`/state
    begin_or_go_on(training, out, told)  put what was written back, bit by bit

Random numbers need no storing: what a step draws is computed from the seed and the
step. Nor does the schedule of the learning rate.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn

from ..model.network import Network, build
from ..model.preset import Preset
from .monitor import forget_after
from .state import (
    State,
    forget_states,
    latest_state,
    save_state,
    state_path,
    state_paths,
)

MAY_CHANGE = {
    *(
        "name",
        "train_steps",
        "batch_size",
        "learning_rate",
        "warmup_steps",
        "decay",
        "weight_decay",
        "ema_decay",
    ),
    *("loss_power", "dropout", "blur", "from_files", "sampling_steps"),
}
"""What a preset may have another value of when a training goes on: what does not decide
which numbers there are and what they mean.
"""


class Training(NamedTuple):
    """What a step changes. `f` is `network` as Accelerate wraps it; `averaged` lies
    beside `parameters`, and so does the optimizer's state.
    """

    accelerator: Accelerator
    f: nn.Module
    network: Network
    parameters: list[nn.Parameter]
    averaged: list[Tensor]
    optimizer: torch.optim.AdamW


@dataclass
class Done:
    """How far a training has come."""

    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)  # of the last 200 steps
    best: float = -math.inf  # PSNR on held-out pictures, and the step that reached it
    best_step: int = 0

    def after(self, losses: list[float], seconds: float) -> Done:
        return dataclasses.replace(
            self,
            step=self.step + len(losses),
            seconds=seconds,
            losses=(self.losses + losses)[-200:],
        )

    def recent(self, steps: int = 200) -> float:
        """The mean loss of the last steps."""
        last = self.losses[-steps:]
        return sum(last) / max(1, len(last))


def set_up(
    preset: Preset, accelerator: Accelerator, shard: bool = False, compile: bool = False
) -> Training:
    """A training that begins, on the accelerator's device. `shard`: spread over all
    processes (FSDP) instead of copied to each (DDP).
    """
    network = build(preset)
    if compile:
        network.compile()
    slow = (
        accelerator.device.type == "cpu" and accelerator.mixed_precision == "bf16"
    )  # are the gradients of norms in channels_last
    plain = shard or slow  # FSDP knows no other layout
    layout = torch.contiguous_format if plain else torch.channels_last
    network = network.to(accelerator.device, memory_format=layout)  # type: ignore[call-overload]
    f = _shard(network) if shard else accelerator.prepare(network)
    parameters = list(network.parameters())
    optimizer = torch.optim.AdamW(
        parameters, preset.learning_rate, weight_decay=preset.weight_decay, fused=True
    )
    return Training(
        accelerator,
        f,
        network,
        parameters,
        [p.detach().clone() for p in parameters],
        optimizer,
    )


def _shard(network: Network) -> Network:
    """FSDP, a stage at a time: a process holds its share of a stage, and gathers the
    rest of it while it computes the stage.
    """
    from torch.distributed.fsdp import fully_shard

    for stages in [
        module for module in network.modules() if isinstance(module, nn.ModuleList)
    ]:
        for stage in stages:
            fully_shard(stage)
    fully_shard(network)
    warnings.filterwarnings(
        "ignore", "FSDP2-wrapped module"
    )  # f's output is a view, cut out of a padded picture; nobody changes it in place
    return network


def unsynchronised(
    training: Training, wanted: bool
) -> contextlib.AbstractContextManager[Any]:
    """Gradients of all but the last part of a batch need not meet those of other
    processes.
    """
    return (
        training.accelerator.no_sync(training.f) if wanted else contextlib.nullcontext()
    )


def averaged_network(training: Training, preset: Preset) -> Network:
    """The network with the averaged weights, whole, in every process."""
    network = build(preset)
    names = [name for name, _ in training.network.named_parameters()]
    network.load_state_dict(
        {
            name: whole(tensor)
            for name, tensor in zip(names, training.averaged, strict=True)
        }
    )
    return (
        network.to(training.accelerator.device, memory_format=torch.channels_last)
        .eval()
        .requires_grad_(False)
    )  # type: ignore[call-overload]


def begin_or_go_on(
    training: Training, out: Path, told: Mapping[str, Any], resume: bool
) -> tuple[Done, Any]:
    """How far the training in `out` has come, its tensors put in place, and where its
    stream of pictures was left.

    `told`: what is to be written into each state; "seed" must be the state's own, other
    differences are warned of. ValueError when `out` holds a training and `resume` is
    false, or when it does not fit.
    """
    states = out / "state"
    if not resume and state_paths(states):
        newest = int(state_paths(states)[-1].name[5:])
        raise ValueError(
            f"{out} holds a training that came to step {newest}: pass --resume to go on"
            " with it, or train into another folder with --out"
        )
    if not state_paths(states) and (out / "model.safetensors").exists():
        raise ValueError(
            f"{out} holds a model, and no state of its training to go on from: train"
            " into another folder with --out"
        )
    state = latest_state(states) if resume else None
    step = torch.tensor(
        [0 if state is None else state.told["step"]], device=training.accelerator.device
    )
    if (training.accelerator.gather(step) != step).any():
        raise ValueError(
            f"the processes find different training states in {states}: it must lie on"
            " a file system that all machines share"
        )
    if state is None:
        if training.accelerator.is_main_process:
            forget_after(out / "metrics.jsonl", 0)
        return Done(), None
    _compare(state, told)
    try:
        step_, seconds, losses, best, best_step = (
            state.told[name]
            for name in ("step", "seconds", "losses", "best", "best_step")
        )
        done = Done(
            int(step_),
            float(seconds),
            [float(loss) for loss in losses],
            -math.inf if best is None else float(best),
            int(best_step),
        )
        streams = list(state.told["streams"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{state.path / 'state.json'} was not written by this version of sr3mini"
            f" ({type(error).__name__}: {error})"
        ) from error
    _restore(training, state)
    rank = training.accelerator.process_index
    if training.accelerator.is_main_process:
        forget_after(out / "metrics.jsonl", done.step)
        for path in state_paths(states):
            if path.name > state.path.name:  # damaged, or it would have been taken
                shutil.rmtree(path, ignore_errors=True)
    return done, (
        streams[rank]
        if len(streams) == training.accelerator.num_processes
        else streams[0]
    )


def keep(
    training: Training,
    out: Path,
    done: Done,
    told: Mapping[str, Any],
    stream: Any,
    keep_every: int = 0,
) -> None:
    """Write the state after `done.step` steps. Of the earlier ones stay the newest, the
    best, and those at multiples of `keep_every`.
    """
    tensors, streams = _tensors(training), gather_object([stream])
    if training.accelerator.is_main_process:
        best = None if math.isinf(done.best) else done.best
        states = out / "state"
        save_state(
            state_path(states, done.step),
            tensors,
            {**dataclasses.asdict(done), "best": best, **told, "streams": streams},
        )
        steps = [int(path.name[5:]) for path in state_paths(states)]
        forget_states(
            states,
            {
                done.best_step,
                *(step for step in steps if keep_every and step % keep_every == 0),
            },
        )
    training.accelerator.wait_for_everyone()


def _compare(state: State, told: Mapping[str, Any]) -> None:
    """ValueError when another network, other pictures or another order are asked for
    than the state's; a warning for what else is new.
    """
    before, now = state.told, told
    if before.get("seed") != now["seed"]:
        raise ValueError(
            f"{state.path} was trained with --seed {before.get('seed')}, not"
            f" {now['seed']}: go on with that one"
        )
    old = dataclasses.asdict(Preset.from_json(json.dumps(before.get("preset"))))
    new = dict(now["preset"])
    changed = {
        name: f"{name} = {new[name]} instead of {old[name]}"
        for name in new
        if old[name] != new[name]
    }
    fixed = [text for name, text in changed.items() if name not in MAY_CHANGE]
    if fixed:
        raise ValueError(
            f"{state.path} holds another kind of training: it would go on with"
            f" {', '.join(fixed)}"
        )
    changed |= {
        name: f"{name} = {now[name]} instead of {before.get(name)}"
        for name in ("precision", "pictures")
        if before.get(name) != now[name]
    }
    if changed:
        warnings.warn(
            f"the training goes on with {', '.join(changed.values())}", stacklevel=2
        )


def _tensors(training: Training) -> dict[str, Tensor]:
    """Every tensor of a training by name, whole, on the CPU: in the first process,
    which writes them. The others lend their shares, and get {}.
    """
    tensors = {}
    for (name, p), mean in zip(
        training.network.named_parameters(), training.averaged, strict=True
    ):
        for kind, tensor in {
            "weight": p.detach(),
            "average": mean,
            **training.optimizer.state[p],
        }.items():
            gathered = whole(tensor)
            if training.accelerator.is_main_process:
                tensors[f"{kind} {name}"] = gathered.cpu().contiguous()
    return tensors


@torch.no_grad()
def _restore(training: Training, state: State) -> None:
    """Put every tensor of a state in its place. ValueError when one is missing, is left
    over, or has another shape or type.
    """
    left = dict(state.tensors)
    for (name, p), mean in zip(
        training.network.named_parameters(), training.averaged, strict=True
    ):
        moments = {kind: torch.zeros_like(p) for kind in ("exp_avg", "exp_avg_sq")}
        training.optimizer.state[p] = {
            "step": torch.zeros((), device=p.device),
            **moments,
        }
        for kind, tensor in {
            "weight": p,
            "average": mean,
            **training.optimizer.state[p],
        }.items():
            value = left.pop(f"{kind} {name}", None)
            if (
                value is None
                or value.shape != tensor.shape
                or value.dtype != tensor.dtype
            ):
                raise ValueError(
                    f"{state.path} does not hold the training of this preset: its"
                    f" {kind} of {name} is missing, or has another shape or type"
                )
            tensor.copy_(_spread(value, tensor))
    if left:
        raise ValueError(
            f"{state.path} does not hold the training of this preset: it has a tensor"
            f" too many, {next(iter(left))!r}"
        )


def whole(tensor: Tensor) -> Tensor:
    """A tensor that may be spread over several processes, in one piece."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def _spread(value: Tensor, like: Tensor) -> Tensor:
    """A whole tensor, spread over the processes as `like` is."""
    mesh, placements = (
        getattr(like, "device_mesh", None),
        getattr(like, "placements", None),
    )
    if mesh is None:
        return value
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value.to(like.device), mesh, placements)
