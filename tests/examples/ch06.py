import torch
from checks import f64

from sr3mini import downsample
from sr3mini.book import figures, widgets
from sr3mini.oracle import PicturesOracle

from . import Figures, Playables, noise

LEVELS = f64(0.01, 0.5, 0.99)
FLOOR = f64(0.001, 0.1, 0.4)
FALLING = (1 / torch.arange(1, 201)).tolist()

SEEN = noise(5, 1, 8, 8)

FIGURES: Figures = {
    "best_guesses": (
        lambda: figures.best_guesses(LEVELS, SEEN[:3], -SEEN[:3]),
        ("3 levels", "0.01 to 0.99", "smear"),
    ),
    "plane_guesses": (
        lambda: figures.plane_guesses(0.0, noise(20, 2), f64(0.7, -0.7).expand(20, 2)),
        ("12 noisy points", "whose mean is 0", "0.000 from 0", "0 of them lie between"),
    ),
    "first_samples": (
        lambda: figures.first_samples(
            downsample(SEEN, 4), {"0 steps": -SEEN, "9 steps": SEEN}, SEEN, SEEN
        ),
        ("5 letters", "0 steps, 9 steps", "exact answers"),
    ),
    "guesses_sheet": (
        lambda: figures.guesses_sheet(
            {"y_t": SEEN, "original": -SEEN}, 0.2, (0.1, 1.0)
        ),
        ("γ = 0.2000", "loss 1.00000", "best f 0.10000"),
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
    "best_guess_slider": lambda: widgets.best_guess_slider(
        PicturesOracle(SEEN, downsample(SEEN, 4), 0.3),
        lambda x, y_t, gamma: y_t / 2,
        downsample(SEEN[:3], 4),
        SEEN[:3],
    )
}
