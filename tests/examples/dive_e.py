import torch
from checks import seeded

from sr3mini.book import figures, widgets
from sr3mini.book.figures import spoilt

from . import Figures, Playables, noise


def many(count: int, side: int, seed: int) -> torch.Tensor:
    return torch.rand(count, 1, side, side, generator=seeded(seed)) * 2 - 1


FIGURES: Figures = {
    "equal_errors": (
        lambda: figures.equal_errors(
            {"original": many(2, 8, 0), "faded": many(2, 8, 1)}, "ab"
        ),
        ("letters a, b", "columns: original, faded"),
    ),
    "tradeoff": (
        lambda: figures.tradeoff(),
        ("w = 0.5 and 0.8", "from 2 at 50 %", "to 1 at 100 %", "straight"),
    ),
    "mean_of_k": (
        lambda: figures.mean_of_k([1, 2, 4], [1.9, 1.5, 1.2], [0.99, 0.97, 0.95], 0.7),
        ("K from 1 to 4", "about 1.9", "about 0.7", "95 %"),
    ),
    "alternatives": (
        lambda: figures.alternatives(
            noise(1, 1, 4, 4),
            noise(1, 1, 8, 8),
            -noise(1, 1, 8, 8),
            ("left", "right"),
            "Which one?.",
        ),
        ("Which one",),
    ),
}

PLAYABLES: Playables = {
    "two_alternatives": lambda: widgets.two_alternatives(
        many(3, 4, 0),
        many(3, 16, 1),
        {"SR3": many(3, 16, 2), "regression": spoilt(many(3, 16, 1))["faded"]},
    ),
}
