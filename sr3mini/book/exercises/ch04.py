"""Exercises of chapter 4."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...degrade import degradation_matrix, upsample
from .grader import Exercise, images

_D = degradation_matrix(8, 4)  # (4, 64)
_Y = images(2, 8, 5).double().flatten(1)
_OTHER = images(2, 8, 6).double().flatten(1)
_X_UP, _Y_T = images(3, 4, 7), images(3, 4, 8)
_LEVELS = torch.tensor([0.9, 0.5, 0.1], dtype=torch.float64)


def _joined(x_up: Tensor, y_t: Tensor) -> Tensor:
    return torch.cat([x_up, y_t], dim=1)


def _moved(start: Tensor, y: Tensor, other: Tensor, D: Tensor) -> Tensor:
    """`start` plus what brings the x of `other` to that of `y`."""
    return start + (y - other) @ D.T @ torch.linalg.solve(D @ D.T, D)


def _guess(x_up: Tensor, y_t: Tensor, gamma: Tensor, v: float) -> Tensor:
    gamma = gamma.to(y_t)[:, None, None, None]
    return (1 - gamma).sqrt() / (gamma * v + 1 - gamma) * (y_t - gamma.sqrt() * x_up)


def _from_y_t(x_up: Tensor, y_t: Tensor, gamma: Tensor, v: float) -> Tensor:
    return _guess(0 * x_up, y_t, gamma, v)


def _without_its_root(x_up: Tensor, y_t: Tensor, gamma: Tensor, v: float) -> Tensor:
    return _guess(gamma.to(x_up).sqrt()[:, None, None, None] * x_up, y_t, gamma, v)


EXERCISES: dict[str, Exercise] = {
    "4.1": Exercise(
        function="network_input",
        inputs=(images(2, 4, 9), images(2, 16, 10)),
        right=lambda x, y_t: _joined(upsample(x, 4), y_t),
        slips={
            (
                "x and y_t have changed places: the condition comes first, as"
                " in the weights of this book"
            ): lambda x, y_t: _joined(y_t, upsample(x, 4)),
            (
                "this bicubic has a = -0.75; antialias=True chooses the kernel"
                " with a = -0.5, also when a picture is enlarged"
            ): lambda x, y_t: _joined(
                F.interpolate(x, scale_factor=4, mode="bicubic"), y_t
            ),
            'this repeats each pixel of x; use mode="bicubic"': lambda x, y_t: _joined(
                F.interpolate(x, scale_factor=4, mode="nearest"), y_t
            ),
            'this is bilinear; use mode="bicubic"': lambda x, y_t: _joined(
                upsample(x, 4, mode="bilinear"), y_t
            ),
            (
                "the corners of both pictures are aligned here; pixels are squares,"
                " so leave align_corners at False"
            ): lambda x, y_t: _joined(
                F.interpolate(
                    x,
                    scale_factor=4,
                    mode="bicubic",
                    antialias=True,
                    align_corners=True,
                ),
                y_t,
            ),
            (
                "this clips x to [-1, 1]; hand it over as it is, the overshoot"
                " tells something too"
            ): lambda x, y_t: _joined(upsample(x, 4).clamp(-1, 1), y_t),
        },
    ),
    "4.2": Exercise(
        function="with_the_x_of",
        inputs=(_Y, _OTHER, _D),
        right=lambda y, other, D: _moved(other, y, other, D),
        slips={
            (
                "the correction has the wrong sign: it has to bring D other"
                " to D y, not away from it"
            ): lambda y, other, D: _moved(other, other, y, D),
            (
                "this leaves (D D^T)^{-1} out: D^T alone gives back a picture"
                " whose x is D D^T times the x you want"
            ): lambda y, other, D: other + (y - other) @ D.T @ D,
            (
                "this has the right x, but nothing of `other` is left in it:"
                " add the unseen part of `other`"
            ): lambda y, other, D: _moved(0 * other, y, 0 * other, D),
            (
                "this keeps what x sees of `other` and takes the unseen part"
                " of y; it is the other way round"
            ): lambda y, other, D: _moved(y, other, y, D),
            (
                "this is y itself, which has the right x, but it is not the"
                " nearest such picture to `other`"
            ): (lambda y, other, D: y),
        },
    ),
    "4.3": Exercise(
        function="noise_guess",
        inputs=(_X_UP, _Y_T, _LEVELS, 0.1),
        right=_guess,
        slips={
            "x does not take part; the guess of the signal is sqrt(gamma) x_up": (
                _from_y_t
            ),
            "x_up is weighed by gamma instead of its root: gamma is a share of power": (
                _without_its_root
            ),
            (
                "this takes x_up for the clean picture itself; what x leaves"
                " open has the variance v, and it ends up in y_t - sqrt(gamma)"
                " x_up too"
            ): lambda x_up, y_t, gamma, v: _guess(x_up, y_t, gamma, 0.0),
            "the factor has 1 - gamma above the line where its root is wanted": (
                lambda x_up, y_t, gamma, v: (
                    (1 - gamma).sqrt().to(y_t)[:, None, None, None]
                    * _guess(x_up, y_t, gamma, v)
                )
            ),
            "gamma and 1 - gamma have changed places": (
                lambda x_up, y_t, gamma, v: _guess(x_up, y_t, 1 - gamma, v)
            ),
            (
                "this is the guess of the clean detail, y_0 - x_up; the noise"
                " was asked for"
            ): lambda x_up, y_t, gamma, v: (
                _guess(x_up, y_t, gamma, v)
                * v
                * (gamma / (1 - gamma)).sqrt().to(y_t)[:, None, None, None]
            ),
        },
    ),
}
