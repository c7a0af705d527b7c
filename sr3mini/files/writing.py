r"""Files that are never half written: beside their place first, then renamed."""

from __future__ import annotations

import contextlib
import io
import os
import platform
import shutil
import struct
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image, PngImagePlugin
from safetensors import SafetensorError
from torch import Tensor

from .reading import PictureFile, to_bytes

NAMES = ("icc_profile", "exif", "dpi")  # what every format takes, by Pillow's names
FAILURES = (OSError, RuntimeError, SafetensorError)  # torch's is RuntimeError
DENSEST = 65_535  # dots an inch that every format can tell
BESIDE = ".sr3mini-"  # folders of files on their way
WHOLE = ".whole"
HEADER = 33  # bytes of a PNG's signature and its chunk IHDR


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Where to write a file or a folder, beside its `path`: at the end of the block it
    is renamed to `path`, so that there is never half of it.

    OSError, in one sentence that names `path`, when the disk, torch or safetensors
    fails to write; nothing is left beside it then, and what was there before still is.
    A link stays one. A pipe or a device, such as /dev/stdout, is written to at the end.
    """
    path = Path(path)
    if is_device(path):
        with tempfile.TemporaryDirectory() as folder, _told(path):
            yield Path(folder) / path.name
            with path.open("ab") as device:
                device.write((Path(folder) / path.name).read_bytes())
        return
    file = Path(os.path.realpath(path))
    beside = file.with_name(f".{path.stem}.part{path.suffix}")
    try:
        with _told(path):
            yield beside
            beside.replace(file)
    finally:
        if beside.is_dir():
            shutil.rmtree(beside, ignore_errors=True)
        with contextlib.suppress(OSError):  # such as a path below a file
            beside.unlink(missing_ok=True)


@contextlib.contextmanager
def _told(path: Path, kinds: tuple[type[Exception], ...] = FAILURES) -> Iterator[None]:
    """OSError that names `path` for whatever fails to write it."""
    try:
        yield
    except kinds as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise OSError(f"{path} could not be written: {reason}") from error


def is_device(path: Path) -> bool:
    """Whether a path leads to a pipe or a device, which is no file to be replaced."""
    there = path.exists() and not (path.is_file() or path.is_dir())
    return there or os.path.abspath(path).startswith(("/dev/", "/proc/"))


def to_pillow(image: Float[Tensor, "C H W"]) -> Image.Image:
    """(1 or 3, H, W) in [-1, 1] as a Pillow picture of 8 bits."""
    return Image.fromarray(to_bytes(image).permute(1, 2, 0).squeeze(2).numpy())


def write_picture(image: Float[Tensor, "C H W"], path: str | Path) -> None:
    """Write (1 or 3, H, W) in [-1, 1] as an 8-bit picture: beside its place first, then
    renamed, so never half.
    """
    save_picture(to_pillow(image), path)


def save_picture(picture: Image.Image, path: str | Path, **options: Any) -> None:
    """Save a Pillow picture in the format its name asks for, with that format's
    options; written beside and renamed, so never half.
    """
    with atomic(path) as beside:
        picture.save(beside, **options)


def is_picture_name(path: Path) -> bool:
    """Whether its ending asks for a format that Pillow writes."""
    Image.init()
    return Image.EXTENSION.get(path.suffix.lower()) in Image.SAVE


def write(picture: PictureFile, file: Path) -> None:
    """Write what `read` reads, in the format that the name asks for: colours, alpha,
    depth, and what else the picture carries. 16 bits are for PNG and TIFF, other
    numbers for TIFF.
    """
    planes = [plane for plane in picture[:2] if plane is not None]
    array = np.ascontiguousarray(np.dstack(planes))
    options = _options(picture.carried)
    if file.suffix == ".tif" and array.dtype != np.uint8:
        _write_tiff(array, file, picture.carried)
        return
    if array.dtype == np.uint16:
        file.write_bytes(_png_of_16_bits(array, options))
        return
    array = array[..., 0] if array.shape[2] == 1 else array
    Image.fromarray(array).save(file, quality=95, **options)


def _write_tiff(array: np.ndarray, file: Path, carried: dict[str, Any]) -> None:
    """Any type of numbers, with profile and resolution."""
    import tifffile

    channels = array.shape[2]
    tifffile.imwrite(
        file,
        array[..., 0] if channels == 1 else array,
        photometric="rgb" if channels > 2 else "minisblack",
        planarconfig="contig" if channels > 1 else None,
        extrasamples=["unassalpha"] if channels in (2, 4) else None,
        compression="zlib",
        iccprofile=carried.get("icc_profile"),
        resolution=carried.get("dpi"),
        resolutionunit="inch" if "dpi" in carried else None,
        metadata=None,
    )


def _options(carried: dict[str, Any]) -> dict[str, Any]:
    """`PictureFile.carried` as Pillow's save takes it; other formats than PNG leave the
    three chunks out.
    """
    chunks = PngImagePlugin.PngInfo()
    if "srgb" in carried:
        chunks.add(b"sRGB", bytes([carried["srgb"]]))
    if "gamma" in carried:
        chunks.add(b"gAMA", struct.pack(">I", round(carried["gamma"] * 100_000)))
    if "chromaticity" in carried:
        numbers = [round(value * 100_000) for value in carried["chromaticity"]]
        chunks.add(b"cHRM", struct.pack(f">{len(numbers)}I", *numbers))
    kept = {name: carried[name] for name in NAMES if name in carried}
    if max(kept.get("dpi", (0,))) > DENSEST:
        del kept["dpi"]
    return {"pnginfo": chunks, **kept}


def _png_of_16_bits(array: np.ndarray, options: dict[str, Any]) -> bytes:
    """Pillow writes no 16-bit colours and imagecodecs nothing but pixels. So the chunks
    that Pillow writes for a single pixel follow the header that imagecodecs wrote.
    """
    import imagecodecs

    pixels, single = bytes(imagecodecs.png_encode(array)), io.BytesIO()
    Image.new("L", (1, 1)).save(single, "PNG", **options)
    chunks = single.getvalue()[HEADER:]
    return pixels[:HEADER] + chunks[: chunks.rindex(b"IDAT") - 4] + pixels[HEADER:]


@contextlib.contextmanager
def all_or_none(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Where to write several files of one folder, which is made if need be: at the end
    of the block they get their places together. `finish_or_forget` does the rest where
    a kill came in between.

    OSError, in a sentence that names the first of them, when they cannot be written.
    """
    folder = paths[0].parent
    who = f"{BESIDE}{platform.node()}-{os.getpid()}-"
    with _told(paths[0], (OSError,)):  # what computes may fail too
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=who) as beside:
            files = [Path(beside) / path.name for path in paths]
            yield files
            (Path(beside) / WHOLE).touch()
            for file, path in zip(files, paths, strict=True):
                file.replace(path)


