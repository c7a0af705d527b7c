r"""Files that are never half written: beside their place first, then renamed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from jaxtyping import Float
from PIL import Image
from torch import Tensor

from .reading import to_bytes


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
    _write_whole(Path(path), lambda beside: picture.save(beside, **options))


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
    _write_whole(Path(path), lambda beside: beside.write_bytes(content))


def _write_whole(path: Path, write: Callable[[Path], object]) -> None:
    beside = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        write(beside)
        beside.replace(path)
    except OSError as error:
        raise OSError(
            f"{path} could not be written: {error.strerror or error}"
        ) from error
    finally:
        with contextlib.suppress(
            OSError
        ):  # below a file that is no folder there is nothing to clear up, and no way to
            beside.unlink(missing_ok=True)
