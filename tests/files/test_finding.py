"""Which files are pictures: one rule for all verbs, whatever the files are called."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from commands import run
from PIL import Image
from tiny import TINY, network

from sr3mini.files.finding import names_below, walk
from sr3mini.files.kinds import endings, formats, is_picture
from sr3mini.model import checkpoint

PICTURE = Image.fromarray(
    np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
)
# by what Pillow calls it: what it may be named
NAMED = {
    "JPEG": "IMG_0001.JPG_large",
    "PNG": "download",
    "WEBP": "photo.webp.1",
    "BMP": "a.bmp.bak",
    "GIF": "b.picture",
    "TIFF": "scan.dat",
    "PPM": "c.p6",
    "AVIF": "d.hdr10",
    "JPEG2000": "e.jpk",
    "QOI": "f.q",
    "DDS": "g.texture",
    "ICO": "favicon",
    "SGI": "h.iris",
    "PCX": "i.0",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Every kind under an odd name, and what is none under names that promise."""
    place = tmp_path / "mixed"
    place.mkdir()
    for kind, name in NAMED.items():
        PICTURE.save(place / name, kind)
    PICTURE.save(place / "k.tga")  # which has no signature: its ending tells
    tifffile.imwrite(place / "float64", np.random.default_rng(0).random((24, 24)))
    (place / "n.hdr").write_bytes(b"#?RADIANCE\n")
    (place / "o.nii").write_bytes(bytes(400))
    (place / "p.bin").write_bytes(os.urandom(4000))
    (place / "q.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    (place / "empty").touch()
    return place


@pytest.mark.parametrize("kind", NAMED)
def test_a_picture_is_one_whatever_it_is_called(kind: str, tmp_path: Path) -> None:
    path = tmp_path / NAMED[kind]
    PICTURE.save(path, kind)
    assert path.suffix.lower() not in endings()
    assert is_picture(path)


def test_what_is_none_is_counted_by_its_ending(folder: Path) -> None:
    with pytest.warns(UserWarning, match="no pictures: ") as said:
        found = names_below(folder).all()
    assert sorted(found) == sorted([*NAMED.values(), "k.tga", "float64"])
    (told,) = (str(warning.message) for warning in said)
    assert "1 .hdr (high dynamic range: write it as a TIFF" in told
    assert "1 .eps (a drawing or document: turn it into PNG first)" in told
    for ending in (".nii", ".bin", "without an ending"):
        assert f"1 {ending}" in told


@pytest.mark.filterwarnings("ignore:left out below", "ignore:too few pictures")
def test_all_verbs_take_the_same_files(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "float64").unlink()
    wanted = {*NAMED.values(), "k.tga"}
    model = tmp_path / "tiny.safetensors"
    checkpoint.save(model, network(TINY))
    run("upscale", folder, "--model", model, "--out", tmp_path / "large")
    assert len(list((tmp_path / "large").iterdir())) == len(wanted)
    run("prepare", folder, "--size", 16, "--jobs", 1, "--out", tmp_path / "made")
    made = {name.removesuffix(".webp") for name in walk(tmp_path / "made")}
    assert made - {"prepared.json", "train.names", "test.names"} == wanted
    capsys.readouterr()
    run("evaluate", "--references", folder, "--bicubic", 4)
    assert f"{len(wanted)} pictures of" in capsys.readouterr().out


def test_no_other_program_is_handed_a_file() -> None:
    for ending in ("", ".eps", ".ps", ".wmf", ".emf", ".fits", ".h5"):
        assert not {"EPS", "WMF", "FITS", "HDF5"} & set(formats(ending))


def test_what_may_be_listed_and_not_entered_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    PICTURE.save(tmp_path / "a.png")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe.png")
    assert list(walk(tmp_path)) == ["a.png", "loop"]
