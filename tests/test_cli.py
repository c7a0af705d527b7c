"""The command line, as a user meets it: it works, or says in one sentence why not, with status 2 and nothing half-written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import matplotlib.cbook
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from sr3mini import cli
from sr3mini.data import read_picture

TINY = ("--steps", "2")


def run(*arguments: object) -> None:
    cli.main([str(a) for a in arguments])


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as stop:
        run(*arguments)
    assert stop.value.code == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("sr3mini: ")
    return said


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "letter.png"
    Image.fromarray(np.full((8, 10), 200, np.uint8)).save(path)
    return path


def save(image: Image.Image, path: Path) -> Path:
    image.save(path)
    return path


def hopper(path: Path) -> Path:
    with Image.open(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)) as photograph:
        return save(photograph.crop((200, 80, 224, 100)), path)


@pytest.mark.parametrize(
    ("name", "make", "size", "mode"),
    [
        ("hopper.png", hopper, (96, 80), "RGB"),
        ("pixel.png", lambda p: save(Image.new("L", (1, 1), 90), p), (4, 4), "L"),
        ("sixteen.png", lambda p: save(Image.fromarray(np.arange(48, dtype=np.uint16).reshape(6, 8) * 1300), p), (32, 24), "L"),
        ("palette.gif", lambda p: save(Image.new("RGB", (8, 6), "red").quantize(4), p), (32, 24), "RGB"),
        ("clear.png", lambda p: save(Image.new("RGBA", (5, 7), (0, 0, 0, 0)), p), (20, 28), "RGB"),
    ],
)
def test_upscale_makes_sense_of_every_kind(name: str, make, size: tuple[int, int], mode: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    run("upscale", make(tmp_path / name), "--out", tmp_path / "out", *TINY)
    with Image.open(tmp_path / "out" / f"{Path(name).stem}_x4_1.png") as result:
        assert (result.size, result.mode) == (size, mode)
    assert (tmp_path / "out" / f"{Path(name).stem}_x4_sheet.png").is_file()


def test_colours_and_brightness_survive(tmp_path: Path) -> None:
    flat = save(Image.new("RGB", (8, 8), (240, 250, 255)), tmp_path / "sky.png")
    run("upscale", flat, "--out", tmp_path / "out", "--steps", "10")
    result = read_picture(tmp_path / "out" / "sky_x4_1.png")
    assert result.mean(dim=(1, 2)).tolist() == pytest.approx([0.88, 0.96, 1.0], abs=0.1)


def test_samples_differ_and_a_seed_repeats_exactly(picture: Path, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        run("upscale", picture, "--out", tmp_path / folder, "--samples", "2", "--seed", "3", *TINY)
    first, second = ((tmp_path / "a" / f"letter_x4_{k}.png").read_bytes() for k in (1, 2))
    assert first != second
    assert first == (tmp_path / "b" / "letter_x4_1.png").read_bytes()


def test_two_pictures_of_one_stem_both_survive(picture: Path, tmp_path: Path) -> None:
    other = save(Image.new("L", (4, 4)), tmp_path / "letter.bmp")
    run("upscale", picture, other, "--out", tmp_path / "out", *TINY)
    assert {p.name for p in (tmp_path / "out").glob("*_1.png")} == {"letter_png_x4_1.png", "letter_bmp_x4_1.png"}


def test_a_picture_that_is_missing_broken_or_none_stops_everything(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    text, cut = tmp_path / "text.png", tmp_path / "cut.png"
    text.write_text("no picture")
    cut.write_bytes(picture.read_bytes()[:40])
    for bad, word in [(tmp_path / "none.png", "does not exist"), (tmp_path, "is a folder"), (text, "could not be read"), (cut, "could not be read")]:
        assert word in fails(capsys, "upscale", picture, bad, "--out", out)
        assert not out.exists()  # the good picture before it was not written either


def test_a_model_that_is_none(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cut.safetensors").write_bytes(b"\x20\x00\x00\x00\x00\x00\x00\x00{")
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    for model, word in [("no_such", "neither shipped"), (tmp_path / "cut.safetensors", "safetensors"), (tmp_path / "other.safetensors", "no preset")]:
        assert word in fails(capsys, "upscale", picture, "--model", model, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert "letter.png" in fails(capsys, "upscale", picture, "--out", picture / "below", *TINY)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    assert "No space left" in fails(capsys, "upscale", picture, "--out", tmp_path / "full", *TINY)
    assert list((tmp_path / "full").iterdir()) == []


@pytest.mark.parametrize(("option", "value"), [("--steps", 0), ("--steps", 5000), ("--samples", 0)])
def test_numbers_out_of_range(option: str, value: int, picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"{option[2:]} = {value}" in fails(capsys, "upscale", picture, option, value)


def test_a_result_too_large_for_memory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    large = save(Image.new("L", (3000, 2000)), tmp_path / "large.png")
    assert "12000x8000" in fails(capsys, "upscale", large, "--out", tmp_path / "out")


def test_other_verbs_say_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert "no preset 'none'" in fails(capsys, "train", "--preset", "none")
    assert "no picture below" in fails(capsys, "evaluate", "--data", tmp_path / "empty")
    assert "count = 0" in fails(capsys, "evaluate", "--count", 0)


def test_evaluate_prints_the_table_and_adds_it_to_a_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "card.json"
    out.write_text('{"trained": "earlier"}')
    run("evaluate", "--count", 6, "--samples", 2, *TINY, "--out", out)
    printed = capsys.readouterr().out
    stored = json.loads(out.read_text())
    assert stored["trained"] == "earlier"
    assert set(stored["metrics"]) == {"bicubic", "SR3", "mean of 2"}
    for row in stored["metrics"].values():
        assert f"{row['PSNR']:.2f}" in printed


def test_the_installed_command() -> None:
    done = subprocess.run([Path(sys.executable).with_name("sr3mini"), "--help"], capture_output=True, text=True, check=True)
    assert {"train", "upscale", "evaluate"} <= set(done.stdout.replace("{", " ").replace("}", " ").replace(",", " ").split())
