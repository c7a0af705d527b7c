"""Solutions of deep dive A."""

import torch


def expected_noise(y_t, gamma, m, v):
    """Exercise A.1: equation (A.1) with one number for the picture."""
    S = gamma * v + 1 - gamma
    return (1 - gamma).sqrt() * (y_t - gamma.sqrt() * m) / S


def floors(v, gamma):
    """Exercise A.2: what is left of the noise in each pixel at each level, (G, d); its
    mean, and the mean of its roots.
    """
    level = gamma[:, None]
    left = level * v / (level * v + 1 - level)
    return torch.stack([left.mean(1), (2 / torch.pi * left).sqrt().mean(1)])
