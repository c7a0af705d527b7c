"""The training loop: it learns, repeats itself, averages as promised, and keeps what was learnt when it is stopped."""

from __future__ import annotations

import dataclasses
import errno
import json
import math
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tiny
import torch
from accelerate.state import AcceleratorState
from checks import randn, seeded
from tiny import TINY
from torch import Tensor

from sr3mini import train as room
from sr3mini.checkpoint import load
from sr3mini.degrade import as_file, blur, downsample
from sr3mini.preset import PRESETS

Loss = Callable[..., Tensor]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(autouse=True)
def _accelerate_forgets() -> Iterator[None]:
    """Accelerate keeps its device and precision for the life of the process; the next test shall find nothing of it."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def loss_at(call: int, instead: Callable[[Tensor], Tensor]) -> Loss:
    """The training loss, with something else at one call, counted from 0."""
    calls, real = iter(range(10_000)), room.denoising_loss

    def loss(*arguments: object) -> Tensor:
        value = real(*arguments)  # type: ignore[arg-type]
        return instead(value) if next(calls) == call else value

    return loss


def interrupt(value: Tensor) -> Tensor:
    raise KeyboardInterrupt


def test_the_loss_falls_and_the_record_tells_how(pictures: Path, tmp_path: Path) -> None:
    room.train(TINY, tmp_path, data=str(pictures), progress=False)
    record = json.loads((tmp_path / "model.json").read_text())
    assert record["last_losses_mean"] < 0.9  # a network that predicts nothing has a loss of 1
    assert record["steps"] == TINY.train_steps
    assert record["trained"] == f"sr3mini train --preset tiny --seed 0 --steps {TINY.train_steps} --data {pictures}"
    assert record["parameters"] == sum(p.numel() for p in load(tmp_path).parameters())
    assert {"trained", "preset", "parameters", "seconds", "machine"} <= set(record)


def test_check_10_two_runs_of_one_seed_are_equal_bit_by_bit_and_another_is_not(pictures: Path, tmp_path: Path) -> None:
    short = dataclasses.replace(TINY, train_steps=5)
    runs = [room.train(short, tmp_path / str(n), data=str(pictures), seed=seed, progress=False) for n, seed in enumerate((0, 0, 1))]
    weights = [torch.cat([p.flatten() for p in f.parameters()]) for f in runs]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_check_10_what_a_step_draws_depends_on_seed_and_step_alone(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures, levels and noise of the first steps are those of a longer run with another learning rate, and each step has its own."""
    real = room.denoising_loss

    def drawn(steps: int, learning_rate: float, seed: int) -> list[Tensor]:
        seen: list[Tensor] = []

        def watch(f: object, x: Tensor, y_0: Tensor, gamma: Tensor, eps: Tensor, p: int) -> Tensor:
            seen.append(torch.cat([y_0.flatten(), gamma, eps.flatten()]))
            return real(f, x, y_0, gamma, eps, p)  # type: ignore[arg-type]

        monkeypatch.setattr(room, "denoising_loss", watch)
        preset = dataclasses.replace(TINY, train_steps=steps, learning_rate=learning_rate)
        room.train(preset, tmp_path, data=str(pictures), seed=seed, progress=False)
        return seen

    short, long, other = drawn(2, 5e-3, 0), drawn(4, 1e-4, 0), drawn(1, 5e-3, 1)
    assert all(torch.equal(a, b) for a, b in zip(short, long, strict=False))
    assert len({tuple(step.tolist()) for step in (*long, *other)}) == 5


