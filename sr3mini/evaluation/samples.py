r"""The metrics table: bicubic, one sample of SR3, and the mean of several, on the same
pictures. Or bicubic and SR3's regression baseline.

sr3mini evaluate --model glyphs_8_32 --data glyphs
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from ..data import open_pictures
from ..data.folder import Folder, folder_kind
from ..data.glyphs import ALPHABET, Glyphs, glyphs
from ..data.pairs import Pairs
from ..degrade import downsample
from ..files.ranges import Range
from ..metrics import legibility, sharpness
from ..model.network import Network
from .compare import Comparison, answers, drawn_cases
from .table import Table

JUDGES: dict[str, Callable[[Tensor], Tensor]] = {
    "sharper": sharpness,
    "fewer greys": lambda y: -(y.abs() < 0.7).float().flatten(1).mean(1),
    "purer white": lambda y: (y == 1).float().flatten(1).mean(1),
}
"""Machines that take the test with two alternatives: each gives a picture a score, and
takes the higher one for the original.
"""


def holds_out(data: str) -> bool:
    """Whether `chosen` takes pictures that no training saw: of a plain folder or a set
    of `Pairs` it takes all.
    """
    if data in ("glyphs", "letters"):
        return data == "glyphs"
    return folder_kind(Path(data)) == "prepared"


def chosen(
    data: str,
    f: Network,
    count: int | None,
    seed: int = 0,
    bounds: Range | None = None,
) -> tuple[Glyphs | Folder, list[int]]:
    """The pictures that fit `f`, and the places of `count` of them (None: all) in an
    order drawn from the seed.

    `data`: "glyphs", whose test split it is; "letters", all of them; a folder of
    pictures or a set of `Pairs`, all of it; or what `sr3mini prepare` wrote, of which
    the part held out.
    """
    preset = f.preset
    if data == "letters" or holds_out(data):
        size, channels = preset.size, preset.image_channels
        pictures = open_pictures(data, size, channels, "test", bounds)
    else:
        whole = Pairs if folder_kind(Path(data)) == "pairs" else Folder
        pictures = whole(data, preset.size, preset.image_channels, None, bounds)
    assert isinstance(pictures, Glyphs | Folder)
    return pictures, shuffled(len(pictures), seed)[:count]


def shuffled(n: int, seed: int) -> list[int]:
    """0..n-1 in an order drawn from the seed."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(n, generator=generator).tolist()


def held_out(
    data: str, f: Network, count: int | None, seed: int = 0
) -> tuple[Float[Tensor, "N C H W"], list[str] | None]:
    """The pictures of `chosen`, with their characters, or, of a folder, with None."""
    pictures, order = chosen(data, f, count, seed)
    y = torch.stack([pictures[i] for i in order])
    if isinstance(pictures, Glyphs):
        return y, [pictures.characters[i] for i in order]
    return y, None


def measured_samples(
    f: Network,
    y: Float[Tensor, "N C H W"],
    *,
    steps: int | None = None,
    samples: int = 8,
    progress: bool = False,
) -> tuple[Table, Float[Tensor, "K N C H W"]]:
    """The table {method: {metric: mean over the N pictures}} and the samples it was
    measured on.

    A regression network has no row for the mean of its samples: they are all the same.
    """
    comparison, drawn = Comparison(), []
    cases = drawn_cases(f, y, range(len(y)), steps=steps, samples=samples)
    for case in tqdm(cases, total=len(y), disable=not progress, desc="evaluating"):
        comparison.add(case)
        drawn.append(case.made[f.preset.label])
    return comparison.means(), torch.stack(drawn, dim=1)


def error_of_means(
    drawn: Float[Tensor, "K N C H W"], y: Float[Tensor, "N C H W"], k: int
) -> float:
    """Squared error of the mean of k samples, averaged over the K // k groups of
    different samples and over the pictures (tag E.2).
    """
    groups = drawn[: len(drawn) // k * k].split(k)
    means = torch.stack([group.mean(0) for group in groups])
    return (means - y).square().mean().item()


def alphabet_legibility(
    f: Network, *, steps: int | None = None, samples: int = 1
) -> dict[str, float]:
    """Share of the 62 held-out letters and digits of one style that are still read
    right, for each row of `measured_samples`' table.
    """
    pictures = glyphs("test", f.preset.size)
    known = pictures.batch([pictures.find(c, "DejaVuSans") for c in ALPHABET])
    known = known.expand(-1, f.preset.image_channels, -1, -1)  # colours would tell
    x, letters = downsample(known, f.preset.factor), list(ALPHABET)
    return {
        name: legibility(several[0], letters, known, letters).mean().item()
        for name, several in answers(f, x, steps=steps, samples=samples).items()
    }
