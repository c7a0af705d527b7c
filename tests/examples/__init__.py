"""One example, at least, of every figure and of every thing to play with, a module a
chapter. The tests of all of them run on these.

FIGURES      name of the function, and maybe a remark -> (how to draw it, some words
that its description must hold) PLAYABLES    name of the function, and maybe a remark ->
how to make it
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable

import torch
from checks import seeded

from sr3mini.book.figures import Picture
from sr3mini.book.widgets import Playable
from sr3mini.schedule import NoiseSchedule

Figures = dict[str, tuple[Callable[[], Picture], tuple[str, ...]]]
Playables = dict[str, Callable[[], Playable]]

SHORT, PAPER = NoiseSchedule.linear(5, 0.1, 0.7), NoiseSchedule.linear(2000, 1e-6, 1e-2)


def noise(*shape: int) -> torch.Tensor:
    """Pixels anywhere in [-1, 1]."""
    return torch.rand(shape, generator=seeded(0)) * 2 - 1


def stored_steps(last: int = 10) -> list[tuple[int, torch.Tensor, torch.Tensor | None]]:
    """A trajectory of two pictures, every step of it."""
    return [
        (
            t,
            noise(2, 1, 8, 8) * (t + 1) / last,
            None if t == last else noise(2, 1, 8, 8),
        )
        for t in range(last, -1, -1)
    ]


def all_figures() -> Figures:
    return {
        name: example
        for module in _modules()
        for name, example in getattr(module, "FIGURES", {}).items()
    }


def all_playables() -> Playables:
    return {
        name: example
        for module in _modules()
        for name, example in getattr(module, "PLAYABLES", {}).items()
    }


def _modules() -> list[object]:
    return [
        importlib.import_module(f"examples.{module.name}")
        for module in pkgutil.iter_modules(__path__)
    ]
