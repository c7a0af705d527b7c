from sr3mini.book import figures, widgets

from . import Figures, Playables, noise

FIGURES: Figures = {
    "bicubic_weights": (
        figures.bicubic_weights,
        ("Antialiased, 16 pixels", "not antialiased, 4 pixels", "0.59"),
    ),
    "null_space_walk": (
        lambda: figures.null_space_walk(
            noise(1, 8, 8),
            0 * noise(1, 8, 8).double(),
            -noise(1, 8, 8),
            0.5,
            ("a", "b"),
        ),
        ("50% of the way from a to b", "by at most 0.00", "by up to"),
    ),
}

PLAYABLES: Playables = {
    "null_space_slider": lambda: widgets.null_space_slider(
        {("m", "n"): noise(2, 1, 8, 8), ("B", "8"): -noise(2, 1, 8, 8)}
    ),
}
