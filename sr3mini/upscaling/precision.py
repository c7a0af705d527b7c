r"""The numbers that a network computes in: bfloat16 where it is faster on this machine.

Only a trial tells: of two processors that both know bfloat16, one takes half the time
of float32 and the other half as much again.
"""

from __future__ import annotations

import time
from functools import lru_cache

import torch

from ..model.network import Network
from .tiled import device_of

WORTH = 100  # windows, from which on a trial pays
SIDE = 128  # of the picture that is tried
ENOUGH = 1.2  # times as fast; a little less exact is not worth less
LIMIT = 0.5  # seconds


def numbers_for(f: Network, windows: int) -> tuple[torch.dtype, str]:
    """What f looks at so many windows in, and how the trial ended if there was one."""
    if windows < WORTH:
        return torch.float32, ""
    dtype, ratio = quicker(f)
    name = str(dtype).removeprefix("torch.")
    return dtype, f"in {name}, bfloat16 is {ratio:.1f}x as fast"


@lru_cache(maxsize=1)
def quicker(f: Network) -> tuple[torch.dtype, float]:
    """float32 or bfloat16, and how many times as fast f is in bfloat16 here.

    The fastest of two to five calls each, turn by turn, so that what slows the machine
    down slows both.
    """
    seconds = {torch.float32: [seconds_of(f, torch.float32)]}
    seconds[torch.bfloat16] = [seconds_of(f, torch.bfloat16)]
    started = time.perf_counter()
    for turn in range(4):
        if turn and time.perf_counter() - started > LIMIT:
            break
        for dtype, taken in seconds.items():
            taken.append(seconds_of(f, dtype))
    ratio = min(seconds[torch.float32]) / min(seconds[torch.bfloat16])
    return (torch.bfloat16 if ratio > ENOUGH else torch.float32), ratio


@torch.inference_mode()
def seconds_of(f: Network, dtype: torch.dtype) -> float:
    """How long one call takes for one picture of about SIDE x SIDE pixels."""
    preset, nothing = f.preset, torch.zeros(1)
    device, small = device_of(f, nothing), max(1, SIDE // preset.factor)
    x = torch.zeros(1, preset.image_channels, small, small, device=device)
    y_t = x.new_zeros(1, x.shape[1], small * preset.factor, small * preset.factor)
    started = time.perf_counter()
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        f(x, y_t, x.new_full((1,), 0.5)).sum().item()  # which waits for a GPU
    return time.perf_counter() - started
