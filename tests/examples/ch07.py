import torch

from sr3mini import NoiseSchedule, downsample
from sr3mini.book import figures, widgets

from . import SHORT, Figures, Playables, noise, stored_steps

FEW = NoiseSchedule.linear(2000, 1e-6, 1e-2).respaced(25)
GUESS, PICTURE = noise(2, 1, 8, 8), -noise(2, 1, 8, 8)

FIGURES: Figures = {
    "posterior_product": (
        lambda: figures.posterior_product(SHORT, 3, 1.0, -0.5),
        ("t = 3", "y_0 = 1", "narrower than either"),
    ),
    "reverse_variances": (
        lambda: figures.reverse_variances(FEW, [0.0, 0.01, 0.1, 1.0]),
        ("25 steps", "N(0, 1)", "0 at t = 1"),
    ),
    "coin_steps": (
        lambda: figures.coin_steps([(0.9, 0.5), (0.52, 0.5)], 0.2),
        ("= 0.44, humps: 2", "= 0.04, humps: 1", "+1 or -1"),
    ),
    "step_shapes": (
        lambda: figures.step_shapes(SHORT, 2, (0.1, -0.2)),
        ("y_2 = (0.1, -0.2)", "long ellipse", "circles of radius"),
    ),
    "letters_drawn": (
        lambda: figures.letters_drawn(
            noise(2, 1, 2, 2), {"one": PICTURE, "other": GUESS}, PICTURE
        ),
        ("2 letters", "one; other"),
    ),
    "own_letters": (
        lambda: figures.own_letters(
            noise(2, 1, 2, 2), torch.stack([PICTURE, GUESS]), PICTURE
        ),
        ("2 letters", "2 rows"),
    ),
    "residual_curves": (
        lambda: figures.residual_curves(
            {"one": stored_steps(6)}, noise(2, 1, 2, 2), PICTURE
        ),
        ("against the step", "one: y - y_0 from"),
    ),
    "trajectory_residuals": (
        lambda: figures.trajectory_residuals(
            noise(2, 1, 8, 8),
            GUESS,
            PICTURE - GUESS,
            downsample(GUESS - PICTURE, 4),
            "Step t = 3",
        ),
        ("Step t = 3", "what the guess lacks"),
    ),
}

PLAYABLES: Playables = {
    "residual_slider": lambda: widgets.residual_slider(
        {
            "one": stored_steps(6),
            "other": [
                (t, -y_t, None if y_0 is None else -y_0 / 2)
                for t, y_t, y_0 in stored_steps(6)
            ],
        },
        noise(2, 1, 2, 2),
        PICTURE,
    )
}
