r"""Noising: draw a level gamma ~ p(gamma), then mix the image with noise at that level.

    p(gamma) = sum_{t=1..T} (1/T) U(gamma_{t-1}, gamma_t)                SR3 section 2.4
    y_t      = sqrt(gamma) y_0 + sqrt(1 - gamma) eps                     SR3 eq. (5)

gamma falls with t, so the t-th uniform law lives on [gamma_t, gamma_{t-1}]. These T
segments tile [gamma_T, 1].
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from .schedule import NoiseSchedule
from .shapes import Anything, Images, Levels


def gamma_pdf(schedule: NoiseSchedule, gamma: Anything) -> Anything:
    """Density p(gamma) at `gamma`, same shape (tag 3.2).

    1 / (T (gamma_{t-1} - gamma_t)) on segment t, 0 outside [gamma_T, 1]. At a boundary
    gamma_t it is that of segment t: a single point has no mass, so any would do.
    """
    t = segment(schedule, gamma)
    width = schedule.gammas[t - 1] - schedule.gammas[t]
    inside = (gamma >= schedule.gammas[-1]) & (gamma <= 1)
    return torch.where(inside, 1 / (schedule.steps * width), 0.0)


def gamma_cdf(schedule: NoiseSchedule, gamma: Anything) -> Anything:
    """P(level <= `gamma`), same shape, in [0, 1] (tag 3.3).

    Piecewise linear, with F(gamma_t) = 1 - t/T.
    """
    t = segment(schedule, gamma)
    gamma_t, gamma_before = schedule.gammas[t], schedule.gammas[t - 1]
    u = (gamma - gamma_t) / (gamma_before - gamma_t)
    return ((schedule.steps - t + u) / schedule.steps).clamp(0, 1)


def gamma_icdf(schedule: NoiseSchedule, q: Anything) -> Anything:
    """The level below which a share `q` in [0, 1] of p(gamma) lies, same shape.

    The inverse of `gamma_cdf` (tag 3.4).
    """
    if (q < 0).any() or (q > 1).any():
        raise ValueError("q must lie in [0, 1]: it is a probability")
    below = (q * schedule.steps).floor().clamp(max=schedule.steps - 1)
    t = schedule.steps - below.long()
    return gamma_between(schedule, t, q * schedule.steps - below)


def gamma_between(
    schedule: NoiseSchedule, t: Int[Tensor, "..."], u: Anything
) -> Anything:
    """A share `u` in [0, 1] of the way from gamma_t up to gamma_{t-1}, t in 1..T.

    The second stage of the draw (tag 3.1).
    """
    gamma_t, gamma_before = schedule.gammas[t], schedule.gammas[t - 1]
    return gamma_t + u * (gamma_before - gamma_t)


def sample_gamma(
    schedule: NoiseSchedule,
    shape: tuple[int, ...],
    *,
    generator: torch.Generator | None = None,
) -> Anything:
    """Independent levels: t ~ U{1..T}, then gamma ~ U(gamma_t, gamma_{t-1}).

    SR3 section 2.4, the two-stage draw (tag 3.1). Of the given shape, float64, on the
    CPU. Every entry has its own t, so `(B,)` gives one level an image.
    """
    t = torch.randint(1, schedule.steps + 1, shape, generator=generator)
    u = torch.rand(shape, dtype=torch.float64, generator=generator)
    return gamma_between(schedule, t, u)


def diffuse(
    y_0: Images,
    gamma: Levels,
    eps: Images,
) -> Images:
    """y_t = sqrt(gamma) y_0 + sqrt(1 - gamma) eps, a level an image (eq. 5, tag 3.6).

    `y_0` and `eps` have one shape, `gamma` (B,) lies in [0, 1]. The roots are taken in
    gamma's dtype, then cast to y_0's.
    """
    signal = per_image(gamma.sqrt(), y_0)
    noise = per_image((1 - gamma).sqrt(), y_0)
    return signal * y_0 + noise * eps


def noise(like: Images, seeds: Sequence[int]) -> Images:
    """eps ~ N(0, I), like `like` (B, ...) and on its device, from a seed an image: what
    an image gets does not depend on its batch.
    """
    generator, shape = torch.Generator(like.device), like.shape[1:]
    eps = []
    for seed in seeds:
        generator.manual_seed(seed)
        eps.append(torch.randn(shape, generator=generator, device=like.device))
    return torch.stack(eps)


def per_image(values: Tensor, like: Tensor) -> Tensor:
    """`values` (B,) as (B, 1, ..., 1), with the dtype and device of `like` (B, ...),
    which has to be of floats: whole numbers would make 0 of a level.
    """
    if not like.is_floating_point():
        raise ValueError(f"images of {like.dtype}: pass floats in [-1, 1]")
    return values.to(like).reshape(-1, *[1] * (like.ndim - 1))


def segment(schedule: NoiseSchedule, gamma: Anything) -> Int[Tensor, "..."]:
    """The step t in 1..T with gamma_t <= gamma < gamma_{t-1}, same shape.

    Outside [gamma_T, 1) it is the nearest one.
    """
    rising = schedule.gammas.flip(0)
    below = torch.searchsorted(rising, gamma.to(rising), right=True) - 1
    return (schedule.steps - below).clamp(1, schedule.steps)
