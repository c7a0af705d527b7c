"""`sr3mini evaluate`."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ..training.options import command
from .base import (
    DEFAULT_MODEL,
    MethodOption,
    RangeOption,
    asked,
    between,
    pick_device,
    say_shadowed,
)

if TYPE_CHECKING:
    from PIL import Image

    from ..evaluation.compare import Case, Comparison
    from ..model.network import Network

    Cases = tuple[Iterator[Case], int, str]  # one by one, how many, what to say of them


@dataclass(frozen=True)
class EvaluateOptions:
    """What is measured, how, and where it is written."""

    # a shipped name, a .safetensors file, or the folder of a training run; without
    # references glyphs_8_32 for glyphs, else photos_16_64.
    model: str | None = None
    # "glyphs" (their test split), "letters" (all), a folder of high-resolution pictures
    # (all) or a prepared one (its held-out part), cut to squares of the model's size.
    data: str = "glyphs"
    # how many pictures, in an order drawn from the seed; 1024 of --data, all
    # --references, if not given.
    count: int | None = None
    # samples a picture; their mean is a row of its own. 8 of --data and 1 of
    # --references, if not given.
    samples: int | None = None
    # network calls a sample, if not the method's own number.
    steps: int | None = None
    # how noise becomes a picture, if not the model's own way; see `sr3mini upscale`.
    method: MethodOption = None
    # of the choice of pictures, and of a model's answers to --references.
    seed: int = 0
    # where the model runs: cpu, cuda, cuda:1, mps ...; auto takes the GPU if there is
    # one.
    device: Annotated[str, tyro.conf.arg(metavar="NAME")] = "auto"
    # a folder of high-resolution pictures of any size, measured whole and with 8 bits a
    # channel, instead of --data.
    references: Path | None = None
    # a folder of results for these references, paired by name: cat.png, cat_x4.png,
    # cat_sr.png or the samples cat_x4_1.png, cat_x4_2.png; several marks are several
    # rows.
    results: Path | None = None
    # what the names of --results have behind those of their references, and no others:
    # _SwinIR for cat_SwinIR.png.
    suffix: str | None = None
    # also measure bicubic: references cropped to a multiple of this factor, shrunk,
    # rounded to 8 bits and enlarged.
    bicubic: int | None = None
    # pixels to leave out at each side; the field takes the factor.
    border: int = 0
    # the values that are black and white, where files do not tell (floats, signed and
    # 32-bit numbers, 12 bits in 16), if not those that the model was trained with.
    range: RangeOption = None
    # PSNR and SSIM of the brightness Y (MATLAB's rgb2ycbcr) instead of all channels.
    y_channel: bool = False
    # also measure LPIPS (needs torchvision and weights that it fetches).
    lpips: bool = False
    # also measure FID (needs torch-fidelity and weights that it fetches).
    fid: bool = False
    # also write the figures to this JSON file; what else it holds stays.
    out: Path | None = None
    # also write a line a picture to this CSV file, and the means.
    csv: Path | None = None
    # also write the means to this Markdown file.
    markdown: Path | None = None
    # also draw the first 16 pictures into this picture file: input, bicubic, result and
    # reference.
    sheet: Path | None = None


USUAL = EvaluateOptions()
Fields = Annotated[
    EvaluateOptions, tyro.conf.arg(name=""), tyro.conf.FlagCreatePairsOff
]
PROGRAM = "sr3mini evaluate"
UNSAID = ("device", "out", "csv", "markdown", "sheet")  # which change no figure


def evaluate(wish: Fields = USUAL) -> None:
    """Measure a model on held-out pictures, or a folder of results of any program
    against their references.
    """
    from PIL.PngImagePlugin import PngInfo

    from ..evaluation import perceptual
    from ..evaluation.compare import Comparison, scores
    from ..evaluation.report import to_csv, to_markdown
    from ..evaluation.samples import alphabet_legibility
    from ..evaluation.table import format_table
    from ..files.writing import save_picture, write_text

    _check(wish)
    say_shadowed(wish.model or "", wish.data if wish.references is None else "")
    # before the long part, so that a wrong path or a missing package costs nothing
    _check_places(wish)
    known = _known_figures(wish.out)
    distance = perceptual.lpips() if wish.lpips else None
    measure = partial(
        scores, border=wish.border, on_luma=wish.y_channel, lpips=distance
    )
    comparison = Comparison(measure, fid=wish.fid)
    f, wish = _model(wish)

    if wish.references is None:
        assert f is not None
        cases, total, about = _of_data(f, wish)
        wish = replace(wish, count=total)
    else:
        cases, total, about = _of_references(f, wish, wish.references)
    sheet = _measure(comparison, cases, total, wish.sheet is not None)
    table = comparison.means()
    if f is not None and wish.references is None and wish.data == "glyphs":
        read = alphabet_legibility(f, steps=wish.steps, samples=wish.samples or 1)
        for name, share in read.items():
            table[name]["legibility"] = share

    about = f"{comparison.pictures} {about}{_told(f, wish)}"
    line = _command(wish)
    print(about)
    print(format_table(table))
    figures = {**known, "evaluated": line, "metrics": table}
    texts = {
        wish.out: json.dumps(figures, indent=2, allow_nan=False) + "\n",
        wish.csv: to_csv(comparison.rows, table),
        wish.markdown: to_markdown(table, f"{about}: `{line}`"),
    }
    writes = [partial(write_text, text, path) for path, text in texts.items() if path]
    if wish.sheet is not None and sheet is not None:
        mark = PngInfo()
        mark.add_text("Software", PROGRAM)
        png = wish.sheet.suffix.lower() == ".png"
        options = {"pnginfo": mark} if png else {}
        writes.append(partial(save_picture, sheet, wish.sheet, **options))
    _one_after_another(writes)
    if missing := total - comparison.pictures:
        raise ValueError(f"{missing} of {total} pictures could not be measured")


def _one_after_another(writes: Sequence[Callable[[], None]]) -> None:
    """Every file that can be written; OSError, at the end, where one could not."""
    failed = []
    for write in writes:
        try:
            write()
        except OSError as error:
            failed.append(str(error))
    if failed:
        raise OSError("; ".join(failed))


def _check(wish: EvaluateOptions) -> None:
    """ValueError unless the options have a sense, and together."""
    from ..files.ranges import demand_range

    for name, least in {"count": 1, "samples": 1, "bicubic": 2}.items():
        if (value := getattr(wish, name)) is not None:
            between(name, value, least)
    between("seed", wish.seed, 0)
    between("border", wish.border, 0)
    demand_range(wish.range)
    compared = wish.results is not None or wish.bicubic is not None
    if wish.suffix is not None and wish.results is None:
        raise ValueError("--suffix is of results: name the folder of --results too")
    if wish.references is None:
        if compared:
            raise ValueError(
                "--results and --bicubic are compared with --references: name their"
                " folder too"
            )
    elif wish.data != USUAL.data:
        raise ValueError(
            "give either --data, cut to the model's size, or --references, left whole"
        )
    elif wish.model is None:
        if not compared:
            raise ValueError(
                "say what to compare with --references: --results, --model or --bicubic"
            )
        _demand_no_call(wish)


def _demand_no_call(wish: EvaluateOptions) -> None:
    for name in ("steps", "method"):
        if getattr(wish, name) is not None:
            raise ValueError(f"--{name} is of a model: name the --model too")


def _check_places(wish: EvaluateOptions) -> None:
    from ..files.writing import is_device, is_picture_name

    for path in (wish.csv, wish.markdown, wish.sheet):
        if path is None or path.is_dir() or is_device(path):
            continue
        if _is_ours(path):
            said = f"{path}, of an earlier evaluation, will be replaced"
            warnings.warn(said, stacklevel=2)
        elif os.path.lexists(path):
            raise ValueError(
                f"{path} is there already, and of no evaluation: name another file"
            )
    for path in (wish.out, wish.csv, wish.markdown, wish.sheet):
        if path is not None and path.is_dir():
            raise ValueError(f"{path} cannot be written: it is a folder")
        if path is not None and not path.parent.is_dir():
            raise ValueError(
                f"{path} cannot be written: there is no folder {path.parent}"
            )
    if wish.sheet is not None and not is_picture_name(wish.sheet):
        raise ValueError(f"{wish.sheet} is no name for a picture: end it in .png")


def _is_ours(path: Path) -> bool:
    """Whether a file is there that an evaluation wrote."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(2**16)
    return head.startswith(b"picture,method") or PROGRAM.encode() in head


