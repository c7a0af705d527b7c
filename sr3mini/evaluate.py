r"""The metrics table: bicubic, one sample of SR3, and the mean of several, on the same pictures. Or bicubic and SR3's regression baseline.

    sr3mini evaluate --model glyphs_8_32 --data glyphs
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from .data import ALPHABET, Folder, Glyphs, glyphs, open_pictures
from .degrade import downsample, upsample
from .folders import folder_kind
from .loss import regress
from .metrics import consistency, diversity, legibility, psnr, sharpness, ssim
from .pairs import Pairs
from .preset import Network
from .sampler import sample

Table = dict[str, dict[str, float]]

JUDGES: dict[str, Callable[[Tensor], Tensor]] = {
    "sharper": sharpness,
    "fewer greys": lambda y: -(y.abs() < 0.7).float().flatten(1).mean(1),
    "purer white": lambda y: (y == 1).float().flatten(1).mean(1),
}
"""Machines that take the test with two alternatives: each gives a picture a score, and takes the higher one for the original."""


def method(f: Network) -> str:
    """What the table calls a network: "SR3", or "regression" when it was trained to give the picture itself."""
    return "regression" if f.preset.objective == "regression" else "SR3"


def draw(
    f: Network, x: Float[Tensor, "B C h w"], *, steps: int | None = None, seeds: Iterable[int], clip: bool = True, progress: bool = False
) -> Float[Tensor, "K B C H W"]:
    """One sample of y for every seed and every x, in [-1, 1], drawn on the device of `f`. A picture's sample depends on the seed and on itself alone.

    Algorithm 2 with the posterior's variance and y_0_hat clipped: with few steps the paper's larger variance leaves
    noise in the picture (2.6 dB at 50 steps of the shipped model). A regression network is called once, and gives every
    seed the same picture (tag 9.4).
    """
    size = (x.shape[-2] * f.preset.factor, x.shape[-1] * f.preset.factor)
    asked, x = x.device, x.to(next((parameter.device for parameter in f.parameters()), x.device))
    if method(f) == "regression":
        with torch.no_grad():
            answer = regress(f, x, (len(x), x.shape[1], *size)).clamp(-1, 1).to(asked)
        return torch.stack([answer for _ in seeds])
    schedule = f.preset.sampling_schedule(steps)
    drawn = []
    for seed in seeds:
        generators = [torch.Generator().manual_seed(seed) for _ in x]
        drawn.append(sample(f, x, schedule, (len(x), x.shape[1], *size), generator=generators, variance="posterior", clip=clip, progress=progress))
    return torch.stack(drawn).clamp(-1, 1).to(asked)


def holds_out(data: str) -> bool:
    """Whether `chosen` takes pictures that no training saw: of a plain folder or a set of `Pairs` it takes all."""
    return data == "glyphs" or folder_kind(Path(data)) == "prepared"


def chosen(data: str, f: Network, count: int | None, seed: int = 0) -> tuple[Glyphs | Folder, list[int]]:
    """The pictures that fit `f`, and the places of `count` of them (None: all) in an order drawn from the seed.

    `data`: "glyphs", whose test split it is; a folder of pictures or a set of `Pairs`, all of it; or what `sr3mini prepare`
    wrote, of which the part held out.
    """
    preset = f.preset
    if holds_out(data):
        pictures = open_pictures(data, preset.size, preset.image_channels, "test")
    else:
        whole = Pairs if folder_kind(Path(data)) == "pairs" else Folder
        pictures = whole(data, preset.size, preset.image_channels)
    assert isinstance(pictures, Glyphs | Folder)
    return pictures, torch.randperm(len(pictures), generator=torch.Generator().manual_seed(seed))[:count].tolist()


def held_out(data: str, f: Network, count: int | None, seed: int = 0) -> tuple[Float[Tensor, "N C H W"], list[str] | None]:
    """The pictures of `chosen`, with their characters, or, of a folder, with None."""
    pictures, order = chosen(data, f, count, seed)
    characters = [pictures.characters[i] for i in order] if isinstance(pictures, Glyphs) else None
    return torch.stack([pictures[i] for i in order]), characters


def evaluate(
    f: Network, y: Float[Tensor, "N C H W"], *, steps: int | None = None, samples: int = 8, batch: int = 128, progress: bool = False
) -> tuple[Table, Float[Tensor, "K N C H W"]]:
    """The table {method: {metric: mean over the N pictures}} and the samples it was measured on.

    A regression network has no row for the mean of its samples: they are all the same.
    """
    x = downsample(y, f.preset.factor)
    chunks = tqdm(x.split(batch), disable=not progress, desc="evaluating", unit="batch")
    drawn = torch.cat([draw(f, chunk, steps=steps, seeds=range(samples)) for chunk in chunks], dim=1)
    name = method(f)
    table = {"bicubic": measure(upsample(x, f.preset.factor).clamp(-1, 1), y, x), name: measure(drawn[0], y, x)}
    if samples > 1:
        table[name]["diversity"] = diversity(drawn).mean().item()
    if samples > 1 and name == "SR3":
        table[f"mean of {samples}"] = measure(drawn.mean(0), y, x)
    return table, drawn


def measure(estimate: Float[Tensor, "N C H W"], y: Float[Tensor, "N C H W"], x: Float[Tensor, "N C h w"]) -> dict[str, float]:
    """PSNR (dB), SSIM and consistency (MSE x 1e5), each averaged over the pictures."""
    values = {"PSNR": psnr(estimate, y), "SSIM": ssim(estimate, y), "consistency": consistency(estimate, x)}
    return {name: value.mean().item() for name, value in values.items()}


def error_of_means(drawn: Float[Tensor, "K N C H W"], y: Float[Tensor, "N C H W"], k: int) -> float:
    """Squared error of the mean of k samples, averaged over the K // k groups of different samples and over the pictures (tag 9.8)."""
    means = torch.stack([group.mean(0) for group in drawn[: len(drawn) // k * k].split(k)])
    return (means - y).square().mean().item()


def alphabet_legibility(f: Network, *, steps: int | None = None, samples: int = 1, style: str = "DejaVuSans") -> dict[str, float]:
    """Share of the 62 held-out letters and digits of one style that are still read right, for each row of `evaluate`'s table."""
    pictures = glyphs("test", f.preset.size)
    known = pictures.batch([pictures.find(c, style) for c in ALPHABET]).expand(-1, f.preset.image_channels, -1, -1)  # black on white: colours would tell
    x = downsample(known, f.preset.factor)
    letters = list(ALPHABET)
    drawn = draw(f, x, steps=steps, seeds=range(samples))
    read = {"bicubic": upsample(x, f.preset.factor), method(f): drawn[0]}
    if samples > 1 and method(f) == "SR3":
        read[f"mean of {samples}"] = drawn.mean(0)
    return {name: legibility(image, letters, known, letters).mean().item() for name, image in read.items()}


COLUMNS = {"PSNR": 2, "PSNR-Y": 2, "SSIM": 3, "SSIM-Y": 4, "LPIPS": 3, "FID": 2, "consistency": 1, "diversity": 3, "legibility": 2}
"""Every metric that a table may have, in its order, with the digits after the point."""


def format_table(table: Table) -> str:
    """The table as text, a row a method; "-" where a metric makes no sense."""
    columns = {name: digits for name, digits in COLUMNS.items() if any(name in row for row in table.values())}
    width = max(10, *(len(name) + 1 for name in table))
    lines = [" " * width + "".join(f"{name:>13}" for name in columns)]
    for method, row in table.items():
        lines.append(f"{method:{width}}" + "".join(f"{row[name]:13.{digits}f}" if name in row else f"{'-':>13}" for name, digits in columns.items()))
    return "\n".join(lines)
