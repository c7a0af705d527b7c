r"""A picture file in, K larger picture files out: SR3 on what people have on disk.

A model for grey pictures upscales the brightness of a colour picture; its colours are enlarged bicubically, since the
eye hardly sees detail in them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

from .data import read_picture, save_picture, to_bytes, write_picture
from .degrade import downsample, upsample
from .evaluate import draw, method
from .preset import Network

LARGEST = 4_000_000  # pixels of a result: glyphs_8_32 takes 0.26 GB and 0.75 GB a megapixel (peak of the process on a CPU: 3.2 GB at 2000x2000)


def upscale(
    f: Network, x: Float[Tensor, "C h w"], *, steps: int | None = None, seed: int = 0, samples: int = 1, progress: bool = False
) -> Float[Tensor, "K C H W"]:
    """`samples` upscaled pictures in [-1, 1] of one picture x in [-1, 1], of one (grey) or three (colour) channels.

    ValueError when the result would have more than LARGEST pixels.
    """
    _check_size(f, x)
    factor, channels, seeds = f.preset.factor, x.shape[0], range(seed, seed + samples)
    if channels == f.preset.image_channels:
        return draw(f, x[None], steps=steps, seeds=seeds, progress=progress)[:, 0]
    if channels == 1:
        return draw(f, x.expand(1, 3, -1, -1), steps=steps, seeds=seeds, progress=progress)[:, 0].mean(1, keepdim=True)
    luma, chroma = to_luma_chroma(x[None])
    large = draw(f, luma, steps=steps, seeds=seeds, progress=progress)[:, 0]
    return from_luma_chroma(large, upsample(chroma, factor).expand(samples, -1, -1, -1)).clamp(-1, 1)


def upscale_files(
    files: list[Path], f: Network, out: Path, *, steps: int | None = None, seed: int = 0, samples: int = 1, progress: bool = False
) -> list[Path]:
    """Upscale every file into folder `out`: NAME_x4_1.png … and NAME_x4_sheet.png beside bicubic. Returns what was written.

    All files are read before anything is computed, and the results get their places together at the end: what goes wrong leaves nothing behind.
    ValueError for a picture that is missing, broken or too large; OSError when `out` cannot be written.
    """
    channels = None if f.preset.image_channels == 1 else 3
    pictures = [read_picture(file, channels) for file in files]
    for x in pictures:
        _check_size(f, x)
    names = [file.stem for file in files]
    names = [file.name.replace(".", "_") if names.count(file.stem) > 1 else file.stem for file in files]
    if len(set(names)) < len(names):
        raise ValueError("two of the pictures have the same name, so their results would overwrite each other; upscale them into different folders")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".sr3mini-") as beside:
        written = []
        for name, x in zip(names, pictures, strict=True):
            drawn = upscale(f, x, steps=steps, seed=seed, samples=samples, progress=progress)
            for k, y in enumerate(drawn, start=1):
                written.append(f"{name}_x{f.preset.factor}_{k}.png")
                write_picture(y, Path(beside) / written[-1])
            written.append(f"{name}_x{f.preset.factor}_sheet.png")
            save_picture(sheet(x, drawn, method(f)), Path(beside) / written[-1])
        return [(Path(beside) / name).replace(out / name) for name in written]


def _check_size(f: Network, x: Tensor) -> None:
    width, height = x.shape[-1] * f.preset.factor, x.shape[-2] * f.preset.factor
    if width * height > LARGEST:
        raise ValueError(
            f"a {x.shape[-1]}x{x.shape[-2]} picture would become {width}x{height}, over the limit of {LARGEST / 1e6:.0f} megapixels; crop or shrink it first"
        )


def sheet(x: Float[Tensor, "C h w"], drawn: Float[Tensor, "K C H W"], name: str = "SR3") -> Image.Image:
    """Side by side: the input with its pixels enlarged, bicubic, and every sample, each under its name."""
    size = drawn.shape[-2:]
    nearest = torch.nn.functional.interpolate(x[None], size=size, mode="nearest")[0]
    bicubic = upsample(x[None], size=(size[0], size[1]))[0].clamp(-1, 1)
    samples = [(f"{name} #{k}" if len(drawn) > 1 else name, y) for k, y in enumerate(drawn, start=1)]
    panels = [("input", nearest), ("bicubic", bicubic), *samples]
    scale = max(1, 128 // max(size))  # small results are shown with larger pixels, so that the captions fit
    height, width = max(size[0] * scale, 1), max(size[1] * scale, 64)
    canvas = Image.new("RGB", (len(panels) * (width + 8) + 8, height + 28), "white")
    pen = ImageDraw.Draw(canvas)
    for column, (title, image) in enumerate(panels):
        array = to_bytes(image).permute(1, 2, 0).numpy()
        picture = Image.fromarray(np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array)
        left = 8 + column * (width + 8)
        pen.text((left, 6), title, fill="black")
        canvas.paste(picture.resize((size[1] * scale, size[0] * scale), Image.Resampling.NEAREST), (left, 22))
    return canvas


def grid(f: Network, y: Float[Tensor, "N C H W"], samples: int = 3) -> Float[Tensor, "C rows columns"]:
    """One picture with a column for each y: input, bicubic, `samples` SR3 samples (or one regression), original; two white pixels around each."""
    x = downsample(y, f.preset.factor)
    nearest = torch.nn.functional.interpolate(x, size=y.shape[-2:], mode="nearest")
    rows = torch.cat([nearest[None], upsample(x, f.preset.factor)[None], draw(f, x, seeds=range(samples if method(f) == "SR3" else 1)), y[None]])
    rows = torch.nn.functional.pad(rows, (2, 2, 2, 2), value=1.0)  # (rows, N, C, H, W)
    return rows.permute(2, 0, 3, 1, 4).reshape(y.shape[1], len(rows) * rows.shape[-2], -1)


_TO_YCC = torch.tensor([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])  # ITU-R BT.601, as in JPEG


def to_luma_chroma(rgb: Float[Tensor, "B 3 H W"]) -> tuple[Float[Tensor, "B 1 H W"], Float[Tensor, "B 2 H W"]]:
    """Brightness in [-1, 1] and two colour differences in [-1, 1], by JPEG's matrix."""
    ycc = torch.einsum("ij,bjhw->bihw", _TO_YCC.to(rgb), rgb)
    return ycc[:, :1], ycc[:, 1:]


def from_luma_chroma(luma: Float[Tensor, "B 1 H W"], chroma: Float[Tensor, "B 2 H W"]) -> Float[Tensor, "B 3 H W"]:
    """The inverse of `to_luma_chroma`."""
    return torch.einsum("ij,bjhw->bihw", torch.linalg.inv(_TO_YCC).to(luma), torch.cat([luma, chroma], dim=1))
