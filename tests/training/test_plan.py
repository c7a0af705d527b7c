"""The plan: memory by part, seconds from rates, hours from seconds, and what to do when
it does not fit.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from rooms import room
from tiny import TINY

from sr3mini.cli import main
from sr3mini.model.preset import Preset
from sr3mini.model.presets import PRESETS
from sr3mini.training.cost import Operation, trace
from sr3mini.training.plan import (
    CONVOLUTION,
    DEVICES,
    HEADROOM,
    LAUNCH,
    OPTIMIZER,
    PRODUCT,
    STREAM,
    Device,
    Plan,
    _seconds,
    cure,
    plan,
    this_device,
)

SMALL = dataclasses.replace(TINY, batch_size=32)
UNHOOKED = room("training.plan")
TOY = Device(memory=4e6, fp32=1e12, bf16=2e12, bandwidth=1e11, link=1e9)


@pytest.fixture(autouse=True)
def a_toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device so small and slow that a network that is traced in no time fills it."""
    monkeypatch.setitem(DEVICES, "toy", TOY)


def planned(preset: Preset = SMALL, **how: Any) -> Plan:
    return plan(preset, **{"kind": "toy", **how})


def test_every_part_of_the_memory() -> None:
    """Four bytes a number: weights, their average, AdamW's two moments; gradients and
    activations as they were traced.
    """
    found, step = planned(precision="no"), trace(SMALL, 32)
    n = step.parameters
    assert found.memory == {
        "weights": 4 * n,
        "average": 4 * n,
        "optimizer": 8 * n,
        "gradients": step.gradients,
        "activations": step.activations,
    }
    assert found.bytes == 16 * n + step.gradients + step.activations
    assert found.room == TOY.memory * (1 - HEADROOM)
    assert (found.parameters, found.batch) == (n, 32)


def test_several_devices_share_the_batch_and_ddp_copies_the_gradients() -> None:
    one, eight = planned(), planned(gpus=8)
    assert (one.batch, eight.batch) == (32, 4)
    assert (
        eight.memory["gradients for DDP"]
        == eight.memory["weights"]
        == one.memory["weights"]
    )
    weights_in_bf16 = 2 * one.parameters
    assert (eight.memory["activations"] - weights_in_bf16) * 8 == pytest.approx(
        one.memory["activations"] - weights_in_bf16, rel=0.02
    )


def test_micro_batches_need_less_for_activations_and_keep_the_gradients_whole() -> None:
    one, four = planned(), planned(micro_batches=4)
    assert four.batch == 8
    assert four.memory["gradients"] == 4 * four.parameters
    assert four.memory["activations"] < 0.3 * one.memory["activations"]


def test_sharding_spreads_everything_but_activations_and_what_is_gathered() -> None:
    whole, spread = planned(gpus=4), planned(gpus=4, shard=True)
    for part in ("weights", "average", "optimizer"):
        assert spread.memory[part] == whole.memory[part] / 4
    assert spread.memory["gradients"] == spread.memory["weights"]
    assert spread.memory["activations"] == whole.memory["activations"]
    assert spread.memory["gathered"] == 12 * trace(SMALL, 1).stage
    assert "gradients for DDP" not in spread.memory


def test_the_seconds_of_an_operation_are_its_narrowest_limit() -> None:
    assert _seconds(Operation(10**12, 10**6), 1e14, 1e12) == 0.01
    assert _seconds(Operation(10**6, 10**10), 1e14, 1e12) == 0.01
    assert _seconds(Operation(1, 4), 1e14, 1e12) == LAUNCH