def _known_figures(out: Path | None) -> dict[str, Any]:
    """What the JSON file `out` holds; {} if it has yet to be written."""
    from ..files.text import read_json

    if out is None or not out.exists():
        return {}
    try:
        return read_json(out)
    except ValueError as error:
        raise ValueError(
            f"{out} is there already and no JSON object ({error}); name another file"
        ) from error


def _model(wish: EvaluateOptions) -> tuple[Network | None, EvaluateOptions]:
    """The network, and the wish with what it leaves open."""
    from ..model.checkpoint import load

    model, samples = wish.model, wish.samples or 1
    if wish.references is None:
        model = model or ("glyphs_8_32" if wish.data == USUAL.data else DEFAULT_MODEL)
        samples = wish.samples or 8
    if model is None:
        return None, wish
    f = load(model, pick_device(wish.device))
    if not f.preset.conditional:
        raise ValueError(
            f"what {f.preset.name} draws from noise alone has no reference to be"
            " compared with"
        )
    f.preset = asked(f, wish.steps, wish.method)
    steps = f.preset.sampling_steps
    return f, replace(wish, model=model, samples=samples, steps=steps)


def _of_data(f: Network, wish: EvaluateOptions) -> Cases:
    """Pictures of a data set, cut to the size that f was made for."""
    from ..data.folder import Folder
    from ..data.pairs import Pairs
    from ..evaluation.compare import drawn_cases
    from ..evaluation.samples import chosen, holds_out

    data, preset = wish.data, f.preset
    bounds = wish.range or preset.range
    pictures, order = chosen(data, f, wish.count or 1024, wish.seed, bounds)
    cases = drawn_cases(f, pictures, order, steps=wish.steps, samples=wish.samples or 1)
    sizes = f"{preset.size // preset.factor} -> {preset.size}"
    about = f"{'held-out ' * holds_out(data)}pictures of {data}, {sizes}"
    if isinstance(pictures, Folder) and (told := pictures.small(order)):
        warnings.warn(f"{told}: blurred references flatter", stacklevel=2)
    if isinstance(pictures, Pairs):
        about += f", {pictures.told(preset.factor)}"
    return cases, len(order), about


