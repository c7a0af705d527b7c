r"""Picture files and folders of them in, K larger picture files out.

    upscale_files([Path("photos")], [f], Path("large"), Wish(samples=4))

writes NAME_x4_1.png ... NAME_x4_4.png and NAME_x4_disagreement.png: how far the samples
are apart, pixel by pixel. Where they differ the model has guessed, and x does not say
what is right. Depth, transparency, profile and EXIF are those of the input.
"""

from __future__ import annotations

import math
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import PngImagePlugin
from torch import Tensor
from tqdm.auto import tqdm

from ..data.folder import SUFFIXES, walk
from ..files.reading import to_bytes
from ..files.sheet import framed, sheet
from ..files.stored import Picture, read, resolution, write_png
from ..files.writing import demand_free, write_picture
from ..model.network import Network
from .draw import generate
from .tiled import STRIP, TILE, Canvas, Tick, resized
from .upscale import Size, cascade, target_size, work

Format = Literal["png", "jpg", "webp"]
SIDES = {
    "png": 2**31 - 1,
    "jpg": 65_535,
    "webp": 16_383,
}  # the largest side that each kind of file can have
SHEET = 1024  # largest side of a picture on a sheet


class Wish(NamedTuple):
    """What is asked for, for all pictures alike. `size` (H, W) or `factor`, if not the
    networks' own factor; see `upscale` for the rest.
    """

    factor: float | None = None
    size: Size | None = None
    samples: int = 1
    format: Format = "png"
    sheet: bool = False
    seed: int = 0
    steps: int | None = None
    tile: int = TILE
    dtype: torch.dtype = torch.float32


class Found(NamedTuple):
    """A file, the name of its results below the folder they go to, without an ending,
    and whether the user named the file itself.
    """

    file: Path
    goal: Path
    named: bool


def upscale_files(
    paths: Sequence[Path],
    networks: Sequence[Network],
    out: Path,
    wish: Wish = Wish(),
    *,
    overwrite: bool = False,
    progress: bool = False,
) -> Iterator[Path]:
    """Upscale files, and all pictures below folders, into folder `out`; yields what was
    written, picture after picture.

    A file that is named has to be a picture whose results are not there yet: else
    ValueError, before anything is computed. Below a folder, a file that cannot be read
    is passed over with a warning (and counted in a ValueError at the very end), and one
    whose results are there is left as it is, so that a second run goes on where the
    first one stopped. A picture's results get their places together: it has all of them
    or none. OSError when `out` cannot be written.
    """
    found = find_pictures(paths, out, networks, wish)
    for file, goal, named in found:
        if named:
            windows(read(file), networks, wish, file.name)
            demand_free(results(goal, wish), overwrite)
    unread = 0
    for number, (file, goal, named) in enumerate(found, start=1):
        if (
            not named
            and not overwrite
            and all(path.exists() for path in results(goal, wish))
        ):
            warnings.warn(
                f"{file} was upscaled already and is left as it is; --overwrite draws"
                " it anew",
                stacklevel=2,
            )
            continue
        try:
            picture = read(file)
            total = windows(picture, networks, wish, file.name)
        except ValueError as error:
            if named:
                raise
            warnings.warn(f"skipped: {error}", stacklevel=2)
            unread += 1
            continue
        title = file.name if len(found) == 1 else f"{number}/{len(found)} {file.name}"
        with tqdm(total=total, disable=not progress, desc=title, unit="window") as bar:
            written = upscale_file(picture, networks, goal, wish, bar.update)
        yield from written
    if unread:
        raise ValueError(
            f"{unread} of {len(found)} pictures could not be upscaled; what the others"
            " became is written"
        )


def upscale_file(
    picture: Picture,
    networks: Sequence[Network],
    goal: Path,
    wish: Wish,
    tick: Tick = lambda _: None,
) -> list[Path]:
    """Write the `results` of one picture, all or none of them, and return their paths."""
    size = _target(picture, goal.name, networks, wish)
    goal.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=goal.parent, prefix=".sr3mini-") as beside:
        x, alpha = _canvases(picture, Path(beside))
        files = [Path(beside) / path.name for path in results(goal, wish)]
        spread, shown = Spread(x.channels, size, Path(beside)), []
        for k in range(wish.samples):
            large = cascade(
                networks,
                x,
                size,
                seed=wish.seed + k,
                steps=wish.steps,
                tile=wish.tile,
                dtype=wish.dtype,
                folder=Path(beside),
                tick=tick,
            )
            strips = (
                (top, resized(large, size, top, min(top + STRIP, size[0])).clamp(-1, 1))
                for top in range(0, size[0], STRIP)
            )
            _save(
                files[k],
                spread.watched(strips) if wish.samples > 1 else strips,
                alpha,
                picture,
                size,
            )
            if wish.sheet:
                shown.append(_on_white(large, alpha, size))
        if wish.samples > 1:
            with files[wish.samples].open("wb") as file:
                write_png(file, spread.heat(), size, 3, 8)
        if wish.sheet:
            sheet(
                _on_white(x, alpha, picture.size),
                torch.stack(shown),
                networks[-1].preset.label,
            ).save(files[-1])
        return [
            file.replace(path)
            for file, path in zip(files, results(goal, wish), strict=True)
        ]


