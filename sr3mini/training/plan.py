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

import bisect
import math
import os
import timeit
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from ..model.preset import Preset
from .cost import Operation, Traced, trace
from .options import demand_equal_shares

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


# What NVIDIA states, without sparsity: its data sheets (H100 and H200 SXM, A100 80 GB
# SXM, V100 32 GB SXM2, T4 on PCIe 3.0 x16), and its white paper on the architecture Ada
# (RTX 4090 on PCIe 4.0 x16).
DEVICES = {
    "h100": Device(80e9, 494.7e12, 989.4e12, 3.35e12, 450e9),
    "h200": Device(141e9, 494.7e12, 989.4e12, 4.8e12, 450e9),
    "a100": Device(80e9, 156e12, 312e12, 2.039e12, 300e9),
    "rtx4090": Device(24e9, 82.6e12, 165.2e12, 1.008e12, 32e9),
    "v100": Device(32e9, 15.7e12, None, 0.9e12, 150e9),
    "t4": Device(16e9, 8.1e12, None, 0.32e12, 16e9),
}


@dataclass(frozen=True)
class Plan:
    """What `plan` was asked, the device's figures as far as they are reached, and what
    follows from both. Bytes are of one device at its fullest moment.
    """

    preset: Preset
    kind: str
    gpus: int
    precision: str
    micro_batches: int
    shard: bool
    room: float  # bytes that there are, less HEADROOM
    rate: float  # FLOP/s of convolutions
    bandwidth: float  # bytes/s of the memory
    link: float  # bytes/s to a neighbour

    @property
    def batch(self) -> int:
        """Pictures that a device computes at once."""
        return self.preset.batch_size // (self.gpus * self.micro_batches)

    @property
    def step(self) -> Traced:
        """One device's share of a step, forward and backward pass."""
        bf16, gpu = self.precision == "bf16", self.kind != "cpu"
        return trace(self.preset, self.batch, bf16, gpu)

    @property
    def parameters(self) -> int:
        return self.step.parameters

    @property
    def forward_flops(self) -> float:
        """A picture's."""
        return sum(each.flops for each in self.step.forward) / self.batch

    @property
    def training_flops(self) -> float:
        """A picture's, forward and backward."""
        flops = sum(each.flops for each in self.step.backward)
        return self.forward_flops + flops / self.batch

    @property
    def memory(self) -> dict[str, float]:
        """Bytes by part, four a number: AdamW has two a weight; gradients of earlier
        micro-batches are kept whole; DDP keeps a second copy of them.
        """
        weights = 4 * self.parameters / (self.gpus if self.shard else 1)
        whole = self.shard or self.micro_batches > 1
        parts = {
            "weights": weights,
            "average": weights,
            "optimizer": 2 * weights,
            "gradients": weights if whole else self.step.gradients,
            "activations": float(self.step.activations),
        }
        if self.shard:  # the part computed, the next one, and gradients on their way
            parts["gathered"] = 3.0 * 4 * self.step.stage
        elif self.gpus > 1:
            parts["gradients for DDP"] = weights
        return parts

    @property
    def bytes(self) -> float:
        return sum(self.memory.values())

    @property
    def fits(self) -> bool:
        return self.bytes <= self.room

    @property
    def seconds(self) -> float:
        """A step. Its devices talk while they compute: they sum gradients and hand them
        round, or gather weights twice and scatter gradients.
        """
        weights, others = 4 * self.parameters, (self.gpus - 1) / self.gpus
        talks = 3 * self.micro_batches if self.shard else 2
        talking = talks * weights * others / self.link
        operations = self.step.forward + self.step.backward
        computing = sum(
            _seconds(each, self.rate, self.bandwidth) for each in operations
        )
        updated = self.parameters / (self.gpus if self.shard else 1)
        updating = OPTIMIZER * updated / self.bandwidth
        return max(self.micro_batches * computing, talking) + updating

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
    demand_equal_shares(preset.batch_size, gpus, micro_batches)
    if kind in DEVICES:
        device, product, stream = DEVICES[kind], PRODUCT, STREAM
    else:
        device, product, stream = this_device(kind), 1.0, 1.0
    precision = precision or ("bf16" if device.bf16 and kind != "cpu" else "no")
    most = device.fp32 if precision == "no" else device.bf16
    if most is None:
        raise ValueError(f"a {kind} has no bfloat16: plan for --precision no")
    return Plan(
        preset=preset,
        kind=kind,
        gpus=gpus,
        precision=precision,
        micro_batches=micro_batches,
        shard=shard,
        room=device.memory * (1 if kind == "cpu" else 1 - HEADROOM),
        rate=CONVOLUTION[precision] * (peak or product * most),
        bandwidth=stream * device.bandwidth,
        link=device.link,
    )


