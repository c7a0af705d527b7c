"""The training loop: it learns, repeats itself, averages as promised, goes on where it
was left, and keeps what was learnt when it is stopped.
"""

from __future__ import annotations

import dataclasses
import errno
import itertools
import json
import math
import shutil
import signal
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from checks import randn, seeded
from PIL import Image
from safetensors.torch import load_file
from tiny import TINY
from torch import Tensor

from sr3mini.book.measured import measured
from sr3mini.data import batches, open_pictures, read_picture
from sr3mini.degrade import as_file, blur, camera, cut, downsample, jpeg
from sr3mini.evaluation.samples import measured_samples
from sr3mini.files.writing import alone_in
from sr3mini.model.checkpoint import load
from sr3mini.model.network import Network
from sr3mini.model.preset import Preset
from sr3mini.model.presets import PRESETS
from sr3mini.training import learn as algorithm
from sr3mini.training import monitor as watch
from sr3mini.training import state
from sr3mini.training import train as room
from sr3mini.training.learner import set_up
from sr3mini.training.state import load_state, save_state, state_paths

Loss = Callable[..., Tensor]
# whatever a step may draw
SHORT = dataclasses.replace(TINY, train_steps=12, dropout=0.2, blur=1.0, from_files=0.5)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(autouse=True)
def _accelerate_forgets() -> Iterator[None]:
    """Accelerate keeps its device and precision for the life of the process; the next
    test shall find nothing of it.
    """
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def run(out: Path, pictures: Path, preset: Any = TINY, **options: Any) -> Any:
    return room.train(preset, out, data=str(pictures), progress=False, **options)


def loss_at(call: int, instead: Callable[[Tensor], Tensor]) -> Loss:
    """The training loss, with something else at one call, counted from 0."""
    calls, real = iter(range(10_000)), algorithm.denoising_loss

    def loss(*arguments: object) -> Tensor:
        value = real(*arguments)  # type: ignore[arg-type]
        return instead(value) if next(calls) == call else value

    return loss


