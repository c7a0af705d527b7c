r"""Pictures beside their references, one at a time, as the field compares them: results
of any program, of a model, of bicubic.

    pairs(results, references)  which result belongs to which reference, by name
    folder_cases(...)           whole pictures of any size, 8 bits a channel
    drawn_cases(...)            a model's samples of the square pictures that it was
                                made for
    scores(case)                {method: {metric: value}} of one picture, on RGB or on
                                its brightness Y, with the border cut off or not

"As the field does it" is: x and the result rounded to 8 bits, Y of MATLAB's rgb2ycbcr,
and as many border pixels cut off as the factor says.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..data.folder import Folder
from ..data.glyphs import STYLES, Glyphs
from ..data.pairs import Pairs, conditions
from ..degrade import as_file, downsample, upsample
from ..files.ranges import Range
from ..files.reading import read_picture, to_bytes
from ..metrics import consistency, diversity, psnr, ssim
from ..model.network import Network
from ..shapes import High, Low
from ..upscaling.draw import draw, seen
from ..upscaling.upscale import upscale
from .pairing import Pair
from .perceptual import FID, Distance
from .table import Row, Table, finite_mean, measured

Reader = Callable[..., Tensor]  # `read_picture`, with the range of the data
BATCH_PIXELS = 2**17  # drawn together: 128 pictures of 32x32, or 8 of 128x128


class Case(NamedTuple):
    """One picture: its name, the reference y (C, H, W), the input x (C, h, w) where it
    is known, and K >= 1 answers (K, C, H, W) of each method.
    """

    name: str
    y: Tensor
    x: Tensor | None
    made: dict[str, Tensor]


# One picture at a time ----------------------------------------------------------------


def folder_cases(
    paired: Iterable[Pair],
    *,
    factor: int | None = None,
    f: Network | None = None,
    steps: int | None = None,
    seed: int = 0,
    samples: int = 1,
    bounds: Range | None = None,
) -> Iterator[Case]:
    """Whole pictures, 8 bits a channel: the results of each pair, "bicubic" if there is
    a factor, and `samples` answers of `f`, of that factor, if there is one.

    With a factor the reference is cropped to a multiple of it, at the right and below,
    and x = D y is rounded to 8 bits, as a file would hold it; `bounds`: the values of
    the files that are black and white, where they do not tell. ValueError where sizes
    do not agree or a file cannot be read; the next picture may be asked for all the
    same.
    """
    how: dict[str, Any] = {"steps": steps, "seed": seed, "samples": samples}
    read = partial(read_picture, bounds=bounds)
    return map(partial(_folder_case, read=read, factor=factor, f=f, how=how), paired)


def _folder_case(
    pair: Pair, read: Reader, factor: int | None, f: Network | None, how: dict[str, Any]
) -> Case:
    reference, results = pair
    y = as_file(read(reference))
    x, made = None, {}
    if factor is not None:
        y = _multiple(y, factor, reference)
        x = as_file(downsample(y[None], factor))[0]
        made["bicubic"] = as_file(upsample(x[None], factor))
    if f is not None:
        assert x is not None
        made |= _with_mean(f.preset.label, as_file(upscale(f, x, **how)))
    for name, files in results.items():
        several = [
            _of_size(path, read(path, y.shape[0]), y, reference) for path in files
        ]
        told = "" if len(results) == 1 and f is None else f" {name}"
        made |= _with_mean(name, torch.stack(several), told)
    return Case(reference.name, y, x, made)


def drawn_cases(
    f: Network,
    pictures: Glyphs | Folder | High,
    order: Sequence[int],
    *,
    steps: int | None = None,
    samples: int = 8,
) -> Iterator[Case]:
    """The pictures `order` of a data set, or of a tensor, at the size that `f` was made
    for, as floats: "bicubic", `samples` answers of `f`, and their mean.

    Drawn in batches that fit a laptop. A picture's answers do not depend on its batch.
    A file that cannot be read is named in a warning and left out.
    """
    batch = max(1, BATCH_PIXELS // f.preset.size**2)
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        y = torch.stack([pictures[i] for i in rows])
        x = seen(f.preset, y, rows)
        if isinstance(pictures, Pairs):
            x = conditions(pictures, rows, y, f.preset.factor)
        made = answers(f, x, steps=steps, samples=samples)
        for k, i in enumerate(rows):
            if (
                isinstance(pictures, Folder)
                and pictures.files[i] in pictures.unreadable
            ):
                continue  # another stands in its place
            of_one = {name: several[:, k] for name, several in made.items()}
            yield Case(_title(pictures, i), y[k], x[k], of_one)


def answers(
    f: Network, x: Low, *, steps: int | None, samples: int
) -> dict[str, Tensor]:
    """What is made of x, (K, N, C, H, W) a method: "bicubic", `samples` answers of `f`,
    and their mean.
    """
    bicubic = upsample(x, f.preset.factor).clamp(-1, 1)
    drawn = draw(f, x, steps=steps, seeds=range(samples))
    return {"bicubic": bicubic[None], **_with_mean(f.preset.label, drawn)}


def _with_mean(name: str, several: Tensor, told: str = "") -> dict[str, Tensor]:
    """The answers, and their mean where they may differ: a regression's are all the
    same. `told` is added to its name.
    """
    if len(several) == 1 or name == "regression":
        return {name: several}
    mean = f"mean of {len(several)}{told}"
    return {name: several, mean: several.mean(0, keepdim=True)}


def _title(pictures: Glyphs | Folder | Tensor, i: int) -> str:
    if isinstance(pictures, Glyphs):
        return f"{pictures.characters[i]} {STYLES[pictures.styles[i]]}"
    if isinstance(pictures, Folder):
        return str(pictures.files[i].relative_to(pictures.path))
    return str(i)


def _multiple(y: Tensor, factor: int, path: Path) -> Tensor:
    height, width = (side // factor * factor for side in y.shape[-2:])
    if not height or not width:
        raise ValueError(
            f"{path} has {_pixels(y)} pixels, too few to be shrunk by {factor}"
        )
    return y[:, :height, :width]


def _of_size(path: Path, result: Tensor, y: Tensor, reference: Path) -> Tensor:
    """A result with as many channels as its reference and as many pixels, or
    ValueError.
    """
    result = as_file(result)
    if result.shape != y.shape:
        raise ValueError(
            f"{path} has {_pixels(result)} pixels and its reference {reference}"
            f" {_pixels(y)} (--bicubic N crops references to a multiple of N)"
        )
    return result


def _pixels(image: Tensor) -> str:
    return f"{image.shape[-1]}x{image.shape[-2]}"


# Numbers ------------------------------------------------------------------------------


def luma(image: High) -> Tensor:
    """The brightness Y (B, 1, H, W) of ITU-R BT.601 as MATLAB's rgb2ycbcr gives it for
    8-bit pictures: whole levels 16..235, written on [-1, 1].

    So 255 levels are 2, and `psnr` of it is the field's. A grey picture counts as
    colour with three equal channels.
    """
    levels = to_bytes(image).double().expand(-1, 3, -1, -1)
    weights = levels.new_tensor([65.481, 128.553, 24.966]) / 255
    luma = ((levels * weights[:, None, None]).sum(1, keepdim=True) + 16).round()
    return (luma / 127.5 - 1).to(image)


def without_border(image: High, border: int) -> Low:
    """The image without `border` pixels at each side."""
    height, width = (side - 2 * border for side in image.shape[-2:])
    return image[..., border : border + height, border : border + width]


def scores(
    case: Case, *, border: int = 0, on_luma: bool = False, lpips: Distance | None = None
) -> Table:
    """{method: {metric: value}}: of a method's first answer, and the diversity of all
    of them where there are several.

    PSNR, SSIM and LPIPS without the border; PSNR and SSIM of Y, as PSNR-Y and SSIM-Y,
    if `on_luma`. Consistency where x is known, of the whole picture in all its
    channels. ValueError when the border leaves too little for SSIM.
    """
    values: Table = {}
    for name, several in case.made.items():
        y = without_border(several[:1], border)
        reference = without_border(case.y[None], border)
        a, b, mark = (luma(y), luma(reference), "-Y") if on_luma else (y, reference, "")
        row = {f"PSNR{mark}": psnr(a, b), f"SSIM{mark}": ssim(a, b)}
        if lpips is not None:
            row["LPIPS"] = lpips(y, reference)
        if case.x is not None:
            row["consistency"] = consistency(several[:1], case.x[None])
        if len(several) > 1:
            row["diversity"] = diversity(several[:, None])
        values[name] = {metric: value.item() for metric, value in row.items()}
    return values


class Comparison:
    """The rows of all pictures so far, as `measure` finds them. No picture is kept, so
    there may be any number of them.
    """

    def __init__(
        self, measure: Callable[[Case], Table] = scores, *, fid: bool = False
    ) -> None:
        self.measure = measure
        # one to begin with, so that a missing package is said at once
        self.fids = {"bicubic": FID()} if fid else None
        self.rows: list[Row] = []
        self.pictures = 0  # that were measured

    def add(self, case: Case) -> Table:
        """Measure one picture; what was found. ValueError when it cannot be."""
        values = self.measure(case)
        for row in values.values():
            for metric, value in row.items():
                if math.isnan(value):
                    raise ValueError(f"its {metric} is no number")
        self.pictures += 1
        self.rows += [Row(case.name, name, row) for name, row in values.items()]
        if self.fids is not None:
            for name, several in case.made.items():
                self.fids.setdefault(name, FID()).add(several[:1], case.y[None])
        return values

    def means(self) -> Table:
        """{method: {metric: mean over its pictures}}, and each method's FID, which
        belongs to all of them together. PSNR is the mean of what is finite, and "exact"
        the number of pictures that are their reference, where there are any.
        """
        table: Table = {}
        for name in dict.fromkeys(row.method for row in self.rows):
            rows = [row.values for row in self.rows if row.method == name]
            table[name] = {}
            for metric in measured(rows):
                values = [row[metric] for row in rows if metric in row]
                table[name] |= finite_mean(metric, values)
            if self.fids is not None:
                try:
                    table[name]["FID"] = self.fids[name].value()
                except ValueError as error:
                    warnings.warn(str(error), stacklevel=2)
        return table
