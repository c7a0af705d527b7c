"""A preset goes into a checkpoint and comes back; what makes no sense is refused in one
sentence.
"""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest
import torch
from checks import seeded
from rooms import room
from tiny import TINY, network

from sr3mini.degrade import upsample
from sr3mini.model.network import build
from sr3mini.model.preset import CHOICES, RANGES, Preset
from sr3mini.model.presets import PRESETS
from sr3mini.oracle import GaussianOracle
from sr3mini.schedule import NoiseSchedule, log_snr
from sr3mini.unet import UNet


@pytest.mark.parametrize(
    "preset", [TINY, *PRESETS.values()], ids=lambda preset: preset.name
)
def test_json_leads_back_to_the_same_preset(preset: Preset) -> None:
    assert Preset.from_json(preset.to_json()) == preset


def test_the_shipped_presets_go_by_their_own_names() -> None:
    assert {name: preset.name for name, preset in PRESETS.items()} == {
        name: name for name in PRESETS
    }
    assert "glyphs_8_32" in PRESETS


def test_the_regression_baseline_differs_from_sr3_in_its_objective_and_name_alone() -> (
    None
):
    """So both have the same network, the same pictures, the same number of steps; how a
    sample is drawn means nothing where one call gives the picture.
    """
    sr3, baseline = PRESETS["glyphs_8_32"], PRESETS["glyphs_8_32_regression"]
    drawn = {
        name: value for name, value in vars(sr3).items() if name.startswith("sampling")
    }
    trained = dataclasses.replace(baseline, name=sr3.name, objective="noise", **drawn)
    assert trained == sr3
    assert baseline.objective == "regression"


# SR3, table of architectures: millions of parameters
PAPER = {
    "faces_16_128": 550,
    "photos_64_256": 625,
    "faces_64_512": 625,
    "faces_256_1024": 150,
}


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_fits_its_picture_and_has_a_twin_unless_it_sees_no_x(
    name: str,
) -> None:
    preset = PRESETS[name]
    sides = len(preset.multipliers) - 1
    assert preset.size % 2**sides == 0, "no padding in training"
    assert count(preset) > 1e5
    if not preset.conditional:
        assert (preset.factor, name.endswith(f"_{preset.size}_unconditional")) == (
            1,
            True,
        )
        return
    assert name.removesuffix("_regression").endswith(
        f"_{preset.size // preset.factor}_{preset.size}"
    ) or name.removesuffix("_regression").endswith("_small")
    assert ("regression" in name) == (preset.objective == "regression")
    assert f"{name.removesuffix('_regression')}_regression" in PRESETS


@pytest.mark.parametrize(("name", "millions"), PAPER.items())
def test_the_papers_presets_have_the_papers_sizes_and_its_training(
    name: str, millions: int
) -> None:
    preset, twin = PRESETS[name], PRESETS[f"{name}_regression"]
    assert count(preset) == pytest.approx(millions * 1e6, rel=0.05)
    assert count(twin) == count(preset)
    assert (
        preset.train_steps,
        preset.batch_size,
        preset.warmup_steps,
        preset.decay,
        preset.weight_decay,
    ) == (1_000_000, 256, 10_000, "none", 0)
    assert (preset.learning_rate, twin.learning_rate, preset.dropout) == (
        1e-4,
        1e-5,
        0.2 if name == "faces_16_128" else 0,
    )
    assert torch.equal(
        preset.training_schedule().gammas, NoiseSchedule.linear(2000, 1e-6, 1e-2).gammas
    )


def test_the_public_codes_layout_has_its_978_million_parameters() -> None:
    assert round(count(PRESETS["public_16_128"]) / 1e6, 1) == 97.8


def count(preset: Preset) -> int:
    """Parameters, on the device that knows shapes and holds no numbers."""
    with torch.device("meta"):
        return sum(p.numel() for p in build(preset).parameters())


def test_the_network_has_the_presets_layout_and_carries_it() -> None:
    f = build(TINY)
    assert f.preset is TINY
    assert (
        f.stem.in_channels,
        f.stem.out_channels,
        f.middle[0].block.conv1.out_channels,
    ) == (2, 8, 16)


def test_the_training_schedule_is_the_papers_unless_told_otherwise() -> None:
    assert torch.equal(
        TINY.training_schedule().gammas, NoiseSchedule.linear(2000, 1e-6, 1e-2).gammas
    )


@pytest.mark.parametrize(("asked", "steps"), [(None, 4), (1, 1), (7, 7), (2000, 2000)])
def test_the_sampling_schedule_takes_its_levels_from_training_and_ends_at_the_same_one(
    asked: int | None, steps: int
) -> None:
    training, sampling = TINY.training_schedule(), TINY.sampling_schedule(asked)
    assert sampling.steps == steps
    assert torch.isin(sampling.gammas, training.gammas).all()
    assert sampling.gammas[-1] == training.gammas[-1]


