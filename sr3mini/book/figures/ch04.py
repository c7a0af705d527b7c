"""Figures of chapter 4: what shrinking does to a picture, and what x leaves open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ...degrade import downsample, upsample
from ...forward import diffuse
from ...oracle import PicturesOracle
from .base import Picture, image_rows, sample_sheet


def shadows(
    pictures: Mapping[str, Float[Tensor, "_N 1 S S"]], factor: int = 8
) -> Picture:
    """Rows of pictures, and below them the row of x of each."""
    small = {name: downsample(each, factor) for name, each in pictures.items()}
    rows = [*pictures.items(), *((f"x of {name}", x) for name, x in small.items())]
    first, *others = pictures
    count = len(pictures[first])
    apart = [
        max(_apart(of[first][i], of[other][i]) for other in others)
        for of in (pictures, small)
        for i in range(count)
    ]
    alt = (
        f"Rows of {count} pictures: {', '.join(pictures)}; below, the x of each. In a"
        f" column, pictures are up to {max(apart[:count]):.2f} apart (root mean"
        f" square), and their x at most {max(apart[count:]):.2f}."
    )
    return image_rows(rows, alt, side=1.05)


def same_x(
    y: Float[Tensor, "1 1 S S"], unseen: Float[Tensor, "_N 1 S S"], factor: int = 8
) -> Picture:
    """A picture, the same with each of several unseen parts added, and the x of all."""
    all_of_them = torch.cat([y, y + unseen])
    x = downsample(all_of_them, factor)
    alt = (
        f"A picture and {len(unseen)} others that differ from it by up to"
        f" {unseen.abs().max().item():.1f} in a pixel. Their x, below, are the same:"
        f" they differ by at most {(x - x[:1]).abs().max().item():.6f}."
    )
    return image_rows([("y", all_of_them), ("x", x)], alt, side=1.4)


def exact_answers(
    oracle: PicturesOracle,
    x: Float[Tensor, "_N 1 s s"],
    y: Float[Tensor, "_N 1 S S"],
    draws: int = 4,
) -> Picture:
    """A column a letter: x, the exact mean of p(y | x), exact draws of it, and the
    picture that x was made from.
    """
    generator = torch.Generator().manual_seed(0)
    drawn = [oracle.draw(x, generator) for _ in range(draws)]
    rows = [
        ("x", x),
        ("exact mean", oracle.mean(x)),
        *((f"exact draw {k + 1}", each) for k, each in enumerate(drawn)),
        ("original", y),
    ]
    different = sum(
        len({each[i].numpy().tobytes() for each in drawn}) for i in range(len(x))
    )
    alt = (
        f"A column for each of {len(x)} letters: a few grey squares, x; a blur, the"
        f" exact mean; {draws} exact draws, all of them sharp letters, in a column"
        f" {different / len(x):.1f} different ones on average; the original."
    )
    return image_rows(rows, alt, side=0.75)


def seen_by_the_network(
    x: Float[Tensor, "N 1 s s"],
    y_0: Float[Tensor, "N 1 S S"],
    levels: Sequence[float] = (0.99, 0.5, 0.05),
) -> Picture:
    """The two channels that the stem looks at: U x, and y_t at a few levels."""
    eps = torch.randn(y_0.shape, generator=torch.Generator().manual_seed(2))
    rows = [("$U x$", upsample(x, size=(y_0.shape[-2], y_0.shape[-1])))]
    for level in levels:
        gamma = torch.full((len(y_0),), level, dtype=torch.float64)
        rows.append((rf"$y_t$, γ = {level:g}", diffuse(y_0, gamma, eps)))
    alt = (
        f"What the network sees of {len(y_0)} letters: above, the enlarged x, a soft"
        f" grey shape; below, y_t, sharp at gamma = {levels[0]:g} and nearly all noise"
        f" at {levels[-1]:g}."
    )
    return image_rows(rows, alt, side=1.1)


def open_letters(
    oracle: PicturesOracle,
    x: Float[Tensor, "1 1 s s"],
    characters: Sequence[str],
    draws: int = 10,
) -> Picture:
    """What one x leaves open, exactly: how many pictures count, which characters they
    show, their mean, and draws.
    """
    shares = oracle.shares(x)[0]
    by_character: dict[str, float] = {}
    for character, share in zip(characters, shares.tolist(), strict=True):
        by_character[character] = by_character.get(character, 0.0) + share
    best = sorted(by_character, key=by_character.__getitem__, reverse=True)[:4]
    listed = "  ".join(f"{c} {by_character[c]:.0%}" for c in best)
    count = torch.special.entr(shares).sum().exp().item()
    drawn = oracle.draw(x.expand(draws, -1, -1, -1), torch.Generator().manual_seed(0))
    shown = torch.nn.functional.interpolate(x, drawn.shape[-2:], mode="nearest")
    row = torch.cat([shown, oracle.mean(x), drawn])
    half, sigma = len(row) // 2, oracle.sigma
    noise = f"{sigma * 255 / 2:.0f} grey levels (σ = {sigma:.2f} on [−1, 1])"
    return sample_sheet(
        {"x, mean, draws": row[:half], "more draws": row[half:]},
        f"Noise of {noise} on x: {count:.1f} pictures count. The most probable"
        f" characters: {listed}. Pictures: x, the exact mean, and {draws} exact draws.",
        headline=f"noise of {noise}: {count:.1f} pictures count\n{listed}",
    )


def _apart(one: Tensor, other: Tensor) -> float:
    return (one - other).square().mean().sqrt().item()
