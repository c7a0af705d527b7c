"""`sr3mini evaluate`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import tyro

from .base import DEFAULT_MODEL, between, known_figures, network_calls, pick_device

if TYPE_CHECKING:
    from PIL import Image

    from ..evaluation.compare import Case, Comparison
    from ..evaluation.pairing import Pair
    from ..evaluation.table import Table
    from ..model.network import Network


class Cases(NamedTuple):
    """What is measured: picture by picture, how many, and what to say of them."""

    each: Iterator[Case]
    total: int
    about: str


def evaluate(
    model: str | None = None,
    data: str = "glyphs",
    count: int | None = None,
    samples: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    device: Annotated[str, tyro.conf.arg(metavar="NAME")] = "auto",
    references: Path | None = None,
    results: Path | None = None,
    bicubic: int | None = None,
    border: int = 0,
    y_channel: tyro.conf.FlagCreatePairsOff[bool] = False,
    lpips: tyro.conf.FlagCreatePairsOff[bool] = False,
    fid: tyro.conf.FlagCreatePairsOff[bool] = False,
    out: Path | None = None,
    csv: Path | None = None,
    markdown: Path | None = None,
    sheet: Path | None = None,
) -> None:
    """Measure a model on held-out pictures, or a folder of results of any program
    against their references.

    Args:
        model: a shipped name, a .safetensors file, or the folder of a training run;
            without references glyphs_8_32 for glyphs, else photos_16_64.
        data: "glyphs" (their test split), a folder of high-resolution pictures (all) or
            a prepared one (its held-out part), cut to squares of the model's size.
        count: how many pictures, in an order drawn from the seed; 1024 of --data, all
            --references, if not given.
        samples: samples a picture of --data; their mean is a row of its own. 8 if not
            given.
        steps: network calls a sample, if not the model's own number.
        seed: of the choice of pictures, and of a model's answers to --references.
        device: where the model runs: cpu, cuda, cuda:1, mps ...; auto takes the GPU if
            there is one.
        references: a folder of high-resolution pictures of any size, measured whole and
            with 8 bits a channel, instead of --data.
        results: a folder of results for these references, paired by name: cat.png,
            cat_x4.png, cat_sr.png or the samples cat_x4_1.png, cat_x4_2.png.
        bicubic: also measure bicubic: references cropped to a multiple of this factor,
            shrunk, rounded to 8 bits and enlarged.
        border: pixels to leave out at each side; the field takes the factor.
        y_channel: PSNR and SSIM of the brightness Y (MATLAB's rgb2ycbcr) instead of all
            channels.
        lpips: also measure LPIPS (needs torchvision and weights that it fetches).
        fid: also measure FID (needs torch-fidelity and weights that it fetches).
        out: also write the figures to this JSON file; what else it holds stays.
        csv: also write a line a picture to this CSV file, and the means.
        markdown: also write the means to this Markdown file.
        sheet: also draw the first 16 pictures into this picture file: input, bicubic,
            result and reference.
    """
    from ..evaluation import perceptual
    from ..evaluation.compare import Comparison
    from ..evaluation.report import to_csv, to_markdown
    from ..evaluation.table import format_table
    from ..files.writing import write_text

    for name, value, least in (
        ("count", count, 1),
        ("samples", samples, 1),
        ("seed", seed, 0),
        ("border", border, 0),
        ("bicubic", bicubic, 2),
    ):
        between(name, least if value is None else value, least)
    if model is None and references is None:
        model = "glyphs_8_32" if data == "glyphs" else DEFAULT_MODEL
    _one_of_two_ways(model, data, references, results, bicubic)
    # before the long part, so that a wrong path or a missing package costs nothing
    known = {} if out is None else known_figures(out)
    _check_places(csv, markdown, sheet)
    distance = perceptual.lpips() if lpips else None
    comparison = Comparison(border=border, on_luma=y_channel, lpips=distance, fid=fid)
    f, steps = _model(model, steps, device)

    if references is None:
        assert f is not None
        samples = samples or 8
        cases = _of_data(f, data, count or 1024, samples, steps, seed)
        count = cases.total
    else:
        samples = samples or 1
        paired = _pairs(references, results, count, seed)
        factor = _factor(f, bicubic)
        cases = _of_references(f, references, paired, factor, samples, steps, seed)
    _measure(comparison, cases, sheet)
    table = comparison.means()
    if references is None and data == "glyphs":
        _add_legibility(table, f, steps, samples)

    options = {
        "references": references,
        "results": results,
        "model": model,
        "data": data if references is None else None,
        "bicubic": bicubic,
        "count": count,
    }
    if f is not None:
        options |= {"samples": samples, "steps": steps, "seed": seed}
    options |= {"border": border or None, "y-channel": y_channel}
    command = _command({**options, "lpips": lpips, "fid": fid})
    about = cases.about + _told(f, steps, y_channel, border)
    print(about)
    print(format_table(table))
    if out is not None:
        figures = {**known, "evaluated": command, "metrics": table}
        write_text(json.dumps(figures, indent=2) + "\n", out)
    if csv is not None:
        write_text(to_csv(comparison.rows, table), csv)
    if markdown is not None:
        write_text(to_markdown(table, f"{about}: `{command}`"), markdown)


def _of_data(
    f: Network, data: str, count: int, samples: int, steps: int | None, seed: int
) -> Cases:
    """Pictures of a data set, cut to the size that f was made for."""
    from ..evaluation.compare import drawn_cases
    from ..evaluation.samples import chosen, holds_out

    pictures, order = chosen(data, f, count, seed)
    each = drawn_cases(f, pictures, order, steps=steps, samples=samples)
    sizes = f"{f.preset.size // f.preset.factor} -> {f.preset.size}"
    about = f"{len(order)} {'held-out ' * holds_out(data)}pictures of {data}, {sizes}"
    return Cases(each, len(order), about)


def _of_references(
    f: Network | None,
    references: Path,
    paired: list[Pair],
    factor: int | None,
    samples: int,
    steps: int | None,
    seed: int,
) -> Cases:
    """Whole pictures with what was made of them elsewhere, or by f."""
    from ..evaluation.compare import folder_cases

    each = folder_cases(
        paired, factor=factor, f=f, steps=steps, seed=seed, samples=samples
    )
    about = f"{len(paired)} pictures of {references}"
    return Cases(each, len(paired), about + (f", x{factor}" if factor else ""))


def _measure(comparison: Comparison, cases: Cases, sheet: Path | None) -> None:
    """All pictures into the comparison, and the first of them onto the sheet."""
    from tqdm.auto import tqdm

    from ..evaluation.report import ROWS, strip
    from ..files.sheet import stacked
    from ..files.writing import save_picture

    strips: list[Image.Image] = []
    for case in tqdm(cases.each, total=cases.total, desc="evaluating", unit="picture"):
        values = comparison.add(case)
        if sheet is not None and len(strips) < ROWS:
            strips.append(strip(case, values))
    if sheet is not None:
        save_picture(stacked(strips), sheet)


def _told(f: Network | None, steps: int | None, y_channel: bool, border: int) -> str:
    """How it was measured, to follow what was."""
    told = "" if f is None else f", {steps} network call{'s' * (steps != 1)} a picture"
    if y_channel:
        told += ", PSNR and SSIM of Y"
    return told + (f", {border} pixels of border left out" if border else "")


def _one_of_two_ways(
    model: str | None,
    data: str,
    references: Path | None,
    results: Path | None,
    bicubic: int | None,
) -> None:
    """ValueError unless the options belong together."""
    if references is None and (results is not None or bicubic is not None):
        raise ValueError(
            "--results and --bicubic are compared with the pictures of --references:"
            " name their folder too"
        )
    if references is not None and data != "glyphs":
        raise ValueError(
            "give either --data, pictures cut to the model's size, or --references,"
            " pictures measured whole"
        )
    if references is not None and results is None and bicubic is None and model is None:
        raise ValueError(
            "say what to compare with the references: --results DIR, --model NAME or"
            " --bicubic FACTOR"
        )


def _check_places(csv: Path | None, markdown: Path | None, sheet: Path | None) -> None:
    from ..data.folder import SUFFIXES

    for path in (csv, markdown, sheet):
        if path is not None and path.is_dir():
            raise ValueError(f"{path} cannot be written: it is a folder")
        if path is not None and not path.parent.is_dir():
            raise ValueError(
                f"{path} cannot be written: there is no folder {path.parent}"
            )
    if sheet is not None and sheet.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{sheet} is no name for a picture: end it in .png")


def _model(
    model: str | None, steps: int | None, device: str
) -> tuple[Network | None, int | None]:
    """The network, and how often it is called for a picture."""
    from ..model.checkpoint import load

    if model is None:
        if steps is not None:
            raise ValueError(
                "--steps is about a model's network calls: name the --model too"
            )
        return None, None
    f = load(model, pick_device(device))
    if not f.preset.conditional:
        raise ValueError(
            f"{f.preset.name} was trained without a low-resolution picture: what it"
            " draws from noise has no reference to be compared with"
        )
    return f, network_calls(f, steps)


def _pairs(
    references: Path, results: Path | None, count: int | None, seed: int
) -> list[Pair]:
    """All references with their results, or `count` of them in the order that the seed
    draws.
    """
    from ..evaluation.pairing import Pair, pairs, pictures_below
    from ..evaluation.samples import shuffled

    if results is None:
        found = [Pair(path, []) for path in pictures_below(references)]
    else:
        found = pairs(results, references)
    if count is None:
        return found
    return [found[i] for i in shuffled(len(found), seed)[:count]]


def _factor(f: Network | None, bicubic: int | None) -> int | None:
    if f is not None and bicubic not in (None, f.preset.factor):
        raise ValueError(
            f"{f.preset.name} enlarges by {f.preset.factor}, so bicubic by {bicubic}"
            " cannot be compared with it: leave --bicubic out"
        )
    return bicubic if f is None else f.preset.factor


def _add_legibility(
    table: Table, f: Network | None, steps: int | None, samples: int
) -> None:
    from ..evaluation.samples import alphabet_legibility

    assert f is not None
    for name, share in alphabet_legibility(f, steps=steps, samples=samples).items():
        table[name]["legibility"] = share


def _command(options: dict[str, object]) -> str:
    """What to type for the same figures."""
    words = ["sr3mini evaluate"]
    for name, value in options.items():
        if value is True:
            words.append(f"--{name}")
        elif value is not None and value is not False:
            words.append(f"--{name} {shlex.quote(str(value))}")
    return " ".join(words)
