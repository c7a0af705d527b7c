r"""Things to play with: controls above a figure that is drawn anew whenever one of them moves.

`base` holds what all share; each other module holds what one chapter lets its readers play with.
"""

from .base import Playable
from .ch00 import trajectory_slider
from .ch03 import gamma_law_slider

__all__ = ["Playable", "gamma_law_slider", "trajectory_slider"]
