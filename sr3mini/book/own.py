r"""The reader's own SR3: capital letters of 16 x 16 from 4 x 4 pixels and a little
noise, trained and drawn with the functions that she wrote in the exercises,
`own = exercises.mine()`.
"""

from types import SimpleNamespace as Own

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.glyphs import letters
from ..degrade import camera, downsample

SIZE, FACTOR, NOISE = 16, 4, 20 / 255  # of the letters; x has this much noise
LEVELS = 200, 1e-4, 0.08  # steps, start, end


class Block(nn.Module):
    def __init__(self, own: Own, inputs: int, outputs: int) -> None:
        super().__init__()
        self.own, self.norm = own, nn.GroupNorm(4, outputs)
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.told = nn.Linear(64, 2 * outputs)
        self.skip = nn.Conv2d(inputs, outputs, 1)

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        b = self.own.modulate(self.norm(self.first(h)), *self.told(e).chunk(2, 1))
        return (self.skip(h) + self.second(F.silu(b))) * 0.5**0.5


class Network(nn.Module):  # a U-Net over 16, 8 and 4 pixels
    def __init__(self, own: Own, w: int = 12) -> None:
        super().__init__()
        self.own, self.rates = own, torch.logspace(-1, 1, 16)
        self.level = nn.Sequential(nn.Linear(32, 64), nn.SiLU())
        sizes = [(2, w), (w, 3 * w), (3 * w, 6 * w), (6 * w, 6 * w)]
        sizes += [(9 * w, 3 * w), (4 * w, w)]
        self.blocks = nn.ModuleList([Block(own, *size) for size in sizes])
        self.head = nn.Conv2d(w, 1, 3, padding=1)

    def forward(self, x: Tensor, y_t: Tensor, gamma: Tensor) -> Tensor:
        waves = gamma.logit().clamp(-20, 20).float()[:, None] * self.rates
        e = self.level(torch.cat([waves.sin(), waves.cos()], 1))
        full, half, low, deep, up, last = self.blocks
        a = full(self.own.condition(x, y_t), e)
        b = half(F.avg_pool2d(a, 2), e)
        c = deep(low(F.avg_pool2d(b, 2), e), e)
        b = up(torch.cat([F.interpolate(c, scale_factor=2.0), b], 1), e)
        h = last(torch.cat([F.interpolate(b, scale_factor=2.0), a], 1), e)
        level = gamma.to(h)[:, None, None, None]
        # the exact f for N(0, 1) data, and what the network adds to it
        return (1 - level).sqrt() * y_t + level.sqrt() * self.head(F.silu(h))


def train(own: Own, steps: int = 1100, w: int = 12, seed: int = 0) -> Network:
    torch.manual_seed(seed)  # Algorithm 1
    f, gammas, world = Network(own, w), own.linear(*LEVELS), letters(SIZE)
    capitals = torch.tensor([c.isupper() for c in world.characters]).nonzero()[:, 0]
    optimizer = torch.optim.Adam(f.parameters())
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, steps, pct_start=0.1)
    for _ in range(steps):
        y_0 = world.batch(capitals[torch.randint(len(capitals), (32,))])
        x = downsample(y_0, FACTOR)
        x = x + NOISE * torch.randn_like(x)
        t, u = torch.randint(1, len(gammas), (32,)), torch.rand(32).double()
        gamma, eps = own.draw_gamma(gammas, t, u), torch.randn_like(y_0)
        optimizer.zero_grad()
        own.loss(f, x, y_0, gamma, eps).backward()
        optimizer.step()
        rate.step()
    return f


@torch.no_grad()
def draw(own: Own, f: Network, characters: str) -> tuple[Tensor, Tensor, Tensor]:
    """x, two samples of each x by Algorithm 2 with 100 steps, and the originals."""
    y = letters(SIZE).batch([letters(SIZE).find(each) for each in characters])
    x = camera(downsample(y, FACTOR), NOISE, seeds=range(len(y)))
    gammas = own.linear(*LEVELS)[::2]
    alphas = torch.cat([gammas[:1], gammas[1:] / gammas[:-1]])
    generator = torch.Generator().manual_seed(0)
    noises = torch.randn(2, len(gammas), *y.shape, generator=generator)
    samples = [own.sample(f, x, alphas, gammas, each) for each in noises]
    return x, torch.stack(samples).clamp(-1, 1), y
