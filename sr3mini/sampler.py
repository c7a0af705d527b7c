r"""From noise to image: Algorithm 2, methods that need fewer steps, and the search.

    eps_hat = f(x, y_t, gamma_t)
    y_{t-1} = (y_t - (1 - alpha_t) / sqrt(1 - gamma_t) eps_hat) / sqrt(alpha_t)
              + sqrt(1 - alpha_t) z, z = 0 at t = 1    SR3 (11), Algorithm 2, line 4
    y_{t-1} = sqrt(gamma_{t-1}) y_0_hat + sqrt(1 - gamma_{t-1}) eps_hat    DDIM (12)

`f` is any callable: a U-Net, an oracle, an imported checkpoint, a tiled network.
Nothing here knows which. Coefficients are float64, cast where they meet the image.
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
from .shapes import High, Images, Scalar

Method = Literal["ancestral", "ddim", "multistep"]
Variance = Literal["paper", "posterior"]
Generators = torch.Generator | list[torch.Generator] | None


class Step(NamedTuple):
    """What the loop has in hand when t steps are left."""

    t: int
    y_t: Tensor
    y_0: Tensor | None  # as it looked from y_{t+1}; None before the first step


def reverse_step(
    y_t: Images, eps_hat: Images, alpha_t: Scalar, gamma_t: Scalar, z: Images | None
) -> Images:
    """y_{t-1} as Algorithm 2, line 4 prints it (tag 7.5).

    `alpha_t`, `gamma_t`: scalars in (0, 1), float64. `z` is None at t = 1, where no
    noise is added.
    """
    weight = ((1 - alpha_t) / (1 - gamma_t).sqrt()).to(y_t)
    mean = (y_t - weight * eps_hat) / alpha_t.sqrt().to(y_t)
    return mean if z is None else mean + (1 - alpha_t).sqrt().to(y_t) * z


def posterior_step(
    y_t: Images, eps_hat: Images, alpha_t: Scalar, gamma_t: Scalar, z: Images | None
) -> Images:
    """`reverse_step` with the variance of q(y_{t-1} | y_0, y_t) (SR3 eq. 4, tag 7.6).

    That is (1 - gamma_{t-1}) (1 - alpha_t) / (1 - gamma_t), and gamma_{t-1} is gamma_t
    / alpha_t. Exact for a point mass, where the paper's 1 - alpha_t is for N(0, I).
    """
    mean = reverse_step(y_t, eps_hat, alpha_t, gamma_t, None)
    variance = (1 - gamma_t / alpha_t) * (1 - alpha_t) / (1 - gamma_t)
    return mean if z is None else mean + variance.clamp(min=0).sqrt().to(y_t) * z


def ddim_step(
    y_t: Images,
    eps_hat: Images,
    alpha_t: Scalar,
    gamma_t: Scalar,
    z: Images | None = None,
) -> Images:
    """The same noise at the next level, `z` ignored (DDIM eq. 12, tag D.1)."""
    gamma_before = (gamma_t / alpha_t).clamp(max=1)
    signal, noise = gamma_before.sqrt().to(y_t), (1 - gamma_before).sqrt().to(y_t)
    return signal * predict_y_0(y_t, eps_hat, gamma_t) + noise * eps_hat


def predict_y_0(y_t: Images, eps_hat: Images, gamma_t: Scalar) -> Images:
    """What y_t would come from if eps_hat were its noise: eq. (5) for y_0 (tag 7.2)."""
    return (y_t - (1 - gamma_t).sqrt().to(y_t) * eps_hat) / gamma_t.sqrt().to(y_t)


def noise_from(y_t: Images, y_0: Images, gamma_t: Scalar) -> Images:
    """The noise that leads from y_0 to y_t: eq. (5) solved for eps.

    After ŷ_0 was clipped, eps_hat has to follow it.
    """
    return (y_t - gamma_t.sqrt().to(y_t) * y_0) / (1 - gamma_t).sqrt().to(y_t)


def look_ahead(y_0: Images, y_0_before: Images, gammas: Float[Tensor, "3"]) -> Images:
    """ŷ_0 half-way through the next step (DPM-Solver++ (2M), tag D.2).

    On the straight line in log-SNR through the last two. `gammas`: gamma_{t-1},
    gamma_t, gamma_{t+1}; `y_0` was seen at gamma_t, `y_0_before` at gamma_{t+1}. Where
    gamma_{t-1} is 1 the log-SNR is infinite and there is no half-way: `y_0` itself.
    """
    ahead, here, before = log_snr(gammas).tolist()
    if math.isinf(ahead):
        return y_0
    return y_0 + (ahead - here) / (2 * (here - before)) * (y_0 - y_0_before)


def trajectory(
    f: NoisePredictor,
    x: Tensor,
    schedule: NoiseSchedule,
    shape: tuple[int, ...],
    *,
    generator: Generators = None,
    method: Method = "ancestral",
    variance: Variance = "paper",
    clip: bool = False,
    y_T: Tensor | None = None,
) -> Iterator[Step]:
    """Algorithm 2 watched: Step(T, y_T, None), then Step(t, y_t, y_0_hat) to t = 0.

    Args:
        f: f(x, y_t, gamma) -> the predicted noise.
        x: the condition; its dtype and device are those of y.
        schedule: the levels; `T + 1` steps are yielded.
        shape: (B, C, H, W) of y.
        generator: draws y_T and every z: one for the batch, or a list of B, one an
            image, so that no sample depends on the rest of its batch.
        method: "ancestral" (Algorithm 2); "ddim" (no noise added); or "multistep",
            which is DDIM with what `look_ahead` makes of this y_0_hat and the last.
        variance: of the ancestral step, "paper" (1 - alpha_t) or "posterior".
        clip: keep y_0_hat in [-1, 1], as public code does: it mends small prediction
            errors, but the Gaussian oracle is then no longer exact.
        y_T: where to start, if not from noise.
    """
    if method not in ("ancestral", "ddim", "multistep"):
        raise ValueError(f"method = {method!r}: take 'ancestral', 'ddim', 'multistep'")
    if variance not in ("paper", "posterior"):
        raise ValueError(f"variance = {variance!r}: take 'paper' or 'posterior'")
    ancestral = posterior_step if variance == "posterior" else reverse_step
    step = ancestral if method == "ancestral" else ddim_step

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
            ahead = look_ahead(y_0, y_0_before, schedule.gammas[t - 1 : t + 2])
            eps_hat = noise_from(y_t, ahead, gamma_t)
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
    generator: Generators = None,
    method: Method = "ancestral",
    variance: Variance = "paper",
    clip: bool = False,
    y_T: Tensor | None = None,
    progress: bool = False,
) -> Tensor:
    """Draw y_0 ~ p(y | x), `shape` (B, C, H, W): Algorithm 2.

    The last step of `trajectory`, which explains the arguments. ValueError when x is
    not of B floats, or not what a trained network was shown.
    """
    _demand_condition(f, x, shape)
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
    bar = tqdm(total=schedule.steps, disable=not progress, desc="sampling", unit="step")
    with bar:
        for step in steps:
            bar.update(int(step.t < schedule.steps))
    return step.y_t


Name = TypeVar("Name", bound=Hashable)
Score = Callable[[Tensor, Tensor], float]
"""score(samples, y): how far samples (B, C, H, W) are from being pictures like y (B, C,
H, W); lower is better."""


def edge_distance(samples: High, y: High) -> float:
    """Mean distance between the sorted differences of neighbouring pixels, on [0, 1].

    Noise makes the differences too large, and blur too small. Where an edge lies plays
    no part, so a sample may be another right answer than the one in `y`.
    """
    return (_edges(samples / 2) - _edges(y / 2)).abs().mean().item()


def _edges(image: Tensor) -> Tensor:
    differences = [image.diff(dim=dim).flatten() for dim in (-2, -1)]
    return torch.cat(differences).sort().values


def even_log_snr(steps: int, first: float = 0.999, last: float = 1e-4) -> NoiseSchedule:
    """gamma_1 = `first` down to gamma_T = `last` with equal distances of log-SNR.

    T = `steps`; one step is `last` alone.
    """
    low, high = log_snr(torch.tensor([last, first], dtype=torch.float64)).tolist()
    levels = torch.linspace(low, high, steps, dtype=torch.float64)
    return NoiseSchedule.from_gammas(levels.flip(0).sigmoid())


def search_schedule(
    f: NoisePredictor,
    x: Float[Tensor, "B c h w"],
    y: High,
    candidates: Mapping[Name, NoiseSchedule],
    score: Score = edge_distance,
    *,
    method: Method = "ancestral",
    variance: Variance = "posterior",
    clip: bool = True,
    seed: int = 0,
) -> dict[Name, float]:
    """{name: score} of every schedule in `candidates`, best first.

    What SR3 searches on held-out pictures, without training f again. One sample for
    each of the B pictures `y`, whose small versions are `x`, scored in [-1, 1]. Every
    candidate starts from the same y_T.
    """
    scores, shape = {}, tuple(y.shape)
    for name, schedule in candidates.items():
        own = [torch.Generator().manual_seed(seed + i) for i in range(len(x))]
        samples = sample(
            f,
            x,
            schedule,
            shape,
            generator=own,
            method=method,
            variance=variance,
            clip=clip,
        )
        scores[name] = score(samples.clamp(-1, 1), y)
    return dict(sorted(scores.items(), key=lambda pair: pair[1]))


LEVELS = 2.0  # where bicubic's overshoot of a picture in [-1, 1] surely ends


def demand_levels(x: Tensor, most: float = LEVELS) -> None:
    """ValueError, with what to do, unless x is numbers from about -1 to about 1."""
    _demand_numbers(x)
    low, high = x.min().item(), x.max().item()
    if max(-low, high) > most:
        raise ValueError(
            f"x goes from {low:.4g} to {high:.4g}, but black is -1 and white is 1: pass"
            " (x - LOW) / (HIGH - LOW) * 2 - 1, which is x / 127.5 - 1 for 0..255"
        )


def _demand_numbers(x: Tensor) -> None:
    if not x.is_floating_point():
        raise ValueError(
            f"x holds {x.dtype}: pass floats in [-1, 1], of bytes x / 127.5 - 1"
        )
    if not x.isfinite().all():
        raise ValueError("x holds NaN or infinite numbers: fill them, or cut them out")


def _demand_condition(f: NoisePredictor, x: Tensor, shape: tuple[int, ...]) -> None:
    """ValueError when x is of no numbers, or not what a trained network was shown."""
    _demand_numbers(x)
    preset = getattr(f, "preset", None)  # of a trained network, which knows pictures
    if preset is None or not preset.conditional:
        return
    if x.ndim != 4 or x.shape[:2] != (shape[0], preset.image_channels):
        raise ValueError(
            f"x has the shape {tuple(x.shape)}, but for these samples {preset.name} is"
            f" shown ({shape[0]}, {preset.image_channels}, h, w)"
        )
    demand_levels(x, 2 * LEVELS)  # with room for the noise that training may add


def _normal(shape: tuple[int, ...], like: Tensor, generator: Generators) -> Tensor:
    """Standard normal noise like `like`, drawn on each generator's own device."""
    if isinstance(generator, list):
        if len(generator) != shape[0]:
            raise ValueError(
                f"{len(generator)} generators for a batch of {shape[0]}; pass one an"
                " image, or a single one"
            )
        return torch.cat([_normal((1, *shape[1:]), like, g) for g in generator])
    device = like.device if generator is None else generator.device
    noise = torch.randn(shape, dtype=like.dtype, device=device, generator=generator)
    return noise.to(like.device)
