import torch
from checks import f64

from sr3mini.book import figures, widgets

from . import PAPER, Figures, Playables

LEVELS = f64(0.01, 0.5, 0.99)
FLOOR = f64(0.001, 0.1, 0.4)
FALLING = (1 / torch.arange(1, 201)).tolist()

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
    "bound_weights": (
        lambda: figures.bound_weights(PAPER),
        ("2000 steps", "0.5 at t = 1", "40% of it"),
    ),
    "training_curve": (
        lambda: figures.training_curve(FALLING, {"a line": 0.5}, 20),
        ("200 training steps", "a line, 0.5", "ends at 0.0053"),
    ),
    "loss_by_level": (
        lambda: figures.loss_by_level(
            LEVELS,
            FLOOR,
            {"before": f64(1, 1, 1), "after": f64(0.002, 0.05, 0.1)},
            "The floor",
        ),
        (
            "3 levels",
            "before, after",
            "2.0 times it at gamma = 0.01",
            "0.5 times it at gamma = 0.5",
        ),
    ),
}

PLAYABLES: Playables = {
    "mean_and_median_slider": lambda: widgets.mean_and_median_slider()
}
