"""Solutions of deep dive J."""

import torch


def accumulate(gradients, sizes):
    """Exercise J.1: each part counts with its number of pictures."""
    weights = sizes / sizes.sum()
    return (weights[:, None] * gradients).sum(0)


def rate(step, warmup, total):
    """Exercise J.2: up in `warmup` steps, all the while down along half a cosine."""
    up = torch.clamp((step + 1) / warmup, max=1)
    down = 0.5 * (1 + torch.cos(torch.pi * step / total))
    return up * down
