from __future__ import annotations

import torch

from sr3mini.book import figures, plane
from sr3mini.oracle import MixtureOracle

from . import Figures

CLUSTERS = MixtureOracle(plane.SHARES, plane.CENTRES, torch.full((4,), 0.01))

FIGURES: Figures = {
    "score_arrows": (
        lambda: figures.score_arrows(CLUSTERS, [0.1, 0.5, 0.9]),
        ("3 levels, gamma = 0.1, 0.5, 0.9", "arrows that point uphill"),
    ),
}
