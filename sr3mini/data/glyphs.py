r"""Every character of the 12 DejaVu text fonts that Matplotlib ships, rendered once a
size and then read from a cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import string
import unicodedata
import zipfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.utils.data import Dataset

from ..files.reading import from_bytes
from ..files.writing import atomic
from .folder import Split, mark

ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits
SLANTS = {"Sans": "Oblique", "SansMono": "Oblique", "Serif": "Italic"}
STYLES = tuple(
    f"DejaVu{family}{style}"
    for family, slant in SLANTS.items()
    for style in ("", "-Bold", f"-{slant}", f"-Bold{slant}")
)
ARRAYS = ("images", "code_points", "styles")  # of all glyphs, beside each other


class Glyphs(Dataset[Tensor]):
    """Pictures of characters, `(1, size, size)` in [-1, 1], black on white; with
    `colours`, `(3, size, size)`, of one's own ink on one's own paper.

    `images` (N, size, size) uint8, `characters` (N strings), `styles` (N indices into
    STYLES) and `colours` (N, ink and paper, RGB in [-1, 1]) lie beside each other.
    """

    def __init__(
        self,
        images: UInt8[Tensor, "N S S"],
        characters: Sequence[str],
        styles: Sequence[int],
        colours: Float[Tensor, "N 2 3"] | None = None,
    ) -> None:
        self.images, self.colours = images, colours
        self.characters, self.styles = characters, styles

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Float[Tensor, "C S S"]:
        return self.batch([index])[0]

    def batch(self, indices: Sequence[int] | Tensor) -> Float[Tensor, "B C S S"]:
        """Many pictures at once."""
        indices = torch.as_tensor(indices)
        grey = from_bytes(self.images[indices][:, None])
        if self.colours is None:
            return grey
        ink, paper = self.colours[indices][..., None, None].unbind(1)  # (B, 3, 1, 1)
        return torch.lerp(ink, paper, (grey + 1) / 2)

    def find(self, character: str, style: str = "DejaVuSans") -> int:
        """The index of a character in a style; KeyError, with what to do, when this
        split does not hold it.
        """
        shown = list(zip(self.characters, self.styles, strict=True))
        if (wanted := (character, STYLES.index(style))) in shown:
            return shown.index(wanted)
        raise KeyError(f"no {character!r} in {style} in this split; try the other one")


@lru_cache(maxsize=4)
def glyphs(split: Split = "train", size: int = 32, channels: int = 1) -> Glyphs:
    """The characters of the 12 DejaVu text fonts that Matplotlib ships: about 46,000
    pictures of `size` x `size`.

    No character of the test split was seen in training, in any style: the split is by
    code point. The test split holds the 62 letters and digits of ALPHABET and a tenth
    of all other code points; code points that look the same (Latin A, Greek Alpha) go
    to the same side. With `channels` = 3, each is dark on light or light on dark, in
    colours that never change. Rendered in about 5 s, then read from a cache.
    """
    if split not in ("train", "test") or channels not in (1, 3):
        raise ValueError(
            f"split = {split!r} and channels = {channels}, but glyphs have 'train' and"
            " 'test', 1 channel or 3"
        )
    images, code_points, styles = _all_glyphs(size)
    chosen = np.flatnonzero(_held_out(images, code_points) == (split == "test"))
    colours = _colours(len(images))[chosen] if channels == 3 else None
    characters = [chr(c) for c in code_points[chosen]]
    pictures = torch.from_numpy(images[chosen])
    return Glyphs(pictures, characters, styles[chosen].tolist(), colours)


@lru_cache(maxsize=4)
def letters(size: int = 32, channels: int = 1) -> Glyphs:
    """The 62 letters and digits of ALPHABET in the 12 styles: 744 pictures, and no
    others. A world so small that p(y | x) can be computed exactly.
    """
    several = glyphs("test", size, channels)
    rows = [i for i, c in enumerate(several.characters) if c in ALPHABET]
    return Glyphs(
        several.images[rows],
        [several.characters[i] for i in rows],
        [several.styles[i] for i in rows],
        None if several.colours is None else several.colours[rows],
    )


def _colours(n: int) -> Float[Tensor, "n 2 3"]:
    """n pairs of ink and paper: each channel of one lies in [-1, -0.1], of the other in
    [0.1, 1], and a coin says which is which.
    """
    generator = torch.Generator().manual_seed(0)
    least = torch.tensor([[-1.0], [0.1]])
    dark_light = least + 0.9 * torch.rand(n, 2, 3, generator=generator)
    swapped = torch.rand(n, 1, 1, generator=generator) < 0.5
    return torch.where(swapped, dark_light.flip(1), dark_light)


def _all_glyphs(size: int) -> tuple[np.ndarray, ...]:
    """images (N, S, S) uint8, code points (N,), styles (N,); from the cache when it
    holds this very rendering.
    """
    cache = _cache(size)
    # no cache yet, or a damaged one, which np.load alone leaves open: render again
    damages = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)
    with contextlib.suppress(*damages), cache.open("rb") as file:
        stored = np.load(file)
        return tuple(stored[name] for name in ARRAYS)

    rendered = _render_all(size)
    with contextlib.suppress(OSError):  # costs a few seconds next time, nothing else
        cache.parent.mkdir(parents=True, exist_ok=True)
        with atomic(cache) as beside:
            arrays: dict[str, Any] = dict(zip(ARRAYS, rendered, strict=True))
            np.savez(beside, **arrays)
    return rendered


def _cache(size: int) -> Path:
    """The cache file of a size: its name changes with whatever changes a rendering."""
    import matplotlib
    import PIL

    versions = f"{matplotlib.__version__} {PIL.__version__}"
    key = mark(versions.encode() + Path(__file__).read_bytes())
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "sr3mini" / f"glyphs_{size}_{key:x}.npz"


def _render_all(size: int) -> tuple[np.ndarray, ...]:
    import matplotlib
    from matplotlib.ft2font import FT2Font

    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    images, code_points, styles = [], [], []
    for style, name in enumerate(STYLES):
        file = str(fonts / f"{name}.ttf")
        basic = ImageFont.Layout.BASIC
        font = ImageFont.truetype(file, round(size * 11 / 16), layout_engine=basic)
        for code_point in sorted(FT2Font(file).get_charmap()):
            picture = _render(chr(code_point), font, size)
            if picture is not None:
                images.append(picture)
                code_points.append(code_point)
                styles.append(style)
    return np.stack(images), np.array(code_points), np.array(styles)


def _render(
    character: str, font: ImageFont.FreeTypeFont, size: int
) -> np.ndarray | None:
    """One glyph, centred sideways, on a common baseline unless it would stick out; None
    if it is empty or too large.
    """
    if unicodedata.category(character)[0] in "CZ":  # controls, spaces
        return None
    left, top, right, bottom = map(round, font.getbbox(character, anchor="ls"))
    if not (0 < right - left <= size and 0 < bottom - top <= size):
        return None
    place = (size - left - right) // 2, min(max(size * 3 // 4, -top), size - bottom)
    picture = Image.new("L", (size, size), 255)
    ImageDraw.Draw(picture).text(place, character, font=font, fill=0, anchor="ls")
    array = np.asarray(picture)
    return None if array.min() == 255 else array


def _held_out(images: np.ndarray, code_points: np.ndarray) -> np.ndarray:
    """Which rows belong to the test split, (N,) bool: whole groups of code points that
    share any picture.
    """
    marks = np.array([mark(image.tobytes()) for image in images], np.uint64)
    pictures = np.unique(marks, return_inverse=True)[1]
    group, before = code_points, code_points - 1
    while (group != before).any():  # until it is the least of each group
        before, group = group, _least(_least(group, pictures), code_points)
    alphabet = group[np.isin(code_points, [ord(c) for c in ALPHABET])]
    digests = [hashlib.sha256(str(c).encode()).digest() for c in group.tolist()]
    return np.isin(group, alphabet) | np.array([d[0] % 10 == 0 for d in digests])


def _least(values: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """For each row, the least of the values that have the same key."""
    least = np.full(keys.max() + 1, values.max())
    np.minimum.at(least, keys, values)
    return least[keys]
