"""The training step: images/s and share of the measured peak in each way and batch
size, memory beside the plan's, what is spent outside of the network, what two switches
of torch gain, and which kernels take the time.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn
from train_step import made_up, seconds, set_up_for, stepping

from sr3mini.degrade import cut
from sr3mini.forward import noise, sample_gamma
from sr3mini.model.preset import Preset
from sr3mini.training.cost import trace
from sr3mini.training.learn import condition, loss_of, seed_of
from sr3mini.training.learner import Learner
from sr3mini.training.plan import DEVICES, plan

from .board import Board, attempt, free, say, synchronize
from .sizes import Sizes

PIECES = 10  # calls of each piece of a step


def step(board: Board) -> None:
    """Every preset, way and batch size, until the time of this part is over."""
    start = time.monotonic()
    for preset, way, batch in board.sizes.steps:
        what = f"step of {preset.name}, {way}, {batch} pictures"
        sizes, spent = board.sizes, time.monotonic() - start
        wanted = sizes.compiling if way == "compiled" else sizes.measuring
        left = min(sizes.boxes["step"] - spent, board.left())
        if left < wanted / 3:
            board.fail(what, "left out, since the time of this part was over")
            continue
        chosen = replace(preset, batch_size=batch)
        say(what)
        measure = partial(measured, board, chosen, way)
        attempt(board, what, min(wanted, left), measure)
        free()


def measured(board: Board, preset: Preset, way: str) -> None:
    """One configuration, and of the first one with each way also what else is asked."""
    began = time.perf_counter()
    learner = set_up_for(preset, "bf16", way)
    step = stepping(learner)
    for _ in range(board.sizes.warm):
        step()
    synchronize()
    warm = time.perf_counter() - began
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    taken = group_seconds(step, board.sizes)
    bytes_taken = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    alone = group_seconds(forward_and_backward(learner), board.sizes)
    found: dict[str, Any] = {
        "preset": preset.name,
        "way": way,
        "batch": preset.batch_size,
        "images_per_second": round(preset.batch_size / taken, 1),
        "step_ms": round(1000 * taken, 2),
        "share_of_peak": share_of_peak(board, preset, taken),
        "network_alone_ms": round(1000 * alone, 2),
        "share_of_peak_of_network_alone": share_of_peak(board, preset, alone),
        "share_outside_of_network": round(1 - alone / taken, 3),
        "warm_up_seconds": round(warm, 1),
        "peak_memory_gb": round(bytes_taken / 1e9, 2),
        **planned(preset),
    }
    first = all(each["way"] != way for each in board.result.get("step", []))
    if way == "usual":
        found["pieces_ms"] = pieces(learner)
    board.put("step", [found])
    if first:
        board.put("switches", {f"{preset.name}, {way}": switches(board, step, way)})
        if way == "compiled":
            profile(step, board.out / "profile.txt")


def group_seconds(step: Callable[[], object], sizes: Sizes) -> float:
    """Seconds of a step: the median of groups, after one step that does not count."""
    step()
    synchronize()
    return statistics.median(seconds(step, sizes.group) for _ in range(sizes.groups))


def share_of_peak(board: Board, preset: Preset, taken: float) -> float | None:
    """FLOP/s of forward and backward pass over those of the bf16 product, if that was
    measured.
    """
    peak = board.result.get("peaks", {}).get("bf16_tflops")
    if not peak:
        return None
    counted = trace(preset, 1)
    flops = sum(each.flops for each in counted.forward + counted.backward)
    return round(flops * preset.batch_size / taken / peak / 1e12, 3)


def planned(preset: Preset) -> dict[str, float]:
    """What `sr3mini plan` says of the same."""
    found = plan(preset, kind=kind(), precision="bf16")
    return {
        "planned_memory_gb": round(found.bytes / 1e9, 2),
        "planned_images_per_second": round(found.images_per_second, 1),
    }


def kind() -> str:
    """The name that the plan has for this device."""
    if not torch.cuda.is_available():
        return "h100"  # the twin's figures mean nothing anyway
    name = torch.cuda.get_device_name().lower()
    return next((each for each in DEVICES if each in name), "cuda")


def forward_and_backward(learner: Learner) -> Callable[[], None]:
    """The network's share of a step, on tensors that lie on the device already."""
    preset, accelerator, f, _, _, optimizer = learner
    whole, n = next(made_up(preset, accelerator.device)), preset.batch_size
    y_0 = cut(whole, preset.size, torch.rand(4, n))
    x = condition(y_0, preset, torch.rand(2, n), range(n))
    eps, gamma = noise(y_0, range(n)), torch.rand(n, dtype=torch.float64)
    gamma = gamma.to(y_0.device)

    def run() -> None:
        optimizer.zero_grad()
        with accelerator.autocast():
            loss = loss_of(f, preset, x, y_0, gamma, eps)
        accelerator.backward(loss)

    return run


def pieces(learner: Learner) -> dict[str, float]:
    """Milliseconds of everything else that `learn` does in a step, one by one."""
    preset, accelerator, f, network, averaged, optimizer = learner
    n, there = preset.batch_size, accelerator.device
    schedule, rows = preset.training_schedule(), range(n)
    y, u, places = made_up(preset, there), torch.rand(2, n), torch.rand(4, n)
    whole = next(y)
    y_0 = cut(whole, preset.size, places)
    average = get_ema_multi_avg_fn(0.999)
    weights, means = [*network.parameters()], [*averaged.parameters()]
    actions: dict[str, Callable[[], object]] = {
        "pictures to the device": lambda: next(y),
        "parts of pictures": lambda: cut(whole, preset.size, places),
        "x = D y": lambda: condition(y_0, preset, u, rows),
        "levels": lambda: sample_gamma(schedule, (n,)).to(there),
        "seeds": lambda: [seed_of(0, 1, row) for row in rows],
        "noise": lambda: noise(y_0, rows),
        "clipping": lambda: accelerator.clip_grad_norm_(f.parameters(), 1.0),
        "AdamW": optimizer.step,
        "average": lambda: average(means, weights, 1),
    }
    found = {}
    for name, action in actions.items():
        action()
        synchronize()
        found[name] = round(1000 * seconds(action, PIECES), 3)
    return found


def switches(board: Board, step: Callable[[], None], way: str) -> dict[str, float]:
    """Images/s over those without, of two switches that torch leaves off."""
    usual = group_seconds(step, board.sizes)
    torch.backends.cudnn.benchmark = True
    try:
        found = {"cudnn.benchmark": usual / group_seconds(step, board.sizes)}
    finally:
        torch.backends.cudnn.benchmark = False
    if way != "compiled":  # it would be compiled anew
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high")
        found["matmul_precision high"] = usual / group_seconds(step, board.sizes)
        torch.set_float32_matmul_precision(before)
    return {name: round(gain, 3) for name, gain in found.items()}


def profile(step: Callable[[], None], file: Path) -> None:
    """The kernels of three steps, by the time that each takes itself."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    by = "self_cpu_time_total"
    if torch.cuda.is_available():
        activities.append(torch.profiler.ProfilerActivity.CUDA)
        by = "self_cuda_time_total"
    with torch.profiler.profile(activities=activities) as watched:
        for _ in range(3):
            step()
        synchronize()
    rows = watched.key_averages()
    file.write_text(rows.table(sort_by=by, row_limit=30, max_name_column_width=90))
