"""Equations of deep dive H that are not the job of one room."""

from __future__ import annotations

import math

import torch
from checks import close, f64, mixture, order, randn

from sr3mini.oracle import MixtureOracle
from sr3mini.sampler import reverse_step


def test_the_step_goes_along_the_score() -> None:
    """(H.3), with the gradient of log q(y_t) by autograd."""
    y_t, z, gamma, alpha = (
        randn(6, 2).requires_grad_(),
        randn(6, 2, seed=1),
        f64(0.4).expand(6),
        f64(0.7)[0],
    )
    f = MixtureOracle(*mixture())
    (score,) = torch.autograd.grad(f.log_density(y_t, gamma).sum(), y_t)
    wanted = (y_t + (1 - alpha) * score) / alpha.sqrt() + (1 - alpha).sqrt() * z
    close(
        reverse_step(y_t.detach(), f(None, y_t.detach(), gamma), alpha, gamma[0], z),
        wanted.detach(),
        1e-13,
        "y_{t-1}",
    )


def test_a_small_step_is_a_step_of_the_reverse_equation() -> None:
    """(H.4): what is left out falls with the square of 1 - alpha_t, and half of the
    drift is a Langevin step.
    """
    y_t, z, gamma = randn(6, 2), randn(6, 2, seed=1), f64(0.4).expand(6)
    eps_hat = MixtureOracle(*mixture())(None, y_t, gamma)
    score = -eps_hat / (1 - gamma[0]).sqrt()

    def left_out(h: float) -> float:
        step = reverse_step(y_t, eps_hat, f64(1 - h)[0], gamma[0], z)
        flow, langevin = h / 2 * (y_t + score), h / 2 * score + math.sqrt(h) * z
        return (step - y_t - flow - langevin).abs().max().item()

    sizes = [1000, 2000, 4000]
    assert abs(order([left_out(1 / n) for n in sizes], sizes) - 2) < 0.01


def test_a_step_with_the_guess_changes_the_law_by_the_square_of_its_length() -> None:
    """The argument for the flow: E phi(w + d y_0) and E phi(w + d y_0_hat) differ like
    d^2, for data that are +1 or -1 and phi = exp(-w^2).
    """
    epsilon = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    density, r, lengths = (
        (-epsilon.square() / 2).exp() / math.sqrt(2 * math.pi),
        0.8,
        [0.2, 0.1, 0.05],
    )
    differences = []
    for d in lengths:
        true = guessed = 0.0
        for y_0 in (-1.0, 1.0):
            w = r * y_0 + epsilon
            guess = torch.tanh(r * w)  # E[y_0 | w] of two equally likely points
            true += (
                0.5
                * torch.trapezoid(
                    density * (-(w + d * y_0).square()).exp(), epsilon
                ).item()
            )
            guessed += (
                0.5
                * torch.trapezoid(
                    density * (-(w + d * guess).square()).exp(), epsilon
                ).item()
            )
        differences.append(abs(true - guessed))
    assert abs(-order(differences, lengths) - 2) < 0.2, f"{differences}"  # type: ignore[arg-type]
