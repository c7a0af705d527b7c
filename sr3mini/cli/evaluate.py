"""`sr3mini evaluate`."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from .base import DEFAULT_MODEL, between, known_figures, network_calls, pick_device

if TYPE_CHECKING:
    from PIL import Image

    from ..evaluation.pairing import Pair
    from ..model.network import Network


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
    from tqdm.auto import tqdm

    from ..evaluation import perceptual
    from ..evaluation.compare import Comparison, drawn_cases, folder_cases
    from ..evaluation.evaluate import chosen, holds_out
    from ..evaluation.report import ROWS, strip, to_csv, to_markdown
    from ..evaluation.table import format_table
    from ..files.sheet import stacked
    from ..files.writing import save_picture, write_text

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
    known = (
        {} if out is None else known_figures(out)
    )  # before the long part, so that a wrong path or a missing package costs nothing
    _check_places(csv, markdown, sheet)
    comparison = Comparison(
        border=border,
        on_luma=y_channel,
        lpips=perceptual.lpips() if lpips else None,
        fid=fid,
    )
    f, steps = _model(model, steps, device)
    if references is None:
        assert f is not None
        samples = samples or 8
        pictures, order = chosen(data, f, count or 1024, seed)
        cases, total = (
            drawn_cases(f, pictures, order, steps=steps, samples=samples),
            len(order),
        )
        about = (
            f"{total} {'held-out ' * holds_out(data)}pictures of {data},"
            f" {f.preset.size // f.preset.factor} -> {f.preset.size}"
        )
        options: dict[str, object] = {"model": model, "data": data, "count": total}
    else:
        samples = samples or 1
        paired = _pairs(references, results, count, seed)
        factor = _factor(f, bicubic)
        cases, total = (
            folder_cases(
                paired, factor=factor, f=f, steps=steps, seed=seed, samples=samples
            ),
            len(paired),
        )
        about = f"{total} pictures of {references}" + (f", x{factor}" if factor else "")
        options = {
            "references": references,
            "results": results,
            "model": model,
            "bicubic": bicubic,
            "count": count,
        }
    options |= (
        {"samples": samples, "steps": steps, "seed": seed} if f is not None else {}
    )
    if f is not None:
        about += (
            ", 1 network call a picture"
            if steps == 1
            else f", {steps} network calls a picture"
        )
    strips: list[Image.Image] = []
    for case in tqdm(cases, total=total, desc="evaluating", unit="picture"):
        values = comparison.add(case)
        if sheet is not None and len(strips) < ROWS:
            strips.append(strip(case, values))
    table = comparison.means()
    if references is None and f is not None:
        _add_legibility(table, data, f, steps, samples)
    options |= {
        "border": border or None,
        "y-channel": y_channel,
        "lpips": lpips,
        "fid": fid,
    }
    about += (", PSNR and SSIM of Y" if y_channel else "") + (
        f", {border} pixels of border left out" if border else ""
    )
    command = _command(options)
    print(about)
    print(format_table(table))
    if out is not None:
        write_text(
            json.dumps({**known, "evaluated": command, "metrics": table}, indent=2)
            + "\n",
            out,
        )
    if csv is not None:
        write_text(to_csv(comparison.rows, table), csv)
    if markdown is not None:
        write_text(to_markdown(table, f"{about}: `{command}`"), markdown)
    if sheet is not None:
        save_picture(stacked(strips), sheet)


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
        if path is not None and (path.is_dir() or not path.parent.is_dir()):
            raise ValueError(
                f"{path} cannot be written:"
                f" {'it is a folder' if path.is_dir() else f'there is no folder {path.parent}'}"
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
    import torch

    from ..evaluation.pairing import Pair, pairs, pictures_below

    found = (
        [Pair(path, []) for path in pictures_below(references)]
        if results is None
        else pairs(results, references)
    )
    return (
        found
        if count is None
        else [
            found[i]
            for i in torch.randperm(
                len(found), generator=torch.Generator().manual_seed(seed)
            )[:count]
        ]
    )


def _factor(f: Network | None, bicubic: int | None) -> int | None:
    if f is not None and bicubic not in (None, f.preset.factor):
        raise ValueError(
            f"{f.preset.name} enlarges by {f.preset.factor}, so bicubic by {bicubic}"
            " cannot be compared with it: leave --bicubic out"
        )
    return bicubic if f is None else f.preset.factor


def _add_legibility(
    table: dict[str, dict[str, float]],
    data: str,
    f: Network,
    steps: int | None,
    samples: int,
) -> None:
    from ..evaluation.evaluate import alphabet_legibility

    if data == "glyphs":
        for name, share in alphabet_legibility(f, steps=steps, samples=samples).items():
            table[name]["legibility"] = share


def _command(options: dict[str, object]) -> str:
    """What to type for the same figures."""
    given = {
        name: value
        for name, value in options.items()
        if value is not None and value is not False
    }
    return "sr3mini evaluate " + " ".join(
        f"--{name}" if value is True else f"--{name} {shlex.quote(str(value))}"
        for name, value in given.items()
    )
