import torch

from sr3mini.book import figures, widgets

from . import Figures, Playables
from .dive_e import many

ROWS = {"given x": many(2, 16, 0), "original": many(2, 16, 1)}

FIGURES: Figures = {
    "answer_rows": (
        lambda: figures.answer_rows(ROWS, "ab"),
        ("letters a, b", "given x, then", "original, 0."),
    ),
    "answer_sheet": (
        lambda: figures.answer_sheet(ROWS, "ab", "mean 3.0 dB"),
        ("letters a, b", "Above them: mean 3.0 dB"),
    ),
}

PLAYABLES: Playables = {
    "openness_slider": lambda: widgets.openness_slider(
        many(5, 16, 1), torch.tensor([1, 4]), "be"
    ),
}
