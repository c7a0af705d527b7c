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
    "schedule_families": (
        lambda: figures.schedule_families(FAMILIES),
        ("3 schedules", "fibonacci at gamma_T = 7e-01"),
    ),
    "wrong_start": (
        lambda: figures.wrong_start(0.84, 0.04, {1e-4: (0.84, 0.2), 0.6: (0.78, 0.23)}),
        ("mean 0.84", "at 0.6 mean 0.78"),
    ),
    "reverse_laws": (
        lambda: figures.reverse_laws([(0.55, 0.5), (0.9, 0.2)], 0.3),
        ("two separate peaks", "y_t = 0.3", "step of 0.2 in log-SNR: 9"),
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
