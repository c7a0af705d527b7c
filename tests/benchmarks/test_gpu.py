"""The CPU twin of benchmarks/gpu.py: all its parts at tiny sizes, with nothing that the
machines that have a GPU lack.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from project import ROOT
from tiny import save

BENCHMARKS = ROOT / "benchmarks"
# runs gpu.py where these cannot be imported, nor found
WITHOUT = """
import runpy, sys
from importlib.machinery import PathFinder
MISSING = {"tyro", "beartype", "datasets", "tifffile", "imagecodecs", "pooch"}
class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] not in MISSING:
            return super().find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(PathFinder)] = Finder
sys.argv = sys.argv[1:]
sys.path[0] = sys.argv[0].rpartition("/")[0]
runpy.run_path(sys.argv[0], run_name="__main__")
assert not MISSING & sys.modules.keys()
"""


def started(out: Path, *more: object) -> subprocess.Popen[str]:
    """gpu.py at tiny sizes. To compile would take a minute: that is switched off."""
    line = [sys.executable, "-c", WITHOUT, BENCHMARKS / "gpu.py", "--tiny"]
    return subprocess.Popen(
        [*map(str, line), "--out", str(out), *map(str, more)],
        env={**os.environ, "TORCHDYNAMO_DISABLE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def read(out: Path) -> Any:
    return json.loads((out / "gpu.json").read_text())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What one whole run printed, and the folder that it wrote."""
    place = tmp_path_factory.mktemp("gpu")
    names = [f"{k:02}.png" for k in range(30)]
    save(place / "pictures", *names, size=(40, 36))
    packed = place / "pictures.zip"
    with zipfile.ZipFile(packed, "w") as file:
        for name in names:
            file.write(place / "pictures" / name, f"some/{name}")
        file.writestr("LICENCES.txt", "none")
    out = place / "out"
    process = started(out, "--data", packed)
    said, _ = process.communicate(timeout=500)
    assert process.returncode == 0, said
    return said, out


def numbers(found: Any) -> list[float]:
    """Every number in it, however deep."""
    if isinstance(found, dict | list):
        inner = found.values() if isinstance(found, dict) else found
        return [number for each in inner for number in numbers(each)]
    return [float(found)] if isinstance(found, int | float) else []


def test_every_part_is_measured_and_every_number_is_one(run: tuple[str, Path]) -> None:
    found = read(run[1])
    assert "not measured" not in found
    assert found["peaks"].keys() == {
        "side",
        "bf16_tflops",
        "tf32_tflops",
        "fp32_tflops",
        "copy_tb_per_second",
    }
    assert [(row["way"], row["batch"]) for row in found["step"]] == [
        ("usual", 4),
        ("usual", 2),
        ("compiled", 4),
    ]
    assert "noise" in found["step"][0]["pieces_ms"]
    assert set(found["switches"]) == {"public_16_128, compiled", "public_16_128, usual"}
    assert [(row["calls"], row["precision"]) for row in found["sampler"]] == [
        (1, "no"),
        (1, "bf16"),
        (2, "no"),
        (2, "bf16"),
    ]
    assert all(map(math.isfinite, numbers(found)))
    assert found["seconds"].keys() == {"peaks", "step", "sampler", "resume", "train"}


def test_a_stopped_training_goes_on_exactly(run: tuple[str, Path]) -> None:
    found = read(run[1])["resume"]["usual"]
    assert found["stopped_after"] == 21
    assert found["steps"] == 40
    assert found["resumed"]["equal"]
    assert found["repeated"]["equal"]
    assert found["resumed"]["largest"] == 0
    assert found["resumed"]["tensors"] > 100


def test_the_training_ran_to_its_end_and_was_measured(run: tuple[str, Path]) -> None:
    found = read(run[1])
    assert found["pictures"][0]["pictures"] == 30
    assert found["train"]["run"]["complete"]
    assert found["train"]["run"]["steps"] == found["train"]["timetable"]["train_steps"]
    rows = {row["method"]: row for row in found["evaluation"]}
    own = ["originals", "bicubic", "SR3", "SR3 in bf16", "mean of 4"]
    assert list(rows) == [*own, "multistep, 4 calls"]
    assert all(row["pictures"] == rows["SR3"]["pictures"] for row in rows.values())
    assert rows["originals"]["consistency"] == 0
    assert rows["SR3"]["PSNR"] == pytest.approx(rows["SR3 in bf16"]["PSNR"], abs=0.5)
    lines = (run[1] / "metrics.jsonl").read_text().splitlines()
    assert sum('"PSNR"' in line for line in lines) >= 1


