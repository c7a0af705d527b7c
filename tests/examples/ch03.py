import torch
from checks import seeded

from sr3mini import sample_gamma
from sr3mini.book import figures, widgets

from . import PAPER, SHORT, Figures, Playables, noise

FIGURES: Figures = {
    "gamma_segments": (
        lambda: figures.gamma_segments(SHORT),
        ("falls from 1", "t = 5", "[0.90, 1.00]"),
    ),
    "gamma_law": (lambda: figures.gamma_law(SHORT), ("Density", "CDF", "5 steps")),
    "gamma_law of draws": (
        lambda: figures.gamma_law(
            PAPER, sample_gamma(PAPER, (500,), generator=seeded(0))
        ),
        ("2000 steps", "histogram"),
    ),
    "gamma_law beside its limit": (
        lambda: figures.gamma_law(SHORT, limit=PAPER),
        ("5 steps", "smooth curve of 2000 steps"),
    ),
    "training_batch": (
        lambda: figures.training_batch(
            noise(2, 1, 8, 8), torch.tensor([0.9, 0.04]), noise(2, 1, 8, 8)
        ),
        ("batch of 2 pictures", "gamma: 0.90, 0.04"),
    ),
}

PLAYABLES: Playables = {"gamma_law_slider": lambda: widgets.gamma_law_slider(PAPER)}
