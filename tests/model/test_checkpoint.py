"""Weights on disk: what is written comes back, a failed write harms nothing, and
nothing but our own files is read.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pickle
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sr3mini import downsample
from sr3mini.book.measured import measured
from sr3mini.evaluation.samples import held_out, measured_samples
from sr3mini.model import checkpoint
from sr3mini.model.checkpoint import WEIGHTS, card, load, save
from sr3mini.model.network import Network, build
from sr3mini.model.preset import Preset
from sr3mini.model.presets import PRESETS


@pytest.fixture
def f() -> Network:
    network = build(
        Preset("tiny", "folder", 16, 4, channels=8, multipliers=(1, 2), groups=4)
    )
    torch.nn.init.normal_(network.head.weight)
    return network


def test_float32_comes_back_exactly_and_float16_rounded(
    f: Network, tmp_path: Path
) -> None:
    for dtype, tolerance in ((torch.float32, 0.0), (torch.float16, 2**-11)):
        save(tmp_path / "model.safetensors", f, dtype)
        for path in (tmp_path, tmp_path / "model.safetensors"):
            g = load(path)
            assert g.preset == f.preset
            for a, b in zip(
                f.state_dict().values(), g.state_dict().values(), strict=True
            ):
                torch.testing.assert_close(
                    a, b, rtol=tolerance, atol=1e-7 if tolerance else 0
                )


def test_a_write_that_fails_leaves_the_old_file(
    f: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.safetensors"
    save(path, f)
    before = path.read_bytes()

    def full(beside: Path, content: bytes) -> None:
        with beside.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="could not be written"):
        save(path, f)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_pickle_is_never_executed(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (open, (str(tmp_path / "executed"), "w"))

    (tmp_path / "bomb.safetensors").write_bytes(pickle.dumps(Bomb()))
    torch.save(Bomb(), tmp_path / "bomb.pth")
    for bomb in ("bomb.safetensors", "bomb.pth"):
        with pytest.raises(ValueError, match="no readable safetensors"):
            load(tmp_path / bomb)
    assert not (tmp_path / "executed").exists()


def test_a_checkpoint_of_torch_is_sent_to_import(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1)}, tmp_path / "I1_E1_gen.pth")
    with pytest.raises(ValueError, match="; sr3mini import makes a model of"):
        load(tmp_path / "I1_E1_gen.pth")


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{", b'{"a": 1', b"\xff\xff", b"[" * 10**5, b"null"]
)
def test_a_damaged_card_is_refused_by_its_name(
    text: bytes, f: Network, tmp_path: Path
) -> None:
    save(tmp_path / "model.safetensors", f)
    (tmp_path / "model.json").write_bytes(text)
    with pytest.raises(ValueError, match=r"model\.json (is no|holds no) "):
        card(tmp_path)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_no_numbers_are_refused(
    value: float, f: Network, tmp_path: Path
) -> None:
    next(f.parameters()).data.view(-1)[3] = value
    save(tmp_path / "model.safetensors", f)
    with pytest.raises(
        ValueError,
        match=(
            r"model\.safetensors holds weights that are no finite numbers, in"
            r" level\.mlp\.0\.weight"
        ),
    ):
        load(tmp_path / "model.safetensors")


def test_hostile_files_are_refused_in_a_sentence(f: Network, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save(path, f)
    whole = path.read_bytes()
    for damage in (whole[:-100], whole[:50], struct.pack("<Q", 2**62) + whole[8:], b""):
        path.write_bytes(damage)
        with pytest.raises(ValueError, match="no readable safetensors"):
            load(path)
    tensors = {key: value.clone() for key, value in f.state_dict().items()}
    good = json.loads(f.preset.to_json())
    for preset, what in [
        ("no json", "preset"),
        (json.dumps({**good, "x": 1}), "preset"),
        (json.dumps({**good, "channels": 16}), "describes"),
    ]:
        save_file(tensors, path, metadata={"preset": preset})
        with pytest.raises(ValueError, match=what) as refused:
            load(path)
        assert "\n" not in str(refused.value)


def test_the_tensor_that_does_not_fit_is_named_before_a_network_asks_for_memory(
    f: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The preset may be a lie, of a network that fills the machine: it is laid out on
    torch's meta device first.
    """
    devices = []

    def watch(preset: Preset) -> Network:
        devices.append(torch.empty(0).device.type)
        return build(preset)

    large = dataclasses.replace(f.preset, channels=4096, multipliers=(1, 64)).to_json()
    save_file(
        dict(f.state_dict()), tmp_path / "model.safetensors", metadata={"preset": large}
    )
    monkeypatch.setattr(checkpoint, "build", watch)
    with pytest.raises(ValueError, match=r"size mismatch for .*weight"):
        load(tmp_path)
    assert devices == ["meta"]


