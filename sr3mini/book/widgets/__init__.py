r"""Things to play with: controls above a figure that is drawn anew whenever one of them
moves.

`base` holds what all share; each other module holds what one chapter lets its readers
play with.
"""

from .base import Playable
from .ch00 import trajectory_slider
from .ch01 import noising_slider
from .ch02 import schedule_explorer
from .ch03 import gamma_law_slider
from .ch04 import open_letters_slider
from .ch05 import feature_maps_slider
from .ch06 import best_guess_slider
from .ch07 import residual_slider
from .ch08 import openness_slider
from .ch09 import plan_slider
from .dive_a import mean_and_median_slider
from .dive_d import calls_slider
from .dive_e import two_alternatives
from .dive_f import fault_slider
from .dive_k import null_space_slider

__all__ = [
    "Playable",
    "best_guess_slider",
    "calls_slider",
    "fault_slider",
    "feature_maps_slider",
    "gamma_law_slider",
    "mean_and_median_slider",
    "noising_slider",
    "null_space_slider",
    "open_letters_slider",
    "openness_slider",
    "plan_slider",
    "residual_slider",
    "schedule_explorer",
    "trajectory_slider",
    "two_alternatives",
]
