import torch
from checks import seeded

from sr3mini.book import figures, widgets
from sr3mini.schedule import NoiseSchedule

from . import PAPER, SHORT, Figures, Playables, noise

PICTURES = noise(1, 32, 32), torch.rand(3, 96, 96, generator=seeded(1))
FAMILIES = {
    "linear": PAPER,
    "cosine": NoiseSchedule.cosine(50),
    "fibonacci": NoiseSchedule.fibonacci(),
}

FIGURES: Figures = {
    "along_log_snr": (
        lambda: figures.along_log_snr([noise(1, 8, 8)] * 2, [4.0, 0.0, -4.0]),
        ("pictures at log-SNR 4, 0, -4",),
    ),
    "drawn_with_ends": (
        lambda: figures.drawn_with_ends(
            noise(2, 1, 4, 4),
            {0.01: torch.full((2, 1, 8, 8), 0.8), 0.2: torch.ones(2, 1, 8, 8)},
        ),
        ("2 letters", "0.80 with end = 0.01, 1.00 with end = 0.2"),
    ),
    "ends_of_schedules": (
        lambda: figures.ends_of_schedules([noise(1, 8, 8)], [0.605, 1e-5]),
        ("γ at T: 0.605; γ at T: 1e-05",),
    ),
    "schedule_families": (
        lambda: figures.schedule_families(FAMILIES),
        ("3 schedules", "fibonacci at gamma_T = 7e-01"),
    ),
    "schedule_view": (
        lambda: figures.schedule_view(SHORT, 3, PICTURES, "short, T = 5"),
        ("Short, T = 5", "t = 3", "γ = 0.405"),
    ),
    "schedule_view of a step at the edge": (
        lambda: figures.schedule_view(PAPER, 0, PICTURES, "long", "end is not used"),
        ("infinite", "End is not used."),
    ),
}

PLAYABLES: Playables = {
    "schedule_explorer": lambda: widgets.schedule_explorer(*PICTURES)
}
