"""Small things for the tests of the upper rooms: a preset that trains in a second, networks, a folder of pictures."""

from __future__ import annotations

from pathlib import Path

import torch
from checks import seeded
from PIL import Image
from torch import Tensor

from sr3mini.preset import Network, Preset

TINY = Preset(
    *("tiny", "folder", 16, 4, 1, 8, (1, 2)),
    groups=4,
    sampling_steps=4,
    train_steps=30,
    batch_size=8,
    learning_rate=5e-3,
    warmup_steps=5,
    ema_decay=0.9,
)


def network(preset: Preset = TINY) -> Network:
    """A network with random weights whose head is not zero, so that what it is shown makes a difference."""
    f = preset.network().eval().requires_grad_(False)
    generator = seeded(0)
    for parameter in f.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator) / 10)
    return f


class Clairvoyant(Network):
    """Knows y: the noise it predicts leads exactly there, whatever x is and wherever y_t starts."""

    def __init__(self, preset: Preset, y: Tensor) -> None:
        super().__init__()
        self.preset, self.y = preset, y

    def forward(self, x: Tensor, y_t: Tensor, gamma: Tensor) -> Tensor:
        level = gamma.to(y_t).reshape(-1, 1, 1, 1)
        return (y_t - level.sqrt() * self.y) / (1 - level).sqrt()


def pictures(folder: Path, count: int = 12) -> Path:
    """A folder of 16 x 16 checkerboards of 3 x 3 random tiles, with names 00.png, 01.png, ..."""
    folder.mkdir(exist_ok=True)
    for number in range(count):
        tiles = (torch.rand(3, 3, generator=seeded(number)) > 0.5).to(torch.uint8) * 255
        Image.fromarray(tiles.numpy()).resize((16, 16), Image.Resampling.NEAREST).save(folder / f"{number:02}.png")
    return folder
