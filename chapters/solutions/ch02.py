"""Solutions of chapter 2."""

import torch


def linear_gammas(T, start, end):
    """Exercise 2.1: the noise of each step, what it leaves, the running product, and 1
    in front for t = 0.
    """
    alphas = 1 - torch.linspace(start, end, T, dtype=torch.float64)
    return torch.cat([torch.ones(1, dtype=torch.float64), alphas.cumprod(0)])


def log_snr_steps(gammas):
    """Exercise 2.2: from t = 1 on, since the log-SNR of gamma_0 = 1 is infinite; the
    sign makes the falls positive.
    """
    snr = torch.log(gammas[1:] / (1 - gammas[1:]))
    return snr[:-1] - snr[1:]


def end_for(T, start, gamma_T):
    """Exercise 2.3: T (start + end) / 2 = -ln(gamma_T), solved for end."""
    return -2 * torch.log(gamma_T) / T - start
