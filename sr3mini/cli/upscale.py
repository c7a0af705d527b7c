"""`sr3mini upscale`."""

from __future__ import annotations

import glob
import os
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from .base import (
    DEFAULT_MODEL,
    MethodOption,
    RangeOption,
    asked,
    between,
    clear_up_when_terminated,
    pick_device,
    say_shadowed,
)

if TYPE_CHECKING:
    from ..model.network import Network
    from ..upscaling.upscale_files import Wish


@dataclass(frozen=True)
class UpscaleOptions:
    """By what, how large, how often, and where to."""

    # a shipped name, a .safetensors file, or the folder of a training run (photos_16_64
    # if not given); of several --model each enlarges what the one before it made.
    model: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    # folder for the results.
    out: Path = Path("upscaled")
    # how many times larger, if not the model's own factor; the model is repeated until
    # that is reached, and its result shrunk.
    factor: float | None = None
    # width and height of the results, such as 1920x1080, instead of a factor.
    size: Annotated[str | None, tyro.conf.arg(metavar="WxH")] = None
    # how many different answers to draw; of several there is a map of where they
    # disagree.
    samples: int = 1
    # network calls a sample, if not the method's own number.
    steps: int | None = None
    # how noise becomes a picture, if not the model's own way, found by measurement:
    # ancestral is Algorithm 2 of SR3 (100 calls, at levels of its schedule); ddim
    # adds no noise, multistep is its second-order form (8 calls, even in log-SNR).
    method: MethodOption = None
    # of the first sample; the others follow.
    seed: int = 0
    # also write a sheet that shows input, bicubic and samples side by side.
    sheet: bool = False
    # the values that are black and white, where files do not tell (floats, signed and
    # 32-bit numbers, 12 bits in 16), if not those that the model was trained with.
    range: RangeOption = None
    # kind of file of the results, if not png, or tif for a TIFF with a --range; jpg and
    # webp hold 8 bits.
    format: Literal["png", "jpg", "webp", "tif"] | None = None
    # draw anew what is there already.
    overwrite: bool = False
    # cpu, cuda, cuda:1, mps ...; auto takes the GPU if there is one.
    device: Annotated[str, tyro.conf.arg(metavar="NAME")] = "auto"
    # numbers that the network computes in; bfloat16 and float16 take half the memory,
    # and differ a little. auto tries, for a picture of a hundred windows and more,
    # whether bfloat16 is faster here than float32, says so, and takes it then.
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    # side of the part of a picture that the network sees at once, in pixels of the
    # result; less takes less memory.
    tile: int = 256


LARGEST_INPUT = 2**29  # bytes of standard input, which may never end
USUAL = UpscaleOptions()
Fields = Annotated[UpscaleOptions, tyro.conf.arg(name=""), tyro.conf.FlagCreatePairsOff]


def upscale(
    pictures: Annotated[
        tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="PICTURE…")
    ],
    options: Fields = USUAL,
) -> None:
    """Enlarge pictures: files, folders, or "-" for standard input to standard output.

    A picture of any size, kind and depth gives NAME_x4.png (NAME_x4_1.png ... of
    several samples) with the same channels, bits, profile, EXIF and transparency. A
    named file that is no picture, or whose result is there already, stops everything
    with status 2 before it begins. Below a folder such files are passed over, each with
    a sentence; the status is 2 at the end if one could not be read.

    Args:
        pictures: files of any kind that Pillow reads, folders with all that lies below
            them, or a single "-".
    """
    import torch

    from ..files.ranges import demand_range
    from ..model.checkpoint import load
    from ..upscaling.upscale_files import Wish, upscale_files

    factor, samples = options.factor, options.samples
    pictures = expanded(pictures)
    _check_pictures(pictures, samples > 1 or options.sheet)
    if factor is not None and (options.size is not None or not 0 < factor <= 1000):
        raise ValueError(
            f"factor = {factor:g}, but it must lie between 0 and 1000, without --size"
        )
    between("samples", samples, 1, 10_000)
    between("seed", options.seed, 0, 2**32)
    between("tile", options.tile, 16, 65_536)
    clear_up_when_terminated()
    place = pick_device(options.device)
    say_shadowed(*options.model)
    networks = [load(name, place) for name in options.model or (DEFAULT_MODEL,)]
    _check_calls(networks, options)

    trained_with = (f.preset.range for f in networks if f.preset.range)
    wish = Wish(
        factor,
        _size(options.size),
        samples,
        options.format,
        options.sheet,
        options.seed,
        options.steps,
        options.method,
        options.tile,
        None if options.dtype == "auto" else getattr(torch, options.dtype),
        demand_range(options.range) or next(trained_with, None),
    )
    if Path("-") in pictures:
        return _from_standard_input(networks, wish)
    found = upscale_files(
        pictures, networks, options.out, wish, overwrite=options.overwrite
    )
    for path in found:
        print(path)


def expanded(pictures: tuple[Path, ...]) -> tuple[Path, ...]:
    """The pictures, with those that fit a name with *, ? or [ in it, which some shells
    leave to the program. ValueError when none does.
    """
    found: list[Path] = []
    for path in pictures:
        if os.path.lexists(path) or not glob.has_magic(str(path)):
            found.append(path)
        elif fitting := sorted(glob.glob(str(path), recursive=True)):
            found += map(Path, fitting)
        else:
            raise ValueError(f"no file fits {path}")
    return tuple(found)


def _check_pictures(pictures: tuple[Path, ...], several: bool) -> None:
    """ValueError when there is none, or when "-" cannot be what is meant."""
    if not pictures:
        raise ValueError("name at least one picture to upscale")
    if Path("-") not in pictures:
        return
    if len(pictures) > 1 or several:
        raise ValueError(
            "- is one picture in and one out: leave other pictures, --samples and"
            " --sheet out"
        )
    if sys.stdout.isatty():
        raise ValueError("this terminal shows no pictures: add > FILE")


def _check_calls(networks: list[Network], options: UpscaleOptions) -> None:
    """ValueError when --steps, --method or --samples ask for what the networks cannot
    do. Beside others a regression network is called once, whatever they say.
    """
    drawing = [f for f in networks if f.preset.label != "regression"]
    for f in drawing or networks:
        asked(f, options.steps, options.method)
    if options.samples > 1 and not drawing:
        raise ValueError(
            "a regression network gives one answer to a picture: leave --samples out"
        )


def _from_standard_input(networks: list[Network], wish: Wish) -> None:
    from ..files.reading import read
    from ..upscaling.upscale_files import upscale_file

    name, content = "standard input", sys.stdin.buffer.read(LARGEST_INPUT + 1)
    if len(content) > LARGEST_INPUT:
        raise ValueError(f"{name} does not end after {LARGEST_INPUT} bytes")
    picture = read(content, wish.range)
    with tempfile.TemporaryDirectory() as beside:
        goal = Path(beside) / "large"
        (result,) = upscale_file(picture, networks, goal, wish, name)
        sys.stdout.buffer.write(result.read_bytes())


def _size(text: str | None) -> tuple[int, int] | None:
    """ "1920x1080" -> (1080, 1920)."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,7})[xX×](\d{1,7})", text.strip())
    if found is None or not int(found[1]) * int(found[2]):
        raise ValueError(
            f"size = {text!r}, but it must be a width and a height, such as 1920x1080"
        )
    return int(found[2]), int(found[1])
