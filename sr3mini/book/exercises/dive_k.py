"""Exercises of deep dive K."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ...degrade import degradation_matrix
from ...schedule import log_snr
from .grader import Answer, Exercise, images

_D = degradation_matrix(8, 4)  # (4, 64)
_Y = images(2, 8, 5).double().flatten(1)
_OTHER = images(2, 8, 6).double().flatten(1)
_X_UP, _Y_T = images(3, 4, 7), images(3, 4, 8)
_NOISY = torch.tensor([0.9, 0.5, 0.1], dtype=torch.float64)

_LEVELS = torch.tensor([0.98, 0.6, 0.05], dtype=torch.float64)
_FREQUENCIES = torch.tensor([0.1, 0.5, 2.0], dtype=torch.float64)
_H, _N = images(2, 4, 11), images(2, 4, 12)
_SCALE, _SHIFT = torch.tensor([[0.5], [-0.8]]), torch.tensor([[0.2], [0.6]])
_INPUTS, _OUTPUTS = torch.tensor([16, 16, 48]), torch.tensor([16, 32, 32])


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


def _sinusoids(level: Callable[[Tensor], Tensor]) -> Answer:
    def formula(gamma: Tensor, frequencies: Tensor) -> Tensor:
        angles = level(gamma)[:, None] * frequencies
        return torch.cat([angles.sin(), angles.cos()], dim=1)

    return formula


def _interleaved(gamma: Tensor, frequencies: Tensor) -> Tensor:
    return (
        _sinusoids(log_snr)(gamma, frequencies)
        .reshape(len(gamma), 2, -1)
        .transpose(1, 2)
        .flatten(1)
    )


def _block(
    h: Tensor, n: Tensor, scale: Tensor, shift: Tensor, factor: float = math.sqrt(0.5)
) -> Tensor:
    return (
        h + F.silu((1 + scale[..., None, None]) * n + shift[..., None, None])
    ) * factor


def _parameters(
    inputs: Tensor,
    outputs: Tensor,
    embedding: int,
    area: int = 9,
    biases: int = 1,
    norms: int = 1,
    numbers: int = 2,
) -> Tensor:
    """`numbers`: how many the level gives each channel."""
    convolutions = area * outputs * (inputs + outputs) + 2 * biases * outputs
    return (
        2 * norms * (inputs + outputs)
        + convolutions
        + numbers * outputs * (embedding + 1)
        + _skip(inputs, outputs, biases)
    )


def _skip(inputs: Tensor, outputs: Tensor, biases: int = 1) -> Tensor:
    return (inputs != outputs) * outputs * (inputs + biases)


EXERCISES: dict[str, Exercise] = {
    "K.1": Exercise(
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
    "K.2": Exercise(
        function="noise_guess",
        inputs=(_X_UP, _Y_T, _NOISY, 0.1),
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
    "K.3": Exercise(
        function="sinusoids",
        inputs=(_LEVELS, _FREQUENCIES),
        right=_sinusoids(log_snr),
        slips={
            (
                "this embeds the root of gamma, as the best-known SR3 code does;"
                " near gamma = 1 it hardly moves, so embed log(gamma / (1 -"
                " gamma))"
            ): _sinusoids(torch.sqrt),
            (
                "this embeds gamma itself, which hardly moves near 1 and near"
                " 0; embed log(gamma / (1 - gamma))"
            ): _sinusoids(lambda g: g),
            (
                "this is the log of the signal's share alone; divide by the"
                " noise's share, 1 - gamma, first"
            ): _sinusoids(torch.log),
            "this is the log of noise over signal, so every sine has the wrong sign": (
                _sinusoids(lambda g: -log_snr(g))
            ),
            "this is the logarithm to base 10; take the natural one": _sinusoids(
                lambda g: log_snr(g) / math.log(10)
            ),
            (
                "all cosines come before all sines; the MLP's weights expect"
                " the sines first"
            ): (lambda g, w: _sinusoids(log_snr)(g, w).roll(len(w), 1)),
            "sines and cosines take turns; all sines come first, then all cosines": (
                _interleaved
            ),
        },
    ),
    "K.4": Exercise(
        function="block_output",
        inputs=(_H, _N, _SCALE, _SHIFT),
        right=_block,
        slips={
            (
                "n is multiplied by the scale, not by 1 + scale; then a layer"
                " that says nothing, scale = shift = 0, would wipe out the feature"
            ): lambda h, n, scale, shift: _block(h, n, scale - 1, shift),
            "the level only shifts n here; multiply n by 1 + scale first": (
                lambda h, n, scale, shift: _block(h, n, 0 * scale, shift)
            ),
            "scale and shift have changed places": lambda h, n, scale, shift: _block(
                h, n, shift, scale
            ),
            (
                "this is the plain sum; divide by the root of 2, or the power"
                " grows from block to block"
            ): lambda h, n, scale, shift: _block(h, n, scale, shift, 1.0),
            (
                "this halves the sum: two branches of power 1 have a sum of"
                " power 2, and its root is what to divide by"
            ): lambda h, n, scale, shift: _block(h, n, scale, shift, 0.5),
            "the skip h is missing": lambda h, n, scale, shift: _block(
                0 * h, n, scale, shift
            ),
            (
                "scale and shift come after SiLU here; they belong before it,"
                " right after the normalisation"
            ): lambda h, n, scale, shift: (
                (h + (1 + scale[..., None, None]) * F.silu(n) + shift[..., None, None])
                * math.sqrt(0.5)
            ),
        },
    ),
    "K.5": Exercise(
        function="count_parameters",
        inputs=(_INPUTS, _OUTPUTS, 64),
        right=_parameters,
        slips={
            (
                "the 1x1 convolution of the skip is missing; it is there when"
                " inputs and outputs differ"
            ): (lambda i, o, e: _parameters(i, o, e) - _skip(i, o)),
            (
                "a 1x1 convolution is counted where inputs and outputs are equal,"
                " too; there the skip is h itself"
            ): lambda i, o, e: _parameters(i, o, e) + (i == o) * o * (i + 1),
            (
                "a 3x3 kernel has 9 weights for each pair of an input and an"
                " output channel, not 3"
            ): lambda i, o, e: _parameters(i, o, e, area=3),
            "the biases of the convolutions are missing, one an output channel": (
                lambda i, o, e: _parameters(i, o, e, biases=0)
            ),
            "the two GroupNorms are missing: a weight and a bias a channel": (
                lambda i, o, e: _parameters(i, o, e, norms=0)
            ),
            (
                "the level gives each output channel two numbers, a scale and"
                " a shift, and this counts one"
            ): lambda i, o, e: _parameters(i, o, e, numbers=1),
            (
                "the second convolution has as many inputs as outputs; this"
                " gives it the block's inputs"
            ): (lambda i, o, e: _parameters(i, o, e) + 9 * o * (i - o)),
        },
    ),
}