def finish_or_forget(folder: Path) -> None:
    """What killed runs of this machine left of `all_or_none` in a folder: files that
    were on their way to their places go there, others go.
    """
    for beside in folder.glob(f"{BESIDE}{platform.node()}-*"):
        number = beside.name.removeprefix(f"{BESIDE}{platform.node()}-").split("-")[0]
        if not number.isdecimal() or _runs(int(number)):
            continue
        if (beside / WHOLE).exists():
            for file in beside.iterdir():
                if file.name != WHOLE:
                    file.replace(folder / file.name)
        shutil.rmtree(beside, ignore_errors=True)


def _runs(process: int) -> bool:
    """Whether there is another process of this number; where that cannot be known, as
    on Windows, there is.
    """
    if process == os.getpid():
        return False
    if os.name == "nt":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep a folder to one process of this machine, or of all that share its disk,
    where the system can lock files. ValueError when another has it.
    """
    if os.name == "nt":
        yield
        return
    import fcntl

    path = folder / ".lock"
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(
                f"another run writes into {folder}: wait for it, or choose another"
                " --out"
            ) from error
        except OSError:  # a file system without locks
            pass
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def demand_free(paths: Iterable[Path], overwrite: bool = False) -> None:
    """ValueError, naming the first, when one of the files is there already and is not
    to be overwritten. Said before anything is computed.
    """
    for path in paths:
        if os.path.lexists(path) and not overwrite and not is_device(path):
            raise ValueError(
                f"{path} is there already: choose another --out, or pass --overwrite"
            )


def write_text(text: str, path: str | Path) -> None:
    """Write a text file; written beside and renamed, so never half."""
    # names of files need not be Unicode: what is not is written as its code
    write_bytes(text.encode(errors="backslashreplace"), path)


def write_bytes(content: bytes, path: str | Path) -> None:
    """Write a file; written beside and renamed, so never half."""
    with atomic(path) as beside:
        beside.write_bytes(content)
