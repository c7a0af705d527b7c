"""Training states on disk: whole or not there, checked, never a pickle, the old ones
kept.
"""

from __future__ import annotations

import errno
import hashlib
import os
import pickle
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sr3mini.training import state as room
from sr3mini.training.resume import _read
from sr3mini.training.state import (
    State,
    forget_states,
    latest_state,
    load_state,
    save_state,
    state_path,
    state_paths,
)

TOLD = {"step": 5, "losses": [1.0, 0.1 + 0.2], "seed": 3}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state as it should be, beside the one before it."""
    for step in (4, 5):
        tensors = {
            "weight stem.weight": torch.arange(6.0).reshape(2, 3) / step,
            "step stem.weight": torch.tensor(float(step)),
        }
        save_state(state_path(tmp_path, step), tensors, {**TOLD, "step": step})
    return tmp_path / "step_00000005"


def test_a_state_comes_back_bit_by_bit(state: Path) -> None:
    back = load_state(state)
    assert back.told == TOLD
    assert torch.equal(
        back.tensors["weight stem.weight"], torch.arange(6.0).reshape(2, 3) / 5
    )
    assert back.tensors["step stem.weight"].item() == 5
    assert state_paths(state.parent) == [state.parent / "step_00000004", state]


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_sha256sum_understands_the_checksums(state: Path) -> None:
    subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"],
        cwd=state,
        check=True,
        capture_output=True,
    )


def cut(path: Path, length: int = -3) -> None:
    path.write_bytes(path.read_bytes()[:length])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)


def signed(state: Path, name: str, content: bytes) -> None:
    """Another content, and checksums that fit it: what somebody could hand over on
    purpose.
    """
    (state / name).write_bytes(content)
    names = ("state.safetensors", "state.json")
    (state / "SHA256SUMS").write_text(
        "".join(
            f"{hashlib.sha256((state / n).read_bytes()).hexdigest()}  {n}\n"
            for n in names
        )
    )


DAMAGES: dict[str, Callable[[Path], object]] = {
    "tensors cut": lambda state: cut(state / "state.safetensors"),
    "JSON cut": lambda state: cut(state / "state.json"),
    "sums cut": lambda state: cut(state / "SHA256SUMS", 70),
    "a bit of a tensor": lambda state: flip(state / "state.safetensors"),
    "a bit of the JSON": lambda state: flip(state / "state.json"),
    "no tensors": lambda state: (state / "state.safetensors").unlink(),
    "no sums": lambda state: (state / "SHA256SUMS").unlink(),
    "sums that are no text": (
        lambda state: (state / "SHA256SUMS").write_bytes(b"\xff\xfe")
    ),
    "a folder for a file": lambda state: (
        (state / "state.json").unlink(),
        (state / "state.json").mkdir(),
    ),
    **{
        f"a pipe for {name}": lambda state, name=name: (  # type: ignore[misc]
            (state / name).unlink(),
            os.mkfifo(state / name),
        )
        for name in ("state.safetensors", "state.json", "SHA256SUMS")
    },
    "no safetensors": lambda state: signed(
        state, "state.safetensors", b"PK\x03\x04" * 9
    ),
    "a header of 2^62 bytes": lambda state: signed(
        state, "state.safetensors", struct.pack("<Q", 2**62) + b"{}"
    ),
    "no JSON": lambda state: signed(state, "state.json", b"step = 5"),
    "a list": lambda state: signed(state, "state.json", b"[5]"),
    "another step": lambda state: signed(state, "state.json", b'{"step": 6}'),
    "a step that is none": lambda state: signed(
        state, "state.json", b'{"step": "00000005"}'
    ),
    "no end of brackets": lambda state: signed(state, "state.json", b"[" * 10**6),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state_is_named_in_a_sentence_and_the_one_before_is_taken(
    damage: str, state: Path
) -> None:
    DAMAGES[damage](state)
    with pytest.raises(
        ValueError, match=r"step_00000005 is no whole training state \("
    ) as refused:
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
    with (
        pytest.warns(UserWarning, match="passed over"),
        pytest.raises(
            ValueError, match=r"none of the 2 training states in .* is whole"
        ),
    ):
        latest_state(state.parent)
    assert latest_state(state.parent / "elsewhere") is None


def test_a_full_disk_costs_the_new_state_and_not_the_old_ones(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object, path: Path, **__: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    before = sorted(state.parent.rglob("*"))
    monkeypatch.setattr(room, "save_file", full)
    for step in (5, 6):
        with pytest.raises(
            OSError,
            match=rf"step_0000000{step} could not be written: No space left on device",
        ):
            save_state(state_path(state.parent, step), {"a": torch.zeros(3)}, TOLD)
    assert sorted(state.parent.rglob("*")) == before
    assert load_state(state).told == TOLD


@pytest.mark.skipif(os.name == "nt", reason="needs limits of the operating system")
@pytest.mark.parametrize("allowed", [10, 70_000])
def test_a_file_that_the_system_cuts_off_is_no_state(allowed: int, state: Path) -> None:
    """A real write that fails, at its beginning and in its middle: files may grow to so
    many bytes and no further.
    """
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = sorted(state.parent.rglob("*"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (allowed, limits[1]))
    try:
        with pytest.raises(
            OSError, match="step_00000006 could not be written"
        ) as refused:
            save_state(
                state_path(state.parent, 6),
                {"a": torch.zeros(50_000)},
                {**TOLD, "step": 6},
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(refused.value)
    assert sorted(state.parent.rglob("*")) == before


def test_states_are_forgotten_but_for_the_newest_and_those_to_keep(
    tmp_path: Path,
) -> None:
    for step in range(1, 7):
        save_state(state_path(tmp_path, step), {"a": torch.zeros(1)}, {"step": step})
    (tmp_path / ".step_00000003.part").mkdir()  # what a kill leaves
    (tmp_path / "notes").mkdir()
    forget_states(tmp_path, best=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "notes",
        "step_00000002",
        "step_00000005",
        "step_00000006",
    ]
    assert [path.name[-1] for path in state_paths(tmp_path)] == ["2", "5", "6"]


def test_a_state_that_a_kill_left_half_written_is_not_there(state: Path) -> None:
    shutil.copytree(state, state.parent / ".step_00000006.part")
    assert state_paths(state.parent)[-1] == state
    save_state(state_path(state.parent, 6), {"a": torch.zeros(1)}, {"step": 6})
    assert list(load_state(state.parent / "step_00000006").tensors) == ["a"]


READ = {
    "seconds": 1.0,
    "losses": [0.5],
    "best": None,
    "best_step": 0,
    "streams": [{}],
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("streams", value) for value in ([], None, 3, [5], ["ab"], {}, {"a": 1})],
        *[("losses", value) for value in (None, 3, ["a"], [None], {"a": 1}, [[1]])],
        *[("seconds", value) for value in (None, "a", [], {})],
        *[("best_step", value) for value in (None, "a", float("inf"), [1])],
        *[("best", value) for value in ("a", [], {})],
    ],
)
def test_what_a_state_tells_is_checked_before_anything_is_put_back(
    name: str, value: object
) -> None:
    """Though its checksums are right: somebody may have written them too."""
    path = Path("state") / "step_00000001"
    assert _read(State(path, {}, READ))[1] == [None]
    with pytest.raises(ValueError, match=r"state\.json was not written by this ver"):
        _read(State(path, {}, READ | {name: value}))
    without = {other: READ[other] for other in READ if other != name}
    with pytest.raises(ValueError, match=r"state\.json was not written by this ver"):
        _read(State(path, {}, without))
