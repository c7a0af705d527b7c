r"""One training step watched on torch's meta device, which knows shapes and holds no
numbers: what it computes, what it moves, what it keeps.

    trace(preset, batch)     about a second and no memory, however large the network

Counted, not guessed: the arithmetic of every convolution, product and attention, the
bytes that every operation reads and writes, and which tensors are alive together.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from functools import lru_cache
from itertools import count
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from ..degrade import downsample
from ..loss import denoising_loss
from ..model.network import build
from ..model.preset import Preset


class Operation(NamedTuple):
    """What one operation computes (FLOPs, twice the multiplications) and moves (bytes
    read and written).
    """

    flops: int
    moved: int


class Traced(NamedTuple):
    """A training step of one process: its operations, and at its fullest moment the
    bytes of gradients and of everything else but weights.
    """

    parameters: int
    stage: int  # parameters of the largest part that FSDP gathers at once
    forward: list[Operation]
    backward: list[Operation]
    gradients: int
    activations: int


class _Watch(TorchDispatchMode):
    """Notes every operation, and every allocation and release of memory, by the number
    of the tensor's storage.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[Operation] = []
        # storage number, bytes: > 0 when taken, < 0 when given back
        self.events: list[tuple[int, int]] = []
        self.numbers: dict[int, int] = {}
        self.free = count()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        read, results = _tensors_in((args, kwargs)), _tensors_in(out)
        given = {each.untyped_storage()._cdata for each in read}
        made = [each for each in results if each.untyped_storage()._cdata not in given]
        if made or func._schema.is_mutable:  # and no view
            for each in made:
                self._take(each.untyped_storage())
            formula = flop_registry.get(func._overloadpacket)
            flops = formula(*args, **kwargs, out_val=out) if formula else 0
            moved = sum(each.nbytes for each in (*read, *made))
            self.operations.append(Operation(flops, moved))
        return out

    def _take(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self.numbers:
            number = self.numbers[key] = next(self.free)
            self.events.append((number, size))
            weakref.finalize(storage, self._give_back, key, size)

    def _give_back(self, key: int, size: int) -> None:
        self.events.append((self.numbers.pop(key), -size))


class _Kernels(TorchFunctionMode):
    """What torch chooses on a device and not on meta: one fused kernel for attention,
    and autocast's types: products in bfloat16, on a GPU norms in float32.
    """

    def __init__(self, bf16: bool, gpu: bool) -> None:
        super().__init__()
        products = (torch.conv2d, F.linear, F.scaled_dot_product_attention)
        self.types: dict[Any, torch.dtype] = {}
        if bf16:
            self.types = dict.fromkeys(products, torch.bfloat16)
            if gpu:
                self.types[F.group_norm] = torch.float32

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kind = self.types.get(func)
        if kind is not None:
            args = [arg.to(kind) if isinstance(arg, Tensor) else arg for arg in args]
        if func is F.scaled_dot_product_attention:
            attention = torch.ops.aten._scaled_dot_product_efficient_attention
            return attention(*args, None, True)[0]
        return func(*args, **(kwargs or {}))


@lru_cache(maxsize=32)  # plans for many devices ask for few batches
def trace(preset: Preset, batch: int, bf16: bool = False, gpu: bool = True) -> Traced:
    """A training step on `batch` pictures: forward and backward pass. Takes about a
    second and no memory, however large the network.
    """
    size, channels = preset.size, preset.image_channels
    watch = _Watch()
    with torch.device("meta"):
        f = build(preset)
        with watch:
            y_0, eps = torch.empty(2, batch, channels, size, size).unbind()
            x, gamma = downsample(y_0, preset.factor), torch.empty(batch)
            with _Kernels(bf16, gpu):
                # a regression's costs the same
                loss = denoising_loss(f, x, y_0, gamma, eps, preset.loss_power)
            forward = len(watch.operations)
            loss.backward()

    stages = [each for each in f.modules() if isinstance(each, nn.ModuleList)]
    asked = [p.grad.untyped_storage() for p in f.parameters() if p.grad is not None]
    numbers = {watch.numbers[each._cdata] for each in asked}
    gradients, activations = max(_levels(watch.events, numbers), key=sum)
    return Traced(
        parameters=_count(f),
        stage=max(_count(part) for parts in stages for part in parts),
        forward=watch.operations[:forward],
        backward=watch.operations[forward:],
        gradients=gradients,
        activations=activations,
    )


def _tensors_in(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _levels(
    events: list[tuple[int, int]], gradients: set[int]
) -> Iterator[tuple[int, int]]:
    """(bytes of gradients, bytes of the rest) after every event."""
    of_gradients, rest = 0, 0
    for number, size in events:
        if number in gradients:
            of_gradients += size
        else:
            rest += size
        yield of_gradients, rest
