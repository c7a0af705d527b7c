"""Solutions of chapter 4."""

import torch


def network_input(x, y_t):
    """Exercise 4.1: the book's bicubic up to the sides of y_t, then channel beside
    channel, the condition first.
    """
    x_up = torch.nn.functional.interpolate(
        x, size=y_t.shape[-2:], mode="bicubic", antialias=True, align_corners=False
    )
    return torch.cat([x_up, y_t], dim=1)


def with_the_x_of(y, other, D):
    """Exercise 4.2: what is missing in the x of `other`, brought back to the large size
    by D^T (D D^T)^{-1}.
    """
    missing = (y - other) @ D.T
    return other + missing @ torch.linalg.inv(D @ D.T) @ D


def noise_guess(x_up, y_t, gamma, v):
    """Exercise 4.3: what is left of y_t after the signal's share is taken away, times
    the share of it that is noise.
    """
    gamma = gamma.to(y_t)[:, None, None, None]
    return (1 - gamma).sqrt() / (gamma * v + 1 - gamma) * (y_t - gamma.sqrt() * x_up)
