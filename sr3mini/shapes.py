r"""Names for the array shapes that signatures repeat, so that one can be read.

    def diffuse(y_0: Images, gamma: Levels, eps: Images) -> Images

Within a call all Images have one shape, and Levels one number for each of them. While
the tests run, beartype checks it.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

Images = Float[Tensor, "B *dims"]  # y_0, y_t, eps: (B, C, H, W), or (B, d)
Batch = Float[Tensor, "B ..."]  # x: as many, of any shape
Levels = Float[Tensor, " B"]  # gamma, one an image
Numbers = Float[Tensor, " B"]  # a measure, one an image
Scalar = Float[Tensor, ""]  # alpha_t, gamma_t, a loss
High = Float[Tensor, "B C H W"]  # y, where it must be a picture
Low = Float[Tensor, "B C h w"]  # x, where it must be one
Anything = Float[Tensor, "..."]
