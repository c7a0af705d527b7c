r"""Pictures to learn from: glyphs rendered on the spot, and folders of one's own.

A picture is a float32 tensor (C, H, W) in [-1, 1]; -1 is black. Only high-resolution pictures live here: the
low-resolution ones are made from them by `degrade.downsample`, in batches, where they are needed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import unicodedata
import warnings
import zipfile
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont, ImageOps
from torch import Tensor
from torch.utils.data import Dataset

Split = Literal["train", "test"]
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
STYLES = tuple(
    f"DejaVu{family}"
    for family in (
        *("Sans", "Sans-Bold", "Sans-Oblique", "Sans-BoldOblique"),
        *("SansMono", "SansMono-Bold", "SansMono-Oblique", "SansMono-BoldOblique"),
        *("Serif", "Serif-Bold", "Serif-Italic", "Serif-BoldItalic"),
    )
)
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")


class Glyphs(Dataset[Tensor]):
    """Pictures of characters, black on white, `(1, size, size)` in [-1, 1].

    `images` (N, size, size) uint8, `characters` (N strings) and `styles` (N indices into STYLES) lie beside each other.
    """

    def __init__(self, images: UInt8[Tensor, "N S S"], characters: Sequence[str], styles: Sequence[int]) -> None:
        self.images, self.characters, self.styles = images, list(characters), list(styles)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Float[Tensor, "1 S S"]:
        return from_bytes(self.images[index][None])

    def batch(self, indices: Sequence[int] | Tensor) -> Float[Tensor, "B 1 S S"]:
        """Many pictures at once."""
        return from_bytes(self.images[torch.as_tensor(indices)][:, None])

    def find(self, character: str, style: str = "DejaVuSans") -> int:
        """The index of a character in a style; KeyError, with what to do, when this split does not hold it."""
        wanted = STYLES.index(style)
        for index, (each, its_style) in enumerate(zip(self.characters, self.styles, strict=True)):
            if each == character and its_style == wanted:
                return index
        raise KeyError(f"{character!r} in {style} is not in this split of the glyphs; try the other split, or another character")


@lru_cache(maxsize=4)
def glyphs(split: Split = "train", size: int = 32) -> Glyphs:
    """The characters of the 12 DejaVu text fonts that Matplotlib ships: about 46,000 pictures of `size` x `size`.

    No character of the test split was seen in training, in any style: the split is by code point. The test split holds
    the 62 letters and digits of ALPHABET and a tenth of all other code points; code points that look the same (Latin A,
    Greek Alpha) go to the same side. Rendered in about 5 s, then read from a cache.
    """
    if split not in ("train", "test"):
        raise ValueError(f"split = {split!r}, but the glyphs have the splits 'train' and 'test'")
    images, code_points, styles = _all_glyphs(size)
    held_out = _held_out(images, code_points)
    rows = np.flatnonzero(held_out == (split == "test"))
    return Glyphs(torch.from_numpy(images[rows]), [chr(c) for c in code_points[rows]], styles[rows].tolist())


class Folder(Dataset[Tensor]):
    """Every picture below a folder, cut to its central square and resized: `(channels, size, size)` in [-1, 1].

    Files are found at once, opened when asked for. A file that cannot be read is named once in a warning, and its
    neighbour takes its place. ValueError when the folder holds no picture at all, or none that can be read.
    """

    def __init__(self, path: str | Path, size: int, channels: int = 3) -> None:
        self.path, self.size, self.channels = Path(path), size, channels
        if not self.path.is_dir():
            raise ValueError(f"{self.path} is not a folder; give the folder that holds your pictures")
        self.files = sorted(p for p in self.path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        self.unreadable: set[Path] = set()
        if not self.files:
            raise ValueError(f"no picture below {self.path}: looked for names that end in {', '.join(SUFFIXES)}")

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Float[Tensor, "C S S"]:
        if not -len(self.files) <= index < len(self.files):  # what ends `for picture in folder`
            raise IndexError(f"picture {index} was asked for, but the folder {self.path} holds {len(self.files)}")
        for step in range(len(self.files)):
            file = self.files[(index + step) % len(self.files)]
            if file in self.unreadable:
                continue
            try:
                return square(read_picture(file, self.channels), self.size)
            except ValueError as error:
                self.unreadable.add(file)
                warnings.warn(f"skipped: {error}", stacklevel=2)
        raise ValueError(f"none of the {len(self.files)} files below {self.path} could be read as a picture")


def read_picture(path: str | Path, channels: int | None = None) -> Float[Tensor, "C H W"]:
    """A picture file of any mode as (C, H, W) in [-1, 1]: 1 channel for grey, 3 for colour, or the number asked for.

    Turned upright by its EXIF tag; a palette is looked up, CMYK converted, transparency laid on white, the first frame
    of an animation taken. ValueError, in one sentence, when the file is missing or no picture.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(f"{path} does not exist")
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not a picture")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on a damaged file do not name it; the error below does
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                picture = ImageOps.exif_transpose(opened)
                picture.load()
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"{path} could not be read as a picture ({_reason(error)})") from error
    return _to_tensor(picture, channels)


