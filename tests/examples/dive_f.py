import torch

from sr3mini import NoiseSchedule, downsample
from sr3mini.book import figures, widgets

from . import PAPER, Figures, Playables, noise

LONG = NoiseSchedule.linear(200, 1e-4, 0.1)
PICTURE = noise(3, 1, 16, 16)
CASTS = torch.tensor([[0.1, -0.1, 0.0], [-0.05, 0.1, 0.08]])

FIGURES: Figures = {
    "psnr_ladder": (
        lambda: figures.psnr_ladder(
            {"bicubic": 16.08, "pure noise": 4.32, "a sample": 26.6}
        ),
        ("pure noise, 4.3 dB; bicubic, 16.1 dB; a sample, 26.6 dB",),
    ),
    "bias_shifts": (
        lambda: figures.bias_shifts(
            [LONG.respaced(10), PAPER.respaced(100)], [1.0, 0.5, 0.1, 0.0]
        ),
        ("100 steps", "3.1 for sigma = 1", "T = 10, 100"),
    ),
    "snapshot_casts": (
        lambda: figures.snapshot_casts([100, 200], CASTS, CASTS / 3),
        ("2 training steps", "up to 0.10 away from 0", "average, up to 0.03."),
    ),
    "portraits": (
        lambda: figures.portraits(
            {"step 1": [PICTURE[0], PICTURE[1]], "step 2": [PICTURE[1], PICTURE[2]]},
            ("raw", "average"),
        ),
        ("raw step 1, grain 0.", "average step 2"),
    ),
    "portraits in one row": (
        lambda: figures.portraits({"x": PICTURE[0], "original": PICTURE[1]}),
        ("ways: x, grain",),
    ),
    "faults_side_by_side": (
        lambda: figures.faults_side_by_side({"b = 0": PICTURE, "dark": -PICTURE}, 2),
        ("b = 0, brightness 0.", "dark, brightness"),
    ),
    "faulty": (
        lambda: figures.faulty(
            downsample(PICTURE, 4), -PICTURE, PICTURE, "PSNR 3 dB", "Three squares."
        ),
        ("Three squares",),
    ),
}

RUNS = {
    (fault, strength): (downsample(PICTURE, 4), PICTURE * (1 - factor * strength))
    for fault, factor in (("fading", 0.2), ("negative", 0.6))
    for strength in range(4)
}

PLAYABLES: Playables = {"fault_slider": lambda: widgets.fault_slider(RUNS, PICTURE)}
