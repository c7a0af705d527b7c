r"""What lies beside a model's weights, so that people and the Hub know what it is.

model/model.safetensors   the weights and the preset      `checkpoint.save`
model/model.json          how it was made, what was       `sr3mini train`,
                          measured                        `sr3mini evaluate`
model/config.json         the preset again, for programs that want that name
model/README.md           the model card
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..files.writing import write_text
from .checkpoint import card
from .preset import Preset

CARD = """---
library_name: sr3mini
pipeline_tag: {task}
tags:
- super-resolution
- diffusion
- sr3
---

# {name}

{summary}

## Use
{shell}
```python
from sr3mini import load
f = load(".")  # this folder: f(x, y_t, gamma), pictures in [-1, 1]; \
f.preset tells the schedule and the sizes
```
"""
SHELL = """
```sh
sr3mini upscale picture.png --model .
```
"""


def describe(folder: str | Path, preset: Preset) -> None:
    """Write `folder`/config.json and `folder`/README.md for the weights and the
    model.json that lie there.

    ValueError when there is no model in the folder, OSError when a file cannot be
    written.
    """
    folder, config = Path(folder), json.dumps(asdict(preset), indent=2)
    write_text(config + "\n", folder / "config.json")
    write_text(model_card(preset, card(folder)), folder / "README.md")


def model_card(preset: Preset, about: dict[str, Any]) -> str:
    """The README.md of a model folder: Hugging Face's header, what the model does, how
    it is used, where it comes from, what was measured.
    """
    task, shell = "image-to-image", SHELL
    if not preset.conditional:
        task, shell = "unconditional-image-generation", ""
    text = CARD.format(
        name=preset.name, summary=_summary(preset), task=task, shell=shell
    )
    return "\n".join([text, *_origin(about), *_measured(about)]).rstrip() + "\n"


def _summary(preset: Preset) -> str:
    size, colour = preset.size, "grey" if preset.image_channels == 1 else "colour"
    if not preset.conditional:
        return f"Generates {colour} pictures of {size} x {size} pixels from noise."
    low = size // preset.factor
    what = "SR3: diffusion super-resolution"
    if preset.objective == "regression":
        what = "a regression network, SR3's baseline"
    return (
        f"Enlarges {colour} pictures {preset.factor} times, trained from {low} x {low}"
        f" to {size} x {size} pixels ({what})."
    )


def _origin(about: dict[str, Any]) -> list[str]:
    facts: dict[str, object] = {}
    for name in ("trained", "imported", "parameters", "steps", "seconds", "machine"):
        if name in about:
            command = name in ("trained", "imported")
            facts[name] = f"`{about[name]}`" if command else about[name]
    if about.get("assumed"):
        assumed = ", ".join(f"{name} = {it}" for name, it in about["assumed"].items())
        facts["not in the checkpoint, so assumed"] = assumed
    lines = [f"- {name}: {fact}" for name, fact in facts.items()]
    return ["## Where it comes from", "", *lines, ""] if lines else []


def _measured(about: dict[str, Any]) -> list[str]:
    table: dict[str, dict[str, float]] = about.get("metrics", {})
    columns = list(dict.fromkeys(name for row in table.values() for name in row))
    if not columns:
        return []
    lines = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for method, row in table.items():
        cells = [f"{row[name]:.4g}" if name in row else "–" for name in columns]
        lines.append(f"| {' | '.join([method, *cells])} |")
    return ["## Measured", "", f"`{about.get('evaluated', '')}`", "", *lines]