def cure(too_large: Plan) -> Plan | None:
    """The same training in as few micro-batches as make it fit, its weights spread over
    the devices only if they must be; None if nothing helps.
    """
    share = too_large.preset.batch_size // too_large.gpus
    small = [n for n in range(1, math.isqrt(share) + 1) if share % n == 0]
    divisors = sorted({*small, *(share // n for n in small)})
    for shard in (False, True) if too_large.gpus > 1 else (False,):
        plans = [replace(too_large, micro_batches=n, shard=shard) for n in divisors]
        # one part keeps no gradients beside it; of several, more parts take less
        if plans[0].fits:
            return plans[0]
        first = bisect.bisect_left(plans, True, lo=1, key=lambda each: each.fits)
        if first < len(plans):
            return plans[first]
    return None


def this_device(kind: str) -> Device:
    """This machine's "cpu" or "cuda": the rates of a large matrix product and of
    multiplying two vectors of activations' size, measured in a second or two.

    ValueError when it has none, or it is of another kind.
    """
    if kind not in ("cpu", "cuda"):
        raise ValueError(
            f"no kind of device {kind!r}; there are: {', '.join(DEVICES)}, and this"
            " machine's own cpu and cuda"
        )
    gpu = kind == "cuda"
    if gpu and not torch.cuda.is_available():
        raise ValueError(
            "this machine has no GPU that torch can use: name the kind you plan for,"
            " such as --kind h100"
        )
    side, length = product_side(kind), 64_000_000 if gpu else 2_000_000
    a, b = torch.randn(2, side, side, device=kind)
    u, v = torch.randn(2, length, device=kind)
    half_a, half_b = a.bfloat16(), b.bfloat16()

    before = torch.get_float32_matmul_precision()
    if gpu:
        torch.set_float32_matmul_precision("high")  # TF32, as float32 convolutions have
    fp32 = 2 * side**3 / _fastest(lambda: a @ b, gpu)
    bf16 = 2 * side**3 / _fastest(lambda: half_a @ half_b, gpu)
    torch.set_float32_matmul_precision(before)
    bandwidth = 12 * length / _fastest(lambda: u * v, gpu)
    memory = math.inf
    if gpu:
        memory = torch.cuda.mem_get_info()[1]
    elif hasattr(os, "sysconf"):
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Device(float(memory), fp32, bf16, bandwidth, 16e9)


def product_side(kind: str) -> int:
    """Of square matrices that are large enough for the best rate, and no larger."""
    return 8192 if kind == "cuda" else 1024


def _seconds(operation: Operation, rate: float, bandwidth: float) -> float:
    """What limits an operation: arithmetic, memory, or being started."""
    return max(operation.flops / rate, operation.moved / bandwidth, LAUNCH)


def _fastest(action: Callable[[], object], gpu: bool) -> float:
    """Seconds of the fastest of eleven calls."""

    def whole() -> None:
        action()
        if gpu:
            torch.cuda.synchronize()

    return min(timeit.repeat(whole, number=1, repeat=11))
