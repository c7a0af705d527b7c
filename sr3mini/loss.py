r"""The training loss: how far the predicted noise is from the noise that was added.

E || f(x, sqrt(gamma) y_0 + sqrt(1 - gamma) eps, gamma) - eps ||_p^p     SR3 eq. (6)
                                                         Algorithm 1, line 5
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from .forward import diffuse
from .shapes import Batch, Images, Levels, Scalar

NoisePredictor = Callable[[Tensor, Tensor, Tensor], Tensor]
"""f(x, y_t, gamma): the condition (B, c, h, w), the noisy image (B, C, H, W) and its
level (B,) -> predicted noise (B, C, H, W)."""


def denoising_loss(
    f: NoisePredictor,
    x: Batch,
    y_0: Images,
    gamma: Levels,
    eps: Images,
    p: int = 2,
) -> Scalar:
    """Mean over all elements of |f(x, y_t, gamma) - eps|^p; p is 1 or 2 (tag 6.1).

    y_t = diffuse(y_0, gamma, eps). The mean over elements, not the sum that the paper
    prints: losses of different image sizes can then be compared.
    """
    if p not in (1, 2):
        raise ValueError(
            f"p = {p}, but SR3's loss is defined for p = 1 (absolute error) and p = 2"
            " (squared error)"
        )
    y_t = diffuse(y_0, gamma, eps)
    return (f(x, y_t, gamma) - eps).abs().pow(p).mean()


def regress(f: NoisePredictor, x: Batch, shape: tuple[int, ...]) -> Images:
    """The picture that f, trained with `regression_loss`, gives for x in one call.

    y_t = 0 and gamma = 0 tell it nothing (tag 8.7).
    """
    return f(x, x.new_zeros(shape), x.new_zeros(shape[0]))


def regression_loss(
    f: NoisePredictor,
    x: Batch,
    y_0: Images,
    p: int = 2,
) -> Scalar:
    """Mean over all elements of |f(x, 0, 0) - y_0|^p (tag 8.7).

    SR3's regression baseline: the same network, asked for the picture itself.
    """
    return (regress(f, x, tuple(y_0.shape)) - y_0).abs().pow(p).mean()
