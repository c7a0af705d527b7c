"""A folder as people have them: good pictures in every mode, and everything else that
gathers between them.

python tests/messy.py FOLDER [COUNT]      10,000 good pictures and 50 broken ones, to
try `sr3mini prepare` on
"""

from __future__ import annotations

import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

BROKEN = (".png", ".jpg", ".webp", ".gif", ".tif")


def messy(folder: Path, good: int, broken: int = 50) -> tuple[set[str], set[str]]:
    """Fill `folder`; the names of the pictures, and of all that is to be skipped.
    `good` counts the ten odd ones too.
    """
    names = _odd(folder)
    generator = np.random.default_rng(0)
    for number in range(good - len(names)):
        suffix = ("jpg", "png")[number % 2]
        name = f"{number % 7}/deep/{number // 100}/{number:06d}.{suffix}"
        _write(_photo(generator), folder / name)
        names.add(name)
    skipped = {"notes.txt", "deep/labels.csv", "bomb.png", "self", "gone"}
    (folder / "notes.txt").write_text("not a picture")
    (folder / "deep" / "labels.csv").write_text("name,label\n")
    (folder / "bomb.png").write_bytes(_bomb(60_000))
    for number in range(broken):
        suffix = BROKEN[number % len(BROKEN)]
        whole = folder / f"broken {number}{suffix}"
        _write(_photo(generator), whole)
        whole.write_bytes(whole.read_bytes()[: (0, 20, 900)[number % 3]])
        skipped.add(whole.name)
    (folder / "deep" / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "self").symlink_to(folder / "self")
    (folder / "gone").symlink_to(folder / "unplugged disk" / "cat.png")
    (folder / ".hidden.png").write_bytes(b"a thumbnail that some system left")
    return names, skipped


def _odd(folder: Path) -> set[str]:
    red = Image.new("RGB", (40, 30), "red")
    exif = Image.Exif()
    exif[0x0112] = 6
    pictures = {
        "cat.a.png": red,
        "cat.b.png": Image.new("RGB", (40, 30), "white"),
        "deep/cat.a.png": Image.new("RGB", (40, 30), "blue"),
        "cat.a.jpg": red,
        "cmyk.jpg": Image.new("CMYK", (40, 30), (0, 255, 255, 0)),
        "sixteen.png": Image.fromarray(np.full((30, 40), 65535, np.uint16)),
        "pixel.png": Image.new("RGB", (1, 1), "red"),
        "Ünïcode 猫.png": red,
    }
    for name, picture in pictures.items():
        _write(picture, folder / name)
    red.save(
        folder / "animated.gif",
        save_all=True,
        append_images=[Image.new("RGB", (40, 30), "black")],
    )
    # black on the left: shown upright, black on top
    left_black = np.zeros((30, 40, 3), np.uint8)
    left_black[:, 20:] = 255
    Image.fromarray(left_black).save(folder / "turned.png", exif=exif)
    return {*pictures, "animated.gif", "turned.png"}


def _photo(generator: np.random.Generator) -> Image.Image:
    noise = Image.fromarray(generator.integers(0, 256, (12, 16, 3), np.uint8))
    return noise.resize((96, 72))


def _write(picture: Image.Image, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    picture.save(file)


def _bomb(side: int) -> bytes:
    """A PNG file of a few kilobytes that unpacks to side x side x 3 bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1_000_000))
    chunks = chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


if __name__ == "__main__":
    place = Path(sys.argv[1])
    found = messy(place, int(sys.argv[2]) if len(sys.argv) > 2 else 10_000)
    print(
        f"{len(found[0])} pictures and {len(found[1])} files to be skipped in {place}"
    )
