"""Solutions of chapter 2."""

import torch


def linear(steps, start, end):
    """Exercise 2.1: the noise of each step, what it leaves, the running product, and 1
    in front for t = 0.
    """
    alphas = 1 - torch.linspace(start, end, steps, dtype=torch.float64)
    return torch.cat([torch.ones(1, dtype=torch.float64), alphas.cumprod(0)])