def _of_references(f: Network | None, wish: EvaluateOptions, references: Path) -> Cases:
    """Whole pictures, all or `count` of them in the order that the seed draws, with
    what was made of them elsewhere, or by f.
    """
    from ..evaluation.compare import folder_cases
    from ..evaluation.pairing import pairs
    from ..evaluation.samples import shuffled

    factor = wish.bicubic if f is None else f.preset.factor
    if wish.bicubic not in (None, factor):
        raise ValueError(
            f"bicubic by {wish.bicubic} cannot be compared with a model that enlarges"
            f" by {factor}: leave --bicubic out"
        )
    paired = pairs(wish.results, references, wish.suffix)
    if wish.count is not None:
        order = shuffled(len(paired), wish.seed)[: wish.count]
        paired = [paired[i] for i in order]
    cases = folder_cases(
        paired,
        factor=factor,
        f=f,
        steps=wish.steps,
        seed=wish.seed,
        samples=wish.samples or 1,
        bounds=wish.range or (None if f is None else f.preset.range),
    )
    about = f"pictures of {references}"
    return cases, len(paired), about + (f", x{factor}" if factor else "")


def _measure(
    comparison: Comparison, cases: Iterator[Case], total: int, shown: bool
) -> Image.Image | None:
    """All pictures into the comparison, and the first of them onto a sheet, if it is to
    be shown. A picture that cannot be measured is passed over with a warning.

    ValueError when none can.
    """
    from tqdm.auto import tqdm

    from ..evaluation.report import ROWS, strip
    from ..files.sheet import stacked

    strips: list[Image.Image] = []
    failed: list[str] = []
    with tqdm(total=total, desc="evaluating", unit="picture") as bar:
        while True:
            name = ""
            try:
                case = next(cases)
                name = f"{case.name}: "
                values = comparison.add(case)
                if shown and len(strips) < ROWS:
                    strips.append(strip(case, values))
            except StopIteration:
                break
            except ValueError as error:
                failed.append(f"{name}{error}")
                if total > 1:
                    warnings.warn(f"passed over: {failed[-1]}", stacklevel=2)
            bar.update()
    if not comparison.pictures:
        first = failed[0] if failed else "no picture could be read"
        raise ValueError(f"none of {total} pictures could be measured; {first}")
    return stacked(strips) if strips else None


def _told(f: Network | None, wish: EvaluateOptions) -> str:
    """How it was measured, to follow what was."""
    told = ""
    if f is not None:
        told += f", {wish.steps} network call{'s' * (wish.steps != 1)} a picture"
        if f.preset.objective != "regression":
            told += f" ({f.preset.sampling_method})"
    if wish.y_channel:
        told += ", PSNR and SSIM of Y"
    return told + (f", {wish.border} pixels of border left out" if wish.border else "")


def _command(wish: EvaluateOptions) -> str:
    """What measures the same again."""
    said = {**vars(wish), "border": wish.border or None}
    if wish.references is not None:
        said["data"] = None
    if wish.model is None and wish.count is None:
        said["seed"] = None
    flags = {
        f"--{name.replace('_', '-')}": value
        for name, value in said.items()
        if name not in UNSAID
    }
    return command(PROGRAM, flags)
