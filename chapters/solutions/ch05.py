"""Solutions of chapter 5."""

import torch


def sinusoids(gamma, frequencies):
    """Exercise 5.1: the log-SNR times every frequency: all sines, then all cosines."""
    level = torch.log(gamma / (1 - gamma))
    angles = level[:, None] * frequencies
    return torch.cat([torch.sin(angles), torch.cos(angles)], dim=1)


def block_output(h, n, scale, shift):
    """Exercise 5.2: one number a channel, the same at every pixel; then the mean of two
    powers.
    """
    scale, shift = scale[:, :, None, None], shift[:, :, None, None]
    b = torch.nn.functional.silu((1 + scale) * n + shift)
    return (h + b) / 2**0.5


def count_parameters(inputs, outputs, embedding):
    """Exercise 5.3: norm1, conv1, scale_shift, norm2, conv2, and the skip where it is
    needed.
    """
    norm1 = 2 * inputs
    conv1 = 9 * inputs * outputs + outputs
    scale_shift = embedding * 2 * outputs + 2 * outputs
    norm2 = 2 * outputs
    conv2 = 9 * outputs * outputs + outputs
    skip = (inputs != outputs) * (inputs * outputs + outputs)
    return norm1 + conv1 + scale_shift + norm2 + conv2 + skip
