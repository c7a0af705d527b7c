r"""Every figure of the book: pure functions, numbers in, a `Picture` out: a Matplotlib figure and its description in words.

`base` holds what all share; each other module holds the figures of one chapter, and all are called as `figures.NAME`.
"""

from .base import Picture, draw_image, image_rows
from .ch00 import trajectory_strip
from .ch01 import noise_sum, noised_step
from .ch02 import reverse_density, reverse_laws, schedule_families, schedule_view, wrong_start, wrong_start_law
from .ch03 import batch_means, gamma_law, gamma_segments, noised, root_draw, root_ratio
from .ch04 import bicubic_kernel, bicubic_weights, null_space_walk
from .ch06 import bound_weight, bound_weights, loss_by_level, mean_and_median, training_curve
from .ch07 import covariance_order, exact_marginals, posterior_product, pushed, reverse_variance, reverse_variances, trajectory_residuals

__all__ = [
    "Picture",
    "batch_means",
    "bicubic_kernel",
    "bicubic_weights",
    "bound_weight",
    "bound_weights",
    "covariance_order",
    "draw_image",
    "exact_marginals",
    "gamma_law",
    "gamma_segments",
    "image_rows",
    "loss_by_level",
    "mean_and_median",
    "noise_sum",
    "noised",
    "noised_step",
    "null_space_walk",
    "posterior_product",
    "pushed",
    "reverse_density",
    "reverse_laws",
    "reverse_variance",
    "reverse_variances",
    "root_draw",
    "root_ratio",
    "schedule_families",
    "schedule_view",
    "training_curve",
    "trajectory_residuals",
    "trajectory_strip",
    "wrong_start",
    "wrong_start_law",
]
