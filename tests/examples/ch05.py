from checks import f64

from sr3mini import UNet
from sr3mini.book import figures, widgets
from sr3mini.book.figures import Layer, walk

from . import Figures, Playables, noise


def small() -> UNet:
    """Three depths, a level and a picture of its own."""
    return UNet(channels=8, multipliers=(1, 2, 2), blocks=(0, 1, 1))


def layers() -> list[Layer]:
    return walk(small(), noise(1, 1, 4, 4), noise(1, 1, 16, 16), f64(0.5))


FIGURES: Figures = {
    "network_map": (
        lambda: figures.network_map(layers()),
        ("convolution 8, Down 8, Stage 16", "Stages, 0 attend. Arrows"),
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
