r"""From noise to image: Algorithm 2 of SR3, the loop around it, methods that need fewer
steps, and the search for a schedule.

    y_{t-1} = (y_t - (1 - alpha_t) / sqrt(1 - gamma_t) f(x, y_t, gamma_t)) /
    sqrt(alpha_t) + sqrt(1 - alpha_t) z
      SR3 eq. (11), Algorithm 2, line 4; z = 0 at t = 1
    y_{t-1} = sqrt(gamma_{t-1}) y_0_hat + sqrt(1 - gamma_{t-1}) eps_hat
            DDIM, eq. (12) with sigma = 0

`f` is any callable: a U-Net, an oracle, an imported checkpoint. Nothing here knows
which. Coefficients are float64 and are cast where they meet the image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Literal, NamedTuple, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from .loss import NoisePredictor
from .schedule import NoiseSchedule, log_snr

Method = Literal["ancestral", "ddim", "multistep"]
Variance = Literal["paper", "posterior"]


class Step(NamedTuple):
    """What the loop has in hand after t steps are left: y_t, and y_0 as it looked from
    y_{t+1} (None before the first step).
    """

    t: int
    y_t: Tensor
    y_0: Tensor | None


def reverse_step(
    y_t: Float[Tensor, "B ..."],
    eps_hat: Float[Tensor, "B ..."],
    alpha_t: Float[Tensor, ""],
    gamma_t: Float[Tensor, ""],
    z: Float[Tensor, "B ..."] | None,
) -> Float[Tensor, "B ..."]:
    """y_{t-1} as Algorithm 2, line 4 prints it (tag 7.5). `z` is None at t = 1, where
    no noise is added.

    `alpha_t`, `gamma_t`: scalars in (0, 1), float64; everything else has the shape of
    `y_t`.
    """
    mean = (
        y_t - ((1 - alpha_t) / (1 - gamma_t).sqrt()).to(y_t) * eps_hat
    ) / alpha_t.sqrt().to(y_t)
    return mean if z is None else mean + (1 - alpha_t).sqrt().to(y_t) * z


def posterior_step(
    y_t: Float[Tensor, "B ..."],
    eps_hat: Float[Tensor, "B ..."],
    alpha_t: Float[Tensor, ""],
    gamma_t: Float[Tensor, ""],
    z: Float[Tensor, "B ..."] | None,
) -> Float[Tensor, "B ..."]:
    """`reverse_step` with the variance of q(y_{t-1} | y_0, y_t), (1 - gamma_{t-1}) (1 -
    alpha_t) / (1 - gamma_t) (SR3 eq. 4, tag 7.6).

    gamma_{t-1} is gamma_t / alpha_t. Exact for a point mass, where the paper's 1 -
    alpha_t is exact for N(0, I).
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
    """The same noise at the next level, `z` ignored: sqrt(gamma_{t-1}) y_0_hat + sqrt(1
    - gamma_{t-1}) eps_hat (DDIM eq. 12, tag 8.1).
    """
    gamma_before = (gamma_t / alpha_t).clamp(max=1)
    return (
        gamma_before.sqrt().to(y_t) * predict_y_0(y_t, eps_hat, gamma_t)
        + (1 - gamma_before).sqrt().to(y_t) * eps_hat
    )


def predict_y_0(
    y_t: Float[Tensor, "B ..."],
    eps_hat: Float[Tensor, "B ..."],
    gamma_t: Float[Tensor, ""],
) -> Float[Tensor, "B ..."]:
    """The clean image that y_t would come from if eps_hat were its noise: eq. (5)
    solved for y_0 (tag 7.2).
    """
    return (y_t - (1 - gamma_t).sqrt().to(y_t) * eps_hat) / gamma_t.sqrt().to(y_t)


def noise_from(
    y_t: Float[Tensor, "B ..."], y_0: Float[Tensor, "B ..."], gamma_t: Float[Tensor, ""]
) -> Float[Tensor, "B ..."]:
    """The noise that leads from y_0 to y_t: eq. (5) solved for eps. After ŷ_0 was
    clipped, eps_hat has to follow it.
    """
    return (y_t - gamma_t.sqrt().to(y_t) * y_0) / (1 - gamma_t).sqrt().to(y_t)


