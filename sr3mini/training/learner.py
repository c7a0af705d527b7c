r"""What a training changes, in memory: the network, its average and the optimizer.

set_up(preset, accelerator)   a training that begins
averaged_network(learner)     the average, whole, ready to draw with
"""

from __future__ import annotations

import copy
import warnings
from typing import NamedTuple

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
)

from ..model.checkpoint import load
from ..model.network import Network, build
from ..model.preset import Preset


class Learner(NamedTuple):
    """`f` is `network` as Accelerate wraps it; `averaged` has the moving average of its
    weights. With FSDP a process holds its share of all three.
    """

    preset: Preset
    accelerator: Accelerator
    f: nn.Module
    network: Network
    averaged: Network
    optimizer: torch.optim.AdamW


def set_up(
    preset: Preset,
    accelerator: Accelerator,
    shard: bool = False,
    compile: bool = False,
    begin_with: str | None = None,
) -> Learner:
    """A training that begins, on the accelerator's device. `shard`: spread over all
    processes (FSDP) instead of copied to each (DDP). `begin_with`: a model whose
    weights it begins with. ValueError when that is no such network.
    """
    # FSDP knows no other layout; on a CPU the gradients of norms are slow in
    # channels_last with bf16
    slow = accelerator.device.type == "cpu" and accelerator.mixed_precision == "bf16"
    layout = torch.contiguous_format if shard or slow else torch.channels_last
    network = build(preset)
    if begin_with is not None:
        _take_weights(network, begin_with)
    network.to(accelerator.device, memory_format=layout)  # type: ignore[call-overload]
    averaged = copy.deepcopy(network).requires_grad_(False)
    if compile:
        _demand_compiler(accelerator.device)
        # by itself it lays the gradients of U-Nets out as convolutions do not like them
        network.compile(options={"force_layout_optimization": not shard})

    f = _shard(network) if shard else accelerator.prepare(network)
    if shard:
        _shard(averaged)
    optimizer = torch.optim.AdamW(
        network.parameters(),
        preset.learning_rate,
        weight_decay=preset.weight_decay,
        fused=True,
    )
    return Learner(preset, accelerator, f, network, averaged, optimizer)


def _take_weights(network: Network, model: str) -> None:
    try:
        network.load_state_dict(load(model).state_dict())
    except RuntimeError as error:  # names or shapes differ
        raise ValueError(
            f"{model} is no network of the layout of {network.preset.name}: begin with"
            " another model, or train its own preset"
        ) from error


def _demand_compiler(device: torch.device) -> None:
    """ValueError when torch.compile finds no compiler, said before the first step."""
    try:
        torch.compile(torch.square)(torch.ones(2, device=device))
    except Exception as error:  # of one of several compilers
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(
            f"torch.compile does not work here: leave --compile out ({reason})"
        ) from error


def averaged_network(learner: Learner) -> Network:
    """The network with the averaged weights, whole, in every process."""
    device, options = learner.accelerator.device, StateDictOptions(full_state_dict=True)
    network = build(learner.preset)
    network.load_state_dict(get_model_state_dict(learner.averaged, options=options))
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.eval().requires_grad_(False)


def whole(tensor: Tensor) -> Tensor:
    """A tensor that may be spread over several processes, in one piece."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def _shard(network: Network) -> Network:
    """FSDP, a stage at a time: a process holds its share of a stage, and gathers the
    rest of it while it computes the stage.
    """
    from torch.distributed.fsdp import fully_shard

    for stages in network.modules():
        if isinstance(stages, nn.ModuleList):
            for stage in stages:
                fully_shard(stage)
    fully_shard(network)
    # f's output is a view, cut out of a padded picture; nobody changes it in place
    warnings.filterwarnings("ignore", "FSDP2-wrapped module")
    return network