def test_a_model_that_is_loaded_samples_and_is_not_trained_on(
    f: Network, tmp_path: Path
) -> None:
    save(tmp_path / "model.safetensors", f, torch.float16)
    g = load(tmp_path)
    assert not g.training
    assert not any(p.requires_grad for p in g.parameters())
    assert {p.dtype for p in g.parameters()} == {torch.float32}


def test_a_model_has_the_rights_of_any_other_file(f: Network, tmp_path: Path) -> None:
    """safetensors alone would let nobody but its owner read it."""
    before = os.umask(0o022)
    try:
        save(tmp_path / "model.safetensors", f)
    finally:
        os.umask(before)
    assert (tmp_path / "model.safetensors").stat().st_mode & 0o777 == 0o644


def test_a_place_that_cannot_be_written_is_named(f: Network, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"file/model.safetensors could not be written"):
        save(tmp_path / "file" / "model.safetensors", f)


def test_a_card_is_the_json_beside_the_weights(f: Network, tmp_path: Path) -> None:
    save(tmp_path / "model.safetensors", f)
    assert card(tmp_path) == {}
    (tmp_path / "model.json").write_text('{"steps": 3}')
    assert card(tmp_path) == card(tmp_path / "model.safetensors") == {"steps": 3}


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="glyphs_8_32"):
        load("glyphs_9_33")


def test_the_shipped_weights_are_small_and_keep_what_their_card_promises() -> None:
    assert (WEIGHTS / "glyphs_8_32.safetensors").stat().st_size <= 3_000_000
    about = card("glyphs_8_32")
    assert {
        "trained",
        "preset",
        "parameters",
        "steps",
        "seconds",
        "images_per_second",
        "machine",
        "last_losses_mean",
        "evaluated",
        "metrics",
    } <= set(about)
    metrics = about["metrics"]
    assert set(metrics) == {"bicubic", "SR3", "mean of 8"}
    assert metrics["SR3"]["consistency"] <= 10
    assert metrics["SR3"]["PSNR"] >= 23.5
    assert metrics["mean of 8"]["PSNR"] > metrics["SR3"]["PSNR"]
    assert metrics["SR3"]["legibility"] > metrics["bicubic"]["legibility"]
    f = load("glyphs_8_32")
    y, _ = held_out("glyphs", f, 32, seed=5)
    table, drawn = measured_samples(f, y, steps=8, samples=2)
    assert table["SR3"]["PSNR"] > table["bicubic"]["PSNR"] + 4
    assert table["SR3"]["consistency"] < 0.1 * table["bicubic"]["consistency"]
    assert (drawn[0] - drawn[1]).abs().amax(
        dim=(1, 2, 3)
    ).median() > 0.5  # two seeds differ visibly somewhere in most pictures
    assert downsample(drawn[0], 4).shape[-2:] == (8, 8)


@pytest.mark.parametrize("name", ["letters_4_32", "glyphs_8_32", "photos_16_64"])
def test_a_shipped_model_draws_in_the_way_that_was_measured_best(name: str) -> None:
    """Few calls, nearer to the edges of originals than any other way that leaves x as
    little as it may; weights, card and the table of presets agree.
    """
    found = measured(f"defaults_{name}")
    best, rows = found["best"], found["rows"]
    (today,) = (row for row in rows if row["calls"] == 25)
    assert best["calls"] <= 8
    if "least PSNR" not in found:
        assert best["edge distance"] < today["edge distance"]
    near = [row for row in rows if row["consistency"] <= 1.5 * today["consistency"]]
    near = [row for row in near if row["PSNR"] >= found.get("least PSNR", 0)]
    few = [row["edge distance"] for row in near if row["calls"] <= 8]
    assert best in near
    assert min(few) == best["edge distance"]
    stored = Preset.from_json(json.dumps(card(name)["preset"]))
    for preset in (load(name).preset, stored, PRESETS[name]):
        way = preset.sampling_levels, preset.sampling_method, preset.sampling_steps
        assert way == (best["levels"], best["method"], best["calls"])