def test_even_levels_are_even_in_log_snr_and_end_where_training_does() -> None:
    even = dataclasses.replace(TINY, sampling_levels="even", sampling_steps=6)
    snr = log_snr(even.sampling_schedule().gammas[1:])
    assert len(snr) == 6
    torch.testing.assert_close(snr.diff(), snr.diff()[:1].expand(5))
    assert even.sampling_schedule(1).gammas[-1] == pytest.approx(1e-4)
    noisy = dataclasses.replace(even, schedule_end=2e-3)  # it never saw more noise
    training = noisy.training_schedule().gammas[-1]
    assert training > 0.1
    assert noisy.sampling_schedule().gammas[-1] == pytest.approx(training.item())


def test_a_method_by_name_brings_its_levels_and_calls_and_calls_may_be_told() -> None:
    def told(preset: Preset) -> tuple[str, str, int]:
        return preset.sampling_method, preset.sampling_levels, preset.sampling_steps

    fast = TINY.sampled(method="multistep")
    assert told(TINY.sampled()) == ("ancestral", "respaced", 4)
    assert told(TINY.sampled(9)) == ("ancestral", "respaced", 9)
    assert told(TINY.sampled(method="ancestral")) == ("ancestral", "respaced", 100)
    assert told(fast) == ("multistep", "even", 8)
    assert told(fast.sampled(5)) == ("multistep", "even", 5)
    assert told(fast.sampled(5, "ddim")) == ("ddim", "even", 5)
    assert told(fast.sampled(method="ancestral")) == ("ancestral", "respaced", 100)
    short = dataclasses.replace(fast, schedule_steps=20)
    assert short.sampled(method="ancestral").sampling_steps == 20
    for steps, method in ((0, None), (2001, None), (None, "euler")):
        with pytest.raises(ValueError, match="sampling_"):
            UNHOOKED(**dataclasses.asdict(TINY)).sampled(steps, method)
    twin = dataclasses.replace(TINY, objective="regression")
    assert twin.sampled(9, "multistep") is twin, "it is asked once, and for the picture"


def test_weights_from_before_a_preset_told_its_method_are_drawn_as_they_were() -> None:
    fields = dataclasses.asdict(TINY)
    older = {name: it for name, it in fields.items() if name not in NEW}
    assert len(older) == len(fields) - 2
    preset = Preset.from_json(json.dumps(older))
    assert (preset.sampling_method, preset.sampling_levels) == ("ancestral", "respaced")
    assert preset == TINY


NEW = ("sampling_method", "sampling_levels")
UNHOOKED = room("model.preset").Preset
ABSURD: dict[str, Any] = {
    "channels": [0, -8, 10**9, 8.5, "8", None, [8, 8], True],
    "multipliers": [[], [0], [1] * 9, [1, "2"], 4, "12"],
    "blocks": [[1], [1, 1, 1], -1, 10**6],
    "attention": [[-1], "all", 1, [1.5], [True], {"0": 1}, [5], [0, 2], [[0]], None],
    "conditional": [1, "yes", None],
    "layout": ["unet", ["ddpm"], {}],
    "groups": [0, 10**9],
    "factor": [0, 3, 10**9],
    "size": [0, 10**6],
    "image_channels": [0, 2, 4, 10**6],
    "sampling_steps": [0, 2001],
    "sampling_method": ["euler", "", None, ["ddim"], 2],
    "sampling_levels": ["odd", None, True],
    "data": ["else", None],
    "objective": ["gan", "", None],
    "decay": ["linear", None, 0],
    "name": [
        *(None, 3, "", "..", "../elsewhere", "two/words", "a\\b"),
        *("a\nb", "\x1b[2J", "\ud800", "x" * 65, {"a": 1}),
    ],
    "loss_power": [0, 3, 1.5],
    "schedule_steps": [0, 10**12],
    "schedule_end": [2, -1, float("nan"), "a"],
    "learning_rate": [float("inf")],
    "dropout": [1.5],
    "range": [
        [1, 1],
        [2, 1],
        [0],
        [0, 1, 2],
        3,
        "01",
        [0, float("inf")],
        [False, True],
    ],
}


@pytest.mark.parametrize(
    ("field", "value"),
    [(field, value) for field, values in ABSURD.items() for value in values],
)
def test_a_value_that_makes_no_sense_is_refused_in_one_line(
    field: str, value: object
) -> None:
    """By the preset itself: the room is loaded as users have it, without the checks of
    types that tests add.
    """
    with pytest.raises(ValueError, match=field) as refused:
        UNHOOKED.from_json(json.dumps({**dataclasses.asdict(TINY), field: value}))
    assert "\n" not in str(refused.value)


