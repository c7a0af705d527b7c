r"""What a training will cost, before it is paid for: arithmetic, memory by part,
pictures a second, hours.

    plan(PRESETS["faces_16_128"], gpus=8, kind="h100")

    seconds of a step = sum over its operations of max(FLOPs / rate, bytes / bandwidth,
    LAUNCH)

Operations, FLOPs, bytes and the tensors that are alive together are counted (`trace`).
How much of a data sheet's figures is reached is assumed, in the constants below; a rate
that was measured can take their place.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..model.preset import Preset
from .cost import Operation, Traced, trace

PRODUCT = 0.7  # share of a data sheet's dense peak that a large matrix product reaches
# Share of that product's rate that convolutions reach: measured on a CPU with AVX-512,
# assumed for GPUs.
CONVOLUTION = {"no": 0.9, "bf16": 0.62}
STREAM = 0.8  # share of the memory's bandwidth that element-wise operations reach
LAUNCH = 5e-6  # seconds that the smallest operation takes
# Share of a GPU's memory that is left to CUDA, cuDNN's scratch space and gaps between
# tensors.
HEADROOM = 0.1
# Bytes that clipping, AdamW and the average move for every parameter: 13 reads and
# writes of four bytes.
OPTIMIZER = 52


@dataclass(frozen=True)
class Device:
    """A kind of processor: bytes of memory, FLOP/s of matrix products (dense), bytes/s
    of its memory and to a neighbour, one way.
    """

    memory: float
    fp32: float  # what torch gives to float32 convolutions: TF32 where the GPU has it
    bf16: float | None  # with float32 sums; None: it has no bf16
    bandwidth: float
    link: float
    source: str


_SXM = "data sheet, SXM, without sparsity"
_ADA = "NVIDIA Ada architecture white paper, without sparsity; PCIe 4.0 x16"
_A100 = "NVIDIA A100 data sheet, 80 GB SXM, without sparsity"
_V100, _T4 = "NVIDIA V100 data sheet, 32 GB SXM2", "NVIDIA T4 data sheet; PCIe 3.0 x16"
DEVICES = {
    "h100": Device(80e9, 494.7e12, 989.4e12, 3.35e12, 450e9, f"NVIDIA H100 {_SXM}"),
    "h200": Device(141e9, 494.7e12, 989.4e12, 4.8e12, 450e9, f"NVIDIA H200 {_SXM}"),
    "a100": Device(80e9, 156e12, 312e12, 2.039e12, 300e9, _A100),
    "rtx4090": Device(24e9, 82.6e12, 165.2e12, 1.008e12, 32e9, _ADA),
    "v100": Device(32e9, 15.7e12, None, 0.9e12, 150e9, _V100),
    "t4": Device(16e9, 8.1e12, None, 0.32e12, 16e9, _T4),
}
"""What the vendors state. "cpu" and "cuda" are this machine's own, measured when asked
for.
"""


@dataclass(frozen=True)
class Plan:
    """What `plan` found. Bytes are of one device at its fullest moment."""

    preset: Preset
    kind: str
    gpus: int
    precision: str
    micro_batches: int
    shard: bool
    source: str  # of the device's figures
    parameters: int
    forward_flops: float  # a picture
    training_flops: float  # a picture, forward and backward
    memory: dict[str, float]  # part -> bytes
    room: float  # bytes that there are, less HEADROOM
    rate: float  # FLOP/s that convolutions are taken to reach
    seconds: float  # a step

    @property
    def batch(self) -> int:
        """Pictures that a device computes at once."""
        return self.preset.batch_size // (self.gpus * self.micro_batches)

    @property
    def bytes(self) -> float:
        return sum(self.memory.values())

    @property
    def fits(self) -> bool:
        return self.bytes <= self.room

    @property
    def images_per_second(self) -> float:
        return self.preset.batch_size / self.seconds

    @property
    def hours(self) -> float:
        return self.preset.train_steps * self.seconds / 3600


def plan(
    preset: Preset,
    *,
    kind: str = "h100",
    gpus: int = 1,
    precision: str | None = None,
    micro_batches: int = 1,
    shard: bool = False,
    peak: float | None = None,
) -> Plan:
    """The cost of training `preset` on `gpus` devices of a `kind`: one of DEVICES, or
    this machine's "cpu" or "cuda", measured on the spot.

    `precision`: "bf16" or "no"; left out, bf16 where a GPU has it. `micro_batches` and
    `shard` mean what they mean for `train`. `peak`: FLOP/s of a large matrix product,
    measured. Exact for one machine's GPUs; the network between machines is not counted.
    ValueError when the device is not known, has no bf16, or the batch cannot be shared.
    """
    kind = kind.lower().replace(" ", "").replace("-", "")
    device, measured = _device(kind), kind not in DEVICES
    precision = precision or ("bf16" if device.bf16 and kind != "cpu" else "no")
    product = device.fp32 if precision == "no" else device.bf16
    if product is None:
        raise ValueError(
            f"a {kind} has no bfloat16 arithmetic: plan for --precision no"
        )
    if preset.batch_size % (gpus * micro_batches):
        raise ValueError(
            f"a batch of {preset.batch_size} pictures cannot be shared by {gpus}"
            f" devices with {micro_batches} micro-batches each: it must be a multiple"
            f" of {gpus * micro_batches}"
        )
    batch = preset.batch_size // (gpus * micro_batches)
    step = trace(preset, batch, bf16=precision == "bf16", gpu=kind != "cpu")
    rate = CONVOLUTION[precision] * (peak or product * (1 if measured else PRODUCT))
    bandwidth = device.bandwidth * (1 if measured else STREAM)

    operations = step.forward + step.backward
    part = sum(_seconds(each, rate, bandwidth) for each in operations)
    talks = micro_batches if shard else 1
    talking = talks * _talking(step.parameters, gpus, shard) / device.link
    updating = OPTIMIZER * step.parameters / (gpus if shard else 1) / bandwidth
    return Plan(
        preset=preset,
        kind=kind,
        gpus=gpus,
        precision=precision,
        micro_batches=micro_batches,
        shard=shard,
        source=device.source,
        parameters=step.parameters,
        forward_flops=sum(each.flops for each in step.forward) / batch,
        training_flops=sum(each.flops for each in operations) / batch,
        memory=_memory(step, gpus, micro_batches, shard),
        room=device.memory * (1 if kind == "cpu" else 1 - HEADROOM),
        rate=rate,
        seconds=max(micro_batches * part, talking) + updating,
    )


def cure(too_large: Plan) -> Plan | None:
    """The same training in as few micro-batches as make it fit, its weights spread over
    the devices only if they must be; None if nothing helps.
    """
    preset, gpus = too_large.preset, too_large.gpus
    share, peak = preset.batch_size // gpus, too_large.rate
    peak /= CONVOLUTION[too_large.precision]
    for shard in (False, True) if gpus > 1 else (False,):
        for micro_batches in range(1, share + 1):
            if share % micro_batches:
                continue
            found = plan(
                preset,
                kind=too_large.kind,
                gpus=gpus,
                precision=too_large.precision,
                micro_batches=micro_batches,
                shard=shard,
                peak=peak,
            )
            if found.fits:
                return found
    return None


def this_device(device: torch.device) -> Device:
    """This machine's processor or GPU: the rates of a large matrix product and of
    multiplying two vectors of activations' size, measured in a second or two.
    """
    gpu, side = device.type == "cuda", product_side(device)
    length = 64_000_000 if gpu else 2_000_000
    a, b = torch.randn(2, side, side, device=device)
    u, v = torch.randn(2, length, device=device)
    half_a, half_b = a.bfloat16(), b.bfloat16()

    before = torch.get_float32_matmul_precision()
    if gpu:
        torch.set_float32_matmul_precision("high")  # TF32, as float32 convolutions have
    fp32 = 2 * side**3 / _fastest(lambda: a @ b, gpu)
    bf16 = 2 * side**3 / _fastest(lambda: half_a @ half_b, gpu)
    torch.set_float32_matmul_precision(before)
    bandwidth = 12 * length / _fastest(lambda: u * v, gpu)
    source = "this machine, measured now"
    return Device(_memory_of(device), fp32, bf16, bandwidth, 16e9, source)


def product_side(device: torch.device) -> int:
    """Of square matrices that are large enough for the best rate, and no larger."""
    return 8192 if device.type == "cuda" else 1024


def _device(kind: str) -> Device:
    if kind in DEVICES:
        return DEVICES[kind]
    if kind not in ("cpu", "cuda"):
        raise ValueError(
            f"no kind of device {kind!r}; there are: {', '.join(DEVICES)}, and cpu and"
            " cuda, which are this machine's own"
        )
    if kind == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            "this machine has no GPU that torch can use: name the kind you plan for,"
            " such as --kind h100"
        )
    return this_device(torch.device(kind))


def _memory_of(device: torch.device) -> float:
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[1])
    if not hasattr(os, "sysconf"):
        return math.inf
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def _fastest(action: Callable[[], object], gpu: bool, rounds: int = 10) -> float:
    """Seconds of the fastest of `rounds` calls, after one that is not counted."""
    seconds = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        action()
        if gpu:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def _seconds(operation: Operation, rate: float, bandwidth: float) -> float:
    return max(operation.flops / rate, operation.moved / bandwidth, LAUNCH)


def _memory(
    step: Traced, gpus: int, micro_batches: int, shard: bool
) -> dict[str, float]:
    """Bytes by part, four a number: AdamW has two a weight; gradients of earlier
    micro-batches are kept whole; DDP keeps a second copy of them.
    """
    weights = 4 * step.parameters / (gpus if shard else 1)
    gradients = weights if shard or micro_batches > 1 else step.gradients
    parts = {
        "weights": weights,
        "average": weights,
        "optimizer": 2 * weights,
        "gradients": gradients,
        "activations": float(step.activations),
    }
    if shard:  # the part that is computed, the next one, and gradients on their way
        parts["gathered"] = 3.0 * 4 * step.stage
    elif gpus > 1:
        parts["gradients for DDP"] = weights
    return parts


def _talking(parameters: int, gpus: int, shard: bool) -> float:
    """Bytes that a device sends in a step: gradients summed and handed round, or
    weights gathered twice and gradients scattered.
    """
    return (3 if shard else 2) * 4 * parameters * (gpus - 1) / gpus
