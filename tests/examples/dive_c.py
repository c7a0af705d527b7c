from sr3mini.book import figures

from . import Figures, noise

FIGURES: Figures = {
    "wrong_ends": (
        lambda: figures.wrong_ends(
            noise(2, 1, 4, 4), {0.605: noise(2, 1, 8, 8)}, -noise(2, 1, 8, 8)
        ),
        ("Small pictures x, 2 of them", "gamma = 0.6,"),
    ),
    "wrong_start": (
        lambda: figures.wrong_start(0.84, 0.04, {1e-4: (0.84, 0.2), 0.6: (0.78, 0.23)}),
        ("mean 0.84", "at 0.6 mean 0.78"),
    ),
    "reverse_laws": (
        lambda: figures.reverse_laws([(0.55, 0.5), (0.9, 0.2)], 0.3),
        ("two separate peaks", "y_t = 0.3", "step of 0.2 in log-SNR: 9"),
    ),
}