def at(step: int, does: Loss, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(algorithm, "denoising_loss", loss_at(step, does))


def asks(number: signal.Signals) -> Loss:
    """A loss during whose computation this process gets a signal."""

    def loss(value: Tensor) -> Tensor:
        signal.raise_signal(number)
        return value

    return loss


def killed(value: Tensor) -> Tensor:
    raise SystemError("as good as killed: nothing is saved on the way out")


def learnt(out: Path, step: int = SHORT.train_steps) -> dict[str, Tensor]:
    """Every tensor of a training's last state: weights, average, both moments and the
    step of the optimizer.
    """
    path = state_paths(out / "state")[-1]
    assert path.name == f"step_{step:08}"
    return load_file(path / "state.safetensors")


def told(out: Path) -> dict[str, Any]:
    return dict(json.loads((state_paths(out / "state")[-1] / "state.json").read_text()))


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# It learns ----------------------------------------------------------------------------


def test_the_loss_falls_and_the_record_tells_how(
    pictures: Path, tmp_path: Path
) -> None:
    f = run(tmp_path, pictures)
    record = json.loads((tmp_path / "model.json").read_text())
    # a network that predicts nothing has a loss of 1
    assert record["last_losses_mean"] < 0.9
    assert record["steps"] == TINY.train_steps
    assert record["complete"] is True
    # no built-in preset: its file
    assert (
        record["trained"]
        == f"sr3mini train --preset config.json --seed 0 --steps {TINY.train_steps}"
        f" --data {pictures}"
    )
    assert record["parameters"] == sum(p.numel() for p in load(tmp_path).parameters())
    assert {"trained", "preset", "parameters", "seconds", "machine"} <= set(record)
    assert json.loads((tmp_path / "config.json").read_text())["name"] == "tiny"
    line, last = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
    assert last["step"] == TINY.train_steps
    assert (line["step"], line["learning_rate"]) == (
        20,
        algorithm.learning_rate(TINY, 19),
    )
    assert line["loss"] == pytest.approx(sum(told(tmp_path)["losses"][:20]) / 20)
    for p, q in zip(f.parameters(), load(tmp_path).parameters(), strict=True):
        # what is returned is what was written, in float16
        torch.testing.assert_close(p, q, rtol=2**-10, atol=1e-6)


def test_check_10_two_runs_of_one_seed_are_equal_bit_by_bit_and_another_is_not(
    pictures: Path, tmp_path: Path
) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(tmp_path / name, pictures, SHORT, seed=seed)
    assert same(learnt(tmp_path / "a"), learnt(tmp_path / "b"))
    assert not same(learnt(tmp_path / "a"), learnt(tmp_path / "c"))


def test_check_10_what_a_step_draws_depends_on_seed_step_and_row_alone(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures, levels and noise of the first steps are those of a longer run with
    another learning rate, taken in parts or at once.
    """
    real = algorithm.denoising_loss

    def drawn(
        steps: int, learning_rate: float, seed: int, micro_batches: int = 1
    ) -> list[Tensor]:
        seen: list[Tensor] = []

        def look(
            f: object, x: Tensor, y_0: Tensor, gamma: Tensor, eps: Tensor, p: int
        ) -> Tensor:
            seen.append(
                torch.cat(
                    [part.flatten(1) for part in (x, y_0, gamma[:, None], eps)], dim=1
                )
            )
            return real(f, x, y_0, gamma, eps, p)  # type: ignore[arg-type]

        monkeypatch.setattr(algorithm, "denoising_loss", look)
        preset = dataclasses.replace(
            SHORT, train_steps=steps, learning_rate=learning_rate
        )
        run(
            Path(tempfile.mkdtemp(dir=tmp_path)),
            pictures,
            preset,
            seed=seed,
            micro_batches=micro_batches,
        )
        return list(torch.cat(seen).split(preset.batch_size))

    short, long, parts, other = (
        drawn(2, 5e-3, 0),
        drawn(4, 1e-4, 0),
        drawn(2, 5e-3, 0, 4),
        drawn(1, 5e-3, 1),
    )
    assert all(torch.equal(a, b) for a, b in zip(short, long, strict=False))
    assert all(torch.equal(a, b) for a, b in zip(short, parts, strict=True))
    # no two rows share noise
    assert (
        len({tuple(row.tolist()) for step in (*long, *other) for row in step}) == 5 * 8
    )


def test_check_10_the_average_is_its_closed_form(pictures: Path) -> None:
    """m_N = prod_j d_j p_initial + sum_k (1 - d_k) prod_{j>k} d_j p_k, where d_k =
    min(0.25, (1 + k) / (10 + k)) rises from 0.1.
    """
    preset = dataclasses.replace(TINY, ema_decay=0.25)
    learner = set_up(preset, Accelerator(cpu=True))
    p, m = (list(each.parameters())[3] for each in (learner.network, learner.averaged))
    seen = [p.detach().clone()]
    y = batches(open_pictures(str(pictures), 16, 1), 8, seed=0)
    for _ in itertools.islice(algorithm.learn(learner, y), 6):
        seen.append(p.detach().clone())
    d = [0.1, 2 / 11, 0.25, 0.25, 0.25, 0.25]
    expected = math.prod(d) * seen[0] + sum(
        (1 - d[k]) * math.prod(d[k + 1 :]) * seen[k + 1] for k in range(6)
    )
    torch.testing.assert_close(m, expected, rtol=1e-5, atol=1e-8)
    assert not torch.equal(m, p)
    assert (
        algorithm.ema_decay(dataclasses.replace(TINY, ema_decay=0.9999), 10**6)
        == 0.9999
    )


def test_check_10_micro_batches_do_what_the_whole_batch_does(
    pictures: Path, tmp_path: Path
) -> None:
    preset = dataclasses.replace(TINY, train_steps=8)
    for parts in (1, 4):
        run(tmp_path / str(parts), pictures, preset, micro_batches=parts)
    assert told(tmp_path / "4")["losses"] == pytest.approx(
        told(tmp_path / "1")["losses"], abs=1e-6
    )
    with pytest.raises(
        ValueError,
        match=(
            "a batch of 8 pictures cannot be shared by 1 processes with 3 micro-batches"
            " each: it must be a multiple of 3"
        ),
    ):
        run(tmp_path / "3", pictures, preset, micro_batches=3)


def test_the_condition_is_blurred_and_stored_as_often_as_the_preset_asks() -> None:
    y_0, u = 3 * randn(400, 1, 16, 16).float(), torch.rand(2, 400, generator=seeded(0))
    x, seeds = downsample(y_0, 4), range(400)  # of a noise that is not asked for
    assert torch.equal(algorithm.condition(y_0, TINY, u, seeds), x)
    filed = algorithm.condition(
        y_0, dataclasses.replace(TINY, from_files=0.25), u, seeds
    )
    stored = (filed == as_file(x)).flatten(1).all(1)
    assert torch.equal(stored, u[1] < 0.25)
    assert torch.equal(filed[~stored], x[~stored])
    blurred = algorithm.condition(y_0, dataclasses.replace(TINY, blur=2.0), u, seeds)
    torch.testing.assert_close(blurred, blur(x, 2 * u[0]))
    both = algorithm.condition(
        y_0, dataclasses.replace(TINY, blur=2.0, from_files=1.0), u, seeds
    )
    assert torch.equal(both, as_file(blurred))


def test_a_share_of_the_conditions_is_worn() -> None:
    y_0 = randn(400, 3, 16, 16).float().clamp(-1, 1)
    u = torch.rand(2, 400, generator=seeded(0))
    x, seeds = downsample(y_0, 4), list(range(400))
    asked = dataclasses.replace(TINY, image_channels=3, worn=0.25, from_files=0.5)
    made = algorithm.condition(y_0, asked, u, seeds)
    worn, stored = u[1] >= 0.75, u[1] < 0.5
    between = ~worn & ~stored
    assert torch.equal(made[between], x[between])
    assert torch.equal(made[stored], as_file(x[stored]))
    grain = camera(x, u[0] * algorithm.GRAIN, seeds)
    assert torch.equal(made[worn], jpeg(grain, 100 - 10 * u[0])[worn])
    lost = (made - x)[worn].square().mean((1, 2, 3)).sqrt()
    heavy = u[0][worn] > 0.5
    assert lost[heavy].mean() > 1.05 * lost[~heavy].mean()


def test_a_training_may_begin_with_the_weights_of_a_model(
    pictures: Path, tmp_path: Path
) -> None:
    first = dataclasses.replace(TINY, train_steps=5)
    run(tmp_path / "first", pictures, first)
    still = dataclasses.replace(TINY, train_steps=1, learning_rate=0.0)
    begun = run(
        tmp_path / "second", pictures, still, begin_with=str(tmp_path / "first")
    )
    for name, tensor in load(tmp_path / "first").state_dict().items():
        torch.testing.assert_close(begun.state_dict()[name], tensor)
    about = json.loads((tmp_path / "second" / "model.json").read_text())
    assert f"--begin-with {tmp_path / 'first'}" in about["trained"]
    wider = dataclasses.replace(TINY, channels=2 * TINY.channels)
    with pytest.raises(ValueError, match="first is no network of the layout of"):
        run(tmp_path / "third", pictures, wider, begin_with=str(tmp_path / "first"))


def test_levels_weigh_as_the_head_start_asks() -> None:
    """The weighted loss of (I.2) is the mean square of the U-Net's own error, where the
    weight has not reached its limit.
    """
    plain = dataclasses.replace(TINY, detail=0.3)
    preset = dataclasses.replace(plain, weighting=20.0)
    y_0, eps = randn(4, 1, 16, 16).float(), randn(4, 1, 16, 16, seed=1).float()
    x = downsample(y_0, preset.factor)
    gamma = torch.tensor([0.99, 0.9, 0.5, 0.01], dtype=torch.float64)
    weight = algorithm.level_weight(preset, gamma)
    unit = gamma.sqrt() * 0.3 / (gamma * 0.09 + 1 - gamma).sqrt()
    torch.testing.assert_close(weight[:3], 1 / unit[:3] ** 2)
    assert weight[3] == 20
    assert (algorithm.level_weight(plain, gamma) == 1).all()

    def constant(x: Any, y_t: Any, gamma: Any) -> Any:
        return torch.zeros_like(y_t)

    for power in (1, 2):
        asked = dataclasses.replace(preset, loss_power=power)
        loss = algorithm.loss_of(constant, asked, x, y_0, gamma, eps)
        each = eps.abs().pow(power).mean((1, 2, 3))
        torch.testing.assert_close(loss, (weight.float() * each).mean())


def test_training_takes_parts_of_larger_pictures(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[torch.Tensor] = []
    loss_of = algorithm.loss_of

    def watched(f: Any, preset: Any, x: Any, y_0: Any, *rest: Any) -> Any:
        shown.append(y_0)
        return loss_of(f, preset, x, y_0, *rest)

    monkeypatch.setattr(algorithm, "loss_of", watched)
    preset = dataclasses.replace(TINY, zoom=2.0, train_steps=3)
    run(tmp_path / "zoomed", pictures, preset)
    assert [tuple(y.shape) for y in shown] == [(8, 1, TINY.size, TINY.size)] * 3
    whole = open_pictures(str(pictures), 2 * TINY.size, 1, "train")
    taken = batches(whole, 8, seed=0)
    for step, y in enumerate(shown):
        own = torch.Generator().manual_seed(algorithm.seed_of(0, step, 8))
        cuts = cut(next(taken), TINY.size, torch.rand(4, 8, generator=own))
        torch.testing.assert_close(y, cuts)


def test_noise_is_standard_normal_and_a_seed_away_is_another_world() -> None:
    eps = algorithm.noise(
        torch.empty(4000, 1, 4, 4),
        [algorithm.seed_of(0, 0, row) for row in range(4000)],
    )
    assert eps.mean().item() == pytest.approx(0, abs=0.015)  # 4 standard errors
    assert eps.std().item() == pytest.approx(1, abs=0.012)
    assert abs(torch.corrcoef(eps[:, 0, 0, :2].T)[0, 1].item()) < 0.06
    assert abs((eps[:-1] * eps[1:]).mean().item()) < 0.015  # neighbouring rows
    assert (
        len(
            {
                algorithm.seed_of(*numbers)
                for numbers in itertools.product(range(9), range(9), range(-5, 9))
            }
        )
        == 9 * 9 * 14
    )
    assert algorithm.seed_of(1, 23) != algorithm.seed_of(12, 3)


def test_the_learning_rate_warms_up_and_falls_to_nothing() -> None:
    """(step + 1) / 10 up to 1, times half a cosine: (1 + cos(pi step / 100)) / 2."""
    preset = dataclasses.replace(TINY, train_steps=100, warmup_steps=10)
    cosine = {
        0: 1.0,
        25: 0.5 + math.sqrt(2) / 4,
        50: 0.5,
        75: 0.5 - math.sqrt(2) / 4,
        100: 0.0,
        101: 0.0,
    }
    for step, share in cosine.items():
        assert rate(preset, step) == pytest.approx(share * (0.1 if step == 0 else 1))
    assert rate(preset, 4) == pytest.approx(0.5 * (1 + math.cos(math.pi * 0.04)) / 2)
    assert rate(preset, 9) == max(rate(preset, step) for step in range(100))
    assert rate(dataclasses.replace(TINY, warmup_steps=0), 0) == 1


def rate(preset: Preset, step: int) -> float:
    """The learning rate over the preset's."""
    return algorithm.learning_rate(preset, step) / preset.learning_rate


def test_the_learning_rate_of_the_paper_warms_up_and_stays() -> None:
    preset = dataclasses.replace(
        TINY, train_steps=100, warmup_steps=10, decay="none", learning_rate=1.0
    )
    rates = [rate(preset, step) for step in (0, 4, 9, 50, 99, 1000)]
    assert rates == [0.1, 0.5, 1, 1, 1, 1]


def test_a_regression_preset_is_trained_with_the_regression_loss_alone(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It learns to give the picture: the loss falls below that of an answer that is
    always grey.
    """
    monkeypatch.setattr(
        algorithm, "denoising_loss", lambda *_: pytest.fail("the noise was asked for")
    )
    preset = dataclasses.replace(TINY, objective="regression")
    seen: list[tuple[object, ...]] = []
    real = algorithm.regression_loss

    def look(f: object, x: Tensor, y_0: Tensor, p: int) -> Tensor:
        loss = real(f, x, y_0, p)  # type: ignore[arg-type]
        seen.append((x.shape, y_0.shape, p, loss.item(), y_0.square().mean().item()))
        return loss

    monkeypatch.setattr(algorithm, "regression_loss", look)
    run(tmp_path, pictures, preset)
    assert load(tmp_path).preset == preset
    assert len(seen) == TINY.train_steps
    assert all(step[:3] == ((8, 1, 4, 4), (8, 1, 16, 16), 2) for step in seen)
    assert sum(step[3] for step in seen[-5:]) < 0.7 * sum(step[4] for step in seen[-5:])  # type: ignore[misc]


def test_a_preset_for_noise_never_sees_the_regression_loss(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        algorithm,
        "regression_loss",
        lambda *_: pytest.fail("the picture was asked for"),
    )
    run(tmp_path, pictures, dataclasses.replace(TINY, train_steps=2))


def test_bf16_trains_on_a_cpu_and_the_record_says_so(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Convolutions multiply in bfloat16, weights stay float32, and the loss still
    falls; another precision may follow in the same process.
    """
    kinds = set()
    real = torch.nn.functional.silu
    monkeypatch.setattr(
        torch.nn.functional,
        "silu",
        lambda h, **options: kinds.add(h.dtype) or real(h, **options),
    )
    f = run(tmp_path / "bf16", pictures, precision="bf16")
    record = json.loads((tmp_path / "bf16" / "model.json").read_text())
    assert torch.bfloat16 in kinds
    assert record["last_losses_mean"] < 0.9
    assert record["trained"].endswith("--precision bf16")
    assert {p.dtype for p in f.parameters()} == {torch.float32}
    kinds.clear()
    run(tmp_path / "no", pictures, dataclasses.replace(TINY, train_steps=1))
    assert kinds == {torch.float32}


# It is watched ------------------------------------------------------------------------


def test_held_out_pictures_are_looked_at_and_the_best_is_kept(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([3.0, 5.0, 4.0, 4.5])
    monkeypatch.setattr(
        room,
        "validate",
        lambda *arguments: {**watch.validate(*arguments), "PSNR": next(scores)},
    )
    run(tmp_path, pictures, save_every=4, validate_every=7, keep_every=8, preset=TINY)
    # 8, 16, 24; the best; the newest two
    assert [path.name[-2:] for path in state_paths(tmp_path / "state")] == [
        "08",
        "14",
        "16",
        "24",
        "28",
        "30",
    ]
    lines = [
        json.loads(line)
        for line in (tmp_path / "metrics.jsonl").read_text().splitlines()
    ]
    looked = [line for line in lines if "PSNR" in line]
    assert [(line["step"], line["PSNR"]) for line in looked] == [
        (7, 3.0),
        (14, 5.0),
        (21, 4.0),
        (28, 4.5),
    ]
    assert all({"SSIM", "consistency"} < line.keys() for line in looked)
    assert read_picture(tmp_path / "samples" / "step_00000014.png").shape[0] == 1
    assert json.loads((tmp_path / "model.json").read_text())["best"] == {
        "step": 14,
        "PSNR": 5.0,
    }
    best, last = load(tmp_path / "best.safetensors"), load(tmp_path)
    average = load_file(tmp_path / "state" / "step_00000014" / "state.safetensors")[
        "average.stem.weight"
    ]
    torch.testing.assert_close(best.stem.weight, average, rtol=2**-10, atol=1e-6)
    assert not torch.equal(best.stem.weight, last.stem.weight)


def test_what_is_measured_on_held_out_pictures_is_what_evaluate_measures(
    pictures: Path, tmp_path: Path
) -> None:
    f, y = tiny.network(), open_pictures(str(pictures), 16, 1)
    seen = watch.validation_pictures(y, 16)
    assert torch.equal(seen, watch.validation_pictures(y, 16))
    assert len(seen) == 11  # no picture twice
    figures = watch.validate(
        Accelerator(cpu=True), f, seen, tmp_path / "samples" / "sheet.png"
    )
    assert figures == pytest.approx(measured_samples(f, seen, samples=1)[0]["SR3"])


def test_a_network_without_x_is_drawn_and_not_measured(
    pictures: Path, tmp_path: Path
) -> None:
    run(
        tmp_path,
        pictures,
        dataclasses.replace(TINY, conditional=False, train_steps=2),
        validate_every=2,
    )
    assert (tmp_path / "samples" / "step_00000002.png").is_file()
    assert not (tmp_path / "best.safetensors").exists()
    assert "PSNR" not in (tmp_path / "metrics.jsonl").read_text()


def test_a_tracker_is_told_too_and_an_unknown_one_refused(
    pictures: Path, tmp_path: Path
) -> None:
    run(
        tmp_path / "out",
        pictures,
        dataclasses.replace(TINY, train_steps=20),
        tracker="tensorboard",
    )
    (events,) = (tmp_path / "out" / "sr3mini").glob("events.*")
    assert b"images_per_second" in events.read_bytes()
    with pytest.raises(ValueError, match="carrier_pigeon"):
        run(tmp_path / "other", pictures, tracker="carrier_pigeon")


# It goes on ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def uninterrupted(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("uninterrupted")
    run(out, pictures, SHORT, save_every=5)
    return out


@pytest.mark.parametrize(
    ("step", "how", "left_at"),
    [
        (0, "SIGINT", 1),
        (4, "SIGTERM", 5),
        (7, "SIGINT", 8),
        (11, "SIGTERM", 12),
        (3, "kill", 0),
        (8, "kill", 5),
        (10, "kill", 10),
    ],
)
def test_check_10_resumed_is_uninterrupted_bit_by_bit(
    step: int,
    how: str,
    left_at: int,
    pictures: Path,
    uninterrupted: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Weights, average, moments and losses; with dropout, blur and files, so that every
    random number counts.
    """
    with monkeypatch.context() as patch:
        at(step, killed if how == "kill" else asks(signal.Signals[how]), patch)
        ended = {
            "kill": pytest.raises(SystemError),
            "SIGTERM": pytest.raises(SystemExit),
            "SIGINT": warnings.catch_warnings(),
        }[how]
        with ended as stop:
            run(tmp_path, pictures, SHORT, save_every=5)
    if how == "SIGTERM":
        assert stop.value.code == 0
    paths = state_paths(tmp_path / "state")
    assert (int(paths[-1].name[5:]) if paths else 0) == left_at
    if how != "kill":
        assert json.loads((tmp_path / "model.json").read_text())["steps"] == left_at
        assert load(tmp_path).preset == SHORT
    run(tmp_path, pictures, SHORT, save_every=5, resume=True)
    assert same(learnt(tmp_path), learnt(uninterrupted))
    assert told(tmp_path)["losses"] == told(uninterrupted)["losses"]
    assert (tmp_path / "model.safetensors").read_bytes() == (
        uninterrupted / "model.safetensors"
    ).read_bytes()


def test_a_damaged_newest_state_is_named_and_the_one_before_is_taken(
    pictures: Path, uninterrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        at(11, killed, patch)
        with pytest.raises(SystemError):
            run(tmp_path, pictures, SHORT, save_every=5)
    newest = tmp_path / "state" / "step_00000010"
    whole = (newest / "state.safetensors").read_bytes()
    (newest / "state.safetensors").write_bytes(whole[:-7])
    with pytest.warns(
        UserWarning, match="passed over: .*step_00000010 is no whole training state"
    ):
        run(tmp_path, pictures, SHORT, save_every=5, resume=True)
    assert same(learnt(tmp_path), learnt(uninterrupted))


def test_metrics_tell_each_step_once_after_a_kill(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "NOTED", 1)
    with monkeypatch.context() as patch:
        at(9, killed, patch)
        with pytest.raises(SystemError):
            run(tmp_path, pictures, SHORT, save_every=5)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 10, "lo')  # cut off by the kill
    run(tmp_path, pictures, SHORT, save_every=5, resume=True)
    assert [
        json.loads(line)["step"]
        for line in (tmp_path / "metrics.jsonl").read_text().splitlines()
    ] == list(range(1, 13))


def test_what_may_not_change_is_refused_and_what_may_is_named(
    pictures: Path, uninterrupted: Path, tmp_path: Path
) -> None:
    longer = dataclasses.replace(SHORT, train_steps=14, learning_rate=1e-4)
    with pytest.raises(
        ValueError,
        match=(
            r"holds a training that came to step 12: pass --resume to go on with it, or"
            r" another --out"
        ),
    ):
        run(uninterrupted, pictures, SHORT)
    with pytest.raises(ValueError, match=r"it would go on with seed = 3 instead of 0"):
        run(uninterrupted, pictures, SHORT, seed=3, resume=True)
    with pytest.raises(
        ValueError,
        match=(
            r"another kind of training: it would go on with channels = 16 instead of 8"
        ),
    ):
        run(
            uninterrupted,
            pictures,
            dataclasses.replace(SHORT, channels=16),
            resume=True,
        )
    copy = shutil.copytree(uninterrupted, tmp_path / "copy")
    with pytest.warns(
        UserWarning,
        match=(
            r"goes on with train_steps = 14 instead of 12, learning_rate = 0.0001"
            r" instead of 0.005"
        ),
    ):
        run(copy, pictures, longer, resume=True)
    assert told(copy)["step"] == 14
    assert told(copy)["losses"][:12] == told(uninterrupted)["losses"]
    # nothing to go on from: it begins
    run(
        tmp_path / "new",
        pictures,
        dataclasses.replace(SHORT, train_steps=1),
        resume=True,
    )
    assert told(tmp_path / "new")["losses"] == told(uninterrupted)["losses"][:1]


def test_a_state_with_the_right_checksum_and_the_wrong_tensors_is_refused_in_a_sentence(
    pictures: Path, uninterrupted: Path, tmp_path: Path
) -> None:
    whole = load_state(state_paths(uninterrupted / "state")[-1])
    tensors = whole.tensors
    wrong: list[tuple[dict[str, Tensor], dict[str, Any], str]] = [
        (
            {**tensors, "weight.stem.weight.exp_avg": torch.zeros(3)},
            {},
            "this preset: weight.stem.weight.exp_avg is missing, left over, or has",
        ),
        (
            {**tensors, "weight.stem.weight": tensors["weight.stem.weight"].half()},
            {},
            "this preset: weight.stem.weight is missing, left over, or has another",
        ),
        (
            {
                name: tensor
                for name, tensor in tensors.items()
                if name != "average.head.bias"
            },
            {},
            "this preset: average.head.bias is missing, left over",
        ),
        ({**tensors, "more": torch.zeros(1)}, {}, "this preset: more is missing, left"),
        (tensors, {"losses": ["low"]}, "was not written by this version of sr3mini"),
        (tensors, {"best": {}}, "was not written by this version of sr3mini"),
        (
            tensors,
            {"preset": {"name": "tiny"}},
            "was not written by this version of sr3mini",
        ),
        (tensors, {"preset": None}, "was not written by this version of sr3mini"),
    ]
    for number, (tensors, told, sentence) in enumerate(wrong):
        out = tmp_path / str(number)
        save_state(out / "state" / whole.path.name, tensors, {**whole.told, **told})
        with pytest.raises(ValueError, match=sentence) as refused:
            run(out, pictures, SHORT, resume=True)
        assert "\n" not in str(refused.value)


def test_a_disk_full_for_a_while_costs_no_more_than_the_steps_since_the_last_state(
    pictures: Path, uninterrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        real, calls = state.save_file, iter(range(9))

        def full(*arguments: Any) -> None:
            if next(calls) == 1:
                raise OSError(errno.ENOSPC, "No space left on device")
            real(*arguments)

        patch.setattr(state, "save_file", full)
        with pytest.raises(
            OSError, match="step_00000010 could not be written: No space left on device"
        ):
            run(tmp_path, pictures, SHORT, save_every=5)
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["step_00000005"]
    run(tmp_path, pictures, SHORT, save_every=5, resume=True)
    assert same(learnt(tmp_path), learnt(uninterrupted))


# It stops -----------------------------------------------------------------------------


def test_a_second_ctrl_c_leaves_at_once_and_keeps_the_model_that_was_there(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def twice(value: Tensor) -> Tensor:
        (tmp_path / "model.safetensors").write_bytes(b"of last week")
        return asks(signal.SIGINT)(asks(signal.SIGINT)(value))

    before = signal.getsignal(signal.SIGINT)
    at(0, twice, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, pictures)
    assert (tmp_path / "model.safetensors").read_bytes() == b"of last week"
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_the_run_and_names_step_pictures_and_state(
    value: float, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(2, lambda loss: loss * value, monkeypatch)
    said = (
        rf"became {value} at step 2; lower the learning rate \(0.005\) and start again;"
        r" its pictures were \d\d.png, "
    )
    with pytest.raises(FloatingPointError, match=said):
        run(tmp_path / "a", pictures)
    assert list((tmp_path / "a").iterdir()) == []
    at(7, lambda loss: loss * value, monkeypatch)
    with pytest.raises(
        FloatingPointError, match=r"and go on from .*state/step_00000005 with --resume"
    ):
        run(tmp_path / "b", pictures, save_every=5)


@pytest.mark.parametrize(
    ("step", "state"), [(9, "step_00000005"), (SHORT.train_steps - 1, "step_00000010")]
)
def test_a_gradient_that_is_no_number_is_never_kept(
    step: int,
    state: str,
    pictures: Path,
    uninterrupted: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The loss is a good number, the gradient is not: its step spoils the weights, and
    must not reach a state, or --resume would never get out.
    """

    def spoilt(loss: Tensor) -> Tensor:
        loss.register_hook(lambda gradient: gradient * math.nan)
        return loss

    with monkeypatch.context() as patch:
        at(step, spoilt, patch)
        with pytest.raises(
            FloatingPointError,
            match=f"gradient became nan at step {step}; .* go on from .*{state} with",
        ):
            run(tmp_path, pictures, SHORT, save_every=5)
    assert state_paths(tmp_path / "state")[-1].name == state
    run(tmp_path, pictures, SHORT, save_every=5, resume=True)
    assert same(learnt(tmp_path), learnt(uninterrupted))


@pytest.mark.parametrize("resumed", [False, True])
def test_a_model_whose_states_are_gone_is_not_trained_over(
    resumed: bool, pictures: Path, uninterrupted: Path, tmp_path: Path
) -> None:
    shutil.copytree(uninterrupted, tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "state")
    before = {
        path.name: path.read_bytes()
        for path in (tmp_path / "out").iterdir()
        if path.is_file()
    }
    with pytest.raises(
        ValueError,
        match=(
            "holds a model, and no state of its training to go on from: pass another"
            " --out"
        ),
    ):
        run(tmp_path / "out", pictures, SHORT, resume=resumed)
    assert {
        path.name: path.read_bytes()
        for path in (tmp_path / "out").iterdir()
        if path.is_file()
    } == before


@pytest.mark.parametrize("moment", ["_write", "write_picture"])
def test_a_sigterm_while_the_end_is_written_leaves_a_whole_model_and_no_error(
    moment: str, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scheduler's signal may come, or come again, when all steps are done; Python's
    own handler would end the process with 143.
    """
    real = getattr(room, moment)

    def slowly(*arguments: Any) -> None:
        signal.raise_signal(signal.SIGTERM)
        real(*arguments)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(room, moment, slowly)
    with (
        pytest.raises(SystemExit) if moment == "_write" else warnings.catch_warnings()
    ) as left:
        run(tmp_path, pictures)
    assert moment != "_write" or left.value.code == 0
    assert json.loads((tmp_path / "model.json").read_text())["complete"] is True
    load(tmp_path)


def test_progress_counts_the_images_of_this_run_alone(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After --resume the speed is that of now: the images done before lie behind the
    bar's beginning.
    """
    bars: list[Any] = []
    real = room.tqdm
    monkeypatch.setattr(
        room, "tqdm", lambda **options: bars.append(real(**options)) or bars[-1]
    )
    with monkeypatch.context() as patch:
        at(5, killed, patch)
        with pytest.raises(SystemError):
            room.train(SHORT, tmp_path, data=str(pictures), save_every=4)
    room.train(SHORT, tmp_path, data=str(pictures), resume=True)
    assert SHORT.batch_size == 8
    assert [
        (bar.initial, bar.n, bar.total, bar.unit, bar.unit_scale) for bar in bars
    ] == [(0, 40, 96, "image", False), (32, 96, 96, "image", False)]


def test_the_pictures_that_are_named_are_those_of_the_step(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []
    real = algorithm.denoising_loss
    monkeypatch.setattr(
        algorithm,
        "denoising_loss",
        lambda f, x, y_0, *rest: (
            seen.append(y_0)
            or real(f, x, y_0, *rest) * (math.nan if len(seen) == 3 else 1)
        ),
    )
    with pytest.raises(FloatingPointError) as stop:
        run(tmp_path, pictures)
    names = str(stop.value).split("pictures were ")[1].split(", ")
    assert torch.equal(
        seen[2], torch.stack([read_picture(pictures / name, 1) for name in names])
    )


def test_a_preset_for_own_pictures_asks_for_them(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pass --data"):
        room.train(TINY, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("InvalidCxxCompiler: No working C++ compiler found"),
        ImportError("no module triton"),
        FileNotFoundError(2, "No such file", "g++"),
        AssertionError("Torch not compiled with CUDA enabled\nand more"),
        subprocess.CalledProcessError(1, ["g++"]),
        PermissionError(13, "Permission denied", "/cache"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_machine_that_cannot_compile_is_told_before_the_first_step(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(f: object) -> object:
        raise error

    monkeypatch.setattr(torch, "compile", fail)
    with pytest.raises(ValueError, match="compile does not work here") as told:
        room.train(
            TINY, tmp_path, data=str(tiny.pictures(tmp_path / "in")), compile=True
        )
    assert "leave --compile out" in str(told.value)
    assert "\n" not in str(told.value)
    assert not (tmp_path / "state").exists()


def test_pictures_too_small_to_be_measured_are_refused_before_the_training(
    pictures: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        ValueError,
        match=(
            "preset tiny trains on pictures of 4 pixels a side, but those held out can"
            " be measured from 6 on"
        ),
    ):
        run(tmp_path / "out", pictures, dataclasses.replace(TINY, size=4))
    assert not (tmp_path / "out").exists()


def test_a_preset_of_glyphs_takes_no_folder(pictures: Path, tmp_path: Path) -> None:
    """Else a reader would believe that the pictures had been learnt from."""
    with pytest.raises(ValueError, match="leave --data out"):
        room.train(PRESETS["glyphs_8_32"], tmp_path, data=str(pictures))


def test_a_folder_that_cannot_be_written_is_told_before_the_training(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(**_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path))

    monkeypatch.setattr(tempfile, "TemporaryFile", refused)
    monkeypatch.setattr(
        algorithm, "denoising_loss", lambda *_: pytest.fail("the training began")
    )
    with pytest.raises(PermissionError):
        run(tmp_path, pictures)


@pytest.mark.parametrize(
    "name", ["glyphs_8_32", "glyphs_8_32_regression", "photos_16_64"]
)
def test_the_shipped_preset_is_the_one_the_weights_carry(name: str) -> None:
    shipped = PRESETS[name]
    if name == "photos_16_64":  # trained in parts: it carries the steps of the last
        last = measured(name)["parts"][-1]
        shipped = dataclasses.replace(shipped, train_steps=last["steps"])
    assert load(name).preset == shipped


# What is there, and what is said ------------------------------------------------------


def other_x(path: Path, negative: bool) -> Path:
    """A set of pairs whose x is that of y, or its negative."""
    for kind, size in (("hr_16", 16), ("lr_4", 4)):
        (path / kind).mkdir(parents=True)
        for file in tiny.pictures(path / "own").iterdir():
            with Image.open(file) as picture:
                small = picture.convert("L").resize((size, size))
            flipped = small.point(lambda level: 255 - level)
            (flipped if negative and size == 4 else small).save(path / kind / file.name)
    shutil.rmtree(path / "own")
    return path


@pytest.mark.filterwarnings("default:the training goes on")
def test_a_set_of_pairs_is_trained_and_validated_on_its_own_x(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two = dataclasses.replace(TINY, train_steps=2)
    weights, figures = [], []
    for negative in (False, True):
        path, out = (
            other_x(tmp_path / f"set{negative}", negative),
            tmp_path / f"{negative}",
        )
        room.train(two, out, data=str(path), validate_every=2)
        weights.append((out / "model.safetensors").read_bytes())
        lines = map(json.loads, (out / "metrics.jsonl").read_text().splitlines())
        figures.append([line["PSNR"] for line in lines if "PSNR" in line])
    assert weights[0] != weights[1]
    assert figures[0] != figures[1]
    assert capsys.readouterr().err.count("tiny trains on x of lr_4") == 2
    # other pictures under the same names, and as many, are noticed
    tiny.save(tmp_path / "setTrue" / "lr_4", "00.png", size=(99, 99))
    with pytest.warns(UserWarning, match=r"goes on with pictures = .* instead of"):
        run(out, path, two, resume=True)


@pytest.mark.parametrize(
    "name", ["README.md", "config.json", "model.json", "samples.png"]
)
def test_a_folder_with_files_of_ones_own_is_not_trained_into(
    name: str, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("my own")
    for resume in (False, True):
        with pytest.raises(ValueError, match=f"{name} is there and no training's"):
            run(out, pictures, resume=resume)
    assert [path.name for path in out.iterdir()] == [name]
    assert (out / name).read_text() == "my own"


def test_two_trainings_do_not_share_a_folder(pictures: Path, tmp_path: Path) -> None:
    with alone_in(tmp_path), pytest.raises(ValueError, match="another run writes into"):
        run(tmp_path, pictures)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"data": ""}, "data is empty"),
        ({"workers": 2**32}, "workers = .* must lie between 0 and 1024"),
        ({"workers": -1}, "workers = -1"),
        ({"micro_batches": 0}, "micro_batches = 0"),
        ({"save_every": 0}, "save_every = 0"),
        ({"seed": 2**33}, "seed = "),
        ({"shard": True}, "--shard spreads a network over several processes"),
    ],
)
def test_options_without_a_sense_are_refused(
    options: dict[str, Any],
    word: str,
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RANK", raising=False)
    asked = {"data": str(pictures), **options}
    with pytest.raises(ValueError, match=word):
        room.train(TINY, tmp_path / "out", progress=False, **asked)
    assert not (tmp_path / "out").exists()


class Black(Network):
    """Draws black in one call, and beyond, which is clipped."""

    def __init__(self) -> None:
        super().__init__()
        self.preset = dataclasses.replace(TINY, objective="regression")

    def forward(self, x: Tensor, y_t: Tensor, gamma: Tensor) -> Tensor:
        return torch.full_like(y_t, -2.0)


def test_pictures_that_are_met_exactly_are_counted_and_the_figures_are_numbers(
    tmp_path: Path,
) -> None:
    """On black pictures beside a grey one."""
    y = torch.cat([-torch.ones(3, 1, 16, 16), torch.zeros(1, 1, 16, 16)])
    f = Black()
    sheet = tmp_path / "samples" / "sheet.png"
    figures = watch.validate(Accelerator(cpu=True), f, y, sheet)
    assert figures["exact"] == 3
    assert figures["PSNR"] == pytest.approx(10 * math.log10(4), abs=0.01)
    figures = watch.validate(Accelerator(cpu=True), f, y[:3], sheet)
    assert figures["exact"] == 3
    assert "PSNR" not in figures
    json.dumps(figures, allow_nan=False)