def look_ahead(
    y_0: Float[Tensor, "B ..."],
    y_0_before: Float[Tensor, "B ..."],
    gammas: Float[Tensor, "3"],
) -> Float[Tensor, "B ..."]:
    """ŷ_0 half-way through the next step, on the straight line in log-SNR through the
    last two (DPM-Solver++ (2M), tag 8.2).

    `gammas`: gamma_{t-1}, gamma_t, gamma_{t+1}; `y_0` was seen at gamma_t, `y_0_before`
    at gamma_{t+1}. Where gamma_{t-1} is 1 the log-SNR is infinite and there is no
    half-way: `y_0` itself is returned.
    """
    ahead, here, before = log_snr(gammas).tolist()
    return (
        y_0
        if math.isinf(ahead)
        else y_0 + (ahead - here) / (2 * (here - before)) * (y_0 - y_0_before)
    )


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
    """Algorithm 2 watched: yields Step(T, y_T, None), then Step(t, y_t, y_0_hat) down
    to t = 0. `T + 1` steps in all.

    `shape` (B, C, H, W) of y; dtype and device are those of `x`. `method`: "ancestral"
    (Algorithm 2); "ddim" (no noise added); or "multistep", which is DDIM with the
    y_0_hat that `look_ahead` makes of this step's and the last one's. `variance` of the
    ancestral step: "paper" (1 - alpha_t) or "posterior". `clip`: keep y_0_hat in [-1,
    1], as public code does; mends small prediction errors, but the Gaussian oracle is
    then no longer exact. `generator` draws y_T and every z: one for the batch, or a
    list of B, one an image, so that no sample depends on the rest of its batch.
    """
    if method not in ("ancestral", "ddim", "multistep") or variance not in (
        "paper",
        "posterior",
    ):
        raise ValueError(
            f"method = {method!r}, variance = {variance!r}: choose 'ancestral', 'ddim'"
            " or 'multistep', and 'paper' or 'posterior'"
        )
    step = (
        ddim_step
        if method != "ancestral"
        else posterior_step
        if variance == "posterior"
        else reverse_step
    )
    y_t = _normal(shape, x, generator) if y_T is None else y_T
    y_0 = None
    yield Step(schedule.steps, y_t, None)
    for t in range(schedule.steps, 0, -1):
        alpha_t, gamma_t = schedule.alphas[t], schedule.gammas[t]
        eps_hat = f(x, y_t, gamma_t.expand(shape[0]))
        y_0_before, y_0 = y_0, predict_y_0(y_t, eps_hat, gamma_t)
        if clip:
            y_0 = y_0.clamp(-1, 1)
            eps_hat = noise_from(y_t, y_0, gamma_t)
        if method == "multistep" and y_0_before is not None:
            eps_hat = noise_from(
                y_t,
                look_ahead(y_0, y_0_before, schedule.gammas[t - 1 : t + 2]),
                gamma_t,
            )
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
    """Draw y_0 ~ p(y | x), `shape` (B, C, H, W): the last step of `trajectory`, which
    explains the arguments (Algorithm 2).
    """
    steps = trajectory(
        f,
        x,
        schedule,
        shape,
        generator=generator,
        method=method,
        variance=variance,
        clip=clip,
        y_T=y_T,
    )
    for step in tqdm(
        steps,
        total=schedule.steps + 1,
        disable=not progress,
        desc="sampling",
        unit="step",
    ):
        y_t = step.y_t
    return y_t


Name = TypeVar("Name", bound=Hashable)
Score = Callable[[Tensor, Tensor], float]
"""score(samples, y): how far samples (B, C, H, W) are from being pictures like y (B, C,
H, W); lower is better.
"""


def edge_distance(
    samples: Float[Tensor, "B C H W"], y: Float[Tensor, "B C H W"]
) -> float:
    """Mean distance between the sorted differences of neighbouring pixels in `samples`
    and those in `y`, on [0, 1].

    Noise makes the differences too large, and blur too small. Where an edge lies plays
    no part, so a sample may be another right answer than the one in `y`.
    """
    edges = [
        torch.cat([(image / 2).diff(dim=dim).flatten() for dim in (-2, -1)])
        .sort()
        .values
        for image in (samples, y)
    ]
    return (edges[0] - edges[1]).abs().mean().item()


def even_log_snr(steps: int, first: float = 0.999, last: float = 1e-4) -> NoiseSchedule:
    """gamma_1 = `first` down to gamma_T = `last`, T = `steps`, with equal distances of
    log-SNR between them; one step is `last` alone.
    """
    low, high = log_snr(torch.tensor([last, first], dtype=torch.float64)).tolist()
    return NoiseSchedule.from_gammas(
        torch.linspace(low, high, steps, dtype=torch.float64).flip(0).sigmoid()
    )


def search_schedule(
    f: NoisePredictor,
    x: Float[Tensor, "B c h w"],
    y: Float[Tensor, "B C H W"],
    candidates: Mapping[Name, NoiseSchedule],
    score: Score = edge_distance,
    *,
    method: Method = "ancestral",
    variance: Variance = "posterior",
    clip: bool = True,
    seed: int = 0,
) -> dict[Name, float]:
    """{name: score} of every schedule in `candidates`, best first: what SR3 searches on
    held-out pictures, without training f again.

    One sample for each of the B pictures `y`, whose small versions are `x`, scored in
    [-1, 1]. Every candidate starts from the same y_T.
    """
    scores = {}
    for name, schedule in candidates.items():
        generators = [torch.Generator().manual_seed(seed + i) for i in range(len(x))]
        samples = sample(
            f,
            x,
            schedule,
            tuple(y.shape),
            generator=generators,
            method=method,
            variance=variance,
            clip=clip,
        )
        scores[name] = score(samples.clamp(-1, 1), y)
    return dict(sorted(scores.items(), key=lambda pair: pair[1]))


def _normal(
    shape: tuple[int, ...],
    like: Tensor,
    generator: torch.Generator | list[torch.Generator] | None,
) -> Tensor:
    """Standard normal noise with the dtype and device of `like`, drawn on each
    generator's own device.
    """
    if isinstance(generator, list):
        if len(generator) != shape[0]:
            raise ValueError(
                f"{len(generator)} generators for a batch of {shape[0]}; pass one an"
                " image, or a single one"
            )
        return torch.cat([_normal((1, *shape[1:]), like, g) for g in generator])
    device = generator.device if generator is not None else like.device
    return torch.randn(shape, dtype=like.dtype, device=device, generator=generator).to(
        like.device
    )
