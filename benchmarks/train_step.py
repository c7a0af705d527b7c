r"""How much of the processor or GPU a training step uses: its arithmetic rate over that
of a large matrix product, measured turn by turn.

    python benchmarks/train_step.py [--preset glyphs_8_32] [--batch 32] [--precision no]
        [--ways usual] [--rounds 7] [--profile] [--json FILE]

The step is a whole one, of train.py's loop: degrading, drawing levels, forward,
backward, clipping, AdamW, average. Its FLOPs are those of forward and backward pass on
the meta device. All rates are medians over rounds of (product, steps of each way,
product, ...) in one process, so a machine that speeds up or slows down does so for all.
With --profile also the share of each kind of operation in the usual step, by torch's
profiler. The product is no ceiling: on an AMD EPYC with AVX-512, 3 x 3 convolutions ran
at up to 280 GFLOP/s a core and torch's matrix product at 110.

On a GPU the 16 -> 128 step in the layout of the best-known public SR3 code, in three
ways (the first compiled step takes minutes):

    python benchmarks/train_step.py --preset public_16_128 --batch 64 --precision bf16 \
        --ways contiguous usual compiled
    python benchmarks/train_step.py --preset faces_16_128 --batch 32 --precision bf16 \
        --ways usual compiled
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import itertools
import json
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn

from sr3mini.data import Batches
from sr3mini.model.preset import Preset
from sr3mini.model.presets import PRESETS
from sr3mini.training.cost import trace
from sr3mini.training.learn import learn
from sr3mini.training.learner import Learner, set_up
from sr3mini.training.monitor import machine
from sr3mini.training.plan import product_side

FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
# usual is what train.py does: channels_last, but contiguous in bf16 on a CPU
WAYS = (
    "usual",
    "compiled",
    *FORMATS,
)
# part of an operation's name, and what it belongs to; the first that fits
KINDS = {
    "convolution": "convolutions",
    "group_norm": "GroupNorm",
    "silu": "SiLU",
    "attention": "attention",
    "adam": "optimizer, clipping, average",
    "foreach": "optimizer, clipping, average",
    "lerp_": "optimizer, clipping, average",
    "mul_": "optimizer, clipping, average",
    "norm": "optimizer, clipping, average",
    "copy": "copies",
    "mul": "scales, shifts, skips",
    "add": "scales, shifts, skips",
    "cat": "scales, shifts, skips",
    "sum": "scales, shifts, skips",
}


def accelerated(precision: str = "no") -> Accelerator:
    """The GPU if there is one, else the CPU."""
    AcceleratorState._reset_state()
    return Accelerator(cpu=not torch.cuda.is_available(), mixed_precision=precision)


def made_up(preset: Preset, device: torch.device) -> Batches:
    """The same batch of random pictures again and again: bytes on their way to a
    device, as those of files are.
    """
    side = round(preset.size * preset.zoom)
    shape = (preset.batch_size, preset.image_channels, side, side)
    y = Batches(itertools.repeat(torch.randint(256, shape, dtype=torch.uint8)))
    y.device = device
    return y


def set_up_for(
    preset: Preset,
    precision: str = "no",
    way: str = "usual",
    network: nn.Module | None = None,
) -> Learner:
    """A training that begins, in one of WAYS; with another `network` f(x, y_t, gamma),
    if given, in place of the preset's.
    """
    accelerator = accelerated(precision)
    if network is None:
        learner = set_up(preset, accelerator, compile=way == "compiled")
    else:
        network.to(accelerator.device)
        optimizer = torch.optim.AdamW(
            network.parameters(),
            preset.learning_rate,
            weight_decay=preset.weight_decay,
            fused=True,
        )
        averaged: Any = copy.deepcopy(network).requires_grad_(False)
        other: Any = network
        learner = Learner(preset, accelerator, other, other, averaged, optimizer)
    if way in FORMATS:
        for each in (learner.network, learner.averaged):
            each.to(memory_format=FORMATS[way])  # type: ignore[call-overload]
    return learner


def stepping(learner: Learner) -> Callable[[], None]:
    """One step of train.py's loop on random pictures."""
    learning = learn(learner, made_up(learner.preset, learner.accelerator.device))

    def step() -> None:
        next(learning)

    return step


