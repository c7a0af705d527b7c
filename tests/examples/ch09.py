from dataclasses import replace
from typing import Any

from sr3mini.book import figures, widgets
from sr3mini.model.presets import PRESETS
from sr3mini.training.plan import plan

from . import Figures, Playables, noise

LOGS = {
    name: [{"step": 20.0 * n, "loss": loss} for n, loss in enumerate(values, 1)]
    for name, values in (("plain", (0.8, 0.3, 0.1)), ("early", (0.06, 0.05, 0.03)))
}
LOSSES = [1 / (1 + step / 20) for step in range(400)]
RUN: dict[str, Any] = {
    "parts": [
        {"name": name, "log": [[n, high / n] for n in range(start, start + 100)]}
        for name, start, high in (
            ("one", 1, 0.4),
            ("another", 101, 20.0),
            ("third", 201, 20.0),
        )
    ]
}


def _cost(**how: Any) -> Any:
    return plan(PRESETS["glyphs_8_32"], **how)


FIGURES: Figures = {
    "pairs": (
        lambda: figures.pairs(noise(2, 3, 4, 4), noise(2, 3, 8, 8), noise(2, 3, 8, 8)),
        ("2 of them", "x of 4x4"),
    ),
    "starts": (
        lambda: figures.starts({"one": noise(2, 3, 8, 8), "y": noise(2, 3, 8, 8)}),
        ("one, y",),
    ),
    "photographs_sheet": (figures.photographs_sheet, ("Eight", "x of 16x16")),
    "head_start": (
        lambda: figures.head_start(0.1),
        ("by up to 148 with the plain start", "at most 0.10 with"),
    ),
    "watched": (
        lambda: figures.watched(LOGS, {"f = 0": 1.0, "no training": 0.05}),
        ("2 trainings", "no training at 0.05", "plain ends at 0.1; early ends at 0.03"),
    ),
    "spikes": (
        lambda: figures.spikes(
            {"as it is": [2 * loss for loss in LOSSES], "clipped": LOSSES}, 200
        ),
        ("at step 200", "as it is, 2.00 times the lowest; clipped, 1.00 times"),
    ),
    "memory_bar": (
        lambda: figures.memory_bar(_cost()),
        ("Training glyphs_8_32 on 1 h100, 32 pictures", "GB that can be used: it fits"),
    ),
    "memory_bar that is too long": (
        lambda: figures.memory_bar(
            plan(replace(PRESETS["glyphs_8_32"], batch_size=20_000), kind="t4", gpus=2)
        ),
        ("on 2 t4", "it does not fit"),
    ),
    "full_run": (
        lambda: figures.full_run(RUN),
        ("one, from 0.4 down to 0.004; another, from 0.2 down to 0.1; third,",),
    ),
}

PLAYABLES: Playables = {
    "plan_slider": lambda: widgets.plan_slider(
        PRESETS["glyphs_8_32"], ["h100", "t4"], [1, 4], [1, 2]
    )
}