def test_every_field_is_looked_at() -> None:
    fields = {field.name for field in dataclasses.fields(Preset)}
    assert fields == {"name", "range", *CHOICES, *RANGES}


@pytest.mark.parametrize("value", ["x" * 10**6, ["x" * 999] * 999, list(range(10**6))])
@pytest.mark.parametrize("field", ["name", "size", "attention"])
def test_a_value_of_any_length_makes_a_short_sentence(
    field: str, value: object
) -> None:
    with pytest.raises(ValueError, match=f"^{field} = ") as refused:
        UNHOOKED.from_json(json.dumps({**dataclasses.asdict(TINY), field: value}))
    assert len(str(refused.value)) < 300


UNKNOWN_FIELD = json.dumps({**dataclasses.asdict(TINY), "colour": 1})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json",
        "[]",
        "3",
        "null",
        "{}",
        "[" * 100_000,
        '{"name": "tiny"}',
        UNKNOWN_FIELD,
    ],
)
def test_a_text_that_is_no_preset_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"preset|line 1"):
        UNHOOKED.from_json(text)


def test_an_untrained_network_with_detail_is_the_oracle_around_the_enlarged_x() -> None:
    """y ~ N(U x, s^2 I): every level, two pictures with their own levels, gamma near 1
    too.
    """
    preset = dataclasses.replace(TINY, detail=0.3)
    x, y_t = (
        torch.randn(2, 1, 4, 4, generator=seeded(0)),
        torch.randn(2, 1, 16, 16, generator=seeded(1)),
    )
    for gamma in ([0.5, 1e-4], [0.9, 1 - 1e-6]):
        level = torch.tensor(gamma, dtype=torch.float64)
        predicted = build(preset)(x, y_t, level)
        for i in range(2):
            oracle = GaussianOracle(upsample(x, 4)[i].flatten(), 0.09 * torch.eye(256))
            torch.testing.assert_close(
                predicted[i : i + 1],
                oracle(None, y_t[i : i + 1], level[i : i + 1]),
                rtol=1e-4,
                atol=1e-5,
            )


def test_what_is_left_to_a_network_with_detail_has_unit_size() -> None:
    """The deviation of the noise, sqrt(gamma) s / sqrt(v), times what the U-Net puts
    out: a head that puts out 1 moves f by just that.
    """
    preset = dataclasses.replace(TINY, detail=0.3)
    f = build(preset)
    x, y_t, level = (
        torch.zeros(1, 1, 4, 4),
        torch.randn(1, 1, 16, 16, generator=seeded(1)),
        torch.tensor([0.7]),
    )
    before = f(x, y_t, level)
    torch.nn.init.ones_(f.head.bias)  # type: ignore[union-attr,arg-type]
    torch.testing.assert_close(
        f(x, y_t, level) - before,
        torch.full_like(y_t, math.sqrt(0.7 * 0.09 / (0.7 * 0.09 + 0.3))),
    )


def test_u_x_is_computed_once_a_call_and_no_bit_differs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By (I.2), with the U-Net enlarging x once more."""
    s, enlarged = 0.3, []
    f = network(dataclasses.replace(TINY, detail=s))
    x, y_t = torch.rand(2, 1, 5, 4), torch.randn(2, 1, 20, 16)
    gamma = torch.tensor([0.2, 0.9], dtype=torch.float64)
    signal, u_x = gamma.float()[:, None, None, None], upsample(x, 4)
    noise = (1 - gamma).float()[:, None, None, None]
    v, difference = signal * s**2 + noise, y_t - signal.sqrt() * u_x
    rest = UNet.forward(f, x, difference / v.sqrt(), gamma)
    wanted = noise.sqrt() / v * difference + signal.sqrt() * s / v.sqrt() * rest
    bicubic = torch.nn.functional.interpolate
    monkeypatch.setattr(
        "torch.nn.functional.interpolate",
        lambda image, **how: (
            enlarged.append(how["mode"] == "bicubic"),
            bicubic(image, **how),
        )[1],
    )
    assert torch.equal(f(x, y_t, gamma), wanted)
    assert sum(enlarged) == 1


@pytest.mark.parametrize(
    "other", [{"objective": "regression"}, {"layout": "ddpm"}, {"conditional": False}]
)
def test_detail_needs_an_x_and_noise_to_predict(other: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="can start from U x"):
        dataclasses.replace(TINY, detail=0.3, **other)  # type: ignore[arg-type]
