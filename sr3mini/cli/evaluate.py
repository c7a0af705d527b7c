"""`sr3mini evaluate`."""

from __future__ import annotations

import json
from pathlib import Path

from .base import between, known_figures, network_calls


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
    from ..checkpoint import load
    from ..data import write_text
    from ..evaluate import alphabet_legibility, format_table, held_out
    from ..evaluate import evaluate as run

    for name, value, least in (("count", count, 1), ("samples", samples, 1), ("seed", seed, 0)):
        between(name, value, least)
    known = {} if out is None else known_figures(out)  # before the long part, so that a wrong --out costs nothing
    f = load(model)
    steps = network_calls(f, steps)
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
