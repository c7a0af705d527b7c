"""The training loop: it learns, repeats itself, averages as promised, and keeps what was learnt when it is stopped."""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sr3mini.checkpoint import load
from sr3mini.preset import PRESETS, Preset

room = importlib.import_module("sr3mini.train")
TINY = Preset(
    "tiny", "folder", 16, 4, channels=8, multipliers=(1, 2), groups=4, train_steps=60, batch_size=8, learning_rate=5e-3, warmup_steps=5, ema_decay=0.9
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for number in range(12):
        Image.fromarray((random.random((3, 3)) > 0.5).astype(np.uint8) * 255).resize((16, 16), Image.Resampling.NEAREST).save(folder / f"{number}.png")
    return folder


def test_the_loss_falls_and_the_record_tells_how(pictures: Path, tmp_path: Path) -> None:
    room.train(TINY, tmp_path, data=str(pictures), progress=False)
    record = json.loads((tmp_path / "model.json").read_text())
    assert record["last_losses_mean"] < 0.9  # a network that predicts nothing has a loss of 1
    assert record["steps"] == 60
    assert {"trained", "preset", "parameters", "seconds", "machine"} <= set(record)


def test_check_10_two_runs_of_one_seed_are_equal_bit_by_bit_and_another_is_not(pictures: Path, tmp_path: Path) -> None:
    short = dataclasses.replace(TINY, train_steps=5)
    runs = [room.train(short, tmp_path / str(n), data=str(pictures), seed=seed, progress=False) for n, seed in enumerate((0, 0, 1))]
    weights = [torch.cat([p.flatten() for p in f.parameters()]) for f in runs]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_check_10_the_average_is_its_closed_form(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Tensor] = []
    update = room.AveragedModel.update_parameters

    def watch(self: torch.nn.Module, model: torch.nn.Module) -> None:
        seen.append(model.head.bias.detach().clone())
        update(self, model)

    monkeypatch.setattr(room.AveragedModel, "update_parameters", watch)
    f = room.train(dataclasses.replace(TINY, train_steps=6), tmp_path, data=str(pictures), progress=False)
    expected = seen[0] * 0.9**5 + sum(0.1 * 0.9 ** (5 - k) * seen[k] for k in range(1, 6))
    torch.testing.assert_close(f.head.bias, expected, rtol=1e-5, atol=1e-9)


def test_stopping_keeps_what_was_learnt(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = room.denoising_loss, []

    def stop_at_the_fourth(*arguments: object) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(room, "denoising_loss", stop_at_the_fourth)
    room.train(TINY, tmp_path, data=str(pictures), progress=False)
    assert json.loads((tmp_path / "model.json").read_text())["steps"] == 3
    assert load(tmp_path).preset == TINY


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_step(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = room.denoising_loss
    monkeypatch.setattr(room, "denoising_loss", lambda *arguments: real(*arguments) * math.nan)
    with pytest.raises(FloatingPointError, match="step 0"):
        room.train(TINY, tmp_path, data=str(pictures), progress=False)
    assert not (tmp_path / "model.safetensors").exists()


def test_a_preset_for_own_pictures_asks_for_them(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pass --data"):
        room.train(TINY, tmp_path)


def test_the_learning_rate_warms_up_and_falls_to_nothing() -> None:
    rate = room.learning_rate(dataclasses.replace(TINY, train_steps=100, warmup_steps=10))
    assert rate(0) == pytest.approx(0.1)
    assert max(rate(step) for step in range(100)) == pytest.approx(rate(9), abs=0.01)
    assert rate(50) == pytest.approx(0.5)
    assert rate(100) == pytest.approx(0)


def test_the_shipped_preset_is_the_one_the_weights_carry() -> None:
    assert load("glyphs_8_32").preset == PRESETS["glyphs_8_32"]
