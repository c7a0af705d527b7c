r"""SR3 on a picture of any size: one network, or a cascade of them.

    upscale(f, x, samples=4)  (C, h, w) -> (4, C, H, W)
    upscale([f, g], x)        a cascade: g enlarges what f made

A model for grey pictures upscales the brightness of a colour picture; its colours are
enlarged bicubically, since the eye hardly sees detail in them. `upscale_files` does all
this to files.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..degrade import upsample
from ..files.reading import luma
from ..model.network import Network
from ..sampler import Method, demand_levels
from ..shapes import High, Low
from .draw import answer
from .tiled import TILE, Tick, count_windows, device_of, tiled

Size = tuple[int, int]
# float32 copies of the largest picture that are in memory while one is drawn, beside
# the result; measured by benchmarks/large_picture.py
COPIES = 7


def upscale(
    f: Network | Sequence[Network],
    x: Tensor,
    *,
    steps: int | None = None,
    method: Method | None = None,
    seed: int = 0,
    samples: int = 1,
    size: Size | None = None,
    tile: int = TILE,
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "K C H W"]:
    """`samples` upscaled pictures in [-1, 1] of one picture x (C, h, w) in [-1, 1], of
    one (grey) or three (colour) channels.

    `size` (H, W): if not the model's factor times as large; the factor is then repeated
    as often as needed, and the result shrunk. `steps` and `method`: the preset's unless
    given (`Preset.sampled`). `tile`: side of the network's window. Sample k is the one
    that seed + k names. ValueError when x is no such picture, or the result is too
    large for this machine's memory.
    """
    demand_picture(x)
    networks, low = [f] if isinstance(f, Network) else list(f), x.float().cpu()[None]
    size = target_size(networks, x.shape[1:]) if size is None else size
    work(networks, x.shape, size, samples, steps, method, tile)  # or it does not fit
    how = {"steps": steps, "method": method, "tile": tile, "dtype": dtype}
    seeds = range(seed, seed + samples)
    return torch.cat([cascade(networks, low, size, k, **how) for k in seeds])


def demand_picture(x: Any) -> None:
    """ValueError, with what to do, unless x is a picture (C, h, w) as networks know it:
    floats, roughly in [-1, 1], of one or three channels.
    """
    if not isinstance(x, Tensor):
        raise ValueError(
            f"x is a {type(x).__name__}: pass a tensor, such as torch.from_numpy(x)"
        )
    if x.ndim != 3 or x.shape[0] not in (1, 3) or 0 in x.shape:
        batch = "; of a batch, call it for each x[k]" if x.ndim == 4 else ""
        raise ValueError(
            f"x has the shape {tuple(x.shape)}, but upscale takes one picture"
            f" (C, h, w) of 1 or 3 channels{batch}"
        )
    demand_levels(x)


def cascade(
    networks: Sequence[Network], x: Low, size: Size, seed: int, **how: Any
) -> High:
    """One sample of `size`: every network enlarges what the one before it made; the
    last is repeated until that is large enough, and its result shrunk. `how`: see
    `enlarge`.
    """
    generator = torch.Generator().manual_seed(seed)
    for f in stages(networks, x.shape[-2:], size):
        x = enlarge(f, x, generator, **how)
    return upsample(x, size=size).clamp(-1, 1)


def enlarge(
    f: Network,
    x: Low,
    generator: torch.Generator,
    steps: int | None = None,
    method: Method | None = None,
    tile: int = TILE,
    dtype: torch.dtype = torch.float32,
    tick: Tick = lambda _: None,
) -> High:
    """One network on pictures of one or three channels, whatever it was trained on: of
    a colour picture, a grey one changes the brightness alone.
    """
    preset, colours = f.preset.sampled(steps, method), x
    grey = preset.image_channels < x.shape[1]
    x = luma(x) if grey else x.expand(-1, preset.image_channels, -1, -1)
    shape = (*x.shape[:2], *(side * preset.factor for side in x.shape[2:]))

    narrow, device = dtype != torch.float32, device_of(f, x)
    with torch.autocast(device.type, dtype, enabled=narrow):
        y = answer(tiled(f, tile, tick=tick), preset, x, shape, generator)
    if grey:
        large = upsample(colours, preset.factor)
        return (large + y - luma(large)).clamp(-1, 1)
    return y if y.shape[1] == colours.shape[1] else y.mean(1, keepdim=True)


def stages(
    networks: Sequence[Network], shape: Sequence[int], size: Size
) -> list[Network]:
    """The networks that lead from (h, w) to at least (H, W): all those given, and the
    last one again as often as needed.

    ValueError when a network was trained without x, or enlarges by 1.
    """
    for f in networks:
        if not f.preset.conditional or f.preset.factor == 1:
            raise ValueError(
                f"{f.preset.name} enlarges nothing: take a network trained with x and a"
                " factor; with one trained without x, use `sr3mini generate`"
            )
    chain, factor = list(networks), product(networks)
    while shape[0] * factor < size[0] or shape[1] * factor < size[1]:
        chain.append(networks[-1])
        factor *= networks[-1].preset.factor
    return chain


def product(networks: Sequence[Network]) -> int:
    """How many times all of them together enlarge."""
    return math.prod(f.preset.factor for f in networks)


def target_size(
    networks: Sequence[Network], shape: Sequence[int], factor: float | None = None
) -> Size:
    """(H, W): (h, w) times `factor`, or times the factors of all networks."""
    factor = product(networks) if factor is None else factor
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


def work(
    networks: Sequence[Network],
    shape: Sequence[int],
    size: Size,
    samples: int,
    steps: int | None,
    method: Method | None,
    tile: int,
    name: str = "the picture",
) -> int:
    """How many windows one sample of a picture (C, h, w) looks at, over all networks
    and steps.

    ValueError when it becomes too large for the memory that is free: `COPIES` of the
    largest picture on the way to `size`, and `samples` results.
    """
    channels, height, width = shape
    chain = stages(networks, shape[1:], size)
    factor = math.prod(f.preset.factor for f in chain)
    large = height * factor, width * factor
    most = max(channels, *(f.preset.image_channels for f in networks))
    largest, result = large[0] * large[1] * most, size[0] * size[1] * channels
    needed, free = 4 * (COPIES * largest + samples * result), free_memory()
    if needed > free:
        raise ValueError(
            f"{name} would become {large[1]}x{large[0]} on the way, which takes"
            f" {needed / 1e9:,.1f} GB of memory, and {free / 1e9:,.1f} GB are free: ask"
            " for a smaller --factor or --size, or cut the picture into parts"
        )

    total = 0
    for f in chain:
        factor, calls = f.preset.factor, f.preset.sampled(steps, method).sampling_steps
        height, width = height * factor, width * factor
        calls = 1 if f.preset.label == "regression" else calls
        total += count_windows(height, width, tile, factor) * calls
    return total


def free_memory() -> float:
    """Bytes that Linux could give at once; elsewhere all that the machine has, if that
    can be known.
    """
    told = Path("/proc/meminfo")
    if told.exists():
        return 1024 * float(told.read_text().split("MemAvailable:")[1].split()[0])
    if not hasattr(os, "sysconf"):
        return math.inf
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
