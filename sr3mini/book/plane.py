r"""The plane: the smallest super-resolution there is, and all of it in one picture.

A "picture" y has two pixels, and x is their mean: x = D y, D = (1/2 1/2). All y that
fit an x lie on a line, D y = x. The data are four round clusters, so for x = 0 the line
meets two of them: two right answers, and a mean where there is no data.

    x, y = plane.draw(500, generator)     data
    plane.mean(x)                         E[y | x], what a perfect regression answers
    plane.answers(x, generator)           exact draws of p(y | x)
    plane.oracle(x, y_t, gamma)           the exact f
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..shapes import Levels

CENTRES = torch.tensor(
    [[-0.7, 0.7], [0.7, -0.7], [0.7, 0.7], [-0.7, -0.7]], dtype=torch.float64
)
SHARES = torch.tensor([0.4, 0.2, 0.2, 0.2], dtype=torch.float64)  # of the clusters
SPREAD = 0.1  # standard deviation of a cluster, in each direction
D = torch.tensor([[0.5, 0.5]], dtype=torch.float64)
# Unit vectors: along the line D y = x, where x sees nothing, and across it.
ALONG = torch.tensor([1.0, -1.0], dtype=torch.float64) / 2**0.5
ACROSS = torch.tensor([1.0, 1.0], dtype=torch.float64) / 2**0.5

Seen = Float[Tensor, "B 1"]
Points = Float[Tensor, "B 2"]


def draw(n: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """n points: x (n, 1) and y (n, 2), float32."""
    cluster = torch.multinomial(SHARES, n, replacement=True, generator=generator)
    noise = torch.randn(n, 2, dtype=torch.float64, generator=generator)
    y = CENTRES[cluster] + SPREAD * noise
    return (y @ D.T).float(), y.float()


def shares(x: Seen) -> Float[Tensor, "B K"]:
    """How probable each cluster is, given x."""
    apart = (x.double() - CENTRES @ D[0]).square()  # D y has variance SPREAD^2 / 2
    return (SHARES.log() - apart / SPREAD**2).softmax(1)


def mean(x: Seen) -> Points:
    """E[y | x]: on the line D y = x, between the clusters that it meets."""
    along = shares(x) @ (CENTRES @ ALONG)
    return _at(x, along)


def answers(x: Seen, generator: torch.Generator | None = None) -> Points:
    """One draw of p(y | x) for each x."""
    cluster = torch.multinomial(shares(x), 1, generator=generator)[:, 0]
    noise = torch.randn(len(x), dtype=torch.float64, generator=generator)
    return _at(x, (CENTRES @ ALONG)[cluster] + SPREAD * noise)


def oracle(x: Seen, y_t: Points, gamma: Levels) -> Points:
    """The best f(x, y_t, gamma): the mean of eps, given x and y_t.

    Across the line y_0 is known, and so is eps; along it y_0 is one of K bells, and eps
    the mean over them.
    """
    root, rest = gamma.double().sqrt()[:, None], (1 - gamma.double())[:, None]
    noisy, centres = y_t.double(), CENTRES @ ALONG
    variance = root**2 * SPREAD**2 + rest  # of y_t along the line, in a cluster
    off = (noisy @ ALONG)[:, None] - root * centres
    weights = (shares(x).log() - off.square() / (2 * variance)).softmax(1)
    along = (weights * rest.sqrt() * off / variance).sum(1, keepdim=True)
    known = x.double() * 2**0.5
    across = ((noisy @ ACROSS)[:, None] - root * known) / rest.sqrt()
    return (along * ALONG + across * ACROSS).to(y_t)


def _at(x: Seen, along: Float[Tensor, " B"]) -> Points:
    """The points of the lines D y = x that lie so far along them."""
    y = along[:, None] * ALONG + x.double() * 2**0.5 * ACROSS
    return y.float()
