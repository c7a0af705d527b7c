"""Solutions of deep dive G."""

import torch


def one_step(y_before, t, betas, eps):
    """Exercise G.1: both shares under a root; DDPM's table begins with step 1, so step
    t is entry t - 1.
    """
    beta = betas[t - 1]
    return torch.sqrt(1 - beta) * y_before + torch.sqrt(beta) * eps


def law_after(betas, t):
    """Exercise G.2: the first t entries are steps 1 to t. The factor has a root, the
    variance has none.
    """
    gamma = (1 - betas[:t]).prod()
    return torch.stack([gamma.sqrt(), 1 - gamma])


def posterior_variance(schedule):
    """Exercise G.3: entries 1 to T beside entries 0 to T - 1; entry 0 is gamma_0 = 1,
    so the first variance is 0.
    """
    alpha, gamma, gamma_before = (
        schedule.alphas[1:],
        schedule.gammas[1:],
        schedule.gammas[:-1],
    )
    return (1 - alpha) * (1 - gamma_before) / (1 - gamma)
