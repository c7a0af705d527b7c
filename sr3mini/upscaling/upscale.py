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
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from ..degrade import upsample
from ..model.network import Network
from ..shapes import High, Low
from .draw import answer
from .tiled import TILE, Tick, count_windows, device_of, tiled

Size = tuple[int, int]
# float32 copies of the largest picture that are in memory while one is drawn, beside
# the result; measured by benchmarks/large_picture.py
COPIES = 7


def upscale(
    f: Network | Sequence[Network],
    x: Float[Tensor, "C h w"],
    *,
    steps: int | None = None,
    seed: int = 0,
    samples: int = 1,
    size: Size | None = None,
    tile: int = TILE,
    dtype: torch.dtype = torch.float32,
    progress: bool = False,
) -> Float[Tensor, "K C H W"]:
    """`samples` upscaled pictures in [-1, 1] of one picture x in [-1, 1], of one (grey)
    or three (colour) channels.

    `size` (H, W): if not the model's factor times as large; the factor is then repeated
    as often as needed, and the result shrunk. `tile`: side of the network's window.
    Sample k is the one that seed + k names. ValueError when the result is too large for
    this machine's memory.
    """
    networks, shape = [f] if isinstance(f, Network) else list(f), x.shape[-2:]
    size = target_size(networks, shape) if size is None else size
    demand_memory(networks, x.shape, size, samples)
    total, drawn = samples * work(networks, shape, size, steps, tile), []
    with tqdm(total=total, disable=not progress, desc="sampling", unit="window") as bar:
        for number in range(seed, seed + samples):
            low, tick = x.float().cpu()[None], bar.update
            drawn.append(cascade(networks, low, size, number, steps, tile, dtype, tick))
    return torch.cat(drawn)


def cascade(
    networks: Sequence[Network],
    x: Low,
    size: Size,
    seed: int,
    steps: int | None = None,
    tile: int = TILE,
    dtype: torch.dtype = torch.float32,
    tick: Tick = lambda _: None,
) -> High:
    """One sample of `size`: every network enlarges what the one before it made; the
    last is repeated until that is large enough, and its result shrunk.
    """
    generator = torch.Generator().manual_seed(seed)
    for f in stages(networks, x.shape[-2:], size):
        x = enlarge(f, x, generator, steps, tile, dtype, tick)
    return upsample(x, size=size).clamp(-1, 1)


def enlarge(
    f: Network,
    x: Low,
    generator: torch.Generator,
    steps: int | None = None,
    tile: int = TILE,
    dtype: torch.dtype = torch.float32,
    tick: Tick = lambda _: None,
) -> High:
    """One network on pictures of one or three channels, whatever it was trained on."""
    channels, height, width = f.preset.image_channels, *x.shape[-2:]
    shape = (len(x), channels, height * f.preset.factor, width * f.preset.factor)
    shown = x
    if channels < x.shape[1]:
        shown, chroma = to_luma_chroma(x)
    elif channels > x.shape[1]:
        shown = x.expand(-1, channels, -1, -1)

    narrow, device = dtype != torch.float32, device_of(f, x)
    with torch.autocast(device.type, dtype, enabled=narrow):
        y = answer(tiled(f, tile, tick=tick), f.preset, shown, shape, generator, steps)
    if channels < x.shape[1]:
        return from_luma_chroma(y, upsample(chroma, f.preset.factor)).clamp(-1, 1)
    return y.mean(1, keepdim=True) if channels > x.shape[1] else y


def stages(
    networks: Sequence[Network], shape: Sequence[int], size: Size
) -> list[Network]:
    """The networks that lead from (h, w) to at least (H, W): all those given, and the
    last one again as often as needed.

    ValueError when a network was trained without x, enlarges by 1, or is neither for
    grey nor for colour.
    """
    for f in networks:
        if not f.preset.conditional:
            raise ValueError(
                f"{f.preset.name} was trained without a low-resolution picture, so it"
                " upscales none: use `sr3mini generate`"
            )
        if f.preset.factor == 1 or f.preset.image_channels not in (1, 3):
            raise ValueError(
                f"{f.preset.name} enlarges {f.preset.factor} times,"
                f" {f.preset.image_channels} channels: 2 times and 1 or 3 channels are"
                " needed"
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


def calls(f: Network, steps: int | None) -> int:
    """How often the network looks at each window."""
    if f.preset.objective == "regression":
        return 1
    return f.preset.sampling_steps if steps is None else steps


def work(
    networks: Sequence[Network],
    shape: Sequence[int],
    size: Size,
    steps: int | None,
    tile: int,
) -> int:
    """How many windows one sample looks at, over all networks and steps."""
    (height, width), total = shape, 0
    for f in stages(networks, shape, size):
        factor = f.preset.factor
        height, width = height * factor, width * factor
        total += count_windows(height, width, tile, factor) * calls(f, steps)
    return total


def demand_memory(
    networks: Sequence[Network],
    shape: Sequence[int],
    size: Size,
    samples: int = 1,
    name: str = "the picture",
) -> None:
    """ValueError when a picture of `shape` (C, h, w) becomes too large for the memory
    that is free: `COPIES` of the largest picture on the way to `size`, and the samples.
    """
    factor = product(stages(networks, shape[1:], size))
    channels = max(shape[0], *(f.preset.image_channels for f in networks))
    largest = shape[1] * factor * shape[2] * factor * channels
    needed = 4 * (COPIES * largest + samples * size[0] * size[1] * shape[0])
    free = free_memory()
    if needed > free:
        raise ValueError(
            f"{name} would become {shape[2] * factor}x{shape[1] * factor} on the way,"
            f" which takes {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are"
            " free: ask for a smaller --factor or --size, or cut the picture into parts"
        )


def free_memory() -> float:
    """Bytes that Linux could give at once; elsewhere all that the machine has, if that
    can be known.
    """
    told = Path("/proc/meminfo")
    if told.exists():
        found = re.search(r"MemAvailable: *(\d+) kB", told.read_text())
        if found:
            return 1024.0 * int(found[1])
    if not hasattr(os, "sysconf"):
        return math.inf
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


# ITU-R BT.601, as in JPEG
_TO_YCC = torch.tensor(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
)


def to_luma_chroma(
    rgb: Float[Tensor, "B 3 H W"],
) -> tuple[Float[Tensor, "B 1 H W"], Float[Tensor, "B 2 H W"]]:
    """Brightness in [-1, 1] and two colour differences in [-1, 1], by JPEG's matrix."""
    ycc = torch.einsum("ij,bjhw->bihw", _TO_YCC.to(rgb), rgb)
    return ycc[:, :1], ycc[:, 1:]


def from_luma_chroma(
    luma: Float[Tensor, "B 1 H W"], chroma: Float[Tensor, "B 2 H W"]
) -> Float[Tensor, "B 3 H W"]:
    """The inverse of `to_luma_chroma`."""
    back = torch.linalg.inv(_TO_YCC).to(luma)
    return torch.einsum("ij,bjhw->bihw", back, torch.cat([luma, chroma], dim=1))
