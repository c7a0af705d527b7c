"""SR3, image super-resolution by iterative refinement, derived function by function.

    chapter  room      what lives there
    1, 2     schedule  alpha_t and gamma_t for t = 0..T
    3        forward   p(gamma), its two-stage draw, and the noised picture
    4        degrade   from the picture y to the small x, and back to y's size
    5        unet      f(x, y_t, gamma), the network that predicts the noise
    6        loss      how far the prediction is from the noise
    7        sampler   the reverse step, Algorithm 2, fewer steps (D), the search
    8        metrics   PSNR, SSIM, consistency, diversity, sharpness, legibility
    A        oracle    the answer key: data whose best f is known exactly

A and D are deep dives. What the book builds with the rooms has wings of its own:
`data` and `files` (pictures), `model` (presets, weights), `training`, `upscaling`,
`evaluation`, `bridges` (to other people's programs), `book` (figures, sliders, graders)
and `cli`, the command sr3mini.

A room is opened, and torch with it, when it or one of its names is asked for: `sr3mini
--help` needs neither.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .degrade import downsample as downsample
    from .degrade import upsample as upsample
    from .forward import diffuse as diffuse
    from .forward import gamma_cdf as gamma_cdf
    from .forward import gamma_icdf as gamma_icdf
    from .forward import gamma_pdf as gamma_pdf
    from .forward import sample_gamma as sample_gamma
    from .loss import denoising_loss as denoising_loss
    from .model.checkpoint import load as load
    from .sampler import reverse_step as reverse_step
    from .sampler import sample as sample
    from .sampler import trajectory as trajectory
    from .schedule import NoiseSchedule as NoiseSchedule
    from .schedule import log_snr as log_snr
    from .unet import UNet as UNet

# where each public name lives
HOMES = {
    "schedule": ("NoiseSchedule", "log_snr"),
    "forward": ("diffuse", "gamma_cdf", "gamma_icdf", "gamma_pdf", "sample_gamma"),
    "degrade": ("downsample", "upsample"),
    "unet": ("UNet",),
    "loss": ("denoising_loss",),
    "sampler": ("reverse_step", "sample", "trajectory"),
    "metrics": (),
    "oracle": (),
    "model.checkpoint": ("load",),
}
__all__ = sorted(name for names in HOMES.values() for name in names)


def __getattr__(name: str) -> Any:
    """A public name or a room, which is imported now."""
    for home, names in HOMES.items():
        if name in (home, *names):
            room = import_module(f".{home}", __name__)
            return room if name == home else getattr(room, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """So that `help(sr3mini)` and editors know the public names."""
    return sorted({*globals(), *__all__})
