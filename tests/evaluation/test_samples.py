"""The metrics table: on pictures that are drawn the same way every time, of values that
are known in advance.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from checks import seeded
from tiny import TINY, Clairvoyant, network, pictures
from torch import Tensor

from sr3mini.data import ALPHABET, Folder, glyphs
from sr3mini.degrade import downsample, upsample
from sr3mini.evaluation import compare
from sr3mini.evaluation.compare import drawn_cases
from sr3mini.evaluation.samples import (
    JUDGES,
    alphabet_legibility,
    chosen,
    error_of_means,
    held_out,
    measured_samples,
)
from sr3mini.evaluation.table import format_table
from sr3mini.loss import regress
from sr3mini.metrics import diversity, measure
from sr3mini.model.network import build
from sr3mini.sampler import Method, sample
from sr3mini.upscaling.draw import draw
from sr3mini.upscaling.upscale import upscale

GLYPHS = dataclasses.replace(TINY, data="glyphs", size=32)
REGRESSION = dataclasses.replace(TINY, objective="regression")


def noise(*shape: int) -> Tensor:
    return torch.rand(shape, generator=seeded(0)) * 2 - 1


# Draws --------------------------------------------------------------------------------


def test_draws_are_factor_times_as_large_and_in_range() -> None:
    drawn = draw(network(), 3 * noise(2, 1, 3, 5), seeds=[0, 1, 2])
    assert drawn.shape == (3, 2, 1, 12, 20)
    assert drawn.abs().max() <= 1


def test_a_seed_repeats_exactly_and_another_differs() -> None:
    f, x = network(), noise(2, 1, 4, 4)
    together = draw(f, x, seeds=[3, 4])
    assert torch.equal(together[1], draw(f, x, seeds=[4])[0])
    assert not torch.equal(together[0], together[1])


def test_check_10_a_pictures_sample_does_not_depend_on_its_batch() -> None:
    f, x = network(), noise(3, 1, 4, 4)
    together = draw(f, x, seeds=[5])[0]
    for i in range(3):
        torch.testing.assert_close(
            draw(f, x[i : i + 1], seeds=[5])[0], together[i : i + 1], rtol=0, atol=1e-5
        )


def test_the_number_of_steps_is_the_number_of_network_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    f = network()
    levels: list[float] = []
    monkeypatch.setattr(
        type(f),
        "forward",
        lambda self, x, y_t, gamma: (levels.append(gamma[0].item()), 0 * y_t)[1],
    )
    draw(f, noise(1, 1, 4, 4), steps=3, seeds=[0])
    draw(f, noise(1, 1, 4, 4), seeds=[0])
    assert len(levels) == 3 + TINY.sampling_steps
    assert levels[:3] == TINY.sampling_schedule(3).gammas.flip(0)[:3].tolist()


@pytest.mark.parametrize("method", ["ddim", "multistep", "ancestral"])
def test_the_preset_or_the_caller_says_how_samples_are_drawn(method: Method) -> None:
    """By `draw`, and by `upscale` in one window: what `sample` draws by that method on
    the preset's levels, from the same noise.
    """
    f, x = network(), noise(1, 1, 4, 4)
    how: dict[str, Any] = {"method": method, "variance": "posterior", "clip": True}
    preset = TINY.sampled(3, method)
    levels, shape = preset.sampling_schedule(), (1, 1, 16, 16)
    wanted = sample(f, x, levels, shape, generator=seeded(5), **how).clamp(-1, 1)
    asked = draw(f, x, steps=3, method=method, seeds=[5])[0]
    assert torch.equal(asked, wanted)
    assert torch.equal(upscale(f, x[0], steps=3, method=method, seed=5), wanted)
    f.preset = preset
    assert torch.equal(draw(f, x, seeds=[5])[0], wanted)
    assert torch.equal(upscale(f, x[0], seed=5), wanted)


def test_a_regression_network_is_called_once_a_batch_and_sees_neither_noise_nor_level(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    f, shown = network(REGRESSION), []
    forward = type(f).forward
    monkeypatch.setattr(
        type(f),
        "forward",
        lambda self, x, y_t, gamma: (
            shown.append((y_t, gamma)),
            forward(self, x, y_t, gamma),
        )[1],
    )
    drawn = draw(f, noise(2, 1, 3, 5), steps=7, method="multistep", seeds=[0, 1, 2])
    assert drawn.shape == (3, 2, 1, 12, 20)
    assert len(shown) == 1
    assert not shown[0][0].any()
    assert not shown[0][1].any()


def test_a_regression_network_gives_every_seed_the_same_picture_in_range() -> None:
    f, x = network(REGRESSION), noise(2, 1, 4, 4)
    drawn = draw(f, x, seeds=[3, 4])
    assert torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[0], regress(f, x, (2, 1, 16, 16)).clamp(-1, 1))
    assert drawn.abs().max() <= 1
    assert not torch.equal(draw(f, -x, seeds=[0])[0], drawn[0])


def test_a_network_in_training_draws_without_keeping_its_gradients() -> None:
    for preset in (TINY, REGRESSION):
        assert not draw(
            build(preset), noise(1, 1, 4, 4), steps=1, seeds=[0]
        ).requires_grad


# Which pictures -----------------------------------------------------------------------


def test_held_out_glyphs_are_the_same_every_time_and_keep_their_characters() -> None:
    f = network(GLYPHS)
    y, characters = held_out("glyphs", f, 20, seed=1)
    again, _ = held_out("glyphs", f, 20, seed=1)
    other, _ = held_out("glyphs", f, 20, seed=2)
    assert y.shape == (20, 1, 32, 32)
    assert torch.equal(y, again)
    assert not torch.equal(y, other)
    test, train = glyphs("test"), glyphs("train")
    assert characters is not None
    assert set(characters).isdisjoint(train.characters)
    for picture, character in zip(y, characters, strict=True):
        assert any(
            torch.equal(picture, test[i])
            for i, c in enumerate(test.characters)
            if c == character
        )


def test_held_out_of_a_folder_is_all_of_it_when_no_count_is_given(
    tmp_path: Path,
) -> None:
    folder = str(pictures(tmp_path / "pictures", count=7))
    y, characters = held_out(folder, network(), None)
    assert y.shape == (7, 1, 16, 16)
    assert characters is None
    assert len(held_out(folder, network(), 3)[0]) == 3


def test_a_model_of_colour_pictures_is_shown_glyphs_in_colour() -> None:
    y, characters = held_out(
        "glyphs", network(dataclasses.replace(GLYPHS, image_channels=3)), 2
    )
    assert y.shape == (2, 3, 32, 32)
    assert characters is not None
    assert not torch.equal(y[:, 0], y[:, 1])


def test_of_a_prepared_folder_the_held_out_part_is_chosen_and_of_any_other_all(
    tmp_path: Path,
) -> None:
    folder = pictures(tmp_path / "own", 12)
    everything, _ = chosen(str(folder), network(), None)
    record = {"size": 16, "complete": True, "train": 10, "test": 2}
    (folder / "prepared.json").write_text(json.dumps(record))
    (folder / "train.names").write_bytes(
        b"".join(f"{n:02}.png\0".encode() for n in range(10))
    )
    (folder / "test.names").write_bytes(b"10.png\0" + b"11.png\0")
    held, order = chosen(str(folder), network(), None)
    assert isinstance(held, Folder)
    assert (len(everything), sorted(held.files[i].name for i in order)) == (
        12,
        ["10.png", "11.png"],
    )


# Numbers ------------------------------------------------------------------------------


def test_measure_on_values_known_in_advance() -> None:
    """0.2 too bright on a range of 2: PSNR 10 log10(4 / 0.04) = 20 dB; shrunk, 0.1 on
    [0, 1]: 1e5 x 0.01 = 1000.
    """
    y = noise(3, 1, 16, 16) / 2
    x = downsample(y, 4)
    brighter = measure(y + 0.2, y, x)
    assert brighter["PSNR"] == pytest.approx(20, abs=1e-3)
    assert brighter["consistency"] == pytest.approx(1000, rel=1e-4)
    assert brighter["SSIM"] < 0.99  # a little light is hardly a change of structure
    assert measure(y, y, x)["SSIM"] == pytest.approx(1, abs=1e-6)
    assert measure(y, y, x)["consistency"] == 0


def test_the_table_of_a_network_that_knows_the_answer() -> None:
    y = noise(4, 1, 16, 16)
    table, drawn = measured_samples(Clairvoyant(TINY, y), y, samples=3, steps=20)
    assert list(table) == ["bicubic", "SR3", "mean of 3"]
    assert drawn.shape == (3, 4, 1, 16, 16)
    assert table["SR3"]["PSNR"] > 60
    assert table["SR3"]["diversity"] < 1e-3
    x = downsample(y, 4)
    bicubic = measure(upsample(x, 4).clamp(-1, 1), y, x)
    assert table["bicubic"] == pytest.approx(bicubic, rel=1e-5)


def test_the_batch_size_of_an_evaluation_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    y, f = noise(5, 1, 16, 16), network()
    together = measured_samples(f, y, samples=2)[1]
    monkeypatch.setattr(compare, "BATCH_PIXELS", 2 * 16 * 16)  # two at a time
    torch.testing.assert_close(
        measured_samples(f, y, samples=2)[1], together, rtol=0, atol=1e-5
    )


def test_each_row_is_measured_on_what_its_name_says() -> None:
    y = noise(3, 1, 16, 16)
    table, drawn = measured_samples(network(), y, samples=2)
    x = downsample(y, 4)
    mean = measure(drawn.mean(0), y, x)
    one = measure(drawn[0], y, x) | {"diversity": diversity(drawn).mean().item()}
    assert table["mean of 2"] == pytest.approx(mean, rel=1e-5)
    assert table["SR3"] == pytest.approx(one, rel=1e-5)
    assert table["mean of 2"] != pytest.approx(measure(drawn[0], y, x), rel=1e-3)


def test_of_one_sample_there_is_no_mean_and_no_diversity() -> None:
    table, _ = measured_samples(network(), noise(2, 1, 16, 16), samples=1)
    assert list(table) == ["bicubic", "SR3"]
    assert "diversity" not in table["SR3"]


def test_the_table_of_a_regression_network_has_its_name_no_diversity_and_no_mean() -> (
    None
):
    y, f = noise(3, 1, 16, 16), network(REGRESSION)
    table, drawn = measured_samples(f, y, samples=4)
    x = downsample(y, 4)
    assert (f.preset.label, network().preset.label) == ("regression", "SR3")
    assert list(table) == ["bicubic", "regression"]
    assert drawn.shape == (4, 3, 1, 16, 16)
    answer = measure(draw(f, x, seeds=[0])[0], y, x)
    assert table["regression"] == pytest.approx(answer | {"diversity": 0}, rel=1e-5)


def test_legibility_has_a_row_for_each_row_of_the_table() -> None:
    for preset, rows in (
        (GLYPHS, ["bicubic", "SR3", "mean of 2"]),
        (
            dataclasses.replace(GLYPHS, objective="regression"),
            ["bicubic", "regression"],
        ),
    ):
        read = alphabet_legibility(network(preset), steps=1, samples=2)
        assert list(read) == rows
        assert all(0 <= share <= 1 for share in read.values())
    assert list(alphabet_legibility(network(GLYPHS), steps=1)) == ["bicubic", "SR3"]


def test_the_error_of_means_averages_over_groups_of_different_samples() -> None:
    """Samples 1, 3, 5, 9 of an original 0: single ones 29, pairs (2 and 7) 26.5, threes
    (3) 9, all four (4.5) 20.25.
    """
    drawn = (
        torch.tensor([1.0, 3.0, 5.0, 9.0]).reshape(4, 1, 1, 1, 1).expand(4, 2, 1, 4, 4)
    )
    found = [error_of_means(drawn, torch.zeros(2, 1, 4, 4), k) for k in (1, 2, 3, 4)]
    assert found == pytest.approx([29, 26.5, 9, 20.25])


def test_the_error_of_means_is_bias_plus_spread_over_k() -> None:
    """(E.2) for a sampler that is not exact: samples around 0.5 with variance 0.16, the
    original at 0.
    """
    drawn = 0.5 + 0.4 * torch.randn(8, 200, 1, 8, 8, generator=seeded(0))
    for k in (1, 2, 4, 8):
        assert error_of_means(drawn, torch.zeros(200, 1, 8, 8), k) == pytest.approx(
            0.25 + 0.16 / k, rel=0.02
        )


def test_each_judge_prefers_an_original_to_its_blur_or_its_dirt() -> None:
    test = glyphs("test")
    y = test.batch([test.find(c) for c in "AgR8"])
    x = downsample(y, 4)
    for name, judge in JUDGES.items():
        assert (judge(y) > judge(upsample(x, 4).clamp(-1, 1))).all(), name
    dirty = torch.where(y == 1, 0.99, y)  # a paper that is almost white
    assert (JUDGES["purer white"](y) > JUDGES["purer white"](dirty)).all()
    assert torch.equal(JUDGES["fewer greys"](y), JUDGES["fewer greys"](dirty))


def test_a_network_that_knows_the_alphabet_is_read_without_a_mistake() -> None:
    test = glyphs("test")
    y = test.batch([test.find(c, "DejaVuSans") for c in ALPHABET])
    legible = alphabet_legibility(Clairvoyant(GLYPHS, y), steps=10, samples=2)
    assert legible["SR3"] == legible["mean of 2"] == 1
    assert 0 < legible["bicubic"] < 1


def test_format_table_has_a_column_a_metric_and_a_dash_where_there_is_nothing() -> None:
    table = {
        "bicubic": {"PSNR": 16.456, "SSIM": 0.5, "consistency": 106.04},
        "SR3": {"PSNR": 24.0, "diversity": 0.0816, "legibility": 0.919},
    }
    head, bicubic, sr3 = format_table(table).splitlines()
    assert head.split() == ["PSNR", "SSIM", "consistency", "diversity", "legibility"]
    assert bicubic.split() == ["bicubic", "16.46", "0.500", "106.0", "-", "-"]
    assert sr3.split() == ["SR3", "24.00", "-", "-", "0.082", "0.92"]
    assert len({len(line) for line in (head, bicubic, sr3)}) == 1


def test_a_table_has_the_columns_that_were_measured_and_room_for_every_name() -> None:
    head, row = format_table(
        {"mean of 1000000": {"PSNR-Y": 28.42, "SSIM-Y": 0.81036, "FID": 5.2}}
    ).splitlines()
    assert head.split() == ["PSNR-Y", "SSIM-Y", "FID"]
    assert row.split() == ["mean", "of", "1000000", "28.42", "0.8104", "5.20"]
    assert len(head) == len(row)


def test_letters_are_shown_with_the_noise_that_the_preset_trains_with() -> None:
    preset = dataclasses.replace(GLYPHS, data="letters", x_noise=0.2)
    f = network(preset)
    pictures, order = chosen("letters", f, 64, seed=1)
    assert len(pictures) == 62 * 12
    cases = list(drawn_cases(f, pictures, order, steps=1, samples=1))
    noise = torch.stack(
        [c.x - downsample(c.y[None], f.preset.factor)[0] for c in cases]
    )
    assert noise.std().item() == pytest.approx(0.2, rel=0.1)
    again = drawn_cases(f, pictures, order[5:6], steps=1, samples=1)
    assert torch.equal(next(again).x, cases[5].x)
