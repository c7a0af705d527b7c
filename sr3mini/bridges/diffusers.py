r"""f in the hands of `diffusers`: our sampler as its scheduler, and f as its network.

    scheduler = to_diffusers(schedule, method="ddim")
    model = at_timestep(f, x, schedule)
    for t in scheduler.timesteps:
      y_t = scheduler.step(model(y_t, t), t, y_t).prev_sample

diffusers counts t from 0: its t is our t - 1, and its alphas_cumprod[t] our
gamma_{t+1}. Its tables are float32, ours float64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from ..loss import NoisePredictor
from ..sampler import Method, Variance
from ..schedule import NoiseSchedule


def to_diffusers(
    schedule: NoiseSchedule,
    *,
    method: Method = "ancestral",
    variance: Variance = "paper",
    clip: bool = False,
) -> Any:
    """The DDPMScheduler ("ancestral") or DDIMScheduler ("ddim") that does what `sample`
    does with the same arguments, all T steps set.

    With method="ddim" and clip=True, also pass use_clipped_model_output=True to its
    `step`. ValueError for a method that is neither; ImportError, with what to install,
    without diffusers.
    """
    if method not in ("ancestral", "ddim"):
        raise ValueError(
            f"method = {method!r}, but diffusers does 'ancestral' and 'ddim' here"
        )
    try:
        from diffusers import DDIMScheduler, DDPMScheduler
    except ImportError as error:
        raise ImportError("to_diffusers needs: pip install diffusers") from error
    shared = {
        "num_train_timesteps": schedule.steps,
        "trained_betas": (1 - schedule.alphas[1:]).tolist(),
        "clip_sample": clip,
        "timestep_spacing": "leading",
    }
    scheduler: Any
    if method == "ddim":
        scheduler = DDIMScheduler(**shared, set_alpha_to_one=True)
    else:
        kind = "fixed_large" if variance == "paper" else "fixed_small"
        scheduler = DDPMScheduler(**shared, variance_type=kind)
    scheduler.set_timesteps(schedule.steps)
    return scheduler


def at_timestep(
    f: NoisePredictor, x: Tensor, schedule: NoiseSchedule
) -> Callable[[Tensor, Tensor | int], Tensor]:
    """model(y_t, t) for a loop of diffusers over `to_diffusers(schedule).timesteps`: f
    at gamma_{t+1}, shown x.
    """

    def model(y_t: Tensor, t: Tensor | int) -> Tensor:
        return f(x, y_t, schedule.gammas[int(t) + 1].expand(len(y_t)))

    return model
