r"""Picture files and folders of them in, K larger picture files out.

    upscale_files([Path("photos")], [f], Path("large"), Wish(samples=4))

writes NAME_x4_1.png ... NAME_x4_4.png and NAME_x4_disagreement.png: how far the samples
are apart, pixel by pixel. Where they differ the model has guessed, and x does not say
what is right. Depth, transparency, profile and EXIF are those of the input.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from ..data.folder import without_results
from ..degrade import downsample, upsample
from ..files.decoding import size_of
from ..files.finding import names_below
from ..files.ranges import Range, from_stored, to_stored
from ..files.reading import (
    PictureFile,
    on_white,
    read,
    to_bytes,
)
from ..files.sheet import SIDE, framed, sheet
from ..files.writing import (
    all_or_none,
    demand_free,
    finish_or_forget,
    write,
    write_picture,
)
from ..model.network import Network
from ..sampler import Method
from .draw import generate
from .precision import numbers_for
from .tiled import TILE
from .upscale import Size, cascade, product, target_size, work

Format = Literal["png", "jpg", "webp", "tif"]
# the largest side that each holds
SIDES = {"png": 2**31 - 1, "jpg": 65_535, "webp": 16_383, "tif": 2**31 - 1}


class Wish(NamedTuple):
    """What is asked for, for all pictures alike. `size` (H, W) or `factor`, if not the
    networks' own factor; `range`: the values that are black and white, where files do
    not tell; `dtype`: what `numbers_for` finds, if not given; `format`: PNG, and for a
    TIFF whose range is given TIFF, if not given; see `upscale` for the rest.
    """

    factor: float | None = None
    size: Size | None = None
    samples: int = 1
    format: Format | None = None
    sheet: bool = False
    seed: int = 0
    steps: int | None = None
    method: Method | None = None
    tile: int = TILE
    dtype: torch.dtype | None = None
    range: Range | None = None

    def of(self, file: Path) -> Wish:
        """The wish with the format that this file's results have."""
        if self.format is not None:
            return self
        same = self.range is not None and file.suffix.lower() in (".tif", ".tiff")
        return self._replace(format="tif" if same else "png")


PLAIN = Wish()


def upscale_files(
    paths: Sequence[Path],
    networks: Sequence[Network],
    out: Path,
    wish: Wish = PLAIN,
    *,
    overwrite: bool = False,
) -> Iterator[Path]:
    """Upscale files, and all pictures below folders, into folder `out`; yields what was
    written, picture after picture.

    A file that is named has to be a picture whose results are not there yet: else
    ValueError, before anything is computed. Below a folder, a picture whose results are
    there is left as it is, so that a second run goes on where the first one stopped. A
    picture's results get their places together: it has all of them or none. What cannot
    be read, enlarged or written is passed over with a warning, unless it is the only
    one, and so is a picture that has other results there; they are counted in a
    ValueError at the very end.
    """
    found, skipped = find_pictures(paths, out, networks, wish), 0
    for goal, (file, named) in found.items():
        if named:
            _fitting(file, networks, wish)
            demand_free(results(goal, wish.of(file)), overwrite)
    for folder in {goal.parent for goal in found}:
        finish_or_forget(folder)

    for number, (goal, (file, named)) in enumerate(found.items(), start=1):
        title = file.name if len(found) == 1 else f"{number}/{len(found)} {file.name}"
        own = wish.of(file)
        try:
            if not (named or overwrite) and _finished(file, results(goal, own)):
                _warn(f"{file} was upscaled already and stays; --overwrite draws anew")
                continue
            picture = _fitting(file, networks, wish)
            yield from upscale_file(picture, networks, goal, own, title)
        except (ValueError, OSError, MemoryError) as error:
            if len(found) == 1:
                raise
            reason = getattr(error, "strerror", None) or str(error) or "out of memory"
            _warn(f"skipped: {reason if str(file) in reason else f'{file}: {reason}'}")
            skipped += 1

    if skipped:
        raise ValueError(f"{skipped} of {len(found)} pictures could not be upscaled")


def _fitting(file: Path, networks: Sequence[Network], wish: Wish) -> PictureFile:
    """A picture whose result can be drawn and written; else ValueError, where its size
    is to blame before it is decoded.
    """
    _demand_room(size_of(file), 1, networks, wish.of(file), file.name)
    picture = read(file, wish.range)
    windows(picture, networks, wish.of(file), file.name)
    return picture


def _finished(file: Path, goals: Sequence[Path]) -> bool:
    """Whether all results of a picture are there. ValueError when some are: they would
    be of another run, and lost. OSError when no file can have such a name.
    """
    there = [path.name for path in goals if _exists(path)]
    if there and len(there) < len(goals):
        raise ValueError(
            f"{file} has results of another run in {goals[0].parent}, such as"
            f" {there[0]}: choose another --out, or pass --overwrite"
        )
    return bool(there)


def _exists(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=3)


