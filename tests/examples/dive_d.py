from __future__ import annotations

import torch
from checks import f64

from sr3mini.book import figures, widgets
from sr3mini.oracle import MixtureOracle
from sr3mini.sampler import even_log_snr

from . import PAPER, SHORT, Figures, Playables, noise

BUMPS = MixtureOracle(f64(0.6, 0.4), f64(-0.7, 0.5)[:, None], f64(0.02, 0.05))
GRID = {
    (start, end): abs(start - 0.1) + abs(end - 0.8) + 0.01
    for start in (0.01, 0.1)
    for end in (0.7, 0.8, 0.9)
}
METHODS = ("paper", "posterior", "ddim", "multistep")
ROWS = [
    {
        "levels": levels,
        "method": method,
        "calls": calls,
        "edge distance": 0.1 / calls,
        "consistency": 100 / calls,
        "PSNR": 20 + calls / 10,
    }
    for levels in ("respaced", "even")
    for method in METHODS
    for calls in (5, 10, 25)
]

FIGURES: Figures = {
    "level_rows": (
        lambda: figures.level_rows(
            {"short": SHORT, "even": even_log_snr(7), "long": PAPER}
        ),
        ("short, 5 levels", "even, 7 levels from -9 to 7"),
    ),
    "search_map": (
        lambda: figures.search_map(GRID),
        ("lowest is at start 0.1, end 0.8", "2 starts and 3 ends"),
    ),
    "glyphs_by_calls": (
        lambda: figures.glyphs_by_calls(
            noise(2, 1, 2, 2), {"paper, 25": noise(2, 1, 8, 8)}, noise(2, 1, 8, 8)
        ),
        ("2 glyphs", "paper, 25"),
    ),
    "flow_lines": (
        lambda: figures.flow_lines(BUMPS, torch.linspace(-2, 2, 9), 6),
        ("Paths of 9 numbers", "2 bumps", "6 calls"),
    ),
    "error_orders": (
        lambda: figures.error_orders(
            [10, 20, 40],
            {"DDIM": [0.1, 0.05, 0.025], "multistep": [0.01, 0.0025, 0.0006]},
            {"DDIM": 1.0, "multistep": 2.0},
        ),
        (
            "Errors for 10 to 40 calls",
            "DDIM with order 1.00",
            "multistep with order 2.00",
        ),
    ),
    "sample_sheet": (
        lambda: figures.sample_sheet(
            {"one": noise(3, 1, 16, 16), "two": -noise(3, 1, 16, 16)}, "Two rows."
        ),
        ("Two rows",),
    ),
    "quality_by_calls": (
        lambda: figures.quality_by_calls(ROWS, [5, 10, 25]),
        ("four methods", "5 to 25 calls"),
    ),
}


def runs() -> dict[tuple[str, int], dict[str, torch.Tensor]]:
    """Pictures that differ with the levels and the number of calls."""
    counts = {
        (levels, calls): 0.3 + 0.1 * calls + 0.05 * len(levels)
        for levels in ("respaced", "even")
        for calls in (1, 2, 5)
    }
    return {
        key: {name: noise(2, 1, 8, 8) * scale for name in METHODS}
        for key, scale in counts.items()
    }


PLAYABLES: Playables = {
    "calls_slider": lambda: widgets.calls_slider(runs(), noise(2, 1, 8, 8))
}
