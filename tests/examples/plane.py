import torch

from sr3mini import NoiseSchedule, trajectory
from sr3mini.book import figures, plane
from sr3mini.sampler import Step

from . import Figures, seeded


def _steps() -> list[Step]:
    schedule, x = NoiseSchedule.linear(24, 1e-3, 0.4), torch.zeros(40, 1)
    how = {"generator": seeded(0), "variance": "posterior"}
    return list(trajectory(plane.oracle, x, schedule, (40, 2), **how))


FIGURES: Figures = {
    "plane": (lambda: figures.plane(), ("cloud of data", "four clusters")),
    "plane with a line": (
        lambda: figures.plane(0.0, exact_draws=plane.answers(torch.zeros(9, 1))),
        ("whose mean is 0", "9 points named exact draws"),
    ),
    "plane_fall": (
        lambda: figures.plane_fall(0.0, _steps()),
        ("40 particles", "end on the line"),
    ),
    "plane_strip": (
        lambda: figures.plane_strip(0.0, _steps(), (24, 7, 0)),
        ("at t = 24, 7, 0", "40 particles"),
    ),
}