def windows(
    picture: Picture, networks: Sequence[Network], wish: Wish, name: str = "the picture"
) -> int:
    """How many windows the networks will look at. ValueError when the result cannot be
    written as the wish says.
    """
    return wish.samples * work(
        networks,
        picture.size,
        _target(picture, name, networks, wish),
        wish.steps,
        wish.tile,
    )


def find_pictures(
    paths: Sequence[Path], out: Path, networks: Sequence[Network], wish: Wish
) -> list[Found]:
    """Every file that is named, and every picture below a folder that is, but none in
    `out`; results keep the folders' order.

    ValueError when there is none, or when two would write the same result.
    """
    times = (
        f"{wish.size[1]}x{wish.size[0]}"
        if wish.size
        else f"x{wish.factor or math.prod(f.preset.factor for f in networks):g}"
    )
    files = [(path, Path(path.name), True) for path in paths if not path.is_dir()]
    for folder in (path for path in paths if path.is_dir()):
        if out.resolve() == folder.resolve():
            raise ValueError(
                f"{out} holds the pictures, and among them results could not be told"
                " apart: choose another folder with --out"
            )
        results_inside = out if folder.resolve() in out.resolve().parents else None
        inside = [
            folder / name
            for name in walk(folder, leave_out=results_inside)
            if Path(name).suffix.lower() in SUFFIXES
        ]
        if not inside:
            raise ValueError(
                f"no picture below {folder}: looked for names that end in"
                f" {', '.join(SUFFIXES)}"
            )
        files += [(file, file.relative_to(folder), False) for file in inside]
    stems = [place.with_suffix("") for _, place, _ in files]
    alike = Counter(stems)
    places = [
        place.with_name(place.name.replace(".", "_")) if alike[stem] > 1 else stem
        for stem, (_, place, _) in zip(stems, files, strict=True)
    ]
    place, count = Counter(places).most_common(1)[0]
    if count > 1:
        twice = [
            str(file)
            for (file, _, _), other in zip(files, places, strict=True)
            if other == place
        ]
        raise ValueError(
            f"the results of {' and '.join(twice)} would have the same name and"
            " overwrite each other: upscale them into different folders"
        )
    return [
        Found(file, out / place.with_name(f"{place.name}_{times}"), named)
        for (file, _, named), place in zip(files, places, strict=True)
    ]


def results(goal: Path, wish: Wish) -> list[Path]:
    """The files that a picture becomes: its samples, the map of where they disagree if
    there are several, the sheet if asked for.
    """
    endings = (
        [f".{wish.format}"]
        if wish.samples == 1
        else [f"_{k}.{wish.format}" for k in range(1, wish.samples + 1)]
        + ["_disagreement.png"]
    )
    return [
        goal.with_name(goal.name + ending)
        for ending in endings + ["_sheet.png"] * wish.sheet
    ]


def write_generated(
    f: Network,
    out: Path,
    count: int,
    *,
    steps: int | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: bool = False,
) -> list[Path]:
    """Write `count` pictures of `generate` as 0001.png ... into folder `out`, and
    all.png, the first hundred side by side; all or none of them.

    ValueError when f cannot, or when one of the files is there already.
    """
    goals = [out / f"{k:04}.png" for k in range(1, count + 1)] + [out / "all.png"]
    demand_free(goals, overwrite)
    drawn = generate(f, count, steps=steps, seed=seed, progress=progress)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".sr3mini-") as beside:
        files = [Path(beside) / path.name for path in goals]
        for y, file in zip(drawn, files, strict=False):
            write_picture(y, file)
        columns = math.ceil(math.sqrt(min(count, 100)))
        shown = drawn[:100]
        blank = shown.new_ones(-len(shown) % columns, *shown.shape[1:])
        write_picture(
            framed(torch.cat([shown, blank]).unflatten(0, (-1, columns))), files[-1]
        )
        return [file.replace(path) for file, path in zip(files, goals, strict=True)]


class Spread:
    """How far samples are apart at each pixel, gathered strip by strip while they are
    written: their mean, and the sum of squares around it (Welford).
    """

    def __init__(self, channels: int, size: Size, folder: Path) -> None:
        self.mean, self.squares, self.count, self.largest = (
            Canvas(channels, *size, folder),
            Canvas(1, *size, folder),
            0,
            0.0,
        )

    def watched(
        self, strips: Iterable[tuple[int, Tensor]]
    ) -> Iterator[tuple[int, Tensor]]:
        """Passes the strips of one more sample through."""
        self.count, self.largest = self.count + 1, 0.0
        for top, y in strips:
            bottom = top + y.shape[1]
            mean, squares = (
                (self.mean.read(top, bottom), self.squares.read(top, bottom))
                if self.count > 1
                else (y, torch.zeros_like(y[:1]))
            )
            closer = mean + (y - mean) / self.count
            squares = squares + ((y - mean) * (y - closer)).sum(0, keepdim=True)
            self.mean.write(top, closer)
            self.squares.write(top, squares)
            self.largest = max(self.largest, squares.max().item())
            yield top, y

    def heat(self) -> Iterator[np.ndarray]:
        """The standard deviation over samples as strips of colours, from black (they
        agree) through red to white (the largest there is).
        """
        for _, squares in self.squares.strips():
            yield _glow((squares[0] / (self.largest or 1)).sqrt())


