"""Weights on disk: what is written comes back, a failed write harms nothing, and nothing but our own files is read."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import math
import os
import pickle
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sr3mini import checkpoint, downsample
from sr3mini.checkpoint import WEIGHTS, card, forget_states, latest_state, load, load_state, save, save_state, state_path, state_paths
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
    torch.save(Bomb(), tmp_path / "bomb.pth")
    for bomb in ("bomb.safetensors", "bomb.pth"):
        with pytest.raises(ValueError, match="no readable safetensors"):
            load(tmp_path / bomb)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_no_numbers_are_refused(value: float, f: Network, tmp_path: Path) -> None:
    next(f.parameters()).data.view(-1)[3] = value
    save(tmp_path / "model.safetensors", f)
    with pytest.raises(ValueError, match=r"model\.safetensors holds weights that are no finite numbers, in level\.mlp\.0\.weight"):
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
    for preset, what in [("no json", "preset"), (json.dumps({**good, "x": 1}), "preset"), (json.dumps({**good, "channels": 16}), "describes")]:
        save_file(tensors, path, metadata={"preset": preset})
        with pytest.raises(ValueError, match=what) as refused:
            load(path)
        assert "\n" not in str(refused.value)


def test_the_tensor_that_does_not_fit_is_named_before_a_network_asks_for_memory(f: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The preset may be a lie, of a network that fills the machine: it is laid out on torch's meta device first."""
    devices = []
    network = Preset.network

    def watch(preset: Preset) -> Network:
        devices.append(torch.empty(0).device.type)
        return network(preset)

    large = dataclasses.replace(f.preset, channels=4096, multipliers=(1, 64)).to_json()
    save_file(dict(f.state_dict()), tmp_path / "model.safetensors", metadata={"preset": large})
    monkeypatch.setattr(Preset, "network", watch)
    with pytest.raises(ValueError, match=r"size mismatch for .*weight"):
        load(tmp_path)
    assert devices == ["meta"]


def test_a_model_that_is_loaded_samples_and_is_not_trained_on(f: Network, tmp_path: Path) -> None:
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


# Training states -----------------------------------------------------------------------------------------------------

