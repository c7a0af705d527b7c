"""The command line, as a user meets it: it works, or says in one sentence why not, with
status 2 and nothing half-written.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import matplotlib.cbook
import numpy as np
import pytest
import tiny
import torch
from accelerate.state import AcceleratorState
from commands import fails, run
from PIL import Image
from safetensors.torch import save_file
from tiny import TINY as TINY_PRESET

from sr3mini import cli
from sr3mini.cli.base import say_shadowed
from sr3mini.cli.upscale import expanded
from sr3mini.data import read_picture
from sr3mini.model import checkpoint, presets
from sr3mini.model.checkpoint import load
from sr3mini.training import learn

TINY = ("--steps", "2")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "letter.png"
    Image.fromarray(np.full((8, 10), 200, np.uint8)).save(path)
    return path


def save(image: Image.Image, path: Path) -> Path:
    image.save(path)
    return path


def hopper(path: Path) -> Path:
    with Image.open(
        matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    ) as photograph:
        return save(photograph.crop((200, 80, 224, 100)), path)


@pytest.mark.parametrize(
    ("name", "make", "size", "mode"),
    [
        ("hopper.png", hopper, (96, 80), "RGB"),
        ("pixel.png", lambda p: save(Image.new("L", (1, 1), 90), p), (4, 4), "L"),
        (
            "sixteen.png",
            lambda p: save(
                Image.fromarray(np.arange(48, dtype=np.uint16).reshape(6, 8) * 1300), p
            ),
            (32, 24),
            "I;16",
        ),
        (
            "palette.gif",
            lambda p: save(Image.new("RGB", (8, 6), "red").quantize(4), p),
            (32, 24),
            "RGB",
        ),
        (
            "clear.png",
            lambda p: save(Image.new("RGBA", (5, 7), (0, 0, 0, 0)), p),
            (20, 28),
            "RGBA",
        ),
    ],
)
def test_upscale_makes_sense_of_every_kind(
    name: str, make, size: tuple[int, int], mode: str, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    run("upscale", make(tmp_path / name), "--out", tmp_path / "out", "--sheet", *TINY)
    with Image.open(tmp_path / "out" / f"{Path(name).stem}_x4.png") as result:
        assert (result.size, result.mode) == (size, mode)
    assert (tmp_path / "out" / f"{Path(name).stem}_x4_sheet.png").is_file()


def test_colours_and_brightness_survive(tmp_path: Path) -> None:
    flat = save(Image.new("RGB", (8, 8), (240, 250, 255)), tmp_path / "sky.png")
    run("upscale", flat, "--out", tmp_path / "out", "--steps", "10")
    result = read_picture(tmp_path / "out" / "sky_x4.png")
    assert result.mean(dim=(1, 2)).tolist() == pytest.approx([0.88, 0.96, 1.0], abs=0.1)


def test_samples_differ_and_a_seed_repeats_exactly(
    picture: Path, tmp_path: Path
) -> None:
    for folder in ("a", "b"):
        run(
            "upscale",
            picture,
            "--out",
            tmp_path / folder,
            "--samples",
            "2",
            "--seed",
            "3",
            *TINY,
        )
    first, second = (
        (tmp_path / "a" / f"letter_x4_{k}.png").read_bytes() for k in (1, 2)
    )
    assert first != second
    assert first == (tmp_path / "b" / "letter_x4_1.png").read_bytes()


def test_two_pictures_of_one_stem_both_survive(picture: Path, tmp_path: Path) -> None:
    other = save(Image.new("L", (4, 4)), tmp_path / "letter.bmp")
    run("upscale", picture, other, "--out", tmp_path / "out", *TINY)
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "letter_png_x4.png",
        "letter_bmp_x4.png",
    }


def test_a_picture_that_is_missing_broken_or_none_stops_everything(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    text, cut = tmp_path / "text.png", tmp_path / "cut.png"
    text.write_text("no picture")
    cut.write_bytes(picture.read_bytes()[:40])
    (tmp_path / "empty").mkdir()
    unread = "could not be read"
    for bad, word in [
        (tmp_path / "none.png", "No such file or directory"),
        (tmp_path / "empty", "no picture below"),
        (text, unread),
        (cut, unread),
    ]:
        assert word in fails(capsys, "upscale", picture, bad, "--out", out)
        assert not out.exists()  # the good picture before it was not written either


def test_a_model_that_is_none(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cut.safetensors").write_bytes(b"\x20\x00\x00\x00\x00\x00\x00\x00{")
    (tmp_path / "pickle.safetensors").write_bytes(pickle.dumps({"a": 1}))
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    wrong = {
        "no_such": "neither shipped",
        "cut.safetensors": "safetensors",
        "pickle.safetensors": "safetensors",
        "other.safetensors": "no preset",
    }
    for model, word in wrong.items():
        path = model if model == "no_such" else tmp_path / model
        assert word in fails(
            capsys, "upscale", picture, "--model", path, "--out", tmp_path / "out"
        )
        assert word in fails(capsys, "evaluate", "--model", path)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written(
    picture: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "letter.png" in fails(
        capsys, "upscale", picture, "--out", picture / "below", *TINY
    )

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sr3mini.upscaling.upscale_files.write", full)
    assert "No space left" in fails(
        capsys, "upscale", picture, "--out", tmp_path / "full", *TINY
    )
    assert list((tmp_path / "full").iterdir()) == []


@pytest.mark.parametrize(
    ("verb", "option", "value"),
    [
        *(
            ("upscale", "--steps", 0),
            ("upscale", "--steps", 5000),
            ("upscale", "--samples", 0),
            ("upscale", "--seed", -1),
            ("upscale", "--seed", 10**30),
        ),
        *(
            ("evaluate", "--steps", 5000),
            ("evaluate", "--samples", 0),
            ("evaluate", "--count", 0),
            ("evaluate", "--seed", -1),
        ),
        *(("train", "--steps", 0), ("train", "--seed", 10**30)),
    ],
)
def test_numbers_out_of_range(
    verb: str,
    option: str,
    value: int,
    picture: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = sorted(tmp_path.rglob("*"))
    arguments = {
        "upscale": (picture, "--out", tmp_path / "out"),
        "evaluate": (),
        "train": ("--preset", "glyphs_8_32", "--out", tmp_path / "out"),
    }[verb]
    assert f"{option[2:]} = {value}, but it must lie between" in fails(
        capsys, verb, *arguments, option, value
    )
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("no_verb",),
        ("upscale", "--colour", "x"),
        ("upscale", "a.png", "--steps", "many"),
    ],
)
def test_what_the_command_line_does_not_know_is_status_2(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        run(*arguments)
    assert stop.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_no_picture_and_a_file_in_the_place_of_the_folder(
    picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "name at least one picture" in fails(capsys, "upscale")
    assert "letter.png" in fails(capsys, "upscale", picture, "--out", picture)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_result_too_large_for_memory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No machine has the memory: told before anything is computed."""
    small = save(Image.new("L", (3, 2)), tmp_path / "small.png")
    said = fails(
        capsys, "upscale", small, "--size", "1200000x800000", "--out", tmp_path / "out"
    )
    assert "small.png would become 3145728x2097152 on the way, which takes" in said
    assert "GB are free: ask for a smaller --factor or --size, or cut" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--size", "640"), "size = '640', but it must be a width and a height"),
        (("--size", "0x7"), "size = '0x7'"),
        (("--factor", "0"), "factor = 0, but it must lie between 0 and 1000"),
        (("--factor", "2", "--size", "8x8"), "without --size"),
        (("--tile", "8"), "tile = 8, but it must lie between 16 and"),
        (
            ("--device", "toaster"),
            "device = 'toaster', but this machine does not have it",
        ),
        (("--format", "jpg", "--factor", "900"), "a jpg ends at 65535 pixels a side"),
    ],
)
def test_wishes_that_make_no_sense(
    options: tuple[str, ...],
    word: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = save(Image.new("L", (90, 8)), tmp_path / "wide.png")
    assert word in fails(capsys, "upscale", path, *options, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_is_overwritten_unless_asked(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    run("upscale", picture, "--out", out, *TINY)
    before = (out / "letter_x4.png").read_bytes()
    capsys.readouterr()
    assert "letter_x4.png is there already" in fails(
        capsys, "upscale", picture, "--out", out, "--seed", 1, *TINY
    )
    assert (out / "letter_x4.png").read_bytes() == before
    run("upscale", picture, "--out", out, "--seed", 1, "--overwrite", *TINY)
    assert (out / "letter_x4.png").read_bytes() != before


@pytest.mark.filterwarnings("default:skipped")  # as outside of tests
def test_a_folder_with_a_file_that_is_no_picture_ends_with_status_2_and_all_others_done(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.png").write_text("no picture")
    with pytest.raises(SystemExit) as stop:
        run("upscale", tmp_path, "--out", tmp_path / "out", *TINY)
    printed = capsys.readouterr()
    assert stop.value.code == 2
    assert printed.out.split() == [str(tmp_path / "out" / "letter_x4.png")]
    said = [line for line in printed.err.splitlines() if line.startswith("sr3mini: ")]
    assert (
        said[0]
        == f"sr3mini: skipped: {tmp_path / 'bad.png'} could not be read as a picture"
        " (no known picture format)"
    )
    assert said[1].startswith("sr3mini: 1 of 2 pictures could not be upscaled")


def piped(given: bytes, *options: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [Path(sys.executable).with_name("sr3mini"), "upscale", "-", *options, *TINY],
        input=given,
        capture_output=True,
        check=False,
    )


def test_standard_input_to_standard_output(picture: Path, tmp_path: Path) -> None:
    """What goes through the pipe is the very file that the same command writes."""
    run("upscale", picture, "--out", tmp_path / "out", *TINY)
    done = piped(picture.read_bytes())
    assert done.returncode == 0, done.stderr
    assert done.stdout == (tmp_path / "out" / "letter_x4.png").read_bytes()


def test_standard_input_that_is_no_picture_and_a_dash_beside_other_pictures(
    picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = piped(b"no picture")
    assert (done.returncode, done.stdout) == (2, b"")
    assert (
        done.stderr
        == b"sr3mini: standard input could not be read as a picture (no known picture"
        b" format)\n"
    )
    assert "leave other pictures, --samples and --sheet out" in fails(
        capsys, "upscale", "-", picture
    )
    assert "leave other pictures, --samples and --sheet out" in fails(
        capsys, "upscale", "-", "--samples", 2
    )


@pytest.mark.filterwarnings("ignore:letter.png is stretched")
def test_two_models_are_a_cascade_and_a_size_is_met(
    picture: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    checkpoint.save(first, tiny.network(dataclasses.replace(TINY_PRESET, factor=2)))
    checkpoint.save(
        second, tiny.network(dataclasses.replace(TINY_PRESET, image_channels=3))
    )
    run(
        "upscale",
        picture,
        "--model",
        first,
        "--model",
        second,
        "--out",
        tmp_path / "out",
        "--dtype",
        "bfloat16",
    )
    run(
        "upscale",
        picture,
        "--model",
        first,
        "--model",
        second,
        "--out",
        tmp_path / "out",
        "--size",
        "33x17",
        "--format",
        "webp",
        "--device",
        "cpu",
    )
    with (
        Image.open(tmp_path / "out" / "letter_x8.png") as large,
        Image.open(tmp_path / "out" / "letter_33x17.webp") as other,
    ):
        assert (large.size, other.size) == ((80, 64), (33, 17))


def test_pictures_from_noise_alone(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = tmp_path / "free.safetensors", tmp_path / "out"
    checkpoint.save(
        model,
        tiny.network(
            dataclasses.replace(TINY_PRESET, conditional=False, factor=1, name="free")
        ),
    )
    run("generate", "--model", model, "--out", out, "--count", 3, *TINY)
    assert capsys.readouterr().out.split() == [
        str(out / name) for name in ("0001.png", "0002.png", "0003.png", "all.png")
    ]
    assert "is there already" in fails(
        capsys, "generate", "--model", model, "--out", out, *TINY
    )
    assert "use `sr3mini generate`" in fails(
        capsys, "upscale", picture, "--model", model, "--out", tmp_path / "large"
    )
    assert "use `sr3mini upscale`" in fails(
        capsys, "generate", "--model", "glyphs_8_32", "--out", tmp_path / "none"
    )
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_upscaling_that_is_stopped_leaves_nothing_half_written(
    how: signal.Signals, tmp_path: Path
) -> None:
    """The real signal, to a real process, once its progress bar shows a window."""
    path, out = (
        save(Image.new("L", (200, 200)), tmp_path / "large.png"),
        tmp_path / "out",
    )
    arguments = [
        Path(sys.executable).with_name("sr3mini"),
        "upscale",
        str(path),
        "--out",
        str(out),
        "--steps",
        "2000",
    ]
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        shown = ""
        while not re.search(r"[1-9]\d*/\d+ \[", shown):
            character = process.stderr.read(1)
            assert character, shown
            shown += character
        process.send_signal(how)
        _, complained = process.communicate(timeout=60)
    assert process.returncode == 130, complained
    assert complained.rstrip().endswith("sr3mini: stopped")
    assert list(out.iterdir()) == []


def test_a_device_without_numbers_is_refused(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "device = 'meta', but this machine does not have it" in fails(
        capsys, "upscale", own / "00.png", "--device", "meta"
    )


def test_other_verbs_say_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert "no preset 'none'" in fails(capsys, "train", "--preset", "none")
    assert "no picture below" in fails(capsys, "evaluate", "--data", tmp_path / "empty")
    assert "is not a folder" in fails(capsys, "evaluate", "--data", tmp_path / "none")


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        ("text.json", "no json"),
        ("list.json", "[1]"),
        ("none/card.json", None),
        ("", None),
    ],
)
def test_evaluate_looks_at_out_before_the_long_part(
    name: str,
    holds: str | None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / name
    if holds is not None:
        out.write_text(holds)
    monkeypatch.setattr(
        "sr3mini.evaluation.compare.drawn_cases",
        lambda *_, **__: pytest.fail("the evaluation began"),
    )
    assert str(out) in fails(capsys, "evaluate", "--out", out)
    assert holds is None or out.read_text() == holds


# Training -----------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of pictures, and a preset "tiny" that is trained on it in a moment."""
    monkeypatch.setitem(
        presets.PRESETS, "tiny", dataclasses.replace(TINY_PRESET, train_steps=3)
    )
    yield tiny.pictures(tmp_path / "own")
    AcceleratorState._reset_state(reset_partial_state=True)


def test_train_writes_a_model_its_record_and_samples(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("train", "--preset", "tiny", "--data", own, "--out", tmp_path / "out")
    written = [
        "README.md",
        "config.json",
        "metrics.jsonl",
        "model.json",
        "model.safetensors",
        "samples.png",
        "state",
    ]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == written
    assert capsys.readouterr().out.startswith("wrote ")
    run(
        "upscale",
        own / "00.png",
        "--model",
        tmp_path / "out",
        "--out",
        tmp_path / "large",
        *TINY,
    )
    assert read_picture(tmp_path / "large" / "00_x4.png").shape == (1, 64, 64)
    run("evaluate", "--model", tmp_path / "out", "--data", own, "--samples", 1, *TINY)
    assert "12 pictures of " in capsys.readouterr().out


@pytest.mark.filterwarnings("default:the training goes on")  # as outside of tests
def test_a_training_is_not_begun_over_another_and_goes_on_where_it_was_asked_to(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a preset of one's own from a file, another batch and another rate, which the
    record repeats.
    """
    file, out = tmp_path / "mine.json", tmp_path / "out"
    file.write_text(dataclasses.replace(TINY_PRESET, train_steps=2).to_json())
    command = (
        "train",
        "--preset",
        file,
        "--data",
        own,
        "--out",
        out,
        "--batch-size",
        4,
        "--micro-batches",
        2,
        "--learning-rate",
        0.001,
    )
    run(*command)
    capsys.readouterr()
    assert "came to step 2: pass --resume to go on with it" in fails(capsys, *command)
    run(*command, "--steps", 4, "--resume", "--precision", "bf16")
    assert (
        "sr3mini: the training goes on with train_steps = 4 instead of 2, precision ="
        " bf16 instead of no" in capsys.readouterr().err
    )
    about = json.loads((out / "model.json").read_text())
    assert (
        about["trained"] == "sr3mini train --preset config.json --seed 0 --steps 4"
        f" --data {own} --precision bf16"
    )
    assert (about["steps"], about["complete"]) == (4, True)
    assert "no preset 'mine'" in fails(capsys, "train", "--preset", "mine")
    assert "none.json" in fails(capsys, "train", "--preset", tmp_path / "none.json")
    file.write_text("{")
    said = fails(capsys, "train", "--preset", file, "--data", own)
    assert f"{file}: this preset is no JSON" in said


@pytest.mark.filterwarnings("default:skipped")  # as outside of tests
def test_a_picture_that_cannot_be_read_is_named_in_a_plain_line(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own / "05.png").write_text("no picture")
    run(
        "train",
        "--preset",
        "tiny",
        "--data",
        own,
        "--out",
        tmp_path / "out",
        "--steps",
        12,
    )
    said = [
        line
        for line in capsys.readouterr().err.splitlines()
        if line.startswith("sr3mini: ")
    ]
    assert said == [
        f"sr3mini: skipped: {own / '05.png'} could not be read as a picture (no known"
        " picture format)"
    ]


def test_what_goes_wrong_in_training_is_one_sentence(
    own: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out"
    assert "pass --data" in fails(capsys, "train", "--preset", "tiny", "--out", out)
    assert "leave --data out" in fails(
        capsys, "train", "--preset", "glyphs_8_32", "--data", own, "--out", out
    )
    assert "00.png" in fails(
        capsys, "train", "--preset", "tiny", "--data", own, "--out", own / "00.png"
    )
    assert not out.exists()
    monkeypatch.setattr(
        learn,
        "denoising_loss",
        lambda f, x, y_0, *_: f(x, y_0, torch.ones(len(x))).sum() * float("nan"),
    )
    assert "became nan at step 0" in fails(
        capsys, "train", "--preset", "tiny", "--data", own, "--out", out
    )
    assert list(out.iterdir()) == []


def test_ctrl_c_before_anything_was_learnt_is_status_130(
    own: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(learn, "denoising_loss", interrupt)
    with pytest.raises(SystemExit) as stop:
        run("train", "--preset", "tiny", "--data", own, "--out", tmp_path / "out")
    assert stop.value.code == 130
    assert "sr3mini: stopped" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


ENDLESS = """
import dataclasses, sys
from sr3mini import cli
from sr3mini.cli.base import say_shadowed
from sr3mini.cli.upscale import expanded
from sr3mini.model import preset, presets
tiny = preset.Preset.from_json(sys.argv[1])
presets.PRESETS["tiny"] = dataclasses.replace(tiny, train_steps=10**6)
cli.main(sys.argv[2:])
"""


def test_ctrl_c_keeps_what_was_learnt(tmp_path: Path) -> None:
    """The real signal, to a real process, once its progress bar shows steps."""
    own, out = tiny.pictures(tmp_path / "own"), tmp_path / "out"
    arguments = [
        sys.executable,
        "-c",
        ENDLESS,
        TINY_PRESET.to_json(),
        "train",
        "--preset",
        "tiny",
        "--data",
        str(own),
        "--out",
        str(out),
    ]
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        shown = ""
        while "loss=" not in shown:
            character = process.stderr.read(1)
            assert character, shown
            shown += character
        process.send_signal(signal.SIGINT)
        said, complained = process.communicate(timeout=60)
    assert process.returncode == 0, complained
    steps = json.loads((out / "model.json").read_text())["steps"]
    assert steps >= 1
    assert re.search(
        rf"stopped after {steps} of 1000000 steps; keeping what was learnt",
        said + complained,
    )
    assert "Traceback" not in complained
    assert load(out).preset.name == "tiny"
    assert {"model.json", "model.safetensors", "samples.png", "state"} <= {
        p.name for p in out.iterdir()
    }


# Evaluation ---------------------------------------------------------------------------


def test_evaluate_prints_the_table_and_adds_it_to_a_card(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "card.json"
    out.write_text('{"trained": "earlier"}')
    run("evaluate", "--count", 6, "--samples", 2, *TINY, "--out", out)
    printed = capsys.readouterr().out
    stored = json.loads(out.read_text())
    assert stored["trained"] == "earlier"
    assert set(stored["metrics"]) == {"bicubic", "SR3", "mean of 2"}
    for row in stored["metrics"].values():
        assert f"{row['PSNR']:.2f}" in printed


def test_a_regression_preset_trains_saves_loads_draws_and_is_measured(
    own: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same commands as for SR3; one call, one answer, a row of its own, and no
    steps or samples to choose.
    """
    monkeypatch.setitem(
        presets.PRESETS,
        "tiny",
        dataclasses.replace(TINY_PRESET, train_steps=3, objective="regression"),
    )
    out, card = tmp_path / "out", tmp_path / "card.json"
    run("train", "--preset", "tiny", "--data", own, "--out", out)
    assert (
        json.loads((out / "model.json").read_text())["preset"]["objective"]
        == load(out).preset.objective
        == "regression"
    )
    run("upscale", own / "00.png", "--model", out, "--out", tmp_path / "large")
    assert {p.name for p in (tmp_path / "large").iterdir()} == {"00_x4.png"}
    capsys.readouterr()
    run("evaluate", "--model", out, "--data", own, "--count", 5, "--out", card)
    printed, stored = capsys.readouterr().out, json.loads(card.read_text())
    assert "5 pictures of " in printed
    assert "held-out" not in printed, "the training saw most of them"
    assert "1 network call a picture" in printed
    assert set(stored["metrics"]) == {"bicubic", "regression"}
    assert stored["metrics"]["regression"]["diversity"] == 0
    assert stored["evaluated"].endswith("--samples 8 --steps 1 --seed 0")
    assert "one answer to a picture: leave --samples out" in fails(
        capsys, "upscale", own / "00.png", "--model", out, "--samples", 2
    )
    assert (
        "tiny is a regression network and is called once a picture: leave --steps out"
        in fails(capsys, "upscale", own / "00.png", "--model", out, "--steps", 3)
    )
    assert "is called once a picture: leave --method out" in fails(
        capsys, "upscale", own / "00.png", "--model", out, "--method", "ddim"
    )
    run(
        "upscale",
        own / "00.png",
        "--model",
        "glyphs_8_32",
        "--model",
        out,
        "--steps",
        3,
        "--method",
        "ancestral",
        "--out",
        tmp_path / "chained",
    )
    assert {p.name for p in (tmp_path / "chained").iterdir()} == {"00_x16.png"}


def test_evaluate_says_how_many_calls_a_picture_took(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run("evaluate", "--count", 2, "--samples", 1, *TINY)
    assert (
        "2 held-out pictures of glyphs, 8 -> 32, 2 network calls a picture ("
        in capsys.readouterr().out
    )


def test_evaluate_asks_the_network_as_told_and_says_what_to_type_for_that(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Algorithm 2 is one word away from any model, and takes its own hundred calls."""
    out, card = tmp_path / "out", tmp_path / "card.json"
    preset = dataclasses.replace(TINY_PRESET, sampling_method="multistep")
    out.mkdir()
    checkpoint.save(out / "model.safetensors", tiny.network(preset))
    command = ("evaluate", "--model", out, "--data", own, "--count", 1, "--samples", 1)
    for told, said in {
        (): "4 network calls a picture (multistep)",
        ("--method", "ancestral"): "100 network calls a picture (ancestral)",
        ("--method", "ddim", "--steps", 3): "3 network calls a picture (ddim)",
    }.items():
        run(*command, *told, "--out", card)
        assert said in capsys.readouterr().out
    evaluated = json.loads(card.read_text())["evaluated"]
    assert evaluated.endswith("--samples 1 --steps 3 --method ddim --seed 0")


def test_the_installed_command() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("sr3mini"), "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert {"train", "upscale", "evaluate"} <= set(
        done.stdout.replace("{", " ").replace("}", " ").replace(",", " ").split()
    )


# What is said -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("a\nb\x1b[31mc"), r"a b\x1b[31mc"),
        (ValueError("x" * 300_000), "x" * 900 + " [...] " + "x" * 500),
        (KeyError("no such"), "no such"),
        (KeyError(), "KeyError"),
        (MemoryError("Unable to allocate 3 GiB"), "Unable to allocate 3 GiB"),
        (FileNotFoundError(2, "No such file", "\x07.png"), r"\x07.png: No such file"),
        (UnicodeEncodeError("charmap", "猫", 0, 1, "no"), "can't encode"),
        (ImportError("no lpips"), "pip install"),
    ],
)
def test_a_mistake_is_one_line_of_words(error: BaseException, said: str) -> None:
    sentence = cli._sentence(error)
    assert said in sentence
    assert len(sentence) <= 1500
    assert sentence.isprintable()


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_console_prints_the_names_of_any_pictures(
    encoding: str, tmp_path: Path
) -> None:
    """In a process of its own, with the console's encoding; one name is no Unicode."""
    for name in ("猫.png", "é.png", "😀.png", os.fsdecode(b"\x93\xfa.png")):
        Image.new("L", (2, 2)).save(tmp_path / "in.png")
        (tmp_path / "pictures").mkdir(exist_ok=True)
        (tmp_path / "in.png").rename(tmp_path / "pictures" / name)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "sr3mini", "upscale", tmp_path / "pictures"),
            *("--out", tmp_path / "out", "--model", "glyphs_8_32", *TINY),
        ],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == len(list((tmp_path / "out").iterdir())) == 4


# Words that are none ------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("upscale", ""),
        ("upscale", "a.png", "--out", ""),
        ("upscale", "a.png", "--out="),
        ("train", "--preset", "tiny", "--data", ""),
        ("train", "--preset", "", "--data", "x"),
        ("evaluate", "--references", " ", "--bicubic", "2"),
        ("evaluate", "--data="),
        ("prepare", ""),
        ("prepare", "x", "--out", "\t"),
        ("generate", "--model", ""),
    ],
)
def test_an_empty_argument_is_no_folder(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "is empty; is a variable not set?" in fails(capsys, *arguments)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.png", ["a.png", "b.png"]),
        ("?.jpg", ["c.jpg"]),
        ("[ab].png", ["a.png", "b.png"]),
        ("**/*.gif", ["deep/d.gif"]),
        ("e[1].png", ["e[1].png"]),
        ("*", ["a.png", "b.png", "c.jpg", "deep", "e[1].png"]),
    ],
)
def test_a_pattern_that_a_shell_left_is_expanded(
    pattern: str, found: list[str], tmp_path: Path
) -> None:
    for name in ("a.png", "b.png", "c.jpg", "deep/d.gif", "e[1].png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    if pattern == "*.png":
        (tmp_path / "e[1].png").unlink()
    assert expanded((tmp_path / pattern,)) == tuple(tmp_path / name for name in found)


@pytest.mark.parametrize("pattern", ["*.tif", "[xyz].png", "none/?.png"])
def test_a_pattern_that_fits_nothing_is_told(
    pattern: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"no file fits {pattern}" in fails(capsys, "upscale", pattern)


@pytest.mark.filterwarnings("default")
def test_a_folder_named_like_what_is_shipped_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("glyphs", "glyphs_8_32", "own"):
        (tmp_path / name).mkdir()
    for name in ("glyphs", "glyphs_8_32"):
        with pytest.warns(UserWarning, match=rf"write \./{name} for what lies here"):
            say_shadowed(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        say_shadowed("own", "photos_16_64", "./glyphs", "")
