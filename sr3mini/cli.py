r"""The command line: `sr3mini train`, `sr3mini upscale`, `sr3mini evaluate`. A user's mistake is one sentence and status 2."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

if TYPE_CHECKING:
    from .preset import Network


def train(preset: str, out: Path | None = None, data: str | None = None, seed: int = 0, steps: int | None = None) -> None:
    """Train a preset; Ctrl-C ends early and keeps what was learnt.

    Args:
        preset: what to train, such as glyphs_8_32.
        out: folder for model.safetensors, model.json and samples.png (default: runs/PRESET).
        data: folder of your own pictures, for presets that ask for one.
        seed: of the weights, the order of the data and the noise.
        steps: number of training steps, if not the preset's own.
    """
    import dataclasses

    from .data import write_picture
    from .evaluate import held_out
    from .preset import PRESETS
    from .train import train as run
    from .upscale import grid

    if preset not in PRESETS:
        raise ValueError(f"no preset {preset!r}; there are: {', '.join(PRESETS)}")
    chosen = PRESETS[preset] if steps is None else dataclasses.replace(PRESETS[preset], train_steps=_between("steps", steps, 1, 10_000_000))
    folder = Path("runs") / preset if out is None else out
    f = run(chosen, folder, data=data, seed=_between("seed", seed, 0))
    y, _ = held_out(data or chosen.data, f, 8)
    write_picture(grid(f, y), folder / "samples.png")
    print(f"wrote {folder / 'model.safetensors'}, {folder / 'model.json'} and {folder / 'samples.png'}")


def upscale(
    pictures: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="PICTURE…")],
    model: str = "glyphs_8_32",
    out: Path = Path("upscaled"),
    steps: int | None = None,
    seed: int = 0,
    samples: int = 1,
) -> None:
    """Enlarge picture files.

    Args:
        pictures: picture files of any kind that Pillow reads.
        model: a shipped name, a .safetensors file, or the folder of a training run.
        out: folder for the results; a sheet beside them compares with bicubic.
        steps: network calls a sample, if not the model's own number.
        seed: of the first sample; the others follow.
        samples: how many different answers to draw.
    """
    from .checkpoint import load
    from .evaluate import method
    from .upscale import upscale_files

    if not pictures:
        raise ValueError("name at least one picture to upscale")
    _between("samples", samples, 1)
    _between("seed", seed, 0)
    f = load(model)
    steps = _calls(f, steps)
    if samples > 1 and method(f) == "regression":
        raise ValueError(f"{model} is a regression network and gives one answer to a picture: leave --samples out")
    for path in upscale_files(list(pictures), f, out, steps=steps, seed=seed, samples=samples, progress=True):
        print(path)


def evaluate(
    model: str = "glyphs_8_32", data: str = "glyphs", count: int = 1024, samples: int = 8, steps: int | None = None, seed: int = 0, out: Path | None = None
) -> None:
    """Print the metrics of a model beside those of bicubic, on held-out pictures.

    Args:
        model: a shipped name, a .safetensors file, or the folder of a training run.
        data: "glyphs" (their test split) or a folder of high-resolution pictures.
        count: how many pictures, in an order drawn from the seed.
        samples: samples a picture; their mean is a row of its own.
        steps: network calls a sample, if not the model's own number.
        seed: of the choice of pictures.
        out: also write the figures to this JSON file; what else it holds stays.
    """
    from .checkpoint import load
    from .data import write_text
    from .evaluate import alphabet_legibility, format_table, held_out
    from .evaluate import evaluate as run

    for name, value, least in (("count", count, 1), ("samples", samples, 1), ("seed", seed, 0)):
        _between(name, value, least)
    known = {} if out is None else _known(out)  # before the long part, so that a wrong --out costs nothing
    f = load(model)
    steps = _calls(f, steps)
    y, characters = held_out(data, f, count, seed)
    table, _ = run(f, y, steps=steps, samples=samples, progress=True)
    if characters is not None:
        for name, share in alphabet_legibility(f, steps=steps, samples=samples).items():
            table[name]["legibility"] = share
    command = f"sr3mini evaluate --model {model} --data {data} --count {len(y)} --samples {samples} --steps {steps} --seed {seed}"
    calls = "1 network call" if steps == 1 else f"{steps} network calls"
    print(f"{len(y)} held-out pictures of {data}, {f.preset.size // f.preset.factor} -> {f.preset.size}, {calls} a picture")
    print(format_table(table))
    if out is not None:
        write_text(json.dumps({**known, "evaluated": command, "metrics": table}, indent=2) + "\n", out)


def main(arguments: list[str] | None = None) -> None:
    """Entry point of `sr3mini`."""
    verbs: dict[str, Callable[..., Any]] = {"train": train, "upscale": upscale, "evaluate": evaluate}
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            tyro.extras.subcommand_cli_from_dict(verbs, prog="sr3mini", args=arguments, config=(tyro.conf.OmitArgPrefixes,))
    except (ValueError, OSError, FloatingPointError, KeyError, ImportError) as error:
        print(f"sr3mini: {_sentence(error)}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("sr3mini: stopped", file=sys.stderr)
        raise SystemExit(130) from None


def _sentence(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror is not None:
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    if isinstance(error, ImportError):
        return f"{error}; install what this needs with pip install 'sr3mini[book,train]'"
    return " ".join(str(error.args[0]).split()) if error.args else type(error).__name__


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"sr3mini: {message}", file=sys.stderr)


def _between(name: str, value: int, least: int, most: int = 2**32) -> int:
    if not least <= value <= most:
        raise ValueError(f"{name} = {value}, but it must lie between {least} and {most}")
    return value


def _calls(f: Network, steps: int | None) -> int:
    """Network calls a picture: those asked for, or the model's own number. A regression network is called once."""
    own, most = (1, 1) if f.preset.objective == "regression" else (f.preset.sampling_steps, f.preset.schedule_steps)
    return _between("steps", own if steps is None else steps, 1, most)


def _known(out: Path) -> dict[str, Any]:
    """What the JSON file `out` holds; {} if it has yet to be written."""
    if not out.exists():
        if not out.parent.is_dir():
            raise ValueError(f"{out} cannot be written: there is no folder {out.parent}")
        return {}
    try:
        known = json.loads(out.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{out} is there already and no JSON ({error}); name another file") from error
    if not isinstance(known, dict):
        raise ValueError(f"{out} is there already and no JSON object that the figures could be added to; name another file")
    return known
