r"""Pictures of any size: a network that looks at window after window is one more f.

    eps_hat = sum_k w_k f(x_k, y_t,k, gamma_t)
        w_k >= 0, smooth, and sum_k w_k = 1 at every pixel

x_k and y_t,k are what window k shows of x and y_t. There is one y_t: where windows
overlap they look at the same noise, and after every step they go on from the same
picture, so they cannot drift apart (the idea of MultiDiffusion, Bar-Tal et al. 2023).
Windows drawn to the end one by one would each invent their own detail, and blending two
inventions gives a blur.

`sample` of chapter 7 draws with `tiled(f)` as with any other f. The network's memory is
that of its windows; the picture, and `sample`'s few copies of it, lie in memory whole.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..loss import NoisePredictor
from ..shapes import High, Levels, Low

TILE = 256  # side of a window, pixels of the result
# Pixels that neighbouring windows share, at least. With 16 seams begin to show in the
# shipped networks, and 64 cost half as many calls again for a picture of 2048 pixels.
OVERLAP = 32

Tick = Callable[[int], object]


class Window(NamedTuple):
    """Where a window lies in y, and what it weighs at each of its pixels."""

    top: int
    left: int
    weight: Float[Tensor, "H W"]

    def show(self, image: Tensor, factor: int = 1) -> Tensor:
        """What it sees of an image (..., H, W), `factor` times smaller than y."""
        height, width = self.weight.shape
        top, left = self.top // factor, self.left // factor
        return image[..., top : top + height // factor, left : left + width // factor]


def tiled(
    f: NoisePredictor,
    tile: int = TILE,
    *,
    at_once: int | None = None,
    tick: Tick = lambda _: None,
) -> NoisePredictor:
    """f(x, y_t, gamma) of pictures of any size, which stay where they are; the windows
    travel to f's device and back.

    `tile`: side of a window in pixels of y_t, at least twice the overlap. `at_once`:
    windows in one call; by default 1 on a processor, where a sample is then the same to
    the last bit, and 8 on a GPU. `tick` is told how many windows are done.
    """

    def blended(x: Low, y_t: High, gamma: Levels) -> High:
        device, eps_hat = device_of(f, x), torch.zeros_like(y_t)
        factor, count = y_t.shape[-1] // x.shape[-1], at_once
        if count is None:
            count = 1 if device.type == "cpu" else 8

        waiting = windows(y_t.shape[-2], y_t.shape[-1], tile, factor)
        while some := list(itertools.islice(waiting, count)):
            low = torch.cat([window.show(x, factor) for window in some]).to(device)
            high = torch.cat([window.show(y_t) for window in some]).to(device)
            answers = f(low, high, gamma.repeat(len(some))).to(y_t).split(len(x))
            for window, answer in zip(some, answers, strict=True):
                window.show(eps_hat).add_(answer * window.weight.to(answer))
            tick(len(some))
        return eps_hat

    return blended


def windows(height: int, width: int, tile: int, factor: int) -> Iterator[Window]:
    """All windows on a picture (H, W), whose x is `factor` times smaller."""
    across = list(_side(width, tile, factor))
    for top, down in _side(height, tile, factor):
        for left, weight in across:
            yield Window(top, left, down[:, None] * weight)


def count_windows(height: int, width: int, tile: int, factor: int) -> int:
    """How many there are."""
    return len(_side(height, tile, factor)) * len(_side(width, tile, factor))


def _side(length: int, tile: int, factor: int) -> list[tuple[int, Tensor]]:
    """Where the windows begin along one side, and what each weighs there."""
    window = max(2, tile // factor) * factor
    overlap = max(1, min(OVERLAP, tile // 2) // factor) * factor
    places = starts(length, window, overlap, factor)
    return list(zip(places, shares(places, min(window, length), length), strict=True))


def starts(length: int, window: int, overlap: int, multiple: int) -> list[int]:
    """Where the windows begin: evenly spread multiples of `multiple` from 0 to length -
    window. All four are multiples of it.
    """
    if length <= window:
        return [0]
    last, most = (length - window) // multiple, (window - overlap) // multiple
    count = -(-last // most)
    return [last * k // count * multiple for k in range(count + 1)]


def shares(
    places: list[int], window: int, length: int
) -> Float[Tensor, "windows window"]:
    """The weights w_k along one side: sin^4 over each window, divided by the sum of
    all, so that they add up to 1 at every pixel.

    The fourth power, since the network knows least at a window's edge: of tried powers
    it and those above gave the best seams.
    """
    pixels = torch.linspace(0.5, window - 0.5, window, dtype=torch.float64)
    hill = (pixels * math.pi / window).sin().pow(4)
    total = torch.zeros(length, dtype=torch.float64)
    for place in places:
        total[place : place + window] += hill
    weights = [hill / total[place : place + window] for place in places]
    return torch.stack(weights).float()


def device_of(f: NoisePredictor, x: Tensor) -> torch.device:
    """Where a network computes; where x is, if f has no parameters."""
    parameters = f.parameters() if isinstance(f, nn.Module) else iter(())
    return next((parameter.device for parameter in parameters), x.device)