def test_the_seconds_of_a_step_add_up() -> None:
    """By the data sheet, on one device: every operation at its limit, then clipping,
    AdamW and the average.
    """
    step, found = trace(SMALL, 32, bf16=True), planned()
    rate, bandwidth = 2e12 * PRODUCT * CONVOLUTION["bf16"], TOY.bandwidth * STREAM
    each = [
        max(o.flops / rate, o.moved / bandwidth, LAUNCH)
        for o in (*step.forward, *step.backward)
    ]
    assert found.seconds == pytest.approx(
        sum(each) + OPTIMIZER * step.parameters / bandwidth, rel=1e-9
    )
    assert found.images_per_second == 32 / found.seconds
    assert found.hours == 30 * found.seconds / 3600
    flops = sum(o.flops for o in (*step.forward, *step.backward)) / 32
    assert (found.training_flops, found.precision, found.rate) == (flops, "bf16", rate)
    assert found.forward_flops == pytest.approx(found.training_flops / 3, rel=0.02)


def test_a_measured_peak_takes_the_place_of_the_data_sheets() -> None:
    """With a slow enough product nothing else counts: half the rate, twice the time."""
    slow, slower = (planned(peak=peak) for peak in (4e8, 2e8))
    assert (slow.rate, slower.rate) == (
        4e8 * CONVOLUTION["bf16"],
        2e8 * CONVOLUTION["bf16"],
    )
    assert slower.seconds == pytest.approx(2 * slow.seconds, rel=0.05)


def test_eight_gpus_are_nearly_eight_times_as_fast_unless_their_links_are_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    large = dataclasses.replace(SMALL, batch_size=64 * 8)
    assert (
        6
        < planned(large, peak=1e9).seconds / planned(large, peak=1e9, gpus=8).seconds
        <= 8
    )
    monkeypatch.setitem(DEVICES, "toy", dataclasses.replace(TOY, link=1e5))
    for shard, times in (
        (False, 2),
        (True, 3),
    ):  # gradients summed and handed round; weights gathered twice, gradients scattered
        found = planned(gpus=8, shard=shard)
        updating = (
            OPTIMIZER
            * found.parameters
            / (8 if shard else 1)
            / (TOY.bandwidth * STREAM)
        )
        assert found.seconds == pytest.approx(
            times * 4 * found.parameters * 7 / 8 / 1e5 + updating, rel=1e-9
        )


@pytest.mark.parametrize(
    ("memory", "gpus", "shard"),
    [(12e6, 1, False), (4e6, 1, False), (4e6, 4, False), (1.0e6, 4, True)],
)
def test_the_way_out_fits_and_the_next_larger_micro_batch_does_not(
    memory: float, gpus: int, shard: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DEVICES, "toy", dataclasses.replace(TOY, memory=memory))
    too_large = planned(gpus=gpus)
    assert not too_large.fits
    found = cure(too_large)
    assert found is not None
    assert found.fits
    assert (found.kind, found.gpus, found.shard, found.rate) == (
        "toy",
        gpus,
        shard,
        pytest.approx(too_large.rate),
    )
    assert found.micro_batches > 1
    assert not planned(
        gpus=gpus, micro_batches=found.micro_batches // 2, shard=shard
    ).fits
    assert not shard or not planned(gpus=gpus, micro_batches=32 // gpus).fits, (
        "spread over the devices only where nothing else helps"
    )


def test_nothing_helps_where_one_picture_is_too_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(DEVICES, "toy", dataclasses.replace(TOY, memory=1e5))
    assert cure(planned(gpus=2)) is None


def test_the_preset_for_16_gb_fits_them() -> None:
    assert plan(PRESETS["faces_16_128_small"], kind="t4").fits
    assert DEVICES["t4"].memory == 16e9


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"kind": "abacus"}, "no kind of device 'abacus'; there are: h100, h200"),
        (
            {"kind": "t4", "precision": "bf16"},
            "a t4 has no bfloat16: plan for --precision no",
        ),
        (
            {"kind": "h100", "gpus": 3},
            (
                "a batch of 32 pictures cannot be shared by 3 processes with 1"
                " micro-batches each: it must be a multiple of 3"
            ),
        ),
    ],
)
def test_what_cannot_be_planned_is_refused_in_one_sentence(
    how: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        UNHOOKED.plan(SMALL, **how)


def test_a_gpu_that_is_not_there_is_not_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        ValueError,
        match=(
            "this machine has no GPU that torch can use: name the kind you plan for,"
            " such as --kind h100"
        ),
    ):
        plan(SMALL, kind="cuda")


