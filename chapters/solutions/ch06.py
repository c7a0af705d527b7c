"""Solutions of chapter 6."""


def loss(f, x, y_0, gamma, eps):
    """Exercise 6.1: noise each picture at its own level, ask f for the noise, and
    average the squared error over all elements.
    """
    level = gamma[:, None, None, None]
    y_t = level.sqrt().to(y_0) * y_0 + (1 - level).sqrt().to(y_0) * eps
    return (f(x, y_t, gamma) - eps).square().mean()
