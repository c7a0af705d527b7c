"""What the device can do at most: products of large matrices of random numbers, and
copies that no cache holds.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

import torch
from train_step import seconds

from .board import Board, device, free

ROUNDS = 7
KINDS = (
    ("bf16_tflops", torch.bfloat16, "highest"),
    ("tf32_tflops", torch.float32, "high"),
    ("fp32_tflops", torch.float32, "highest"),
)


def peaks(board: Board) -> None:
    """FLOP/s in bfloat16, float32 with TF32 and without; bytes/s read and written."""
    before = torch.get_float32_matmul_precision()
    found = {"side": float(board.sizes.side)}
    for name, kind, precision in KINDS:
        torch.set_float32_matmul_precision(precision)
        found[name] = round(product(board.sizes.side, kind) / 1e12, 4)
    torch.set_float32_matmul_precision(before)
    found["copy_tb_per_second"] = round(copy(board.sizes.copied) / 1e12, 4)
    board.put("peaks", found)
    free()


def product(side: int, kind: torch.dtype) -> float:
    """FLOP/s."""
    a, b = torch.randn(2, side, side, device=device()).to(kind).unbind()
    return 2 * side**3 / median(lambda: a @ b)


def copy(size: int) -> float:
    """Bytes/s, read and written, of a copy of `size` bytes."""
    source = torch.rand(size // 4, device=device())
    target = torch.empty_like(source)
    return 2 * size / median(lambda: target.copy_(source))


def median(action: Callable[[], object], repeats: int = 5) -> float:
    """Seconds of a call: the median of rounds of `repeats` calls, after one that does
    not count.
    """
    seconds(action)
    return statistics.median(seconds(action, repeats) for _ in range(ROUNDS))
