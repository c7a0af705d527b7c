r"""How much signal is left at every step: alpha_t and gamma_t.

    q(y_t | y_{t-1}) = N(sqrt(alpha_t) y_{t-1}, (1 - alpha_t) I)        SR3 eq. (2)
    gamma_t = alpha_1 alpha_2 ... alpha_t                                SR3 eq. (4)

Both tables have T + 1 entries, and entry 0 is 1 (no step taken, no noise added).
So the index in the code is the paper's t, and `t - 1` is always a valid index.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .shapes import Anything


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """The tables alpha_0..alpha_T and gamma_0..gamma_T, `(T+1,)` float64; entry 0 is 1.

    Make one with `linear`, `cosine`, `quadratic`, `constant`, `warmup`, `fibonacci`,
    `from_alphas`, `from_gammas` or `from_betas`. Raises ValueError unless every alpha_t
    with t >= 1 lies strictly between 0 and 1, and gamma stays above 0.
    """

    alphas: Float[Tensor, " T_plus_1"]
    gammas: Float[Tensor, " T_plus_1"]

    def __post_init__(self) -> None:
        alphas, gammas = self.alphas, self.gammas
        if alphas.dtype != torch.float64 or gammas.dtype != torch.float64:
            raise ValueError(
                "alphas and gammas must be float64: gamma is a product of up to"
                " thousands of factors near 1"
            )
        if alphas.ndim != 1 or alphas.shape != gammas.shape or len(alphas) < 2:
            raise ValueError(
                "alphas and gammas must both have shape (T+1,), T >= 1; got"
                f" {tuple(alphas.shape)} and {tuple(gammas.shape)}"
            )
        if alphas[0] != 1 or gammas[0] != 1:
            raise ValueError(
                "entry 0 of alphas and gammas must be 1: at t = 0 no noise has been"
                " added"
            )
        bad = ~((alphas[1:] > 0) & (alphas[1:] < 1))
        if bad.any():
            t = int(bad.nonzero()[0]) + 1
            raise ValueError(
                f"alpha_{t} = {alphas[t].item():.6g}, but every alpha_t with t >= 1"
                " must lie strictly between 0 and 1"
            )
        if not (gammas[-1] > 0 and (gammas.diff() < 0).all()):
            raise ValueError(
                "gamma must fall strictly from 1 and stay above 0; it ends at gamma_T"
                f" = {gammas[-1].item():.6g}"
            )
        if not torch.allclose(gammas[:-1] * alphas[1:], gammas[1:], rtol=1e-10, atol=0):
            raise ValueError("gamma_t must equal gamma_{t-1} * alpha_t")

    def respaced(self, steps: int) -> NoiseSchedule:
        """A schedule of fewer `steps` through levels of this one.

        It takes gamma at t = T/steps, 2T/steps, ..., T, rounded to whole t.
        """
        if not 1 <= steps <= self.steps:
            raise ValueError(
                f"steps = {steps}, but a schedule of {self.steps} steps can be respaced"
                f" to between 1 and {self.steps}"
            )
        t = torch.linspace(0, self.steps, steps + 1, dtype=torch.float64).round().long()
        return NoiseSchedule.from_gammas(self.gammas[t[1:]])

    @property
    def steps(self) -> int:
        """T, the number of steps."""
        return len(self.alphas) - 1

    def __repr__(self) -> str:
        gamma_T = self.gammas[-1].item()
        return f"NoiseSchedule(steps={self.steps}, gamma_T={gamma_T:.3g})"

    @classmethod
    def from_alphas(cls, alphas: Float[Tensor, " T"]) -> NoiseSchedule:
        """Any table alpha_1..alpha_T, each in (0, 1), `(T,)`.

        gamma_t is their running product (tag 2.1).
        """
        alphas = _with_leading_one(alphas)
        return cls(alphas, alphas.cumprod(0))

    @classmethod
    def from_gammas(cls, gammas: Float[Tensor, " T"]) -> NoiseSchedule:
        """Any falling table gamma_1..gamma_T in (0, 1), `(T,)`.

        alpha_t = gamma_t / gamma_{t-1}.
        """
        gammas = _with_leading_one(gammas)
        alphas = torch.cat([gammas[:1], gammas[1:] / gammas[:-1]])
        return cls(alphas, gammas)

    @classmethod
    def from_betas(cls, betas: Float[Tensor, " T"]) -> NoiseSchedule:
        """DDPM's table beta_1..beta_T, each in (0, 1), `(T,)`, whose entry 0 is step 1.

        alpha_t = 1 - beta_t, and gamma_t is DDPM's alpha-bar (tag 1.5).
        """
        return cls.from_alphas(1 - torch.as_tensor(betas).to("cpu", torch.float64))

    @classmethod
    def linear(cls, steps: int, start: float, end: float) -> NoiseSchedule:
        """1 - alpha_t rises linearly from `start` at t = 1 to `end` at t = T.

        Both lie in (0, 1). SR3 section 4.
        """
        return cls.from_alphas(1 - _ramp(steps, start, end))

    @classmethod
    def quadratic(cls, steps: int, start: float, end: float) -> NoiseSchedule:
        """sqrt(1 - alpha_t) rises linearly: 1 - alpha_t is a parabola in t."""
        return cls.from_alphas(1 - _ramp(steps, start, end, power=2))

    @classmethod
    def constant(cls, steps: int, value: float) -> NoiseSchedule:
        """1 - alpha_t = `value` at every step."""
        _demand_share("value", value)
        return cls.from_alphas(1 - _ramp(steps, value, value))

    @classmethod
    def warmup(
        cls, steps: int, start: float, end: float, fraction: float = 0.1
    ) -> NoiseSchedule:
        """1 - alpha_t rises linearly over a `fraction` of the steps, then stays."""
        if not 0 < fraction <= 1:
            raise ValueError(
                f"fraction = {fraction}, but it must lie in (0, 1]: it is the part of"
                " the steps that warms up"
            )
        betas = _ramp(steps, end, end)
        rising = max(1, int(steps * fraction))
        betas[:rising] = _ramp(rising, start, end)
        return cls.from_alphas(1 - betas)

    @classmethod
    def cosine(cls, steps: int, offset: float = 0.008) -> NoiseSchedule:
        """gamma_t = g(t)/g(0), g(t) = cos^2(pi/2 (t/T + s)/(1 + s)), s = `offset`.

        1 - alpha_t is at most 0.999 (Nichol & Dhariwal 2021, eq. 17).
        """
        t = torch.arange(_positive(steps) + 1, dtype=torch.float64)
        g = torch.cos((t / steps + offset) / (1 + offset) * math.pi / 2).square()
        return cls.from_alphas((g[1:] / g[:-1]).clamp(min=0.001))

    @classmethod
    def fibonacci(cls, steps: int = 25, start: float = 1e-6) -> NoiseSchedule:
        """1 - alpha_t = `start` times 1, 2, 3, 5, ...: WaveGrad (Chen et al. 2020)."""
        _demand_share("start", start)
        betas = [start, 2 * start]
        while len(betas) < _positive(steps) and betas[-1] < 1:  # which is refused below
            betas.append(betas[-1] + betas[-2])
        return cls.from_alphas(1 - torch.tensor(betas[:steps], dtype=torch.float64))


def log_snr(gamma: Anything) -> Anything:
    """log(gamma / (1 - gamma)): signal power over noise power, for gamma in [0, 1].

    +inf at 1, -inf at 0.
    """
    return torch.log(gamma) - torch.log1p(-gamma)


def _with_leading_one(table: Tensor) -> Tensor:
    table = torch.as_tensor(table).to("cpu", torch.float64)
    if table.ndim != 1 or len(table) == 0:
        raise ValueError(
            "a schedule needs a table of shape (T,), T >= 1, for t = 1..T; got shape"
            f" {tuple(table.shape)}"
        )
    return torch.cat([table.new_ones(1), table])


def _ramp(steps: int, first: float, last: float, power: int = 1) -> Tensor:
    """Noise whose `power`-th root rises linearly."""
    _demand_share("start", first)
    _demand_share("end", last)
    ends = (first ** (1 / power), last ** (1 / power))
    return torch.linspace(*ends, _positive(steps), dtype=torch.float64) ** power


def _demand_share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(
            f"{name} = {value:.6g}, but 1 - alpha_t must lie strictly between 0 and 1"
        )


def _positive(steps: int) -> int:
    if steps < 1:
        raise ValueError(f"steps = {steps}, but a schedule needs at least one step")
    return steps