def write_picture(image: Float[Tensor, "C H W"], path: str | Path) -> None:
    """Write (1 or 3, H, W) in [-1, 1] as an 8-bit picture: beside its place first, then renamed, so never half."""
    array = to_bytes(image).permute(1, 2, 0).numpy()
    save_picture(Image.fromarray(array[..., 0] if array.shape[2] == 1 else array), path)


def save_picture(picture: Image.Image, path: str | Path) -> None:
    """Save a Pillow picture in the format its name asks for; written beside and renamed, so never half."""
    _write_whole(Path(path), lambda beside: picture.save(beside))


def write_text(text: str, path: str | Path) -> None:
    """Write a text file; written beside and renamed, so never half."""
    _write_whole(Path(path), lambda beside: beside.write_text(text, encoding="utf-8"))


def _write_whole(path: Path, write: Callable[[Path], object]) -> None:
    beside = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        write(beside)
        beside.replace(path)
    except OSError as error:
        raise OSError(f"{path} could not be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):  # below a file that is no folder there is nothing to clear up, and no way to
            beside.unlink(missing_ok=True)


def from_bytes(image: UInt8[Tensor, "..."]) -> Float[Tensor, "..."]:
    """0..255 -> [-1, 1], float32."""
    return image.float() / 127.5 - 1


def to_bytes(image: Float[Tensor, "..."]) -> UInt8[Tensor, "..."]:
    """[-1, 1] -> 0..255, rounded to the nearest and clipped."""
    return ((image.detach().cpu().float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def square(image: Float[Tensor, "C H W"], size: int) -> Float[Tensor, "C S S"]:
    """The central square, resized to `size` x `size` with the book's one bicubic."""
    from .degrade import downsample

    side = min(image.shape[-2:])
    top, left = (image.shape[-2] - side) // 2, (image.shape[-1] - side) // 2
    return downsample(image[None, :, top : top + side, left : left + side], size=(size, size))[0].clamp(-1, 1)


def _to_tensor(picture: Image.Image, channels: int | None) -> Tensor:
    if picture.mode.startswith(("I", "F")):  # 16- or 32-bit grey: Pillow's own conversion to 8 bits would clip it
        values = np.asarray(picture, dtype=np.float32)
        largest = values.max(initial=0)
        top = 65535.0 if picture.mode.startswith("I;16") or largest > 255 else 1.0 if picture.mode == "F" and largest <= 1 else 255.0
        tensor = torch.from_numpy(values / top * 2 - 1).clamp(-1, 1)[None]
        return tensor.expand(channels or 1, -1, -1).clone()
    grey = picture.mode in ("1", "L", "LA") if channels is None else channels == 1
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    array = np.array(picture.convert("L" if grey else "RGB"))
    return from_bytes(torch.from_numpy(array).reshape(*array.shape[:2], -1).permute(2, 0, 1))


def _reason(error: BaseException) -> str:
    return "no known picture format" if type(error).__name__ == "UnidentifiedImageError" else str(error).rstrip(".") or type(error).__name__


def _all_glyphs(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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


def _held_out(images: np.ndarray, code_points: np.ndarray) -> np.ndarray:
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
