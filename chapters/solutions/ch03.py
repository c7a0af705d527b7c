"""Solutions of chapter 3."""


def draw_gamma(gammas, t, u):
    """Exercise 3.1: from the lower end gamma_t, a share u of the way to gamma_{t-1}."""
    return gammas[t] + u * (gammas[t - 1] - gammas[t])
