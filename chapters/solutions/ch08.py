"""Solutions of chapter 8."""

import torch


def psnr_of(y, reference):
    """Exercise 8.1: the range of [-1, 1] is 2, its square is 4; each picture keeps its
    own mean.
    """
    mse = (y - reference).square().mean(dim=(1, 2, 3))
    return 10 * torch.log10(4 / mse)
