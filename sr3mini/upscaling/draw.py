r"""Samples of pictures that have the size a network was made for: of p(y | x), and from
noise alone.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from ..degrade import downsample, upsample
from ..files.sheet import framed
from ..loss import regress
from ..model.network import Network
from ..sampler import sample


def generate(
    f: Network,
    count: int,
    *,
    steps: int | None = None,
    seed: int = 0,
    size: int | None = None,
    batch: int = 64,
    progress: bool = False,
) -> Float[Tensor, "N C S S"]:
    """`count` pictures in [-1, 1] from noise alone: Algorithm 2 with a network that was
    trained without x. Picture k is the one that seed + k names.

    `size`: their side, if not the one that f was trained at. ValueError when f needs an
    x.
    """
    if f.preset.conditional:
        raise ValueError(
            f"{f.preset.name} enlarges pictures and makes none from noise alone: use"
            " `sr3mini upscale`, or a model trained without x"
        )
    side = f.preset.size if size is None else size
    drawn = []
    for first in tqdm(
        range(0, count, batch), disable=not progress, desc="sampling", unit="batch"
    ):
        generators = [
            torch.Generator().manual_seed(seed + k)
            for k in range(first, min(first + batch, count))
        ]
        shape = (len(generators), f.preset.image_channels, side, side)
        x = torch.zeros(
            shape, device=next((parameter.device for parameter in f.parameters()), None)
        )
        drawn.append(
            sample(
                f,
                x,
                f.preset.sampling_schedule(steps),
                shape,
                generator=generators,
                variance="posterior",
                clip=True,
            ).cpu()
        )
    return torch.cat(drawn).clamp(-1, 1)


def grid(
    f: Network, y: Float[Tensor, "N C H W"], samples: int = 3
) -> Float[Tensor, "C height width"]:
    """One picture with a column for each y: input, bicubic, `samples` SR3 samples (or
    one regression), original; two white pixels around each.

    Of a network that was trained without x: `samples` rows of its own pictures above
    the originals.
    """
    if not f.preset.conditional:
        rows = torch.cat(
            [
                generate(f, samples * len(y)).to(y).unflatten(0, (samples, len(y))),
                y[None],
            ]
        )
        return framed(rows)
    x = downsample(y, f.preset.factor)
    nearest = torch.nn.functional.interpolate(x, size=y.shape[-2:], mode="nearest")
    rows = torch.cat(
        [
            nearest[None],
            upsample(x, f.preset.factor)[None],
            draw(f, x, seeds=range(samples if f.preset.label == "SR3" else 1)),
            y[None],
        ]
    )
    return framed(rows)


def draw(
    f: Network,
    x: Float[Tensor, "B C h w"],
    *,
    steps: int | None = None,
    seeds: Iterable[int],
    clip: bool = True,
    progress: bool = False,
) -> Float[Tensor, "K B C H W"]:
    """One sample of y for every seed and every x, in [-1, 1], drawn on the device of
    `f`. A picture's sample depends on the seed and on itself alone.

    Algorithm 2 with the posterior's variance and y_0_hat clipped: with few steps the
    paper's larger variance leaves noise in the picture (2.6 dB at 50 steps of the
    shipped model). A regression network is called once, and gives every seed the same
    picture (tag 9.4).
    """
    size = (x.shape[-2] * f.preset.factor, x.shape[-1] * f.preset.factor)
    asked, x = (
        x.device,
        x.to(next((parameter.device for parameter in f.parameters()), x.device)),
    )
    if f.preset.label == "regression":
        with torch.no_grad():
            answer = regress(f, x, (len(x), x.shape[1], *size)).clamp(-1, 1).to(asked)
        return torch.stack([answer for _ in seeds])
    schedule = f.preset.sampling_schedule(steps)
    drawn = []
    for seed in seeds:
        generators = [torch.Generator().manual_seed(seed) for _ in x]
        drawn.append(
            sample(
                f,
                x,
                schedule,
                (len(x), x.shape[1], *size),
                generator=generators,
                variance="posterior",
                clip=clip,
                progress=progress,
            )
        )
    return torch.stack(drawn).clamp(-1, 1).to(asked)
