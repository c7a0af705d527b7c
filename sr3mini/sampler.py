r"""From noise to image: Algorithm 2 of SR3, the loop around it, and DDIM.

    y_{t-1} = (y_t - (1 - alpha_t) / sqrt(1 - gamma_t) f(x, y_t, gamma_t)) / sqrt(alpha_t) + sqrt(1 - alpha_t) z
                                                                        SR3 eq. (11), Algorithm 2, line 4; z = 0 at t = 1

`f` is any callable: a U-Net, an oracle, an imported checkpoint. Nothing here knows which.
Coefficients are float64 and are cast where they meet the image.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from .loss import NoisePredictor
from .schedule import NoiseSchedule

Method = Literal["ancestral", "ddim"]
Variance = Literal["paper", "posterior"]


class Step(NamedTuple):
    """What the loop has in hand after t steps are left: y_t, and y_0 as it looked from y_{t+1} (None before the first step)."""

    t: int
    y_t: Tensor
    y_0: Tensor | None


def reverse_step(
    y_t: Float[Tensor, "B ..."], eps_hat: Float[Tensor, "B ..."], alpha_t: Float[Tensor, ""], gamma_t: Float[Tensor, ""], z: Float[Tensor, "B ..."] | None
) -> Float[Tensor, "B ..."]:
    """y_{t-1} as Algorithm 2, line 4 prints it (tag 7.5). `z` is None at t = 1, where no noise is added.

    `alpha_t`, `gamma_t`: scalars in (0, 1), float64; everything else has the shape of `y_t`.
    """
    mean = (y_t - ((1 - alpha_t) / (1 - gamma_t).sqrt()).to(y_t) * eps_hat) / alpha_t.sqrt().to(y_t)
    return mean if z is None else mean + (1 - alpha_t).sqrt().to(y_t) * z


def posterior_step(
    y_t: Float[Tensor, "B ..."], eps_hat: Float[Tensor, "B ..."], alpha_t: Float[Tensor, ""], gamma_t: Float[Tensor, ""], z: Float[Tensor, "B ..."] | None
) -> Float[Tensor, "B ..."]:
    """`reverse_step` with the variance of q(y_{t-1} | y_0, y_t), (1 - gamma_{t-1}) (1 - alpha_t) / (1 - gamma_t) (SR3 eq. 4, tag 7.6).

    gamma_{t-1} is gamma_t / alpha_t. Exact for a point mass, where the paper's 1 - alpha_t is exact for N(0, I).
    """
    mean = reverse_step(y_t, eps_hat, alpha_t, gamma_t, None)
    variance = (1 - gamma_t / alpha_t) * (1 - alpha_t) / (1 - gamma_t)
    return mean if z is None else mean + variance.clamp(min=0).sqrt().to(y_t) * z


def ddim_step(
    y_t: Float[Tensor, "B ..."],
    eps_hat: Float[Tensor, "B ..."],
    alpha_t: Float[Tensor, ""],
    gamma_t: Float[Tensor, ""],
    z: Float[Tensor, "B ..."] | None = None,
) -> Float[Tensor, "B ..."]:
    """The same noise at the next level, `z` ignored: sqrt(gamma_{t-1}) y_0_hat + sqrt(1 - gamma_{t-1}) eps_hat (DDIM eq. 12, tag 8.1)."""
    gamma_before = (gamma_t / alpha_t).clamp(max=1)
    return gamma_before.sqrt().to(y_t) * predict_y_0(y_t, eps_hat, gamma_t) + (1 - gamma_before).sqrt().to(y_t) * eps_hat


def predict_y_0(y_t: Float[Tensor, "B ..."], eps_hat: Float[Tensor, "B ..."], gamma_t: Float[Tensor, ""]) -> Float[Tensor, "B ..."]:
    """The clean image that y_t would come from if eps_hat were its noise: eq. (5) solved for y_0 (tag 7.2)."""
    return (y_t - (1 - gamma_t).sqrt().to(y_t) * eps_hat) / gamma_t.sqrt().to(y_t)


def noise_from(y_t: Float[Tensor, "B ..."], y_0: Float[Tensor, "B ..."], gamma_t: Float[Tensor, ""]) -> Float[Tensor, "B ..."]:
    """The noise that leads from y_0 to y_t: eq. (5) solved for eps. After ŷ_0 was clipped, eps_hat has to follow it."""
    return (y_t - gamma_t.sqrt().to(y_t) * y_0) / (1 - gamma_t).sqrt().to(y_t)


def trajectory(
    f: NoisePredictor,
    x: Tensor,
    schedule: NoiseSchedule,
    shape: tuple[int, ...],
    *,
    generator: torch.Generator | list[torch.Generator] | None = None,
    method: Method = "ancestral",
    variance: Variance = "paper",
    clip: bool = False,
    y_T: Tensor | None = None,
) -> Iterator[Step]:
    """Algorithm 2 watched: yields Step(T, y_T, None), then Step(t, y_t, y_0_hat) down to t = 0. `T + 1` steps in all.

    `shape` (B, C, H, W) of y; dtype and device are those of `x`. `method`: "ancestral" (Algorithm 2) or "ddim" (no noise
    added). `variance` of the ancestral step: "paper" (1 - alpha_t) or "posterior". `clip`: keep y_0_hat in [-1, 1], as
    public code does; mends small prediction errors, but the Gaussian oracle is then no longer exact. `generator` draws
    y_T and every z: one for the batch, or a list of B, one an image, so that no sample depends on the rest of its batch.
    """
    if method not in ("ancestral", "ddim") or variance not in ("paper", "posterior"):
        raise ValueError(f"method = {method!r}, variance = {variance!r}: choose 'ancestral' or 'ddim', and 'paper' or 'posterior'")
    step = ddim_step if method == "ddim" else posterior_step if variance == "posterior" else reverse_step
    y_t = _normal(shape, x, generator) if y_T is None else y_T
    yield Step(schedule.steps, y_t, None)
    for t in range(schedule.steps, 0, -1):
        alpha_t, gamma_t = schedule.alphas[t], schedule.gammas[t]
        eps_hat = f(x, y_t, gamma_t.expand(shape[0]))
        y_0 = predict_y_0(y_t, eps_hat, gamma_t)
        if clip:
            y_0 = y_0.clamp(-1, 1)
            eps_hat = noise_from(y_t, y_0, gamma_t)
        z = _normal(shape, x, generator) if method == "ancestral" and t > 1 else None
        y_t = step(y_t, eps_hat, alpha_t, gamma_t, z)
        yield Step(t - 1, y_t, y_0)


@torch.no_grad()
def sample(
    f: NoisePredictor,
    x: Tensor,
    schedule: NoiseSchedule,
    shape: tuple[int, ...],
    *,
    generator: torch.Generator | list[torch.Generator] | None = None,
    method: Method = "ancestral",
    variance: Variance = "paper",
    clip: bool = False,
    y_T: Tensor | None = None,
    progress: bool = False,
) -> Tensor:
    """Draw y_0 ~ p(y | x), `shape` (B, C, H, W): the last step of `trajectory`, which explains the arguments (Algorithm 2)."""
    steps = trajectory(f, x, schedule, shape, generator=generator, method=method, variance=variance, clip=clip, y_T=y_T)
    for step in tqdm(steps, total=schedule.steps + 1, disable=not progress, desc="sampling", unit="step"):
        y_t = step.y_t
    return y_t


def _normal(shape: tuple[int, ...], like: Tensor, generator: torch.Generator | list[torch.Generator] | None) -> Tensor:
    """Standard normal noise with the dtype and device of `like`, drawn on each generator's own device."""
    if isinstance(generator, list):
        if len(generator) != shape[0]:
            raise ValueError(f"{len(generator)} generators for a batch of {shape[0]}; pass one an image, or a single one")
        return torch.cat([_normal((1, *shape[1:]), like, g) for g in generator])
    device = generator.device if generator is not None else like.device
    return torch.randn(shape, dtype=like.dtype, device=device, generator=generator).to(like.device)
