"""Solutions of chapter 8."""

import torch


def psnr_of(y, reference):
    """Exercise 8.1: the range of [-1, 1] is 2, its square is 4; each picture keeps its
    own mean.
    """
    mse = (y - reference).square().mean(dim=(1, 2, 3))
    return 10 * torch.log10(4 / mse)


def spread_of(samples):
    """Exercise 8.2: the variance of each pixel over the samples, averaged over the
    pixels, and the root of that.
    """
    # a shift does not change a variance, so + 1 can be left out
    on_0_to_1 = samples / 2
    return on_0_to_1.var(dim=0).mean(dim=(1, 2, 3)).sqrt()


def error_of_mean(samples, K):
    """Exercise 8.3: (8.8) with V estimated from the samples."""
    V = samples.var(dim=0).mean(dim=(1, 2, 3))
    return V * (1 + 1 / K)