def training_step(
    preset: Preset,
    precision: str = "no",
    way: str = "usual",
    network: nn.Module | None = None,
) -> Callable[[], None]:
    """`stepping` of what `set_up_for` sets up."""
    return stepping(set_up_for(preset, precision, way, network))


def seconds(action: Callable[[], object], repeats: int = 1) -> float:
    """Wall-clock seconds of one call, averaged over `repeats`, with all that a GPU has
    been given to do.
    """
    start = time.perf_counter()
    for _ in range(repeats):
        action()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / repeats


def profiled(step: Callable[[], None], rounds: int) -> dict[str, float]:
    """Of a step's time, the share of each kind of operation."""
    step()
    with torch.profiler.profile() as profile:
        for _ in range(rounds):
            step()
    taken: Counter[str] = Counter()
    for event in profile.key_averages():
        name = event.key.lower()
        fits = (kind for part, kind in KINDS.items() if part in name)
        taken[next(fits, "the rest")] += event.self_cpu_time_total
    whole = sum(taken.values())
    return {kind: round(time / whole, 3) for kind, time in taken.most_common()}


def alternate(
    actions: Mapping[str, Callable[[], object]], rounds: int, repeats: int = 1
) -> dict[str, list[float]]:
    """Seconds of every action in every round, after an uncounted call of each."""
    for action in actions.values():
        action()
    taken: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            taken[name].append(seconds(action, repeats))
    return taken


def product(precision: str = "no") -> tuple[Callable[[], Tensor], float]:
    """A large matrix product and its FLOPs; in float32 with TF32 on a GPU, as
    convolutions have it.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    side = product_side(device.type)
    a, b = torch.randn(
        2,
        side,
        side,
        device=device,
        dtype=torch.bfloat16 if precision == "bf16" else torch.float32,
    )
    torch.set_float32_matmul_precision("high" if device.type == "cuda" else "highest")
    return lambda: a @ b, 2 * side**3


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="glyphs_8_32", choices=PRESETS)
    parser.add_argument(
        "--batch", type=int, help="pictures a step, if not the preset's own number"
    )
    parser.add_argument("--precision", default="no", choices=("no", "bf16"))
    parser.add_argument("--ways", nargs="+", default=["usual"], choices=WAYS)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--profile", action="store_true", help="on a processor")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    preset = PRESETS[options.preset]
    preset = dataclasses.replace(preset, batch_size=options.batch or preset.batch_size)
    counted = trace(preset, preset.batch_size)
    step_flops = sum(
        operation.flops for operation in counted.forward + counted.backward
    )
    multiply, product_flops = product(options.precision)
    taken = alternate(
        {
            "product": multiply,
            **{
                way: training_step(preset, options.precision, way)
                for way in options.ways
            },
        },
        options.rounds,
        repeats=3,
    )
    result = {
        "machine": machine(),
        "torch": torch.__version__,
        **{
            "preset": preset.name,
            "batch": preset.batch_size,
            "precision": options.precision,
            "rounds": options.rounds,
        },
        "product_tflops": round(
            product_flops / statistics.median(taken["product"]) / 1e12, 4
        ),
    }
    for way in options.ways:
        shares = [
            step_flops / step / (product_flops / multiplied)
            for step, multiplied in zip(taken[way], taken["product"], strict=True)
        ]
        result[way] = {
            "fraction_of_peak": round(statistics.median(shares), 3),
            "fraction_min_max": [round(min(shares), 3), round(max(shares), 3)],
            "images_per_second": round(
                preset.batch_size / statistics.median(taken[way]), 1
            ),
            "step_tflops": round(step_flops / statistics.median(taken[way]) / 1e12, 4),
        }
    if options.profile:
        usual = training_step(preset, options.precision)
        result["shares"] = profiled(usual, options.rounds)
    print(json.dumps(result, indent=2))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
