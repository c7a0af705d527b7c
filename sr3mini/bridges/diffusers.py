r"""f in other people's hands: the schedulers of `diffusers`, and `torch.export`.

    scheduler = to_diffusers(schedule, method="ddim")  the sampler, as diffusers writes
                                                       it
    model = at_timestep(f, x, schedule)                model(y_t, t), as diffusers calls
                                                       a network
    for t in scheduler.timesteps:
      y_t = scheduler.step(model(y_t, t), t, y_t).prev_sample

    export_program(f, "f.pt2")  for torch.export.load, without any code of ours

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
            f"method = {method!r}, but the schedulers of diffusers that are known here"
            " are 'ancestral' and 'ddim'"
        )
    try:
        from diffusers import DDIMScheduler, DDPMScheduler
    except ImportError as error:
        raise ImportError(
            "to_diffusers needs the package diffusers: pip install diffusers"
        ) from error
    shared = {
        "num_train_timesteps": schedule.steps,
        "trained_betas": (1 - schedule.alphas[1:]).tolist(),
        "clip_sample": clip,
        "timestep_spacing": "leading",
    }
    scheduler: Any = DDIMScheduler(**shared, set_alpha_to_one=True)
    if method == "ancestral":
        scheduler = DDPMScheduler(
            **shared,
            variance_type="fixed_large" if variance == "paper" else "fixed_small",
        )
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
