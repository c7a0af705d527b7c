"""Solutions of chapter 7."""


def step(y_t, eps_hat, alpha_t, gamma_t, z):
    """Exercise 7.1: the mean of the step back, and noise with the standard deviation
    sqrt(1 - alpha_t).
    """
    mean = (y_t - (1 - alpha_t) / (1 - gamma_t).sqrt() * eps_hat) / alpha_t.sqrt()
    return mean + (1 - alpha_t).sqrt() * z


def posterior_mean(schedule, t, y_0, y_t):
    """Exercise 7.2: gammas[t - 1] above the line, gammas[t] below it."""
    alpha, gamma, before = (
        schedule.alphas[t],
        schedule.gammas[t],
        schedule.gammas[t - 1],
    )
    return (before.sqrt() * (1 - alpha) * y_0 + alpha.sqrt() * (1 - before) * y_t) / (
        1 - gamma
    )


def draw_sample(f, x, schedule, y_T, z):
    """Exercise 7.3: Algorithm 2 with the noise handed in; z[1] is never used."""
    y = y_T
    for t in range(schedule.steps, 0, -1):
        alpha, gamma = schedule.alphas[t], schedule.gammas[t]
        eps_hat = f(x, y, gamma.expand(len(y)))
        y = (y - (1 - alpha) / (1 - gamma).sqrt() * eps_hat) / alpha.sqrt()
        if t > 1:
            y = y + (1 - alpha).sqrt() * z[t]
    return y
