r"""What lies beside a model's weights, so that people and the Hub know what it is.

model/model.safetensors   the weights and the preset                   `checkpoint.save`
model/model.json          how it was made, what was measured           `sr3mini train`,
`sr3mini evaluate` model/config.json         the preset again, for programs that want a
file of that name model/README.md           the model card
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..files.writing import write_text
from .checkpoint import card
from .preset import Preset


def describe(folder: str | Path, preset: Preset) -> None:
    """Write `folder`/config.json and `folder`/README.md for the weights and the
    model.json that lie there.

    ValueError when there is no model in the folder, OSError when a file cannot be
    written.
    """
    folder = Path(folder)
    write_text(
        json.dumps(json.loads(preset.to_json()), indent=2) + "\n",
        folder / "config.json",
    )
    write_text(model_card(preset, card(folder)), folder / "README.md")


def model_card(preset: Preset, about: dict[str, Any]) -> str:
    """The README.md of a model folder: Hugging Face's header, what the model does, how
    it is used, where it comes from, what was measured.
    """
    front = [
        "---",
        "library_name: sr3mini",
        "pipeline_tag: "
        + (
            "image-to-image" if preset.conditional else "unconditional-image-generation"
        ),
    ]
    front += ["tags:", "- super-resolution", "- diffusion", "- sr3", "---", ""]
    parts = [
        *front,
        f"# {preset.name}",
        "",
        _summary(preset),
        "",
        *_use(preset),
        *_origin(about),
        *_measured(about),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _summary(preset: Preset) -> str:
    colour = (
        "grey" if preset.image_channels == 1 else f"{preset.image_channels}-channel"
    )
    if not preset.conditional:
        return (
            f"Generates {colour} pictures of {preset.size} x {preset.size} pixels from"
            " noise."
        )
    low = preset.size // preset.factor
    what = (
        "a regression network, SR3's baseline"
        if preset.objective == "regression"
        else "SR3: diffusion super-resolution"
    )
    return (
        f"Enlarges {colour} pictures {preset.factor} times, trained from {low} x {low}"
        f" to {preset.size} x {preset.size} pixels ({what})."
    )


def _use(preset: Preset) -> list[str]:
    python = [
        "from sr3mini.checkpoint import load",
        (
            'f = load(".")  # this folder: f(x, y_t, gamma), pictures in [-1, 1];'
            " f.preset tells the schedule and the sizes"
        ),
    ]
    shell = (
        ["```sh", "sr3mini upscale picture.png --model .", "```", ""]
        if preset.conditional
        else []
    )
    return ["## Use", "", *shell, "```python", *python, "```", ""]


def _origin(about: dict[str, Any]) -> list[str]:
    lines = [
        f"- {name}: `{about[name]}`"
        for name in ("trained", "imported")
        if name in about
    ]
    lines += [
        f"- {name.replace('_', ' ')}: {about[name]}"
        for name in ("parameters", "steps", "seconds", "machine")
        if name in about
    ]
    if about.get("assumed"):
        lines.append(
            "- not in the checkpoint, so assumed: "
            + ", ".join(f"{name} = {value}" for name, value in about["assumed"].items())
        )
    return ["## Where it comes from", "", *lines, ""] if lines else []


def _measured(about: dict[str, Any]) -> list[str]:
    table: dict[str, dict[str, float]] = about.get("metrics", {})
    columns = list(dict.fromkeys(name for row in table.values() for name in row))
    if not columns:
        return []
    rows = [
        f"| {method} | "
        + " | ".join(f"{row[name]:.4g}" if name in row else "–" for name in columns)
        + " |"
        for method, row in table.items()
    ]
    return [
        "## Measured",
        "",
        f"`{about.get('evaluated', '')}`",
        "",
        "| | " + " | ".join(columns) + " |",
        "|---" * (len(columns) + 1) + "|",
        *rows,
        "",
    ]
