"""Solutions of chapter 3."""


def level(schedule, t, u):
    """Exercise 3.1: from the lower end gamma_t, a share u of the way to gamma_{t-1}."""
    return schedule.gammas[t] + u * (schedule.gammas[t - 1] - schedule.gammas[t])


def inverse_cdf(schedule, q):
    """Exercise 3.2: the whole part of q T says which segment, counted from the lowest;
    the rest says where in it.
    """
    below = (q * schedule.steps).floor()
    return level(schedule, schedule.steps - below.long(), q * schedule.steps - below)


def noise(y_0, gamma, eps):
    """Exercise 3.3: the roots, shaped so that each image meets its own level."""
    gamma = gamma.to(y_0)[:, None, None, None]
    return gamma.sqrt() * y_0 + (1 - gamma).sqrt() * eps
