import torch
from checks import f64

from sr3mini.book import figures, widgets
from sr3mini.unet import LevelEmbedding, ResBlock

from . import SHORT, Figures, Playables, noise
from .ch05 import layers

LINE, GAINS = torch.linspace(-3, 3, 31, dtype=torch.float64), f64(-1, 2)

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
    "level_features": (
        lambda: figures.level_features(
            {"roots": figures.root_sinusoids(SHORT.gammas)}, steps=3
        ),
        ("stripes", "roots: "),
    ),
    "gain_fits": (
        lambda: figures.gain_fits(
            GAINS,
            LINE,
            {"exact": GAINS[:, None] * LINE, "none": 0 * GAINS[:, None] * LINE},
        ),
        ("2 slopes", "for: exact. In"),
    ),
    "gains_by_level": (
        lambda: figures.gains_by_level(
            LINE,
            figures.block_gains(LevelEmbedding(8), ResBlock(4, 4, 8, 2, 0.0), LINE),
        ),
        ("4 channels", "log-SNR"),
    ),
    "powers_of_blocks": (
        lambda: figures.powers_of_blocks(
            {"scaled": ([1.0, 0.6], 0.2, True), "plain": ([1.0, 1.2], 0.2, False)}
        ),
        ("each of 1 blocks", "scaled: from 1 to 0.6"),
    ),
    "influence_maps": (
        lambda: figures.influence_maps(
            {"a": noise(8, 8).abs(), "b": noise(8, 8).abs()}, decades=2
        ),
        ("1/10^2", "a 9"),
    ),
    "between_letters": (
        lambda: figures.between_letters(noise(3, 1, 8, 8)),
        ("3 samples", "schwa"),
    ),
    "moving_line": (
        lambda: figures.moving_line(
            noise(2, 1, 8, 8), 0 * noise(2, 1, 4, 4), -noise(2, 1, 4, 4)
        ),
        ("2 neighbouring places", "antialiased 1.0 1.0"),
    ),
    "shrunk_otherwise": (
        lambda: figures.shrunk_otherwise(
            {"a": noise(2, 1, 8, 8), "b": noise(2, 1, 8, 8)}, {"a": 30.0, "b": 10.0}
        ),
        ("Crisp: a.", "strokes: b."),
    ),
    "wrong_conditions": (
        lambda: figures.wrong_conditions(noise(2, 1, 8, 8), {"a": noise(2, 1, 8, 8)}),
        ("2 letters", "answers to a"),
    ),
    "enlarged_portrait": (
        lambda: figures.enlarged_portrait(noise(1, 3, 4, 4), noise(1, 3, 8, 8)),
        ("4x4 pixels", "8x8 original"),
    ),
    "cost_by_layer": (
        lambda: figures.cost_by_layer(layers()),
        ("Parameters:", "at 4x4", "FLOPs:"),
    ),
}

PLAYABLES: Playables = {
    "null_space_slider": lambda: widgets.null_space_slider(
        {("m", "n"): noise(2, 1, 8, 8), ("B", "8"): -noise(2, 1, 8, 8)}
    ),
}
