"""Small things for the tests of the upper rooms: a preset that trains in a second,
networks, a folder of pictures.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from checks import seeded
from PIL import Image
from torch import Tensor

from sr3mini.files.reading import PictureFile
from sr3mini.files.writing import write
from sr3mini.model.network import Network, build
from sr3mini.model.preset import Preset

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
    """A network with random weights whose head is not zero, so that what it is shown
    makes a difference.
    """
    f = build(preset).eval().requires_grad_(False)
    generator = seeded(0)
    for parameter in f.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator) / 10)
    return f


class Clairvoyant(Network):
    """Knows y: the noise it predicts leads exactly there, whatever x is and wherever
    y_t starts.
    """

    def __init__(self, preset: Preset, y: Tensor) -> None:
        super().__init__()
        self.preset, self.y = preset, y

    def forward(self, x: Tensor, y_t: Tensor, gamma: Tensor) -> Tensor:
        level = gamma.to(y_t).reshape(-1, 1, 1, 1)
        return (y_t - level.sqrt() * self.y) / (1 - level).sqrt()


def pictures(folder: Path, count: int = 12) -> Path:
    """A folder of 16 x 16 checkerboards of 3 x 3 random tiles, with names 00.png,
    01.png, ...
    """
    folder.mkdir(exist_ok=True)
    for number in range(count):
        tiles = (torch.rand(3, 3, generator=seeded(number)) > 0.5).to(torch.uint8) * 255
        Image.fromarray(tiles.numpy()).resize((16, 16), Image.Resampling.NEAREST).save(
            folder / f"{number:02}.png"
        )
    return folder


def save(
    folder: Path,
    *names: str,
    size: tuple[int, int] = (16, 12),
    mode: str = "RGB",
    seed: int = 0,
) -> Path:
    """Pictures of random pixels under these names."""
    for number, name in enumerate(names):
        array = torch.randint(
            0,
            256,
            (size[1], size[0], len(mode)),
            dtype=torch.uint8,
            generator=seeded(seed + number),
        ).numpy()
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array[..., 0] if mode == "L" else array).save(folder / name)
    return folder


def photograph(path: Path, width: int = 98, height: int = 75) -> Path:
    """A picture with slopes, edges and grain, whose sides are no multiples of 4."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    waves = [
        128 + 90 * np.sin(x / a + y / b) + 30 * ((x // 7 + y // 5) % 2)
        for a, b in ((5, 9), (11, -6), (-8, 4))
    ]
    grain = np.random.default_rng(0).normal(0, 6, (height, width, 3))
    Image.fromarray(np.clip(np.stack(waves, 2) + grain, 0, 255).astype(np.uint8)).save(
        path
    )
    return path


def numbers(channels: int, depth: int, size: tuple[int, int] = (23, 17)) -> np.ndarray:
    return (
        np.random.default_rng(0)
        .integers(0, 2**depth, (*size, channels))
        .astype(np.uint16 if depth == 16 else np.uint8)
    )


def as_picture(array: np.ndarray, **carried: object) -> PictureFile:
    """(h, w, 1 to 4), the even ones with alpha."""
    if array.shape[2] in (1, 3):
        return PictureFile(array, None, carried)
    return PictureFile(array[..., :-1], array[..., -1], carried)


def png(array: np.ndarray, **carried: object) -> bytes:
    """The bytes of a PNG of it."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "a.png"
        write(as_picture(array, **carried), file)
        return file.read_bytes()