def test_the_folder_holds_eight_small_files(run: tuple[str, Path]) -> None:
    """No more than can be carried away; the table is the end of what is printed."""
    said, out = run
    assert sorted(path.name for path in out.iterdir()) == [
        "curve.png",
        "gpu.json",
        "metrics.jsonl",
        "model.json",
        "model.safetensors",
        "profile.txt",
        "sheet.png",
        "table.txt",
    ]
    assert said.rstrip().endswith((out / "table.txt").read_text().rstrip())
    about = json.loads((out / "model.json").read_text())
    assert about["trained"].endswith("--data prepared_32"), "and no folder of a machine"
    assert "Self CPU" in (out / "profile.txt").read_text()


def test_a_kill_leaves_what_was_measured(tmp_path: Path) -> None:
    process = started(tmp_path)
    end = time.monotonic() + 200
    while not (tmp_path / "gpu.json").exists() or "peaks" not in read(tmp_path):
        assert time.monotonic() < end
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    process.kill()
    process.communicate()
    assert read(tmp_path)["peaks"]["bf16_tflops"] > 0
    assert "bf16_tflops" in (tmp_path / "table.txt").read_text()


# Pieces of it, in this process -------------------------------------------------------


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("gpu")


def board(gpu: ModuleType, out: Path, *more: str) -> Any:
    """What a run would begin with, an hour before its end."""
    found = gpu.prepared_board(gpu.options(["--tiny", "--out", str(out), *more]))
    found.seconds = (
        3600 + time.monotonic() - importlib.import_module("gpu_parts").STARTED
    )
    return found


def test_a_part_that_fails_hangs_or_needs_too_much_does_not_stop_the_next(
    gpu: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = board(gpu, tmp_path)
    boxes = {"peaks": 5.0, "sampler": 0.2, "resume": 5.0, "last": 5.0}
    here.sizes = dataclasses.replace(here.sizes, boxes=boxes)

    def fails(*_: Any) -> None:
        raise ValueError("no such thing\nat all")

    def hangs(*_: Any) -> None:
        time.sleep(60)

    def fills(*_: Any) -> None:
        raise torch.OutOfMemoryError("much too much")

    parts = {"peaks": fails, "sampler": hangs, "resume": fills}
    parts["last"] = lambda board, place: board.put("last", {"found": 1})
    monkeypatch.setattr(gpu, "PARTS", parts)
    gpu.measure(here, list(parts))
    found = read(tmp_path)
    assert found["not measured"] == [
        "peaks: ValueError: no such thing",
        "sampler: it was not over after 0 s",
        "resume: out of memory",
    ]
    assert found["last"] == {"found": 1}
    assert "NOT MEASURED resume: out of memory" in (tmp_path / "table.txt").read_text()


def test_a_training_whose_time_is_over_keeps_what_it_learnt(
    gpu: ModuleType, tmp_path: Path
) -> None:
    from gpu_parts import pictures, training

    here = board(gpu, tmp_path / "out")
    place = tmp_path
    ready = pictures.prepared_pictures(here, place, 32)
    preset = dataclasses.replace(here.sizes.trained, train_steps=10**6)
    table = training.Timetable(10**6, 10**6, 2.0, 0.1, 0.1, stop_after=2.0)
    limits = {"way": "usual", "workers": 0}
    f = training.trained(here, preset, ready, place / "run", limits, table)
    found = read(tmp_path / "out")["train"]["run"]
    assert 0 < found["steps"] < 10**6
    assert not found["complete"]
    assert f.preset == preset
    training.mirror(here, place / "run")
    assert (tmp_path / "out" / "model.safetensors").exists()


def test_a_timetable_fills_the_time_and_leaves_enough_for_the_evaluation(
    gpu: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gpu_parts import pictures, training

    here = board(gpu, tmp_path / "out")
    here.sizes = dataclasses.replace(here.sizes, most_steps=10**7)
    ready = pictures.prepared_pictures(here, tmp_path, 32)
    monkeypatch.setattr(training, "call_seconds", lambda f, n: 0.01 * n)
    monkeypatch.setattr(training, "device_call_seconds", lambda f, n: 0.1 * n)
    preset = here.sizes.trained
    limits = {"rate": 100.0}
    left = here.left()
    table = training.timetable(here, preset, ready, limits)
    looks = table.train_steps / table.validate_every
    assert looks == training.LOOKS
    learning = table.train_steps * preset.batch_size / 100
    together = learning + looks * table.validation_seconds
    assert 0.9 * table.loop_seconds < together < table.loop_seconds
    needed = table.loop_seconds + table.evaluation_seconds
    assert 0.98 * left < needed < left
    assert table.stop_after > table.loop_seconds