def test_this_processor_is_measured() -> None:
    """Orders of magnitude only: any processor that runs this multiplies more than 10
    and fewer than 100,000 million numbers a second and core.
    """
    here = this_device("cpu")
    assert 1e9 < here.fp32 < 1e14
    assert here.bf16 is not None
    assert 1e8 < here.bf16 < 1e15
    assert 1e8 < here.bandwidth < 1e13
    assert here.memory > 1e9
    assert torch.get_float32_matmul_precision() == "highest", "left as it was"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    main(["plan", *arguments])
    return capsys.readouterr().out


def test_the_command_says_what_it_costs_and_how_to_start_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = run(capsys, "public_16_128", "--kind", "RTX 4090", "--gpus", "2")
    found = plan(PRESETS["public_16_128"], kind="rtx4090", gpus=2)
    # with its six attentions; 92.22 without
    assert "97.8 million parameters, 92.35 GFLOP a picture forward" in said
    assert f"{found.bytes / 1e9:.2f} GB of {found.room / 1e9:.1f}" in said
    assert f"{found.images_per_second:,.1f} pictures/s" in said
    assert f"{found.hours:,.1f} hours for 1,000,000 steps" in said
    assert (
        "start: torchrun --nproc-per-node 2 -m sr3mini train --preset public_16_128"
        " --data FOLDER --precision bf16\n" in said
    )
    assert "WARNING" not in said


def test_the_command_warns_where_it_will_not_fit_and_names_the_cure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = run(
        capsys, "glyphs_8_32", "--kind", "toy", "--batch-size", "4", "--precision", "no"
    )
    assert "WARNING: this does not fit; take more devices or larger ones" in said
    assert "start:" not in said
    DEVICES["toy"] = dataclasses.replace(TOY, memory=44e6)
    said = run(
        capsys,
        "glyphs_8_32",
        "--kind",
        "toy",
        "--batch-size",
        "16",
        "--precision",
        "no",
    )
    assert "WARNING: this does not fit; 4 at a time do: 0.0 GB" in said
    assert said.endswith(
        "start: sr3mini train --preset glyphs_8_32 --batch-size 16 --micro-batches 4\n"
    )


def test_the_command_takes_a_preset_of_ones_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.json").write_text(TINY.to_json(), encoding="utf-8")
    assert run(capsys, str(tmp_path / "own.json")).startswith(
        "tiny: 0.0 million parameters"
    )
    assert (
        f"start: sr3mini train --preset {tmp_path / 'own.json'} --batch-size 4 "
        in run(capsys, str(tmp_path / "own.json"), "--batch-size", "4")
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["glyphs_8_32", "--gpus", "0"],
        ["glyphs_8_32", "--peak", "-1"],
        ["glyphs_8_32", "--kind", "abacus"],
    ],
)
def test_a_mistake_on_the_command_line_is_one_sentence(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["plan", *arguments])
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("sr3mini: ")
    assert said.count("\n") == 1


def test_a_way_out_of_ten_million_pictures_is_found_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By a dozen looks at divisors, and not at every number below."""
    monkeypatch.setitem(DEVICES, "toy", dataclasses.replace(TOY, memory=12e6))
    looks = []
    fits = Plan.fits.fget
    monkeypatch.setattr(Plan, "fits", property(lambda it: looks.append(it) or fits(it)))
    found = cure(planned(dataclasses.replace(SMALL, batch_size=10_000_000)))
    assert found is not None
    assert 10_000_000 % found.micro_batches == 0
    assert len(looks) < 12
