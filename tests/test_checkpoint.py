"""Weights on disk: what is written comes back, a failed write harms nothing, and nothing but our own files is read."""

from __future__ import annotations

import json
import pickle
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sr3mini import checkpoint, downsample
from sr3mini.checkpoint import WEIGHTS, card, load, save
from sr3mini.evaluate import evaluate, held_out
from sr3mini.preset import Network, Preset


@pytest.fixture
def f() -> Network:
    network = Preset("tiny", "folder", 16, 4, channels=8, multipliers=(1, 2), groups=4).network()
    torch.nn.init.normal_(network.head.weight)
    return network


def test_float32_comes_back_exactly_and_float16_rounded(f: Network, tmp_path: Path) -> None:
    for dtype, tolerance in ((torch.float32, 0.0), (torch.float16, 2**-11)):
        save(tmp_path / "model.safetensors", f, dtype)
        for path in (tmp_path, tmp_path / "model.safetensors"):
            g = load(path)
            assert g.preset == f.preset
            for a, b in zip(f.state_dict().values(), g.state_dict().values(), strict=True):
                torch.testing.assert_close(a, b, rtol=tolerance, atol=1e-7 if tolerance else 0)


def test_a_write_that_fails_leaves_the_old_file(f: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.safetensors"
    save(path, f)
    before = path.read_bytes()

    def full(_: object, beside: Path, **__: object) -> None:
        Path(beside).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(OSError, match="could not be written"):
        save(path, f)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_pickle_is_never_executed(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (open, (str(tmp_path / "executed"), "w"))

    (tmp_path / "bomb.safetensors").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match="no readable safetensors"):
        load(tmp_path / "bomb.safetensors")
    assert not (tmp_path / "executed").exists()


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
    for preset, what in [("no json", "preset"), (json.dumps({**good, "x": 1}), "preset"), (json.dumps({**good, "channels": 16}), "describes")]:
        save_file(tensors, path, metadata={"preset": preset})
        with pytest.raises(ValueError, match=what):
            load(path)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="glyphs_8_32"):
        load("glyphs_9_33")


def test_the_shipped_weights_are_small_and_keep_what_their_card_promises() -> None:
    assert (WEIGHTS / "glyphs_8_32.safetensors").stat().st_size <= 3_000_000
    metrics = card("glyphs_8_32")["metrics"]
    assert metrics["SR3"]["PSNR"] >= 23.5
    assert metrics["mean of 8"]["PSNR"] > metrics["SR3"]["PSNR"]
    assert metrics["SR3"]["legibility"] > metrics["bicubic"]["legibility"]
    f = load("glyphs_8_32")
    y, _ = held_out("glyphs", f, 48, seed=5)
    table, drawn = evaluate(f, y, steps=10, samples=2)
    assert table["SR3"]["PSNR"] > table["bicubic"]["PSNR"] + 4
    assert table["SR3"]["consistency"] < 0.1 * table["bicubic"]["consistency"]
    assert (drawn[0] - drawn[1]).abs().amax(dim=(1, 2, 3)).median() > 0.5  # two seeds differ visibly somewhere in most pictures
    assert downsample(drawn[0], 4).shape[-2:] == (8, 8)
