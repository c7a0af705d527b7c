r"""Every character of the 12 DejaVu text fonts that Matplotlib ships, rendered once a
size and then read from a cache.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import unicodedata
import zipfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.utils.data import Dataset

from ..files.reading import from_bytes
from .folder import Split


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
        self.images, self.characters, self.styles, self.colours = (
            images,
            list(characters),
            list(styles),
            colours,
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Float[Tensor, "C S S"]:
        if not -len(self) <= index < len(self):  # what ends `for picture in glyphs`
            raise IndexError(
                f"picture {index} was asked for, but there are {len(self)}"
            )
        return self.batch([index])[0]

    def batch(self, indices: Sequence[int] | Tensor) -> Float[Tensor, "B C S S"]:
        """Many pictures at once."""
        indices = torch.as_tensor(indices)
        grey = from_bytes(self.images[indices][:, None])
        if self.colours is None:
            return grey
        ink, paper = self.colours[indices][..., None, None].unbind(
            1
        )  # (B, 3, 1, 1) each
        return torch.lerp(ink, paper, (grey + 1) / 2)

    def find(self, character: str, style: str = "DejaVuSans") -> int:
        """The index of a character in a style; KeyError, with what to do, when this
        split does not hold it.
        """
        wanted = STYLES.index(style)
        for index, (each, its_style) in enumerate(
            zip(self.characters, self.styles, strict=True)
        ):
            if each == character and its_style == wanted:
                return index
        raise KeyError(
            f"{character!r} in {style} is not in this split of the glyphs; try the"
            " other split, or another character"
        )


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
    if split not in ("train", "test"):
        raise ValueError(
            f"split = {split!r}, but the glyphs have the splits 'train' and 'test'"
        )
    if channels not in (1, 3):
        raise ValueError(
            f"channels = {channels}, but the glyphs come in grey, 1 channel, or in"
            " colour, 3"
        )
    images, code_points, styles = all_glyphs(size)
    chosen = np.flatnonzero(held_out(images, code_points) == (split == "test"))
    colours = _colours(len(images))[chosen] if channels == 3 else None
    return Glyphs(
        torch.from_numpy(images[chosen]),
        [chr(c) for c in code_points[chosen]],
        styles[chosen].tolist(),
        colours,
    )


def _colours(n: int) -> Float[Tensor, "n 2 3"]:
    """n pairs of ink and paper: each channel of one lies in [-1, -0.1], of the other in
    [0.1, 1], and a coin says which is which.
    """
    generator = torch.Generator().manual_seed(0)
    dark_light = torch.rand(n, 2, 3, generator=generator) * 0.9 + torch.tensor(
        [[-1.0], [0.1]]
    )
    swapped = torch.rand(n, generator=generator) < 0.5
    return torch.where(swapped[:, None, None], dark_light.flip(1), dark_light)


ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
STYLES = tuple(
    f"DejaVu{family}"
    for family in (
        *("Sans", "Sans-Bold", "Sans-Oblique", "Sans-BoldOblique"),
        *("SansMono", "SansMono-Bold", "SansMono-Oblique", "SansMono-BoldOblique"),
        *("Serif", "Serif-Bold", "Serif-Italic", "Serif-BoldItalic"),
    )
)


def all_glyphs(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """images (N, S, S) uint8, code points (N,), styles (N,); from the cache when it
    holds this very rendering.
    """
    import matplotlib
    import PIL

    key = hashlib.sha256(
        f"{size} {matplotlib.__version__} {PIL.__version__}"
        f" {Path(__file__).read_text()}".encode()
    ).hexdigest()[:16]
    cache = (
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        / "sr3mini"
        / f"glyphs_{size}_{key}.npz"
    )
    try:
        with (
            cache.open("rb") as file,
            np.load(file) as stored,
        ):  # np.load alone leaves a damaged file open
            return stored["images"], stored["code_points"], stored["styles"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        pass  # no cache yet, or a damaged one: render again
    rendered = _render_all(size)
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            dir=cache.parent
        ) as beside:  # removed even when the disk is full
            np.savez(
                Path(beside) / cache.name,
                images=rendered[0],
                code_points=rendered[1],
                styles=rendered[2],
            )
            (Path(beside) / cache.name).replace(cache)
    except OSError:
        # a cache that cannot be written costs a few seconds next time, nothing else
        pass
    return rendered


def _render_all(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    import matplotlib
    from matplotlib.ft2font import FT2Font

    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    images, code_points, styles = [], [], []
    for style, name in enumerate(STYLES):
        file = str(fonts / f"{name}.ttf")
        font = ImageFont.truetype(
            file, round(size * 11 / 16), layout_engine=ImageFont.Layout.BASIC
        )
        for code_point in sorted(FT2Font(file).get_charmap()):
            character = chr(code_point)
            picture = (
                None
                if unicodedata.category(character)[0] in "CZ"
                else _render(character, font, size)
            )
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
    left, top, right, bottom = (round(v) for v in font.getbbox(character, anchor="ls"))
    if right <= left or bottom <= top or right - left > size or bottom - top > size:
        return None
    picture = Image.new("L", (size, size), 255)
    baseline = min(max(size * 3 // 4, -top), size - bottom)
    ImageDraw.Draw(picture).text(
        ((size - left - right) // 2, baseline),
        character,
        font=font,
        fill=0,
        anchor="ls",
    )
    array = np.asarray(picture)
    return None if array.min() == 255 else array


def held_out(images: np.ndarray, code_points: np.ndarray) -> np.ndarray:
    """Which rows belong to the test split, (N,) bool: whole groups of code points that
    share any picture.
    """
    leader = {int(c): int(c) for c in code_points}

    def find(c: int) -> int:
        while leader[c] != c:
            leader[c] = c = leader[leader[c]]
        return c

    first_with: dict[bytes, int] = {}
    for image, code_point in zip(images, code_points, strict=True):
        twin = first_with.setdefault(
            hashlib.sha1(image.tobytes(), usedforsecurity=False).digest(),
            int(code_point),
        )
        a, b = sorted((find(twin), find(int(code_point))))
        leader[b] = a
    alphabet = {find(ord(c)) for c in ALPHABET}
    chosen = {c: find(c) in alphabet or _tenth(find(c)) for c in leader}
    return np.array([chosen[int(c)] for c in code_points])


def _tenth(code_point: int) -> bool:
    """A fixed tenth of the code points, spread without pattern."""
    return hashlib.sha256(str(code_point).encode()).digest()[0] % 10 == 0
