from sr3mini.book import figures

from . import PAPER, Figures

FIGURES: Figures = {
    "bound_weights": (
        lambda: figures.bound_weights(PAPER),
        ("2000 steps", "0.5 at t = 1", "40% of it"),
    ),
}
