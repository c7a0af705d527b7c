import torch
from checks import f64

from sr3mini import UNet
from sr3mini.book import figures, widgets
from sr3mini.book.figures import Layer, walk
from sr3mini.unet import LevelEmbedding, ResBlock

from . import SHORT, Figures, Playables, noise

LINE, GAINS = torch.linspace(-3, 3, 31, dtype=torch.float64), f64(-1, 2)


def small() -> UNet:
    """Three depths, a level and a picture of its own."""
    return UNet(channels=8, multipliers=(1, 2, 2), blocks=(0, 1, 1))


def layers() -> list[Layer]:
    return walk(small(), noise(1, 1, 4, 4), noise(1, 1, 16, 16), f64(0.5))


FIGURES: Figures = {
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
            {"a": noise(8, 8).abs(), "b": noise(8, 8).abs()}, "Two maps."
        ),
        ("Two maps.",),
    ),
    "network_map": (
        lambda: figures.network_map(layers()),
        ("convolution 8, Down 8, Stage 16", "convolution 1. Arrows"),
    ),
    "cost_by_layer": (
        lambda: figures.cost_by_layer(layers()),
        ("Parameters:", "at 4x4", "FLOPs:"),
    ),
    "feature_maps": (
        lambda: figures.feature_maps(layers()[3], noise(1, 1, 16, 16), 3, 12, 0.5),
        ("Layer 3 of 12", "channels of 8x8"),
    ),
}

PLAYABLES: Playables = {
    "feature_maps_slider": lambda: widgets.feature_maps_slider(
        small(), noise(1, 1, 4, 4), noise(1, 1, 16, 16), [0.5, 0.9]
    )
}