def upscale_file(
    picture: PictureFile,
    networks: Sequence[Network],
    goal: Path,
    wish: Wish,
    name: str = "the picture",
) -> list[Path]:
    """Write the `results` of one picture, all or none of them; their paths."""
    total = windows(picture, networks, wish, name)
    size, (x, alpha) = _target(picture, networks, wish), _tensors(picture)
    _say_stretched(picture.size, size, name)
    large_alpha = alpha if alpha is None else upsample(alpha[None], size=size)[0]
    dtype, word = wish.dtype, ""
    if dtype is None:
        dtype, word = numbers_for(networks[-1], total)
    how: dict[str, Any] = {"steps": wish.steps, "method": wish.method}
    how |= {"tile": wish.tile, "dtype": dtype}
    spread, shown = Spread(), []
    with (
        all_or_none(results(goal, wish)) as files,
        tqdm(total=total, desc=name, unit="window", postfix=word) as bar,
    ):
        for k in range(wish.samples):
            seed = wish.seed + k
            y = cascade(networks, x[None], size, seed, tick=bar.update, **how)[0]
            write(_like(picture, y, large_alpha, wish.format), files[k])
            if wish.samples > 1:
                spread.add(y)
            if wish.sheet:
                shown.append(_small(y, large_alpha))

        if wish.samples > 1:
            write(PictureFile(spread.heat(), None, {}), files[wish.samples])
        if wish.sheet:
            label = networks[-1].preset.label
            sheet(_small(x, alpha), torch.stack(shown), label).save(files[-1])
    return results(goal, wish)


def windows(
    picture: PictureFile,
    networks: Sequence[Network],
    wish: Wish,
    name: str = "the picture",
) -> int:
    """How many windows the networks will look at. ValueError when the result cannot be
    written as the wish says, or is too large for this machine's memory.
    """
    format, dtype = wish.format or "png", picture.colour.dtype
    if format == "jpg" and picture.alpha is not None:
        raise ValueError(
            f"{name} is transparent, which jpg cannot hold: write png or webp"
        )
    if format != "tif" and dtype not in (np.uint8, np.uint16):
        raise ValueError(
            f"{name} holds {dtype}, which {format} cannot: write tif, --format tif"
        )
    channels = picture.colour.shape[2]
    return _demand_room(picture.size, channels, networks, wish, name)


def _demand_room(
    shape: Size, channels: int, networks: Sequence[Network], wish: Wish, name: str
) -> int:
    """How many windows the networks will look at; ValueError when the result is too
    large for its file or for this machine.
    """
    format = wish.format or "png"
    size = wish.size or target_size(networks, shape, wish.factor)
    if max(size) > SIDES[format]:
        raise ValueError(
            f"{name} would become {size[1]}x{size[0]}, and a {format} ends at"
            f" {SIDES[format]} pixels a side"
        )
    whole, kept = (channels, *shape), 1 + (wish.samples > 1)
    how = wish.steps, wish.method, wish.tile
    return wish.samples * work(networks, whole, size, kept, *how, name)


def _say_stretched(small: Size, large: Size, name: str) -> None:
    """Warn of a size that no rounding explains."""
    (h, w), (height, width) = small, large
    if abs(height - width * h / w) > 1 and abs(width - height * w / h) > 1:
        fits = f"{width}x{max(1, round(width * h / w))}"
        _warn(f"{name} is stretched: {w}x{h} to {width}x{height}; {fits} would not be")


def find_pictures(
    paths: Sequence[Path], out: Path, networks: Sequence[Network], wish: Wish
) -> dict[Path, tuple[Path, bool]]:
    """Every file that is named, and every picture below a folder that is, but none in
    `out`: {where its results go, without an ending: (the file, whether it is named)}.

    ValueError when there is none, or when two would write the same result.
    """
    files = [(path, Path(path.name), True) for path in paths if not path.is_dir()]
    for folder in (path for path in paths if path.is_dir()):
        if out.resolve() == folder.resolve():
            raise ValueError(f"{out} holds the pictures: choose another --out")
        below = without_results(folder, names_below(folder, leave_out=out).all())
        files += [(folder / name, Path(name), False) for name in below]
    alike = Counter(place.with_suffix("") for _, place, _ in files)

    times = f"x{wish.factor or product(networks):g}"
    if wish.size:
        times = f"{wish.size[1]}x{wish.size[0]}"
    found: dict[Path, tuple[Path, bool]] = {}
    for file, place, named in files:
        stem = place.with_suffix("")
        if alike[stem] > 1:  # a.png and a.jpg
            stem = place.with_name(place.name.replace(".", "_"))
        goal = out / stem.with_name(f"{stem.name}_{times}")
        if goal in found:
            raise ValueError(
                f"the results of {found[goal][0]} and {file} would have one name:"
                " upscale them into different folders"
            )
        found[goal] = file, named
    return found


def results(goal: Path, wish: Wish) -> list[Path]:
    """The files that a picture becomes: its samples, the map of where they disagree if
    there are several, the sheet if asked for.
    """
    format = wish.format or "png"
    endings = [f".{format}"]
    if wish.samples > 1:
        endings = [f"_{k}.{format}" for k in range(1, wish.samples + 1)]
        endings.append("_disagreement.png")
    if wish.sheet:
        endings.append("_sheet.png")
    return [goal.with_name(goal.name + ending) for ending in endings]


