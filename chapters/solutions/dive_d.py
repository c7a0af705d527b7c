"""Solutions of deep dive D."""

import torch


def ddim(y_t, eps_hat, gamma_t, gamma_before):
    """Exercise D.1: the picture that eps_hat belongs to, noised with the same noise at
    the next level.
    """
    y_0 = (y_t - (1 - gamma_t).sqrt() * eps_hat) / gamma_t.sqrt()
    return gamma_before.sqrt() * y_0 + (1 - gamma_before).sqrt() * eps_hat


def fewer(gammas, steps):
    """Exercise D.2: steps + 1 indices from 0 to T, both ends included."""
    t = (
        torch.linspace(0, len(gammas) - 1, steps + 1, dtype=torch.float64)
        .round()
        .long()
    )
    return gammas[t]


def second_order(y_t, y_0, y_0_before, gammas):
    """Exercise D.3: y_0 half-way through the next step, on the line through the last
    two; the noise follows it.
    """
    ahead, here, before = torch.log(gammas / (1 - gammas))
    better = y_0 + (ahead - here) / (2 * (here - before)) * (y_0 - y_0_before)
    eps_hat = (y_t - gammas[1].sqrt() * better) / (1 - gammas[1]).sqrt()
    return gammas[0].sqrt() * better + (1 - gammas[0]).sqrt() * eps_hat
