r"""Samples of pictures that have the size a network was made for: of p(y | x), and from
noise alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from ..degrade import camera, downsample, upsample
from ..files.sheet import framed
from ..loss import NoisePredictor, regress
from ..model.network import Network
from ..model.preset import Preset
from ..sampler import Method, sample
from ..shapes import High, Low
from .tiled import device_of

BATCH = 64  # pictures that are made from noise together


def generate(
    f: Network,
    count: int,
    *,
    steps: int | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Float[Tensor, "N C S S"]:
    """`count` pictures in [-1, 1] from noise alone: Algorithm 2 with a network that was
    trained without x. Picture k is the one that seed + k names.

    ValueError when f needs an x.
    """
    if f.preset.conditional:
        raise ValueError(
            f"{f.preset.name} enlarges pictures and makes none from noise alone: use"
            " `sr3mini upscale`"
        )
    preset, side = f.preset.sampled(steps), f.preset.size
    nothing = torch.zeros(count, f.preset.image_channels, side, side)
    seeds, drawn = torch.arange(seed, seed + count).split(BATCH), []
    parts = zip(nothing.split(BATCH), seeds, strict=True)
    for x, some in tqdm(parts, total=len(seeds), disable=not progress, desc="sampling"):
        there = x.to(device_of(f, x))
        generators = seeded(some.tolist())
        drawn.append(answer(f, preset, there, x.shape, generators).cpu())
    return torch.cat(drawn)


def grid(
    f: Network, y: Float[Tensor, "N C H W"], samples: int = 3, x: Low | None = None
) -> Float[Tensor, "C height width"]:
    """One picture with a column for each y: input, bicubic, `samples` SR3 samples (or
    one regression), original; two white pixels around each. x = D y if none is given.

    Of a network that was trained without x: `samples` rows of its own pictures above
    the originals.
    """
    if not f.preset.conditional:
        drawn = generate(f, samples * len(y)).to(y).unflatten(0, (samples, len(y)))
        return framed(torch.cat([drawn, y[None]]))

    x = seen(f.preset, y) if x is None else x
    nearest = torch.nn.functional.interpolate(x, size=y.shape[-2:], mode="nearest")
    bicubic = upsample(x, f.preset.factor)
    drawn = draw(f, x, seeds=range(samples if f.preset.label == "SR3" else 1))
    return framed(torch.cat([nearest[None], bicubic[None], drawn, y[None]]))


def seen(preset: Preset, y: High, seeds: Sequence[int] | None = None) -> Low:
    """x as a network of this preset meets it: D y, with the noise of `x_noise`, drawn
    from a seed a picture: 0, 1, 2... unless others are given.
    """
    x = downsample(y, preset.factor)
    if preset.x_noise == 0:
        return x
    return camera(x, preset.x_noise, range(len(x)) if seeds is None else seeds)


def draw(
    f: Network,
    x: Low,
    *,
    steps: int | None = None,
    method: Method | None = None,
    seeds: Iterable[int],
) -> Float[Tensor, "K B C H W"]:
    """One sample of y for every seed and every x, in [-1, 1], drawn on the device of
    `f`; `steps` and `method` are the preset's unless given (`Preset.sampled`). A
    picture's sample depends on the seed and on itself alone. A regression network is
    called once, and gives every seed the same picture (tag 8.7).
    """
    shape = (*x.shape[:2], *(side * f.preset.factor for side in x.shape[-2:]))
    there, preset = x.to(device_of(f, x)), f.preset.sampled(steps, method)
    drawn: list[Tensor] = []
    for k in seeds:
        if not drawn or preset.label != "regression":
            y = answer(f, preset, there, shape, seeded([k] * len(x)))
        drawn.append(y.to(x.device))
    return torch.stack(drawn)


@torch.inference_mode()
def answer(
    f: NoisePredictor,
    preset: Preset,
    x: Low,
    shape: tuple[int, ...],
    generator: torch.Generator | list[torch.Generator] | None,
) -> High:
    """One y in [-1, 1] for every x: of a regression network its only answer, else a
    sample by the method and on the levels of the preset.

    Algorithm 2 takes the posterior's variance and clips y_0_hat: with few steps the
    paper's larger variance leaves noise in the picture (2.6 dB at 50 steps of the
    shipped model).
    """
    if preset.objective == "regression":
        return regress(f, x, shape).clamp(-1, 1)
    levels, method = preset.sampling_schedule(), preset.sampling_method
    draws = partial(sample, variance="posterior", clip=True, generator=generator)
    return draws(f, x, levels, shape, method=method).clamp(-1, 1)


def seeded(seeds: Iterable[int]) -> list[torch.Generator]:
    """A generator for each seed."""
    return [torch.Generator().manual_seed(seed) for seed in seeds]
