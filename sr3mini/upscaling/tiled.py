r"""Pictures of any size: Algorithm 2 on the whole picture, the network on one window of
it after another.

    eps_hat = sum_k w_k f(x_k, y_t,k, gamma_t)  w_k >= 0, smooth, and sum_k w_k = 1 at
                                                every pixel

x_k and y_t,k are what window k shows of x and y_t. There is one y_t: where windows
overlap they look at the same noise, and after every step they go on from the same
picture, so they cannot drift apart (the idea of MultiDiffusion, Bar-Tal et al. 2023).
Windows drawn to the end one by one would each invent their own detail, and blending two
inventions gives a blur.

The noise is a function of seed, level, row and column. Memory holds one row of windows;
the picture itself moves to a file when it is large, and is changed in place: a band
that no window below will look at is brought to the next level at once.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from ..model.network import Network
from ..sampler import noise_from, posterior_step, predict_y_0

TILE = 256  # side of a window, pixels of the result
OVERLAP = 64  # pixels that neighbouring windows share, at least
IN_MEMORY = (
    2**28
)  # bytes of a picture that are kept in memory; a larger one goes to a file
STRIP = 64  # rows that are worked on at a time where there are no windows

Tick = Callable[[int], object]


class Canvas:
    """A picture (C, H, W) of float32 that is read and written in strips of rows; one
    that is large lies in a nameless file in `folder`.

    OSError when that disk has no room for it.
    """

    def __init__(
        self, channels: int, height: int, width: int, folder: Path | None = None
    ) -> None:
        self.channels, self.height, self.width = channels, height, width
        size, place = (
            4 * channels * height * width,
            folder or Path(tempfile.gettempdir()),
        )
        if size > IN_MEMORY and size > shutil.disk_usage(place).free:
            raise OSError(
                f"a picture of {width}x{height} needs {size / 1e9:.1f} GB of room for"
                f" its working copy, and the disk of {place} has less"
            )
        self.file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY, dir=str(place))
        weakref.finalize(self, self.file.close)

    def read(self, top: int, bottom: int) -> Float[Tensor, "C n W"]:
        """Rows `top` to `bottom`."""
        rows = torch.empty(bottom - top, self.channels, self.width)
        self.file.seek(4 * top * self.channels * self.width)
        self.file.readinto(rows.numpy().data.cast("B"))
        return rows.transpose(0, 1)

    def write(self, top: int, rows: Float[Tensor, "C n W"]) -> None:
        """Replace the rows from `top` on."""
        self.file.seek(4 * top * self.channels * self.width)
        self.file.write(rows.transpose(0, 1).contiguous().numpy().data.cast("B"))

    def strips(self) -> Iterator[tuple[int, Float[Tensor, "C n W"]]]:
        """(top, rows) from top to bottom."""
        for top in range(0, self.height, STRIP):
            yield top, self.read(top, min(top + STRIP, self.height))


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
    hill = (
        torch.linspace(0.5, window - 0.5, window, dtype=torch.float64)
        .mul(math.pi / window)
        .sin()
        .pow(4)
    )
    total = torch.zeros(length, dtype=torch.float64)
    for place in places:
        total[place : place + window] += hill
    return torch.stack(
        [hill / total[place : place + window] for place in places]
    ).float()


def noise(
    seed: int, stage: int, level: int, rows: range, width: int, channels: int
) -> Float[Tensor, "C n W"]:
    """Standard normal noise of a place in the picture: the same whatever else is drawn,
    and in which order.
    """
    drawn = [
        np.random.default_rng((seed, stage, level, row)).standard_normal(
            (width, channels), np.float32
        )
        for row in rows
    ]
    return torch.from_numpy(np.stack(drawn)).permute(2, 0, 1)


class Windows:
    """The windows of one picture: where they lie, what each weighs, and the network on
    all of them.

    `tile`: their side in pixels of the result, at least twice the overlap. `at_once`:
    windows in one call; by default 1 on a processor, where a sample is then the same to
    the last bit, and 8 on a GPU.
    """

    def __init__(
        self,
        f: Network,
        height: int,
        width: int,
        *,
        tile: int = TILE,
        dtype: torch.dtype = torch.float32,
        at_once: int | None = None,
    ) -> None:
        factor = f.preset.factor
        side, overlap = (
            max(2, tile // factor) * factor,
            max(1, min(OVERLAP, tile // 2) // factor) * factor,
        )
        self.f, self.factor, self.dtype = f, factor, dtype
        self.device = next(
            (parameter.device for parameter in f.parameters()), torch.device("cpu")
        )
        self.at_once = at_once or (1 if self.device.type == "cpu" else 8)
        self.height, self.width = min(side, height), min(side, width)
        self.tops, self.lefts = (
            starts(height, side, overlap, factor),
            starts(width, side, overlap, factor),
        )
        self.ends = [
            *self.tops[1:],
            height,
        ]  # up to where a row of windows is the last to look
        self.down, self.across = (
            shares(self.tops, self.height, height),
            shares(self.lefts, self.width, width),
        )

    def __len__(self) -> int:
        return len(self.tops) * len(self.lefts)

    def bands(
        self, x: Canvas, y_t: Canvas, gamma: Tensor, tick: Tick
    ) -> Iterator[tuple[int, Float[Tensor, "C n W"]]]:
        """f(x, y_t, gamma) of the whole picture, as (top, rows) from top to bottom.
        Rows that were given out may be overwritten in y_t.
        """
        carry = torch.zeros(y_t.channels, 0, y_t.width)
        for top, end, down in zip(self.tops, self.ends, self.down, strict=True):
            low = x.read(top // self.factor, (top + self.height) // self.factor)
            band = self._across(
                low, y_t.read(top, top + self.height), gamma, tick
            ).mul_(down[:, None])
            band[:, : carry.shape[1]] += carry
            yield top, band[:, : end - top]
            carry = band[:, end - top :]

    def _across(
        self,
        x: Float[Tensor, "c n w"],
        y_t: Float[Tensor, "C N W"],
        gamma: Tensor,
        tick: Tick,
    ) -> Float[Tensor, "C N W"]:
        blended = torch.zeros_like(y_t)
        for first in range(0, len(self.lefts), self.at_once):
            lefts = self.lefts[first : first + self.at_once]
            low = torch.stack(
                [
                    x[..., left // self.factor : (left + self.width) // self.factor]
                    for left in lefts
                ]
            )
            answers = self._call(
                low,
                torch.stack([y_t[..., left : left + self.width] for left in lefts]),
                gamma,
            )
            for left, answer, across in zip(
                lefts, answers, self.across[first:], strict=False
            ):
                blended[..., left : left + self.width] += answer * across
            tick(len(lefts))
        return blended

    def _call(
        self, x: Float[Tensor, "B c h w"], y_t: Float[Tensor, "B C H W"], gamma: Tensor
    ) -> Float[Tensor, "B C H W"]:
        with (
            torch.no_grad(),
            torch.autocast(
                self.device.type, self.dtype, enabled=self.dtype != torch.float32
            ),
        ):
            return (
                self.f(x.to(self.device), y_t.to(self.device), gamma.expand(len(x)))
                .float()
                .cpu()
            )


def calls(f: Network, steps: int | None) -> int:
    """How often the network looks at each window."""
    return (
        1
        if f.preset.objective == "regression"
        else f.preset.sampling_steps
        if steps is None
        else steps
    )


def paint(
    windows: Windows,
    x: Canvas,
    y: Canvas,
    *,
    steps: int | None = None,
    seed: int = 0,
    stage: int = 0,
    tick: Tick = lambda _: None,
) -> None:
    """Fill y with one sample of p(y | x) in [-1, 1]: Algorithm 2 with the posterior's
    variance and y_0_hat clipped, as `draw.draw` has it.

    A regression network is called once, with y_t = 0 and gamma = 0. `stage` keeps the
    noises of a cascade's networks apart.
    """
    f = windows.f
    regression = f.preset.objective == "regression"
    schedule = f.preset.sampling_schedule(calls(f, steps))
    for top in range(0, y.height, STRIP):
        rows = range(top, min(top + STRIP, y.height))
        y.write(
            top,
            (
                torch.zeros(y.channels, len(rows), y.width)
                if regression
                else noise(seed, stage, schedule.steps, rows, y.width, y.channels)
            ),
        )
    if regression:
        for top, answer in windows.bands(x, y, torch.zeros(()), tick):
            y.write(top, answer.clamp(-1, 1))
        return
    for t in range(schedule.steps, 0, -1):
        alpha_t, gamma_t = schedule.alphas[t], schedule.gammas[t]
        for first, band in windows.bands(x, y, gamma_t, tick):
            for top, eps_hat in zip(
                range(first, first + band.shape[1], STRIP),
                band.split(STRIP, dim=1),
                strict=True,
            ):
                rows = range(top, top + eps_hat.shape[1])
                y_t = y.read(rows.start, rows.stop)
                y_0 = predict_y_0(y_t, eps_hat, gamma_t).clamp(-1, 1)
                z = (
                    noise(seed, stage, t - 1, rows, y.width, y.channels)
                    if t > 1
                    else None
                )
                y.write(
                    top,
                    (
                        posterior_step(
                            y_t, noise_from(y_t, y_0, gamma_t), alpha_t, gamma_t, z
                        )
                        if t > 1
                        else y_0
                    ),
                )


def resized(
    canvas: Canvas, size: tuple[int, int], top: int, bottom: int
) -> Float[Tensor, "C n W"]:
    """Rows `top` to `bottom` of the canvas resized to `size` = (H, W) by the book's one
    bicubic (`degrade`), reading only what they need.
    """
    height, width = size
    if size == (canvas.height, canvas.width):
        return canvas.read(top, bottom)
    scale = canvas.height / height
    reach = 2 * max(scale, 1) + 1  # the kernel's, and a row more
    first, last = (
        max(math.floor(top * scale - reach), 0),
        min(math.ceil(bottom * scale + reach), canvas.height),
    )
    box = (
        0,
        top * scale - first,
        canvas.width,
        min(bottom * scale - first, last - first),
    )
    strip = canvas.read(first, last)
    channels = [
        Image.fromarray(np.ascontiguousarray(channel)).resize(
            (width, bottom - top), Image.Resampling.BICUBIC, box
        )
        for channel in strip.numpy()
    ]
    return torch.from_numpy(np.stack([np.asarray(channel) for channel in channels]))
