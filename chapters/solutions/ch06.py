"""Solutions of chapter 6."""

import torch


def loss_of_each(f, x, y_0, gamma, eps, p):
    """Exercise 6.1: noise each picture at its own level, ask f for the noise, and
    average the error over the picture.
    """
    level = gamma.to(y_0)[:, None, None, None]
    y_t = level.sqrt() * y_0 + (1 - level).sqrt() * eps
    return (f(x, y_t, gamma) - eps).abs().pow(p).mean(dim=(1, 2, 3))


def expected_noise(y_t, gamma, m, s2):
    """Exercise 6.2: equation (6.3) with one number for the picture."""
    S = gamma * s2 + 1 - gamma
    return (1 - gamma).sqrt() * (y_t - gamma.sqrt() * m) / S


def floors(s2, gamma):
    """Exercise 6.3: what is left of the noise in each pixel at each level, (G, d); its
    mean, and the mean of its roots.
    """
    level = gamma[:, None]
    left = level * s2 / (level * s2 + 1 - level)
    return torch.stack([left.mean(1), (2 / torch.pi * left).sqrt().mean(1)])
