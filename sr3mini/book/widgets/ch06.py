"""Chapter 6's slider."""

from __future__ import annotations

import torch
from torch import Tensor

from ...forward import diffuse
from ...loss import NoisePredictor
from ...sampler import predict_y_0
from ..figures import Picture, guesses_sheet
from .base import Playable, slider


def best_guess_slider(
    exact: NoisePredictor, f: NoisePredictor, x: Tensor, y_0: Tensor
) -> Playable:
    """Letters noised to any level: what the best f, `exact`, and a network guess from
    them, and the loss of both.
    """
    eps = torch.randn(y_0.shape, generator=torch.Generator().manual_seed(0))

    def draw(log_snr: int) -> Picture:
        gamma = torch.tensor(float(log_snr)).double().sigmoid()
        level = gamma.expand(len(y_0))
        y_t = diffuse(y_0, level, eps)
        answers = [each(x, y_t, level) for each in (exact, f)]
        best, ours = [(answer - eps).square().mean().item() for answer in answers]
        clean, guessed = [predict_y_0(y_t, answer, gamma) for answer in answers]
        rows = {"y_t": y_t, "best guess": clean, "our guess": guessed, "original": y_0}
        return guesses_sheet(rows, gamma.item(), (best, ours))

    return Playable(draw, {"log_snr": slider(-3, -10, 6, "log-SNR")})
