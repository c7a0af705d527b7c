r"""Names for the array shapes that signatures repeat, so that one can be read.

    def diffuse(y_0: Images, gamma: Levels, eps: Images) -> Images

B images share one shape within a call; a level belongs to each. While the tests run,
beartype checks all of them.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

Images = Float[Tensor, "B *dims"]  # a batch of anything: (B, C, H, W), or (B, d)
Levels = Float[Tensor, " B"]  # gamma, one an image
Scalar = Float[Tensor, ""]  # alpha_t or gamma_t
Low = Float[Tensor, "B c h w"]  # x
High = Float[Tensor, "B C H W"]  # y
Features = Float[Tensor, "B E"]  # of the level, inside the U-Net
Anything = Float[Tensor, "..."]
