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
"""

from typing import TYPE_CHECKING, Any

from .degrade import downsample, upsample
from .forward import diffuse, gamma_cdf, gamma_icdf, gamma_pdf, sample_gamma
from .loss import denoising_loss
from .sampler import reverse_step, sample, trajectory
from .schedule import NoiseSchedule, log_snr
from .unet import UNet

if TYPE_CHECKING:
    from .model.checkpoint import load

__all__ = [
    "NoiseSchedule",
    "UNet",
    "denoising_loss",
    "diffuse",
    "downsample",
    "gamma_cdf",
    "gamma_icdf",
    "gamma_pdf",
    "load",
    "log_snr",
    "reverse_step",
    "sample",
    "sample_gamma",
    "trajectory",
    "upsample",
]


def __getattr__(name: str) -> Any:
    """`load` is fetched when it is asked for: the rooms need no file and no preset."""
    if name == "load":
        from .model.checkpoint import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
