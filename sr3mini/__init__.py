"""sr3mini: SR3, image super-resolution by iterative refinement, in functions that a
book derives one by one.
"""

from .degrade import downsample, upsample
from .forward import diffuse, gamma_cdf, gamma_icdf, gamma_pdf, sample_gamma
from .loss import denoising_loss
from .sampler import reverse_step, sample, trajectory
from .schedule import NoiseSchedule, log_snr
from .unet import UNet

__all__ = [
    "NoiseSchedule",
    "UNet",
    "denoising_loss",
    "diffuse",
    "downsample",
    "gamma_cdf",
    "gamma_icdf",
    "gamma_pdf",
    "log_snr",
    "reverse_step",
    "sample",
    "sample_gamma",
    "trajectory",
    "upsample",
]
