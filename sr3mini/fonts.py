r"""Every character of the 12 DejaVu text fonts that Matplotlib ships, rendered once a size and then read from a cache."""

from __future__ import annotations

import hashlib
import os
import tempfile
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

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
    """images (N, S, S) uint8, code points (N,), styles (N,); from the cache when it holds this very rendering."""
    import matplotlib
    import PIL

    key = hashlib.sha256(f"{size} {matplotlib.__version__} {PIL.__version__} {Path(__file__).read_text()}".encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sr3mini" / f"glyphs_{size}_{key}.npz"
    try:
        with cache.open("rb") as file, np.load(file) as stored:  # np.load alone leaves a damaged file open
            return stored["images"], stored["code_points"], stored["styles"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        pass  # no cache yet, or a damaged one: render again
    rendered = _render_all(size)
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache.parent) as beside:  # removed even when the disk is full
            np.savez(Path(beside) / cache.name, images=rendered[0], code_points=rendered[1], styles=rendered[2])
            (Path(beside) / cache.name).replace(cache)
    except OSError:
        pass  # a cache that cannot be written costs a few seconds next time, nothing else
    return rendered


def _render_all(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    import matplotlib
    from matplotlib.ft2font import FT2Font

    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    images, code_points, styles = [], [], []
    for style, name in enumerate(STYLES):
        file = str(fonts / f"{name}.ttf")
        font = ImageFont.truetype(file, round(size * 11 / 16), layout_engine=ImageFont.Layout.BASIC)
        for code_point in sorted(FT2Font(file).get_charmap()):
            character = chr(code_point)
            picture = None if unicodedata.category(character)[0] in "CZ" else _render(character, font, size)
            if picture is not None:
                images.append(picture)
                code_points.append(code_point)
                styles.append(style)
    return np.stack(images), np.array(code_points), np.array(styles)


def _render(character: str, font: ImageFont.FreeTypeFont, size: int) -> np.ndarray | None:
    """One glyph, centred sideways, on a common baseline unless it would stick out; None if it is empty or too large."""
    left, top, right, bottom = (round(v) for v in font.getbbox(character, anchor="ls"))
    if right <= left or bottom <= top or right - left > size or bottom - top > size:
        return None
    picture = Image.new("L", (size, size), 255)
    baseline = min(max(size * 3 // 4, -top), size - bottom)
    ImageDraw.Draw(picture).text(((size - left - right) // 2, baseline), character, font=font, fill=0, anchor="ls")
    array = np.asarray(picture)
    return None if array.min() == 255 else array


def held_out(images: np.ndarray, code_points: np.ndarray) -> np.ndarray:
    """Which rows belong to the test split, (N,) bool: whole groups of code points that share any picture."""
    leader = {int(c): int(c) for c in code_points}

    def find(c: int) -> int:
        while leader[c] != c:
            leader[c] = c = leader[leader[c]]
        return c

    first_with: dict[bytes, int] = {}
    for image, code_point in zip(images, code_points, strict=True):
        twin = first_with.setdefault(hashlib.sha1(image.tobytes(), usedforsecurity=False).digest(), int(code_point))
        a, b = sorted((find(twin), find(int(code_point))))
        leader[b] = a
    alphabet = {find(ord(c)) for c in ALPHABET}
    chosen = {c: find(c) in alphabet or _tenth(find(c)) for c in leader}
    return np.array([chosen[int(c)] for c in code_points])


def _tenth(code_point: int) -> bool:
    """A fixed tenth of the code points, spread without pattern."""
    return hashlib.sha256(str(code_point).encode()).digest()[0] % 10 == 0
