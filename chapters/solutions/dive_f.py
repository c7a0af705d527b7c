"""Solutions of deep dive F."""

from sr3mini import downsample


def condition_ratio(y, x):
    """Exercise F.1: the error against its own x over the error against its
    neighbour's; near 0 if x is obeyed, near 1 if not.
    """
    small = downsample(y, 4)
    return (small - x).square().mean(dim=(1, 2, 3)) / (
        small - x.roll(1, 0)
    ).square().mean(dim=(1, 2, 3))


def least_change(features):
    """Exercise F.2: of each pair of neighbours the feature that changes most, and of
    the pairs the worst.
    """
    change = (features[:, 1:] - features[:, :-1]).abs()
    return change.max(dim=2).values.min(dim=1).values


def last_noise(y, again):
    """Exercise F.3: what both share drops out; the difference of two noises has twice
    the variance of one.
    """
    return ((y - again).square().mean(dim=(1, 2, 3)) / 2).sqrt()
