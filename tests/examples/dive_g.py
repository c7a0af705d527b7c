import torch

from sr3mini.book import figures

from . import PAPER, SHORT, Figures

FIGURES: Figures = {
    "root_draw": (lambda: figures.root_draw([SHORT, PAPER]), ("T = 5:", "T = 2000:")),
    "batch_means": (
        lambda: figures.batch_means(torch.rand(50) / 9 + 0.4, torch.rand(50), 8),
        ("batches of 8", "narrow peak"),
    ),
}
