"""`sr3mini plan`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import tyro

from ..training.options import Precision, command
from .base import between, named_preset

if TYPE_CHECKING:
    from ..training.plan import Plan

MACHINE = 8  # GPUs in one machine


def plan(
    preset: Annotated[str, tyro.conf.Positional],
    gpus: int = 1,
    kind: str = "h100",
    precision: Precision | None = None,
    batch_size: int | None = None,
    micro_batches: int = 1,
    shard: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    peak: float | None = None,
) -> None:
    """Say what a training will cost before it is paid for: parameters, arithmetic,
    memory by part, pictures a second, hours. Trains nothing.

    Args:
        preset: what to train, such as faces_16_128, or a .json file with a preset of
            your own.
        gpus: how many devices share the work.
        kind: h100, h200, a100, rtx4090, v100 or t4, by their data sheets; or cpu or
            cuda, this machine's own, measured now.
        precision: no or bf16 (default: bf16 on GPUs that have it).
        batch_size: pictures a step, all devices together, if not the preset's own.
        micro_batches: as for sr3mini train.
        shard: as for sr3mini train.
        peak: TFLOP/s that a large matrix product was measured to reach, in place of a
            share of the data sheet's figure.
    """
    import dataclasses

    from ..training.plan import cure
    from ..training.plan import plan as run

    between("gpus", gpus, 1, 100_000)
    between("micro_batches", micro_batches, 1)
    if peak is not None and not 0 < peak < 1e6:
        raise ValueError(f"peak = {peak}, but it must be a number of TFLOP/s above 0")
    chosen = named_preset(preset)
    if batch_size is not None:
        chosen = dataclasses.replace(chosen, batch_size=batch_size)
    cost = run(
        chosen,
        kind=kind,
        gpus=gpus,
        precision=precision,
        micro_batches=micro_batches,
        shard=shard,
        peak=None if peak is None else peak * 1e12,
    )
    print(report(cost))
    found = cost if cost.fits else cure(cost)
    if not cost.fits:
        print(f"WARNING: this does not fit; {_way_out(found)}")
    if found is not None:
        print(f"start: {_command(found, preset, batch_size)}")


def report(cost: Plan) -> str:
    """The plan as text."""
    preset, gb = cost.preset, 1e9
    lines = [
        f"{preset.name}: {cost.parameters / 1e6:.1f} million parameters,"
        f" {cost.forward_flops / gb:,.2f} GFLOP a picture forward,"
        f" {cost.training_flops / gb:,.2f} in training",
        f"{cost.gpus} x {cost.kind}, precision {cost.precision}:"
        f" {preset.batch_size} pictures a step, {cost.batch} at a time on each",
        "memory of each at its fullest moment:",
        *(f"  {name:18} {size / gb:9.2f} GB" for name, size in cost.memory.items()),
        f"  {'in all':18} {cost.bytes / gb:9.2f} GB of {cost.room / gb:.1f} that can be"
        " used",
        f"speed: {cost.seconds:.3g} s a step, {cost.images_per_second:,.1f} pictures/s",
        f"time:  {cost.hours:,.1f} hours for {preset.train_steps:,} steps,"
        f" {cost.hours * cost.gpus:,.0f} device-hours; without loading, validating,"
        " saving, and the network between machines",
        f"assumed: convolutions at {cost.rate / 1e12:.3g} TFLOP/s a device; --peak"
        " takes a measured rate instead",
    ]
    return "\n".join(lines)


def _way_out(found: Plan | None) -> str:
    if found is None:
        return "take more devices or larger ones, or a smaller preset"
    spread = ", weights spread over the devices," if found.shard else ""
    gb, hours = found.bytes / 1e9, found.hours
    return f"{found.batch} at a time{spread} do: {gb:.1f} GB, {hours:,.1f} hours"


def _command(cost: Plan, preset: str, batch_size: int | None) -> str:
    """What starts the planned training; on several machines, on each of them."""
    program, machines = "sr3mini train", math.ceil(cost.gpus / MACHINE)
    if cost.gpus > 1:
        program = f"--nproc-per-node {min(cost.gpus, MACHINE)} -m {program}"
        if machines > 1:
            meet = "--rdzv-backend c10d --rdzv-endpoint HOST:29500"
            program = f"--nnodes {machines} {meet} {program}"
        program = f"torchrun {program}"
    flags = {
        "--preset": preset,
        "--batch-size": batch_size,
        "--data": None if cost.preset.data == "glyphs" else "FOLDER",
        "--precision": None if cost.precision == "no" else cost.precision,
        "--micro-batches": None if cost.micro_batches == 1 else cost.micro_batches,
        "--shard": cost.shard,
    }
    return command(program, flags)