def _glow(share: Float[Tensor, "n W"]) -> np.ndarray:
    """[0, 1] -> colours of glowing iron, uint8 (n, W, 3)."""
    return to_bytes(
        torch.stack([3 * share, 3 * share - 1, 3 * share - 2], dim=-1).clamp(0, 1) * 2
        - 1
    ).numpy()


def _target(
    picture: Picture, name: str, networks: Sequence[Network], wish: Wish
) -> Size:
    """(H, W) of the result; ValueError when its kind of file cannot hold it."""
    size = wish.size or target_size(networks, picture.size, wish.factor)
    if max(size) > SIDES[wish.format]:
        raise ValueError(
            f"{name} would become {size[1]}x{size[0]}, and a {wish.format} ends at"
            f" {SIDES[wish.format]} pixels a side; write png"
        )
    if wish.format == "jpg" and picture.alpha is not None:
        raise ValueError(
            f"{name} is transparent in places, which jpg cannot hold; write png or webp"
        )
    return size


def _canvases(picture: Picture, folder: Path) -> tuple[Canvas, Canvas | None]:
    """Colour and alpha in [-1, 1]; the colour goes on below what is fully transparent."""
    height, width = picture.size
    top = np.iinfo(picture.colour.dtype).max
    x = Canvas(picture.colour.shape[2], height, width, folder)
    for row in range(0, height, STRIP):
        x.write(
            row,
            torch.from_numpy(
                picture.colour[row : row + STRIP].astype(np.float32)
            ).permute(2, 0, 1)
            * (2 / top)
            - 1,
        )
    if picture.alpha is None:
        return x, None
    share, alpha = (
        torch.from_numpy(picture.alpha.astype(np.float32) / top)[None],
        Canvas(1, height, width, folder),
    )
    alpha.write(0, share * 2 - 1)
    if share.min() == 0:
        x.write(0, bleed(x.read(0, height), share))
    return x, alpha


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
    around = F.interpolate(bleed(mean, weight)[None], scale_factor=2.0, mode="nearest")[
        0, :, : colour.shape[1], : colour.shape[2]
    ]
    return torch.where(alpha > 0, colour, around)


def _save(
    file: Path,
    strips: Iterable[tuple[int, Tensor]],
    alpha: Canvas | None,
    picture: Picture,
    size: Size,
) -> None:
    """Write a picture of colours in [-1, 1] at the depth, and with all else, that
    `picture` has. Other kinds are made from an 8-bit PNG, in memory.
    """
    kind, scale = (
        (picture.colour.dtype if file.suffix == ".png" else np.dtype(np.uint8)),
        size[1] / picture.size[1],
    )

    def integers() -> Iterator[np.ndarray]:
        for top, y in strips:
            if y.isnan().any():
                raise ValueError(
                    "the network's answer is no number in places: its weights are"
                    " damaged, or --dtype float16 too narrow for them; take bfloat16"
                )
            y = (
                y
                if alpha is None
                else torch.cat(
                    [y, resized(alpha, size, top, top + y.shape[1]).clamp(-1, 1)]
                )
            )
            yield (
                ((y.permute(1, 2, 0).numpy() + 1) * (np.iinfo(kind).max / 2))
                .round()
                .astype(kind)
            )

    chunks = (
        picture.chunks
        if picture.dpi is None
        else {
            **picture.chunks,
            b"pHYs": resolution((picture.dpi[0] * scale, picture.dpi[1] * scale)),
        }
    )
    png = file.with_suffix(".png")
    with png.open("wb") as opened:
        write_png(
            opened,
            integers(),
            size,
            picture.colour.shape[2] + (alpha is not None),
            8 * kind.itemsize,
            chunks,
        )
    if png != file:
        with PngImagePlugin.PngImageFile(
            png
        ) as image:  # without Image.open's limit on the number of pixels
            image.load()
            image.save(
                file,
                quality=95,
                **{
                    name: image.info[name]
                    for name in ("icc_profile", "exif", "dpi")
                    if name in image.info
                },
            )
        png.unlink()


def _on_white(
    canvas: Canvas, alpha: Canvas | None, size: Size
) -> Float[Tensor, "C h w"]:
    """The picture, shrunk if it is larger than a sheet shows, without transparency."""
    share = min(1.0, SHEET / max(size))
    small = (max(1, round(size[0] * share)), max(1, round(size[1] * share)))
    step = max(1, int(STRIP * small[0] / size[0]))

    def whole(canvas: Canvas) -> Tensor:
        return torch.cat(
            [
                resized(canvas, small, top, min(top + step, small[0]))
                for top in range(0, small[0], step)
            ],
            dim=1,
        ).clamp(-1, 1)

    return (
        whole(canvas)
        if alpha is None
        else 1 + (whole(canvas) - 1) * (whole(alpha) + 1) / 2
    )
