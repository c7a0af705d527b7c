from sr3mini.book import figures, widgets

from . import Figures, Playables, noise, stored_steps

FIGURES: Figures = {
    "image_rows": (
        lambda: figures.image_rows(
            [("given", noise(3, 1, 4, 4)), ("y", noise(2, 3, 8, 8))],
            "Noise of two sizes.",
            ["a", "b"],
        ),
        ("Noise",),
    ),
    "letter_sheet": (
        lambda: figures.letter_sheet(
            {"given": noise(3, 1, 4, 4), "y": noise(3, 1, 8, 8)}
        ),
        ("3 letters", "given, y"),
    ),
    "portrait": (
        lambda: figures.portrait([("all", noise(5, 3, 8, 8))]),
        ("portrait", "nose"),
    ),
    "trajectory_strip": (
        lambda: figures.trajectory_strip(stored_steps(), "A letter"),
        ("A letter", "t = 10", "t = 0"),
    ),
}

PLAYABLES: Playables = {
    "trajectory_slider": lambda: widgets.trajectory_slider(
        stored_steps(4), noise(2, 1, 8, 8)
    )
}