TOLD = {"step": 5, "losses": [1.0, 0.1 + 0.2], "seed": 3}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state as it should be, beside the one before it."""
    for step in (4, 5):
        tensors = {"weight stem.weight": torch.arange(6.0).reshape(2, 3) / step, "step stem.weight": torch.tensor(float(step))}
        save_state(state_path(tmp_path, step), tensors, {**TOLD, "step": step})
    return tmp_path / "step_00000005"


def test_a_state_comes_back_bit_by_bit(state: Path) -> None:
    back = load_state(state)
    assert back.told == TOLD
    assert torch.equal(back.tensors["weight stem.weight"], torch.arange(6.0).reshape(2, 3) / 5)
    assert back.tensors["step stem.weight"].item() == 5
    assert state_paths(state.parent) == [state.parent / "step_00000004", state]


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_sha256sum_understands_the_checksums(state: Path) -> None:
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=state, check=True, capture_output=True)


def cut(path: Path, length: int = -3) -> None:
    path.write_bytes(path.read_bytes()[:length])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)


def signed(state: Path, name: str, content: bytes) -> None:
    """Another content, and checksums that fit it: what somebody could hand over on purpose."""
    (state / name).write_bytes(content)
    names = ("state.safetensors", "state.json")
    (state / "SHA256SUMS").write_text("".join(f"{hashlib.sha256((state / n).read_bytes()).hexdigest()}  {n}\n" for n in names))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "tensors cut": lambda state: cut(state / "state.safetensors"),
    "JSON cut": lambda state: cut(state / "state.json"),
    "sums cut": lambda state: cut(state / "SHA256SUMS", 70),
    "a bit of a tensor": lambda state: flip(state / "state.safetensors"),
    "a bit of the JSON": lambda state: flip(state / "state.json"),
    "no tensors": lambda state: (state / "state.safetensors").unlink(),
    "no sums": lambda state: (state / "SHA256SUMS").unlink(),
    "sums that are no text": lambda state: (state / "SHA256SUMS").write_bytes(b"\xff\xfe"),
    "a folder for a file": lambda state: ((state / "state.json").unlink(), (state / "state.json").mkdir()),
    "no safetensors": lambda state: signed(state, "state.safetensors", b"PK\x03\x04" * 9),
    "a header of 2^62 bytes": lambda state: signed(state, "state.safetensors", struct.pack("<Q", 2**62) + b"{}"),
    "no JSON": lambda state: signed(state, "state.json", b"step = 5"),
    "a list": lambda state: signed(state, "state.json", b"[5]"),
    "another step": lambda state: signed(state, "state.json", b'{"step": 6}'),
    "a step that is none": lambda state: signed(state, "state.json", b'{"step": "00000005"}'),
    "no end of brackets": lambda state: signed(state, "state.json", b"[" * 10**6),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state_is_named_in_a_sentence_and_the_one_before_is_taken(damage: str, state: Path) -> None:
    DAMAGES[damage](state)
    with pytest.raises(ValueError, match=r"step_00000005 is no whole training state \(") as refused:
        load_state(state)
    assert "\n" not in str(refused.value)
    with pytest.warns(UserWarning, match="passed over: .*step_00000005"):
        newest = latest_state(state.parent)
    assert newest is not None
    assert newest.told["step"] == 4


def test_a_pickle_in_a_state_is_never_executed(state: Path, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (open, (str(tmp_path / "executed"), "w"))

    torch.save(Bomb(), tmp_path / "bomb.pth")
    for content in (pickle.dumps(Bomb()), (tmp_path / "bomb.pth").read_bytes()):
        for name in ("state.safetensors", "state.json"):
            signed(state, name, content)
            with pytest.raises(ValueError, match="no whole training state"):
                load_state(state)
    assert not (tmp_path / "executed").exists()


def test_when_no_state_is_whole_nothing_begins_anew(state: Path) -> None:
    for path in state_paths(state.parent):
        cut(path / "state.json")
    with pytest.warns(UserWarning, match="passed over"), pytest.raises(ValueError, match=r"none of the 2 training states in .* is whole"):
        latest_state(state.parent)
    assert latest_state(state.parent / "elsewhere") is None


def test_a_full_disk_costs_the_new_state_and_not_the_old_ones(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object, path: Path, **__: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    before = sorted(state.parent.rglob("*"))
    monkeypatch.setattr(checkpoint, "save_file", full)
    for step in (5, 6):
        with pytest.raises(OSError, match=rf"step_0000000{step} could not be written: No space left on device"):
            save_state(state_path(state.parent, step), {"a": torch.zeros(3)}, TOLD)
    assert sorted(state.parent.rglob("*")) == before
    assert load_state(state).told == TOLD


@pytest.mark.skipif(os.name == "nt", reason="needs limits of the operating system")
@pytest.mark.parametrize("allowed", [10, 70_000])
def test_a_file_that_the_system_cuts_off_is_no_state(allowed: int, state: Path) -> None:
    """A real write that fails, at its beginning and in its middle: files may grow to so many bytes and no further."""
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = sorted(state.parent.rglob("*"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (allowed, limits[1]))
    try:
        with pytest.raises(OSError, match="step_00000006 could not be written") as refused:
            save_state(state_path(state.parent, 6), {"a": torch.zeros(50_000)}, {**TOLD, "step": 6})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(refused.value)
    assert sorted(state.parent.rglob("*")) == before


def test_states_are_forgotten_but_for_the_newest_and_those_to_keep(tmp_path: Path) -> None:
    for step in range(1, 7):
        save_state(state_path(tmp_path, step), {"a": torch.zeros(1)}, {"step": step})
    (tmp_path / ".step_00000003.part").mkdir()  # what a kill leaves
    (tmp_path / "notes").mkdir()
    forget_states(tmp_path, keep={2})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes", "step_00000002", "step_00000005", "step_00000006"]
    assert [path.name[-1] for path in state_paths(tmp_path)] == ["2", "5", "6"]


def test_a_state_that_a_kill_left_half_written_is_not_there(state: Path) -> None:
    shutil.copytree(state, state.parent / ".step_00000006.part")
    assert state_paths(state.parent)[-1] == state
    save_state(state_path(state.parent, 6), {"a": torch.zeros(1)}, {"step": 6})
    assert list(load_state(state.parent / "step_00000006").tensors) == ["a"]


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
    assert {"trained", "preset", "parameters", "steps", "seconds", "images_per_second", "machine", "last_losses_mean", "evaluated", "metrics"} <= set(about)
    metrics = about["metrics"]
    assert set(metrics) == {"bicubic", "SR3", "mean of 8"}
    assert metrics["SR3"]["consistency"] <= 10
    assert metrics["SR3"]["PSNR"] >= 23.5
    assert metrics["mean of 8"]["PSNR"] > metrics["SR3"]["PSNR"]
    assert metrics["SR3"]["legibility"] > metrics["bicubic"]["legibility"]
    f = load("glyphs_8_32")
    y, _ = held_out("glyphs", f, 32, seed=5)
    table, drawn = evaluate(f, y, steps=8, samples=2)
    assert table["SR3"]["PSNR"] > table["bicubic"]["PSNR"] + 4
    assert table["SR3"]["consistency"] < 0.1 * table["bicubic"]["consistency"]
    assert (drawn[0] - drawn[1]).abs().amax(dim=(1, 2, 3)).median() > 0.5  # two seeds differ visibly somewhere in most pictures
    assert downsample(drawn[0], 4).shape[-2:] == (8, 8)
