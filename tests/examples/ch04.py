import torch

from sr3mini.book import figures, widgets
from sr3mini.data import Glyphs
from sr3mini.data.glyphs import STYLES
from sr3mini.degrade import downsample
from sr3mini.oracle import PicturesOracle

from . import Figures, Playables, noise

FOUR, TWO = noise(4, 1, 16, 16), noise(2, 1, 16, 16)
SANS = STYLES.index("DejaVuSans")


def oracle() -> PicturesOracle:
    return PicturesOracle(FOUR, downsample(FOUR, 8), 0.3)


def world() -> Glyphs:
    """Four pictures under the names of letters."""
    images = ((noise(4, 16, 16) + 1) * 127).to(torch.uint8)
    return Glyphs(images, "abcd", [SANS] * 4)


FIGURES: Figures = {
    "shadows": (
        lambda: figures.shadows({"y": TWO, "y'": -TWO}),
        ("Rows of 2 pictures: y, y'", "their x at most"),
    ),
    "same_x": (
        lambda: figures.same_x(TWO[:1], 0.5 * torch.ones_like(TWO)),
        ("2 others", "by up to 0.5", "at most 0.5"),
    ),
    "exact_answers": (
        lambda: figures.exact_answers(oracle(), downsample(TWO, 8), TWO),
        ("2 letters", "4 exact draws"),
    ),
    "seen_by_the_network": (
        lambda: figures.seen_by_the_network(downsample(TWO, 8), TWO),
        ("2 letters", "gamma = 0.99", "noise at 0.05"),
    ),
    "open_letters": (
        lambda: figures.open_letters(oracle(), downsample(TWO[:1], 8), "abcd"),
        (
            "Noise of 38 grey levels (σ = 0.30 on [−1, 1]) on x",
            "pictures count",
            "10 exact draws",
        ),
    ),
}

PLAYABLES: Playables = {
    "open_letters_slider": lambda: widgets.open_letters_slider(world(), "ab"),
}
