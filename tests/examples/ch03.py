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
    "root_draw": (lambda: figures.root_draw([SHORT, PAPER]), ("T = 5:", "T = 2000:")),
    "batch_means": (
        lambda: figures.batch_means(torch.rand(50) / 9 + 0.4, torch.rand(50), 8),
        ("batches of 8", "narrow peak"),
    ),
    "noised": (
        lambda: figures.noised(
            noise(2, 1, 8, 8), [1.0, 0.5], noise(2, 2, 1, 8, 8), "Two squares"
        ),
        ("Two squares", "0.5"),
    ),
}

PLAYABLES: Playables = {"gamma_law_slider": lambda: widgets.gamma_law_slider(PAPER)}
