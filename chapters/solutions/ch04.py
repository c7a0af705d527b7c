"""Solutions of chapter 4."""

import torch


def condition(x, y_t):
    """Exercise 4.1: the book's bicubic up to the sides of y_t, then channel beside
    channel, the condition first.
    """
    x_up = torch.nn.functional.interpolate(
        x, size=y_t.shape[-2:], mode="bicubic", antialias=True, align_corners=False
    )
    return torch.cat([x_up, y_t], dim=1)
