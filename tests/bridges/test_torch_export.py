"""f as a program of torch.export: the same numbers come out."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from checks import seeded

from sr3mini import cli
from sr3mini.bridges.torch_export import example, export_program
from sr3mini.model.checkpoint import save
from sr3mini.model.network import build
from sr3mini.model.preset import Preset
from sr3mini.sampler import sample
from sr3mini.schedule import NoiseSchedule

PRESETS = {
    "ours, with attention and padded sides": dataclasses.replace(
        tiny.TINY, multipliers=(1, 1, 2), attention=(2,), size=18, factor=3
    ),
    "unconditional": dataclasses.replace(
        tiny.TINY, multipliers=(1,), conditional=False, factor=1
    ),
    "of the public code": dataclasses.replace(
        tiny.TINY, layout="ddpm", image_channels=3, attention=(1,)
    ),
}


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_an_exported_program_computes_f_for_any_batch(
    preset: Preset, tmp_path: Path
) -> None:
    f = tiny.network(preset)
    assert export_program(f, tmp_path / "f.pt2") < 1e-5
    program = torch.export.load(tmp_path / "f.pt2").module()
    for batch in (1, 5):
        inputs = example(f, batch)
        assert f(*inputs).std() > 0.01
        assert (program(*inputs) - f(*inputs)).abs().max() < 1e-5
    assert [p.name for p in tmp_path.iterdir()] == ["f.pt2"]


def test_an_exported_program_can_be_sampled_from(tmp_path: Path) -> None:
    f, schedule = build(tiny.TINY), NoiseSchedule.linear(12, 1e-4, 0.5).respaced(5)
    export_program(f, tmp_path / "f.pt2")
    program = torch.export.load(tmp_path / "f.pt2").module()
    x, _, _ = example(f, 3)
    ours, theirs = (
        sample(each, x, schedule, (3, 1, 16, 16), generator=seeded(0))
        for each in (f, program)
    )
    assert (ours - theirs).abs().max() < 1e-5


def test_a_program_that_computes_something_else_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    f, real = build(tiny.TINY), torch.export.load

    class Wrong:
        def __init__(self, path: Path) -> None:
            self.program = real(path).module()

        def module(self) -> Any:
            return lambda *inputs: self.program(*inputs) + 0.01

    monkeypatch.setattr(torch.export, "load", Wrong)
    with pytest.raises(
        ValueError, match=r"is 1.0e-02 away from tiny, so .*f.pt2 was not written"
    ):
        export_program(f, tmp_path / "f.pt2")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["f.pt2", "f_gen.pth"])
@pytest.mark.parametrize("room", [0, 100, 4096, 60_000])
def test_a_disk_that_fills_is_one_sentence_and_leaves_nothing(
    name: str, room: int, tmp_path: Path
) -> None:
    """In a process of its own, which torch would end: its files may have so many
    bytes, once torch is loaded, which looks for a place for files of its own.
    """
    save(tmp_path / "model.safetensors", build(PRESETS["of the public code"]))
    program = (
        "import resource, signal, sys, torch; from sr3mini import cli;"
        " signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        " resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2);"
        " cli.main(sys.argv[2:])"
    )
    command = ["export", str(tmp_path), "--out", str(tmp_path / name)]
    done = subprocess.run(
        [sys.executable, "-c", program, str(room), *command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert re.fullmatch(rf"sr3mini: .*{name} could not be written: .*\n", done.stderr)
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_the_verb_writes_a_program(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "model.safetensors", build(tiny.TINY))
    cli.main(["export", str(tmp_path), "--out", str(tmp_path / "f.pt2")])
    printed = capsys.readouterr()
    assert printed.out.startswith(f"wrote {tmp_path / 'f.pt2'}; at most ")
    assert printed.err == ""
