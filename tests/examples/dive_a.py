from sr3mini import NoiseSchedule
from sr3mini.book import figures, widgets

from . import Figures, Playables

FEW = NoiseSchedule.linear(2000, 1e-6, 1e-2).respaced(25)

FIGURES: Figures = {
    "mean_and_median": (
        lambda: figures.mean_and_median(0.7, 0.2),
        (
            "probability 0.7",
            "gamma = 0.20",
            "predicts the noise -0.20",
            "L1 predicts -0.50",
        ),
    ),
    "exact_marginals": (
        lambda: figures.exact_marginals(FEW),
        ("from 25 to 1", "point mass"),
    ),
    "covariance_order": (
        lambda: figures.covariance_order(
            [25, 50, 100], [0.04, 0.02, 0.01], [0.08, 0.05, 0.03]
        ),
        ("25 to 100", "ends at -1.0", "ends at -0.7"),
    ),
}

PLAYABLES: Playables = {
    "mean_and_median_slider": lambda: widgets.mean_and_median_slider()
}
