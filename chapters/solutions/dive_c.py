"""Solutions of deep dive C."""

import torch


def log_snr_steps(gammas):
    """Exercise C.1: from t = 1 on, since the log-SNR of gamma_0 = 1 is infinite; the
    sign makes the falls positive.
    """
    snr = torch.log(gammas[1:] / (1 - gammas[1:]))
    return snr[:-1] - snr[1:]


def end_for(T, start, gamma_T):
    """Exercise C.2: T (start + end) / 2 = -ln(gamma_T), solved for end."""
    return -2 * torch.log(gamma_T) / T - start
