r"""Every figure of the book: pure functions, numbers in, a `Picture` out: a Matplotlib figure and its description in words.

`base` holds what all share; each other module holds the figures of one chapter, and all are called as `figures.NAME`.
"""

from .base import Picture, draw_image, image_rows
from .ch00 import trajectory_strip
from .ch03 import batch_means, gamma_law, gamma_segments, noised, root_draw, root_ratio

__all__ = [
    "Picture",
    "batch_means",
    "draw_image",
    "gamma_law",
    "gamma_segments",
    "image_rows",
    "noised",
    "root_draw",
    "root_ratio",
    "trajectory_strip",
]
