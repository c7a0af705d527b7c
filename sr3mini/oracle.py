r"""The answer key: data whose best noise prediction is known in closed form.

For y_0 ~ N(m, Sigma) the noisy y_t = sqrt(gamma) y_0 + sqrt(1 - gamma) eps is Gaussian
too, with covariance S = gamma Sigma + (1 - gamma) I, and

    E[eps | y_t] = sqrt(1 - gamma) S^{-1} (y_t - sqrt(gamma) m)     what L2 learns
    V[eps | y_t] = gamma Sigma S^{-1}                  what nobody can predict

(tags A.1 and A.2). An oracle is a callable f(x, y_t, gamma), like the U-Net. Inside,
images are flattened to d numbers, in float64.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from .shapes import Batch, High, Images, Levels, Low


class GaussianOracle:
    """The best f for y_0 ~ N(mean, covariance). Ignores x.

    `mean` (d,), `covariance` (d, d), symmetric, may be singular. A Gaussian's mean is
    its median, so this one f is the optimum of L2 and of L1. ValueError when the
    covariance has a negative eigenvalue.
    """

    def __init__(
        self, mean: Float[Tensor, " d"], covariance: Float[Tensor, "d d"]
    ) -> None:
        values, vectors = torch.linalg.eigh(covariance.double())
        if values.min() < -1e-9 * values.abs().max():
            raise ValueError(
                f"the covariance has the negative eigenvalue {values.min().item():.3g};"
                " it must be positive semi-definite"
            )
        self.mean, self.values, self.vectors = (
            mean.double(),
            values.clamp(min=0),
            vectors,
        )

    def __call__(
        self,
        x: Tensor | None,
        y_t: Images,
        gamma: Levels,
    ) -> Images:
        level = gamma.double()[:, None]
        along = (y_t.flatten(1).double() - level.sqrt() * self.mean) @ self.vectors
        along = (1 - level).sqrt() * along / (level * self.values + 1 - level)
        return (along @ self.vectors.T).reshape(y_t.shape).to(y_t)

    def residual_covariance(self, gamma: float) -> Float[Tensor, "d d"]:
        """V[eps | y_t] = gamma Sigma S^{-1}: the same for every y_t (tag A.2)."""
        ratio = gamma * self.values / (gamma * self.values + 1 - gamma)
        return (self.vectors * ratio) @ self.vectors.T

    def floor(self, gamma: float, p: int = 2) -> float:
        """The lowest `denoising_loss` that any f can reach at this level (tag A.3).

        tr V / d for p = 2, the mean of sqrt(2/pi V_ii) for p = 1.
        """
        variance = self.residual_covariance(gamma).diagonal().clamp(min=0)
        if p == 2:
            return variance.mean().item()
        return (variance * 2 / math.pi).sqrt().mean().item()


class ConditionalGaussianOracle:
    """The best f for y ~ N(mean, covariance) seen through x = D y (tag A.7).

    p(y | x) is Gaussian: its mean m + K (x - D m), K = Sigma D^T (D Sigma D^T)^{-1},
    depends on x; its covariance Sigma - K D Sigma does not, and is 0 in every direction
    that x fixes. `D` is (low, d), `mean` (d,), `covariance` (d, d).
    """

    def __init__(
        self,
        mean: Float[Tensor, " d"],
        covariance: Float[Tensor, "d d"],
        D: Float[Tensor, "low d"],
    ) -> None:
        self.prior_mean, self.D, covariance = (
            mean.double(),
            D.double(),
            covariance.double(),
        )
        seen = self.D @ covariance
        self.gain = torch.linalg.lstsq(seen @ self.D.T, seen).solution.T
        posterior = covariance - self.gain @ seen
        centre = torch.zeros_like(self.prior_mean)
        self.centred = GaussianOracle(centre, (posterior + posterior.T) / 2)

    def posterior_mean(self, x: Batch) -> Float[Tensor, "B d"]:
        """E[y | x], flattened."""
        surprise = x.flatten(1).double() - self.D @ self.prior_mean
        return self.prior_mean + surprise @ self.gain.T

    def posterior_covariance(self) -> Float[Tensor, "d d"]:
        """V[y | x], the same for every x."""
        return (self.centred.vectors * self.centred.values) @ self.centred.vectors.T

    def __call__(
        self,
        x: Batch,
        y_t: Images,
        gamma: Levels,
    ) -> Images:
        shift = gamma.double().sqrt()[:, None] * self.posterior_mean(x)
        centred = y_t.double() - shift.reshape(y_t.shape)
        return self.centred(None, centred, gamma).to(y_t)


class MixtureOracle:
    """The best f for a mixture of round Gaussians and point masses. Ignores x.

    `weights` (K,) sum to 1, `means` (K, d), `variances` (K,), 0 for a point mass. `p` =
    2 predicts the mean of eps given y_t (tag A.4); `p` = 1 the median of each element
    (tag A.5), which is another function.
    """

    def __init__(
        self,
        weights: Float[Tensor, " K"],
        means: Float[Tensor, "K d"],
        variances: Float[Tensor, " K"],
        p: Literal[1, 2] = 2,
    ) -> None:
        sound = torch.isclose(weights.sum(), weights.new_ones(()))
        if not sound or (weights <= 0).any() or (variances < 0).any():
            raise ValueError(
                "weights must be positive and sum to 1, and variances must not be"
                " negative"
            )
        self.log_weights, self.p = weights.double().log(), p
        self.means, self.variances = means.double(), variances.double()

    def log_density(self, y_t: Float[Tensor, "B d"], gamma: Levels) -> Levels:
        """log p(y_t) of the noised mixture, normalised, float64."""
        return self._log_joint(y_t, gamma.double()[:, None]).logsumexp(1)

    def __call__(
        self,
        x: Tensor | None,
        y_t: Images,
        gamma: Levels,
    ) -> Images:
        flat, level = y_t.flatten(1).double(), gamma.double()[:, None]
        share = self._log_joint(flat, level).softmax(1)  # (B, K): where y_t came from
        spread = level * self.variances + 1 - level  # (B, K)
        rest = flat[:, None] - level.sqrt()[..., None] * self.means  # (B, K, d)
        means = (1 - level).sqrt()[..., None] * rest / spread[..., None]
        deviations = (level * self.variances / spread).sqrt()
        mean = (share[..., None] * means).sum(1)
        best = mean if self.p == 2 else _median(share, means, deviations)
        return best.reshape(y_t.shape).to(y_t)

    def _log_joint(self, y_t: Tensor, level: Tensor) -> Tensor:
        """log of share_k N(y_t; sqrt(gamma) means_k, spread_k I), (B, K)."""
        spread = level * self.variances + 1 - level
        rest = y_t.double()[:, None] - level.sqrt()[..., None] * self.means
        exponent = rest.square().sum(2) / (2 * spread)
        volume = self.means.shape[1] / 2 * (2 * math.pi * spread).log()
        return self.log_weights - exponent - volume


class PicturesOracle:
    """The best f in a world of N known pictures, seen through x = D y + noise of
    deviation `sigma`.

    p(y | x) gives picture i the share exp(-|x - D y_i|^2 / 2 sigma^2), up to a common
    factor: so its mean, which a perfect regression would answer, and its draws, a
    perfect sampler's, are known exactly. `y` (N, C, H, W) are the pictures, `x` (N, C,
    h, w) their D y, without noise.
    """

    def __init__(self, y: High, x: Low, sigma: float) -> None:
        self.shape, self.y = y.shape[1:], y.flatten(1).double()
        self.x, self.sigma = x.flatten(1).double(), sigma

    def shares(self, x: Low) -> Float[Tensor, "B N"]:
        """How probable each picture is, given x; float64, each row sums to 1."""
        return self._log_shares(x).softmax(1)

    def mean(self, x: Low) -> High:
        """E[y | x]."""
        return (self.shares(x) @ self.y).reshape(-1, *self.shape).to(x)

    def draw(self, x: Low, generator: torch.Generator | None = None) -> High:
        """One picture of p(y | x) for each x."""
        rows = torch.multinomial(self.shares(x), 1, generator=generator)[:, 0]
        return self.y[rows].reshape(-1, *self.shape).to(x)

    def __call__(self, x: Low, y_t: High, gamma: Levels) -> High:
        level = gamma.double()[:, None]
        noisy = y_t.flatten(1).double()
        apart = _squared(noisy, self.y, level.sqrt())
        shares = (self._log_shares(x) - apart / (2 * (1 - level))).softmax(1)
        clean = shares @ self.y  # E[y_0 | x, y_t]
        eps = (noisy - level.sqrt() * clean) / (1 - level).sqrt()
        return eps.reshape(y_t.shape).to(y_t)

    def _log_shares(self, x: Low) -> Float[Tensor, "B N"]:
        return -_squared(x.flatten(1).double(), self.x, 1.0) / (2 * self.sigma**2)


def _squared(
    a: Float[Tensor, "B d"], b: Float[Tensor, "N d"], scale: Tensor | float
) -> Float[Tensor, "B N"]:
    """|a - scale b|^2 for each a, with a scale of its own, and each b."""
    squares = scale**2 * b.square().sum(1)
    return a.square().sum(1)[:, None] - 2 * scale * (a @ b.T) + squares


def _median(share: Tensor, means: Tensor, deviation: Tensor) -> Tensor:
    """Median of each element of sum_k share_k N(means_k, deviation_k^2), (B, d).

    By bisection; deviation 0 is a step.
    """
    reach = 10 * deviation.amax(1)[:, None]
    low, high = means.amin(1) - reach - 1e-9, means.amax(1) + reach + 1e-9
    for _ in range(80):
        middle = (low + high) / 2
        z = (middle[:, None] - means) / deviation.clamp(min=1e-300)[..., None]
        below = (share[..., None] * torch.special.ndtr(z)).sum(1)
        low = torch.where(below < 0.5, middle, low)
        high = torch.where(below < 0.5, high, middle)
    return (low + high) / 2
