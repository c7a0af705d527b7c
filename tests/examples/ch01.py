import torch
from checks import randn

from sr3mini.book import figures, widgets

from . import SHORT, Figures, Playables, noise

FIGURES: Figures = {
    "jumps": (
        lambda: figures.jumps(noise(2, 1, 8, 8), randn(2, 1, 8, 8), SHORT, [0, 2, 5]),
        ("pictures after 0, 2, 5 steps",),
    ),
    "noise_sum": (
        lambda: figures.noise_sum(randn(3000), randn(3000, seed=1), 3.0, 4.0),
        ("round cloud", "variance 25", "deviation 7"),
    ),
    "noised_step": (
        lambda: figures.noised_step(
            noise(1, 8, 8), torch.randn(1, 8, 8), 3, SHORT, "A square"
        ),
        ("A square after 3 of 5 steps", "measured"),
    ),
    "noised_step of the clean picture": (
        lambda: figures.noised_step(
            noise(3, 8, 8), noise(3, 8, 8), 0, SHORT, "A square"
        ),
        ("after 0 of 5", "0.00"),
    ),
}

PLAYABLES: Playables = {
    "noising_slider": lambda: widgets.noising_slider(
        [noise(1, 8, 8) * (6 - t) for t in range(6)], SHORT, "A square", stride=1
    )
}
