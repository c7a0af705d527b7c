"""`sr3mini import` and `sr3mini export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

WEIGHTS_AND_CARD = ("model.safetensors", "config.json", "model.json", "README.md")
TRAINING = ("metrics.jsonl", "state")


def import_(
    checkpoint: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="GEN.PTH")],
    config: Path | None = None,
    key: str | None = None,
    out: Path = Path("model"),
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False,
) -> None:
    """Turn a checkpoint of the best-known public SR3 code into a model folder.

    Nothing in the file is executed. A folder that holds a model or a training already
    is left as it is, with status 2.

    Args:
        checkpoint: its I..._E..._gen.pth.
        config: the JSON that it was trained with; without it, what the tensors do not
            tell is assumed, and said.
        key: which network, of a file that holds several, such as netG_ema.
        out: folder for model.safetensors, config.json, model.json and README.md.
        overwrite: write anew what is there already.
    """
    import dataclasses
    import json

    from ..bridges.janspiry import import_checkpoint
    from ..files.writing import all_or_none, demand_free, write_text
    from ..model.card import describe
    from ..model.checkpoint import save

    demand_free((out / name for name in WEIGHTS_AND_CARD + TRAINING), overwrite)
    f, about = import_checkpoint(checkpoint, config, key)
    about |= {
        "preset": dataclasses.asdict(f.preset),
        "parameters": sum(p.numel() for p in f.parameters()),
    }
    with all_or_none([out / name for name in WEIGHTS_AND_CARD]) as (weights, *_):
        save(weights, f)
        text = json.dumps(about, indent=2) + "\n"
        write_text(text, weights.with_name("model.json"))
        describe(weights.parent, f.preset)
    what = f"{f.preset.size // f.preset.factor} -> {f.preset.size}"
    if not f.preset.conditional:
        what = f"unconditional, {f.preset.size}"
    print(f"wrote {out}: {what}, {about['parameters'] / 1e6:.1f} million parameters")
    if about["assumed"]:
        listed = ", ".join(f"{name} = {it}" for name, it in about["assumed"].items())
        print(f"not in the checkpoint, so assumed: {listed}; pass --config to be sure")


def export(
    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")],
    out: Annotated[Path, tyro.conf.arg(metavar="FILE.pth|FILE.pt2")],
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False,
) -> None:
    """Write a model for other code to load.

    NAME_gen.pth is for the best-known public SR3 code, with NAME_gen.json beside it;
    its layout has to be that code's. NAME.pt2 is a program for torch.export.load, which
    needs none of our code. Files that are there already are left as they are, with
    status 2.

    Args:
        model: a shipped name, a .safetensors file, or a model folder.
        out: where to write; the ending says what.
        overwrite: write anew what is there already.
    """
    from ..bridges.janspiry import export_checkpoint
    from ..bridges.torch_export import export_program
    from ..files.writing import demand_free
    from ..model.checkpoint import load

    if out.suffix not in (".pth", ".pt2"):
        raise ValueError(
            f"{out} ends neither in .pth nor in .pt2, so it is not clear what to write"
        )
    public = out.suffix == ".pth"
    demand_free([out, out.with_suffix(".json")] if public else [out], overwrite)
    f = load(model)
    if public:
        print(f"wrote {out} and {export_checkpoint(f, out)}")
    else:
        print(f"wrote {out}; at most {export_program(f, out):.1e} from {model}")
