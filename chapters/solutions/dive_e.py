"""Solutions of deep dive E."""


def spread_of(samples):
    """Exercise E.1: the variance of each pixel over the samples, averaged over the
    pixels, and the root of that.
    """
    # a shift does not change a variance, so + 1 can be left out
    on_0_to_1 = samples / 2
    return on_0_to_1.var(dim=0).mean(dim=(1, 2, 3)).sqrt()


def error_of_mean(samples, K):
    """Exercise E.2: (E.2) with V estimated from the samples."""
    V = samples.var(dim=0).mean(dim=(1, 2, 3))
    return V * (1 + 1 / K)
