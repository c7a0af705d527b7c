r"""Files that are never half written: beside their place first, then renamed."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from jaxtyping import Float
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor

from .reading import to_bytes


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Where to write a file or a folder, beside its `path`: at the end of the block it
    is renamed to `path`, so that there is never half of it.

    OSError, in one sentence that names `path`, when the disk, torch or safetensors
    fails to write; nothing is left beside it then, and what was there before still is.
    """
    path = Path(path)
    beside = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        yield beside
        beside.replace(path)
    except (OSError, RuntimeError, SafetensorError) as error:  # torch's is RuntimeError
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise OSError(f"{path} could not be written: {reason}") from error
    finally:
        if beside.is_dir():
            shutil.rmtree(beside, ignore_errors=True)
        with contextlib.suppress(OSError):  # such as a path below a file
            beside.unlink(missing_ok=True)


def write_picture(image: Float[Tensor, "C H W"], path: str | Path) -> None:
    """Write (1 or 3, H, W) in [-1, 1] as an 8-bit picture: beside its place first, then
    renamed, so never half.
    """
    array = to_bytes(image).permute(1, 2, 0).numpy()
    save_picture(Image.fromarray(array[..., 0] if array.shape[2] == 1 else array), path)


def save_picture(picture: Image.Image, path: str | Path, **options: Any) -> None:
    """Save a Pillow picture in the format its name asks for, with that format's
    options; written beside and renamed, so never half.
    """
    with atomic(path) as beside:
        picture.save(beside, **options)


def demand_free(paths: Iterable[Path], overwrite: bool = False) -> None:
    """ValueError, naming the first, when one of the files is there already and is not
    to be overwritten. Said before anything is computed.
    """
    there = next((path for path in paths if path.exists()), None)
    if there is not None and not overwrite:
        raise ValueError(
            f"{there} is there already: choose another --out, or pass --overwrite"
        )


def write_text(text: str, path: str | Path) -> None:
    """Write a text file; written beside and renamed, so never half."""
    write_bytes(text.encode(), path)


def write_bytes(content: bytes, path: str | Path) -> None:
    """Write a file; written beside and renamed, so never half."""
    with atomic(path) as beside:
        beside.write_bytes(content)
