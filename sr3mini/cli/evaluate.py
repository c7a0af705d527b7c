"""`sr3mini evaluate`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ..training.options import command
from .base import DEFAULT_MODEL, Flag, between, network_calls, pick_device

if TYPE_CHECKING:
    from PIL import Image

    from ..evaluation.compare import Case, Comparison
    from ..model.network import Network

    Cases = tuple[Iterator[Case], int, str]  # one by one, how many, what to say of them


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
    y_channel: Flag = False,
    lpips: Flag = False,
    fid: Flag = False,
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
    from ..evaluation.compare import Comparison, scores
    from ..evaluation.report import to_csv, to_markdown
    from ..evaluation.samples import alphabet_legibility
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
    _check_places(out, csv, markdown, sheet)
    known = _known_figures(out)
    distance = perceptual.lpips() if lpips else None
    measure = partial(scores, border=border, on_luma=y_channel, lpips=distance)
    comparison = Comparison(measure, fid=fid)
    f, steps = _model(model, steps, device)

    if references is None:
        assert f is not None
        samples = samples or 8
        cases, total, about = _of_data(f, data, count or 1024, samples, steps, seed)
        count = total
    else:
        samples = samples or 1
        cases, total, about = _of_references(
            f, references, results, bicubic, count, samples, steps, seed
        )
    _measure(comparison, cases, total, sheet)
    table = comparison.means()
    if f is not None and references is None and data == "glyphs":
        read = alphabet_legibility(f, steps=steps, samples=samples)
        for name, share in read.items():
            table[name]["legibility"] = share

    flags = {
        "--references": references,
        "--results": results,
        "--model": model,
        "--data": data if references is None else None,
        "--bicubic": bicubic,
        "--count": count,
    }
    if f is not None:
        flags |= {"--samples": samples, "--steps": steps, "--seed": seed}
    flags |= {"--border": border or None, "--y-channel": y_channel}
    line = command("sr3mini evaluate", {**flags, "--lpips": lpips, "--fid": fid})
    about += _told(f, steps, y_channel, border)
    print(about)
    print(format_table(table))
    if out is not None:
        figures = {**known, "evaluated": line, "metrics": table}
        write_text(json.dumps(figures, indent=2) + "\n", out)
    if csv is not None:
        write_text(to_csv(comparison.rows, table), csv)
    if markdown is not None:
        write_text(to_markdown(table, f"{about}: `{line}`"), markdown)


def _of_data(
    f: Network, data: str, count: int, samples: int, steps: int | None, seed: int
) -> Cases:
    """Pictures of a data set, cut to the size that f was made for."""
    from ..evaluation.compare import drawn_cases
    from ..evaluation.samples import chosen, holds_out

    pictures, order = chosen(data, f, count, seed)
    cases = drawn_cases(f, pictures, order, steps=steps, samples=samples)
    sizes = f"{f.preset.size // f.preset.factor} -> {f.preset.size}"
    about = f"{len(order)} {'held-out ' * holds_out(data)}pictures of {data}, {sizes}"
    return cases, len(order), about


def _of_references(
    f: Network | None,
    references: Path,
    results: Path | None,
    bicubic: int | None,
    count: int | None,
    samples: int,
    steps: int | None,
    seed: int,
) -> Cases:
    """Whole pictures, all or `count` of them in the order that the seed draws, with
    what was made of them elsewhere, or by f.
    """
    from ..evaluation.compare import folder_cases
    from ..evaluation.pairing import pairs
    from ..evaluation.samples import shuffled

    factor = bicubic if f is None else f.preset.factor
    if bicubic not in (None, factor):
        raise ValueError(
            f"bicubic by {bicubic} cannot be compared with a model that enlarges by"
            f" {factor}: leave --bicubic out"
        )
    paired = pairs(results, references)
    if count is not None:
        paired = [paired[i] for i in shuffled(len(paired), seed)[:count]]
    cases = folder_cases(
        paired, factor=factor, f=f, steps=steps, seed=seed, samples=samples
    )
    about = f"{len(paired)} pictures of {references}"
    return cases, len(paired), about + (f", x{factor}" if factor else "")


def _measure(
    comparison: Comparison, cases: Iterator[Case], total: int, sheet: Path | None
) -> None:
    """All pictures into the comparison, and the first of them onto the sheet."""
    from tqdm.auto import tqdm

    from ..evaluation.report import ROWS, strip
    from ..files.sheet import stacked
    from ..files.writing import save_picture

    strips: list[Image.Image] = []
    for case in tqdm(cases, total=total, desc="evaluating", unit="picture"):
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
    if references is None:
        if results is not None or bicubic is not None:
            raise ValueError(
                "--results and --bicubic are compared with --references: name their"
                " folder too"
            )
    elif data != "glyphs":
        raise ValueError(
            "give either --data, cut to the model's size, or --references, left whole"
        )
    elif results is None and bicubic is None and model is None:
        raise ValueError(
            "say what to compare with --references: --results, --model or --bicubic"
        )


def _check_places(*places: Path | None) -> None:
    """ValueError where a file cannot be written; the last place is a picture's."""
    from ..data.folder import SUFFIXES

    for path in places:
        if path is not None and path.is_dir():
            raise ValueError(f"{path} cannot be written: it is a folder")
        if path is not None and not path.parent.is_dir():
            raise ValueError(
                f"{path} cannot be written: there is no folder {path.parent}"
            )
    sheet = places[-1]
    if sheet is not None and sheet.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{sheet} is no name for a picture: end it in .png")


def _known_figures(out: Path | None) -> dict[str, Any]:
    """What the JSON file `out` holds; {} if it has yet to be written."""
    if out is None or not out.exists():
        return {}
    try:
        return {**json.loads(out.read_text(encoding="utf-8"))}
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{out} is there already and no JSON object ({error}); name another file"
        ) from error


def _model(
    model: str | None, steps: int | None, device: str
) -> tuple[Network | None, int | None]:
    """The network, and how often it is called for a picture."""
    from ..model.checkpoint import load

    if model is None:
        if steps is not None:
            raise ValueError("--steps is of a model: name the --model too")
        return None, None
    f = load(model, pick_device(device))
    if not f.preset.conditional:
        raise ValueError(
            f"what {f.preset.name} draws from noise alone has no reference to be"
            " compared with"
        )
    return f, network_calls(f, steps)