def test_check_10_the_average_is_its_closed_form(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The average starts as a copy of the weights after the first step, then m <- 0.9 m + 0.1 p."""
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
    monkeypatch.setattr(room, "denoising_loss", loss_at(3, interrupt))
    room.train(TINY, tmp_path, data=str(pictures), progress=False)
    assert json.loads((tmp_path / "model.json").read_text())["steps"] == 3
    assert load(tmp_path).preset == TINY


def test_stopping_before_the_first_step_keeps_the_model_that_was_there(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"of last week")
    monkeypatch.setattr(room, "denoising_loss", loss_at(0, interrupt))
    with pytest.raises(KeyboardInterrupt):
        room.train(TINY, tmp_path, data=str(pictures), progress=False)
    assert (tmp_path / "model.safetensors").read_bytes() == b"of last week"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_the_run_and_names_the_step(
    value: float, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "denoising_loss", loss_at(2, lambda loss: loss * value))
    with pytest.raises(FloatingPointError, match=rf"became {value} at step 2; lower the learning rate \(0.005\)"):
        room.train(TINY, tmp_path, data=str(pictures), progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_preset_for_own_pictures_asks_for_them(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pass --data"):
        room.train(TINY, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_preset_of_glyphs_takes_no_folder(pictures: Path, tmp_path: Path) -> None:
    """Else a reader would believe that the pictures had been learnt from."""
    with pytest.raises(ValueError, match="leave --data out"):
        room.train(PRESETS["glyphs_8_32"], tmp_path, data=str(pictures))


def test_a_folder_that_cannot_be_written_is_told_before_the_training(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path))

    monkeypatch.setattr(tempfile, "TemporaryFile", refused)
    monkeypatch.setattr(room, "denoising_loss", lambda *_: pytest.fail("the training began"))
    with pytest.raises(PermissionError):
        room.train(TINY, tmp_path, data=str(pictures), progress=False)


def test_the_learning_rate_warms_up_and_falls_to_nothing() -> None:
    """(step + 1) / 10 up to 1, times half a cosine: (1 + cos(pi step / 100)) / 2."""
    rate = room.learning_rate(dataclasses.replace(TINY, train_steps=100, warmup_steps=10))
    cosine = {0: 1.0, 25: 0.5 + math.sqrt(2) / 4, 50: 0.5, 75: 0.5 - math.sqrt(2) / 4, 100: 0.0, 101: 0.0}
    for step, share in cosine.items():
        assert rate(step) == pytest.approx(share * (0.1 if step == 0 else 1))
    assert rate(4) == pytest.approx(0.5 * (1 + math.cos(math.pi * 0.04)) / 2)
    assert rate(9) == max(rate(step) for step in range(100))
    assert room.learning_rate(dataclasses.replace(TINY, warmup_steps=0))(0) == 1


def test_without_decay_the_learning_rate_stays_where_the_warm_up_ends() -> None:
    rate = room.learning_rate(dataclasses.replace(TINY, train_steps=100, warmup_steps=10, decay="none"))
    assert [rate(step) for step in (0, 4, 9, 50, 100, 10**6)] == [0.1, 0.5, 1, 1, 1, 1]


def test_a_regression_preset_is_trained_with_the_regression_loss_alone(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It learns to give the picture: the loss falls below that of an answer that is always grey."""
    monkeypatch.setattr(room, "denoising_loss", lambda *_: pytest.fail("the noise was asked for"))
    preset = dataclasses.replace(TINY, objective="regression")
    seen: list[tuple[object, ...]] = []
    real = room.regression_loss

    def watch(f: object, x: Tensor, y_0: Tensor, p: int) -> Tensor:
        loss = real(f, x, y_0, p)  # type: ignore[arg-type]
        seen.append((x.shape, y_0.shape, p, loss.item(), y_0.square().mean().item()))
        return loss

    monkeypatch.setattr(room, "regression_loss", watch)
    room.train(preset, tmp_path, data=str(pictures), progress=False)
    assert load(tmp_path).preset == preset
    assert len(seen) == TINY.train_steps
    assert all(step[:3] == ((8, 1, 4, 4), (8, 1, 16, 16), 2) for step in seen)
    assert sum(step[3] for step in seen[-5:]) < 0.7 * sum(step[4] for step in seen[-5:])  # type: ignore[misc]


def test_a_preset_for_noise_never_sees_the_regression_loss(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "regression_loss", lambda *_: pytest.fail("the picture was asked for"))
    room.train(dataclasses.replace(TINY, train_steps=2), tmp_path, data=str(pictures), progress=False)


def test_the_condition_is_blurred_and_stored_as_often_as_the_preset_asks() -> None:
    y_0 = 3 * randn(400, 1, 16, 16).float()
    x = downsample(y_0, 4)
    assert torch.equal(room.condition(y_0, TINY, seeded(0)), x)
    filed = room.condition(y_0, dataclasses.replace(TINY, from_files=0.25), seeded(0))
    stored = (filed == as_file(x)).flatten(1).all(1)
    assert torch.equal(filed[~stored], x[~stored])
    assert stored.float().mean().item() == pytest.approx(0.25, abs=0.06)  # 3 standard errors
    blurred = room.condition(y_0, dataclasses.replace(TINY, blur=2.0), seeded(0))
    sigma = 2 * torch.rand(400, generator=seeded(0))
    torch.testing.assert_close(blurred, blur(x, sigma))
    both = room.condition(y_0, dataclasses.replace(TINY, blur=2.0, from_files=1.0), seeded(0))
    assert torch.equal(both, as_file(blurred))


def test_bf16_trains_on_a_cpu_and_the_record_says_so(pictures: Path, tmp_path: Path) -> None:
    """The multiplications are bfloat16, the weights are not, and the loss still falls."""
    f = room.train(TINY, tmp_path, data=str(pictures), precision="bf16", progress=False)
    record = json.loads((tmp_path / "model.json").read_text())
    assert record["last_losses_mean"] < 0.9
    assert record["trained"].endswith("--precision bf16")
    assert {p.dtype for p in f.parameters()} == {torch.float32}


@pytest.mark.parametrize("name", ["glyphs_8_32", "glyphs_8_32_regression"])
def test_the_shipped_preset_is_the_one_the_weights_carry(name: str) -> None:
    assert load(name).preset == PRESETS[name]
