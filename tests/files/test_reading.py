"""What a picture file carries comes through: every bit of its colours, transparency,
orientation, profile, EXIF.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from checks import close
from PIL import Image, ImageCms, PngImagePlugin
from tiny import numbers, png

from sr3mini.files.ranges import from_stored
from sr3mini.files.reading import PictureFile, read, read_picture


def smooth(size: tuple[int, int] = (200, 300)) -> np.ndarray:
    rows, columns = np.mgrid[: size[0], : size[1]]
    waves = [
        127 + 120 * np.sin(rows / a + columns / b)
        for a, b in ((19, 31), (47, 11), (23, 53))
    ]
    return (
        (np.stack(waves, axis=-1) + np.random.default_rng(0).normal(0, 2, (*size, 3)))
        .clip(0, 255)
        .astype(np.uint8)
    )


def whole(picture: PictureFile) -> np.ndarray:
    return (
        picture.colour
        if picture.alpha is None
        else np.concatenate([picture.colour, picture.alpha[..., None]], axis=2)
    )


def encoded(image: Image.Image, kind: str = "png", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


# Writing ------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_bit_of_every_kind_of_png_is_there_again(
    channels: int, depth: int
) -> None:
    array = numbers(channels, depth)
    picture = read(png(array))
    assert picture.colour.dtype == array.dtype
    assert (picture.alpha is None) == (channels in (1, 3))
    assert np.array_equal(whole(picture), array)


def test_a_picture_of_one_pixel_and_one_of_long_rows() -> None:
    for depth in (8, 16):
        for size in ((1, 1), (1, 400_000), (2000, 1)):
            array = numbers(3, depth, size)
            assert np.array_equal(read(png(array)).colour, array)


# Reading ------------------------------------------------------------------------------


def tiff(array: np.ndarray, **how: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, array, photometric="rgb", **how)
    return file.getvalue()


@pytest.mark.parametrize(
    "how",
    [
        {"byteorder": "<"},
        {"byteorder": ">"},
        {"byteorder": ">", "compression": "zlib"},
        {"compression": "lzw", "predictor": True},
        {"tile": (16, 16)},
        {"rowsperstrip": 5},
    ],
    ids=str,
)
def test_the_16_bits_of_a_colour_tiff(how: dict[str, object]) -> None:
    array = numbers(3, 16)
    assert np.array_equal(read(tiff(array, **how)).colour, array)
    clear = read(tiff(numbers(4, 16), extrasamples=["unassalpha"], **how))
    assert np.array_equal(whole(clear), numbers(4, 16))


def test_a_tiff_of_planes_and_one_multiplied_by_its_alpha() -> None:
    array = numbers(3, 16)
    planes = tiff(array.transpose(2, 0, 1), planarconfig="separate")
    assert np.array_equal(read(planes).colour, array)
    half = np.full((23, 17, 4), 20_000, np.uint16)
    half[..., 3] = 40_000
    picture = read(tiff(half, extrasamples=["assocalpha"]), (0.0, 65535.0))
    assert picture.alpha is not None
    assert abs(picture.colour / np.iinfo(picture.colour.dtype).max - 0.5).max() < 0.01


@pytest.mark.parametrize("tag", ["StripOffsets", "StripByteCounts"])
@pytest.mark.parametrize(
    "how",
    [
        {"rowsperstrip": 4},
        {"rowsperstrip": 4, "compression": "zlib"},
        {"rowsperstrip": 16, "planarconfig": "separate"},
    ],
)
@pytest.mark.parametrize("lost", [1, 2])
def test_a_tiff_that_lacks_strips_is_refused(
    lost: int, how: dict[str, object], tag: str
) -> None:
    """tifffile alone fills what is missing with 0, and only remarks on it."""
    planes = "planarconfig" in how
    array = numbers(3, 16, (16, 12))
    given = array.transpose(2, 0, 1).copy() if planes else array
    content = tiff(given, **how)
    with tifffile.TiffFile(io.BytesIO(content)) as opened:
        entry = opened.pages.first.tags[tag]  # type: ignore[union-attr]
        assert entry.count > 2
        if tag == "StripOffsets":
            at, changed = entry.offset + 4, struct.pack("<I", entry.count - lost)
        else:
            size = {3: 2, 4: 4}[int(entry.dtype)]
            at, changed = entry.valueoffset, bytes(size * lost)
    content = content[:at] + changed + content[at + len(changed) :]
    with pytest.raises(ValueError, match=r"lacks some of its . strips or tiles"):
        read(content)


def test_a_cut_tiff_is_told_in_a_sentence() -> None:
    for how in ({}, {"compression": "zlib"}, {"tile": (16, 16)}):
        file = tiff(numbers(3, 16), **how)
        for cut in (10, len(file) // 2, len(file) - 300):
            with pytest.raises(ValueError, match="could not be read as a picture"):
                read(file[:cut])


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_training_and_use_decode_a_file_alike(
    channels: int, depth: int, tmp_path: Path
) -> None:
    array = numbers(channels, depth)
    (tmp_path / "a.png").write_bytes(png(array))
    seen = from_stored(array)
    if channels in (2, 4):
        seen = 1 + (seen[:-1] - 1) * (seen[-1:] + 1) / 2
    close(read_picture(tmp_path / "a.png"), seen, 1e-6, "on white")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("depth", [8, 16])
def test_a_picture_is_turned_upright_and_its_exif_says_so(
    orientation: int, depth: int
) -> None:
    array, exif = numbers(3, depth), Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "a camera"
    stored = png(array, exif=exif.tobytes())
    ways = [
        lambda a: a,
        np.fliplr,
        lambda a: np.rot90(a, 2),
        np.flipud,
        lambda a: a.swapaxes(0, 1),
    ]
    ways += [
        lambda a: np.rot90(a, -1),
        lambda a: np.rot90(a, 2).swapaxes(0, 1),
        lambda a: np.rot90(a, 1),
    ]
    picture = read(stored)
    assert np.array_equal(picture.colour, ways[orientation - 1](array))
    kept = Image.Exif()
    kept.load(picture.carried["exif"])
    assert dict(kept) == {0x010F: "a camera"}


def test_exif_keeps_place_and_exposure_and_loses_the_sizes() -> None:
    exif = Image.Exif()
    exif[0x8769], exif[0x8825] = (
        {
            0x9003: "2026:01:02 03:04:05",
            0xA002: 17,
            0xA003: 23,
        },
        {1: "N", 2: (47.0, 30.0, 0.0)},
    )
    picture = read(encoded(Image.fromarray(numbers(3, 8)), "jpeg", exif=exif))
    kept = Image.Exif()
    kept.load(picture.carried["exif"])
    assert kept.get_ifd(0x8769) == {0x9003: "2026:01:02 03:04:05"}
    assert kept.get_ifd(0x8825)[1] == "N"


@pytest.mark.parametrize("depth", [8, 16])
def test_profile_gamma_and_resolution_are_carried_over(depth: int) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    info = PngImagePlugin.PngInfo()
    info.add(b"gAMA", struct.pack(">I", 45455))
    info.add(b"cHRM", struct.pack(">8I", *range(31270, 31278)))
    picture = read(
        encoded(
            Image.fromarray(numbers(3, 8)),
            icc_profile=profile,
            dpi=(300, 150),
            pnginfo=info,
        )
    )
    assert picture.carried["dpi"] == pytest.approx((300, 150), abs=0.02)
    carried = picture.carried | {"dpi": (1200.0, 600.0)}
    with Image.open(io.BytesIO(png(numbers(3, depth), **carried))) as again:
        again.load()
        assert again.info["icc_profile"] == profile
        assert again.info["gamma"] == pytest.approx(0.45455)
        assert again.info["chromaticity"] == pytest.approx(
            [v / 1e5 for v in range(31270, 31278)]
        )
        assert again.info["dpi"] == pytest.approx((1200, 600), abs=0.02)


@pytest.mark.parametrize("depth", [8, 16])
def test_srgb_is_carried_over_without_a_profile(depth: int) -> None:
    info = PngImagePlugin.PngInfo()
    info.add(b"sRGB", b"\1")
    carried = read(encoded(Image.fromarray(numbers(3, 8)), pnginfo=info)).carried
    assert carried == {"srgb": 1}
    assert read(png(numbers(3, depth), **carried)).carried == carried


def test_other_modes_become_grey_or_colour() -> None:
    image = Image.fromarray(smooth((20, 30)))
    cmyk = image.convert("CMYK")
    assert np.array_equal(
        read(encoded(cmyk, "tiff")).colour, np.asarray(cmyk.convert("RGB"))
    )
    assert read(encoded(image.convert("1"))).colour.shape == (20, 30, 1)
    assert read(encoded(image.convert("L"), "gif")).colour.shape[2] in (1, 3)
    assert np.array_equal(
        read(encoded(image.quantize(16))).colour,
        np.asarray(image.quantize(16).convert("RGB")),
    )
    clear = image.quantize(16)
    picture = read(encoded(clear, transparency=3))
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha == 0, np.asarray(clear) == 3)
    grey = read(encoded(Image.fromarray(numbers(1, 8)[..., 0]), transparency=7))
    assert grey.colour.shape[2] == 1
    assert grey.alpha is not None


def test_a_cmyk_pictures_profile_is_used_up() -> None:
    """Its profile does not fit RGB, so it must not be carried over."""
    lab = Image.new("LAB", (3, 2), (200, 128, 128))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    picture = read(encoded(lab, "tiff", icc_profile=profile))
    assert picture.colour.shape == (2, 3, 3)
    assert np.ptp(picture.colour.astype(int)) < 8, "a grey has colour"
    assert picture.colour.mean() > 150
    assert "icc_profile" not in picture.carried


def test_the_first_frame_of_many_is_taken_and_told() -> None:
    frames = [Image.new("L", (4, 3), value) for value in (40, 200)]
    with pytest.warns(UserWarning, match="holds 2 pictures; the first is taken"):
        assert (
            read(
                encoded(frames[0], "gif", save_all=True, append_images=frames[1:])
            ).colour
            == 40
        ).all()


@pytest.mark.parametrize("cut", [0, 5, 20, 40, 200, -30])
def test_what_is_no_picture_is_told_in_a_sentence(cut: int, tmp_path: Path) -> None:
    file = tmp_path / "cut.png"
    file.write_bytes(png(numbers(3, 16))[:cut] if cut else b"no picture")
    with pytest.raises(
        ValueError, match=r"cut\.png could not be read as a picture \(.+\)$"
    ):
        read(file)
    with pytest.raises(ValueError, match="standard input could not be read"):
        read(file.read_bytes())
    with pytest.raises(ValueError, match="No such file"):
        read(tmp_path / "none.png")
    with pytest.raises(ValueError, match="Is a directory"):
        read(tmp_path)


def test_a_picture_that_claims_a_gigantic_size_is_refused() -> None:
    bomb = bytearray(png(numbers(1, 8)))
    bomb[16:24] = struct.pack(">II", 100_000, 100_000)
    bomb[29:33] = struct.pack(">I", zlib.crc32(bytes(bomb[12:29])))
    with (
        warnings.catch_warnings(),
        pytest.raises(ValueError, match="could not be read"),
    ):
        read(bytes(bomb))


def test_a_picture_as_large_as_our_results_is_read_and_pillows_limit_stays_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """24000 x 16000 comes of a photograph of 24 million pixels; here the limits are a
    millionth of the real ones. A user's own limit counts.
    """
    monkeypatch.setattr("sr3mini.files.decoding.PILLOWS_LIMIT", 89)
    monkeypatch.setattr("sr3mini.files.decoding.LARGEST", 536)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 89)
    large, larger = (png(np.zeros((16, side, 1), np.uint8)) for side in (24, 48))
    assert read(large).size == (16, 24)
    assert Image.MAX_IMAGE_PIXELS == 89
    with pytest.raises(
        ValueError, match=r"Image size \(768 pixels\) exceeds limit of 536 pixels"
    ):
        read(larger)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 88)
    with pytest.raises(ValueError, match="exceeds limit of 176 pixels"):
        read(large)
