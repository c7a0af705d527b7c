import torch
from checks import f64

from sr3mini.book import figures

from . import Figures

LEVELS = f64(0.01, 0.5, 0.99)
FLOOR = f64(0.001, 0.1, 0.4)
FALLING = (1 / torch.arange(1, 201)).tolist()

FIGURES: Figures = {
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