def write_generated(
    f: Network,
    out: Path,
    count: int,
    steps: int | None = None,
    seed: int = 0,
    overwrite: bool = False,
) -> list[Path]:
    """Write `count` pictures of `generate` as 0001.png ... into folder `out`, and
    all.png, the first hundred side by side; all or none of them.

    ValueError when f cannot, or when one of the files is there already.
    """
    goals = [out / f"{k:04}.png" for k in range(1, count + 1)] + [out / "all.png"]
    demand_free(goals, overwrite)
    drawn = generate(f, count, steps=steps, seed=seed, progress=True)
    demand_numbers(drawn)
    shown = drawn[:100]
    columns = math.ceil(math.sqrt(len(shown)))
    blank = shown.new_ones(-len(shown) % columns, *shown.shape[1:])
    everything = framed(torch.cat([shown, blank]).unflatten(0, (-1, columns)))
    with all_or_none(goals) as files:
        for y, file in zip([*drawn, everything], files, strict=True):
            write_picture(y, file)
    return goals


class Spread:
    """How far samples are apart at each pixel, gathered one after another: their mean,
    and the sum of squares around it (Welford).
    """

    count: int = 0
    mean: Tensor
    squares: Tensor

    def add(self, y: Float[Tensor, "C H W"]) -> None:
        """One more sample."""
        if self.count == 0:
            self.mean, self.squares = torch.zeros_like(y), torch.zeros_like(y[0])
        self.count += 1
        before = y - self.mean
        self.mean += before / self.count
        self.squares += (before * (y - self.mean)).sum(0)

    def heat(self) -> np.ndarray:
        """The standard deviation over samples as colours of glowing iron (H, W, 3):
        from black (they agree) through red to white (the largest there is).
        """
        share = (self.squares / (self.squares.max() or 1)).sqrt()
        glow = torch.stack([3 * share, 3 * share - 1, 3 * share - 2], dim=-1)
        return to_bytes(glow.clamp(0, 1) * 2 - 1).numpy()


def _target(picture: PictureFile, networks: Sequence[Network], wish: Wish) -> Size:
    return wish.size or target_size(networks, picture.size, wish.factor)


def _tensors(picture: PictureFile) -> tuple[Tensor, Tensor | None]:
    """Colour and alpha in [-1, 1]; the colour goes on below what is transparent."""
    x = from_stored(picture.colour, picture.bounds)
    if picture.alpha is None:
        return x, None
    alpha = from_stored(picture.alpha[..., None])
    return bleed(x, (alpha + 1) / 2), alpha


def bleed(
    colour: Float[Tensor, "C h w"], alpha: Float[Tensor, "1 h w"]
) -> Float[Tensor, "C h w"]:
    """`colour` where alpha > 0; elsewhere the mean of what is visible nearby, weighted
    by its alpha.

    What a file stores under transparent pixels is arbitrary, often black: enlarged, it
    would show as a dark rim.
    """
    if alpha.min() > 0 or alpha.shape[1:] == (1, 1):
        return colour
    weight = F.avg_pool2d(alpha, 2, ceil_mode=True)
    mean = F.avg_pool2d(colour * alpha, 2, ceil_mode=True) / weight.clamp(min=1e-12)
    _, height, width = colour.shape
    filled = bleed(mean, weight).repeat_interleave(2, 1).repeat_interleave(2, 2)
    return torch.where(alpha > 0, colour, filled[:, :height, :width])


def _like(
    picture: PictureFile, y: Tensor, alpha: Tensor | None, format: Format | None
) -> PictureFile:
    """y and alpha in [-1, 1] in the type and range, and with all else, that `picture`
    has; JPEG and WebP hold 8 bits.
    """
    demand_numbers(y)
    carried, scale = dict(picture.carried), y.shape[2] / picture.size[1]
    if "dpi" in carried:
        carried["dpi"] = tuple(scale * side for side in carried["dpi"])
    if format in ("jpg", "webp"):
        dtype, bounds = np.dtype(np.uint8), None
    else:
        dtype, bounds = picture.colour.dtype, picture.bounds
    clear = None if alpha is None else to_stored(alpha, dtype)[..., 0]
    return PictureFile(to_stored(y, dtype, bounds), clear, carried, bounds)


def demand_numbers(y: Tensor) -> None:
    """ValueError for what would be written as black."""
    if y.isnan().any():
        raise ValueError(
            "the network's answer is no number in places: its weights are damaged, or"
            " want --dtype bfloat16"
        )


def _small(colour: Tensor, alpha: Tensor | None) -> Float[Tensor, "C h w"]:
    """The picture on white, shrunk if it is larger than a sheet shows."""
    image = colour if alpha is None else on_white(colour, alpha)
    share = min(1.0, SIDE / max(image.shape[-2:]))
    height, width = (max(1, round(side * share)) for side in image.shape[-2:])
    return downsample(image[None], size=(height, width))[0].clamp(-1, 1)
