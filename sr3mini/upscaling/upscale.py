r"""SR3 on a picture of any size: one network, or a cascade of them; and pictures from
noise alone.

    upscale(f, x, samples=4)  (C, h, w) -> (4, C, H, W)
    upscale([f, g], x)        a cascade: g enlarges what f made
    generate(f, 16)           -> (16, C, S, S), by a network that was trained without x

A model for grey pictures upscales the brightness of a colour picture; its colours are
enlarged bicubically, since the eye hardly sees detail in them. `album` does all this to
files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from ..model.network import Network
from .tiled import TILE, Canvas, Tick, Windows, calls, paint, resized

Size = tuple[int, int]


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
    Sample k is the one that seed + k names.
    """
    networks = [f] if isinstance(f, Network) else list(f)
    source = Canvas(*x.shape)
    source.write(0, x.float())
    size = target_size(networks, x.shape[-2:]) if size is None else size
    drawn = []
    with tqdm(
        total=samples * work(networks, x.shape[-2:], size, steps, tile),
        disable=not progress,
        desc="sampling",
        unit="window",
    ) as bar:
        for k in range(samples):
            large = cascade(
                networks,
                source,
                size,
                seed=seed + k,
                steps=steps,
                tile=tile,
                dtype=dtype,
                tick=bar.update,
            )
            drawn.append(resized(large, size, 0, size[0]).clamp(-1, 1))
    return torch.stack(drawn)


def cascade(
    networks: Sequence[Network],
    x: Canvas,
    size: Size,
    *,
    seed: int,
    steps: int | None = None,
    tile: int = TILE,
    dtype: torch.dtype = torch.float32,
    folder: Path | None = None,
    tick: Tick = lambda _: None,
) -> Canvas:
    """One sample, at least as large as `size`: every network enlarges what the one
    before it made; the last is repeated until that is large enough.
    """
    for stage, f in enumerate(stages(networks, (x.height, x.width), size)):
        x = _enlarge(f, x, seed, stage, steps, tile, dtype, folder, tick)
    return x


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
    chain, factor = list(networks), math.prod(f.preset.factor for f in networks)
    while shape[0] * factor < size[0] or shape[1] * factor < size[1]:
        chain.append(networks[-1])
        factor *= networks[-1].preset.factor
    return chain


def target_size(
    networks: Sequence[Network], shape: Sequence[int], factor: float | None = None
) -> Size:
    """(H, W): (h, w) times `factor`, or times the factors of all networks."""
    factor = math.prod(f.preset.factor for f in networks) if factor is None else factor
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


def work(
    networks: Sequence[Network],
    shape: Sequence[int],
    size: Size,
    steps: int | None,
    tile: int,
) -> int:
    """How many windows one sample looks at, over all networks and steps."""
    windows = 0
    for f in stages(networks, shape, size):
        shape = (shape[0] * f.preset.factor, shape[1] * f.preset.factor)
        windows += len(Windows(f, shape[0], shape[1], tile=tile)) * calls(f, steps)
    return windows


def _enlarge(
    f: Network,
    x: Canvas,
    seed: int,
    stage: int,
    steps: int | None,
    tile: int,
    dtype: torch.dtype,
    folder: Path | None,
    tick: Tick,
) -> Canvas:
    """One network on a picture of one or three channels, whatever it was trained on."""
    height, width, channels = (
        x.height * f.preset.factor,
        x.width * f.preset.factor,
        f.preset.image_channels,
    )
    y = Canvas(channels, height, width, folder)
    shown = x
    if channels != x.channels:
        shown = Canvas(channels, x.height, x.width, folder)
        for top, rows in x.strips():
            shown.write(
                top,
                (
                    to_luma_chroma(rows[None])[0][0]
                    if channels == 1
                    else rows.expand(channels, -1, -1)
                ),
            )
    paint(
        Windows(f, height, width, tile=tile, dtype=dtype),
        shown,
        y,
        steps=steps,
        seed=seed,
        stage=stage,
        tick=tick,
    )
    if channels == x.channels:
        return y
    large = Canvas(x.channels, height, width, folder)
    for top, rows in y.strips():
        if channels == 1:
            chroma = to_luma_chroma(
                resized(x, (height, width), top, top + rows.shape[1])[None]
            )[1]
            large.write(top, from_luma_chroma(rows[None], chroma)[0].clamp(-1, 1))
        else:
            large.write(top, rows.mean(0, keepdim=True))
    return large


_TO_YCC = torch.tensor(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
)  # ITU-R BT.601, as in JPEG


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
    return torch.einsum(
        "ij,bjhw->bihw",
        torch.linalg.inv(_TO_YCC).to(luma),
        torch.cat([luma, chroma], dim=1),
    )
