"""Solutions of chapter 7."""


def reverse_step(y_t, eps_hat, alpha_t, gamma_t, z):
    """Exercise 7.1: the mean of the step back, and noise with the standard deviation
    sqrt(1 - alpha_t).
    """
    mean = (y_t - (1 - alpha_t) / (1 - gamma_t).sqrt() * eps_hat) / alpha_t.sqrt()
    return mean + (1 - alpha_t).sqrt() * z


def sample(f, x, alphas, gammas, noises):
    """Exercise 7.2: Algorithm 2 with the noise handed in; noises[0] is never used."""
    T = len(gammas) - 1
    y = noises[T]
    for t in range(T, 0, -1):
        eps_hat = f(x, y, gammas[t].expand(len(y)))
        z = noises[t - 1] if t > 1 else 0
        y = reverse_step(y, eps_hat, alphas[t], gammas[t], z)
    return y
