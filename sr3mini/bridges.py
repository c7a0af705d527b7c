r"""f in other people's hands: the schedulers of `diffusers`, and `torch.export`.

    scheduler = to_diffusers(schedule, method="ddim")           the sampler, as diffusers writes it
    model = at_timestep(f, x, schedule)                         model(y_t, t), as diffusers calls a network
    for t in scheduler.timesteps:
        y_t = scheduler.step(model(y_t, t), t, y_t).prev_sample

    export_program(f, "f.pt2")                                  for torch.export.load, without any code of ours

diffusers counts t from 0: its t is our t - 1, and its alphas_cumprod[t] our gamma_{t+1}. Its tables are float32, ours float64.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .loss import NoisePredictor
from .preset import Network
from .sampler import Method, Variance
from .schedule import NoiseSchedule


def to_diffusers(schedule: NoiseSchedule, *, method: Method = "ancestral", variance: Variance = "paper", clip: bool = False) -> Any:
    """The DDPMScheduler ("ancestral") or DDIMScheduler ("ddim") that does what `sample` does with the same arguments, all T steps set.

    With method="ddim" and clip=True, also pass use_clipped_model_output=True to its `step`. ValueError for a method that
    is neither; ImportError, with what to install, without diffusers.
    """
    if method not in ("ancestral", "ddim"):
        raise ValueError(f"method = {method!r}, but the schedulers of diffusers that are known here are 'ancestral' and 'ddim'")
    try:
        from diffusers import DDIMScheduler, DDPMScheduler
    except ImportError as error:
        raise ImportError("to_diffusers needs the package diffusers: pip install diffusers") from error
    shared = {"num_train_timesteps": schedule.steps, "trained_betas": (1 - schedule.alphas[1:]).tolist(), "clip_sample": clip, "timestep_spacing": "leading"}
    scheduler: Any = DDIMScheduler(**shared, set_alpha_to_one=True)
    if method == "ancestral":
        scheduler = DDPMScheduler(**shared, variance_type="fixed_large" if variance == "paper" else "fixed_small")
    scheduler.set_timesteps(schedule.steps)
    return scheduler


def at_timestep(f: NoisePredictor, x: Tensor, schedule: NoiseSchedule) -> Callable[[Tensor, Tensor | int], Tensor]:
    """model(y_t, t) for a loop of diffusers over `to_diffusers(schedule).timesteps`: f at gamma_{t+1}, shown x."""

    def model(y_t: Tensor, t: Tensor | int) -> Tensor:
        return f(x, y_t, schedule.gammas[int(t) + 1].expand(len(y_t)))

    return model


def export_program(f: Network, path: str | Path) -> float:
    """Write f as a .pt2 file of torch.export, for any batch size and the preset's picture size; returns how far it is from f.

    The program takes (x, y_t, gamma), gamma in float64 as `sample` hands it over. It is read back and compared with f on
    a batch of another size before it gets its place: the largest difference is returned, and above 1e-4 a ValueError is raised.
    """
    path, beside = Path(path), Path(path).with_name(f".{Path(path).name}.part.pt2")
    if not path.parent.is_dir():
        raise OSError(f"{path} could not be written: there is no folder {path.parent}")
    f = copy.deepcopy(f).eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    batch = torch.export.Dim("batch", min=1, max=65535)
    try:
        with torch.no_grad():
            program = torch.export.export(f, example(f, 2), dynamic_shapes=({0: batch},) * 3, strict=False)
            torch.export.save(program, beside)
            inputs = example(f, 3)
            difference = (torch.export.load(beside).module()(*inputs) - f(*inputs)).abs().max().item()
        if not difference <= 1e-4:
            raise ValueError(f"the exported program is {difference:.1e} away from {f.preset.name}, so {path} was not written")
        beside.replace(path)
    except (OSError, RuntimeError) as error:
        raise OSError(f"{path} could not be written: {getattr(error, 'strerror', None) or ' '.join(str(error).split())}") from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
    return difference


def example(f: Network, batch: int) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs (x, y_t, gamma) of the preset's sizes, noise from a fixed seed."""
    preset, generator = f.preset, torch.Generator().manual_seed(0)
    sides = (preset.size // preset.factor, preset.size)
    x, y_t = (torch.randn(batch, preset.image_channels, side, side, generator=generator) for side in sides)
    gamma = torch.rand(batch, generator=generator, dtype=torch.float64) * 0.98 + 0.01
    device = next(f.parameters()).device
    return x.to(device), y_t.to(device), gamma.to(device)
