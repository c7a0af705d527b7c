"""A .pth from anywhere: its tensors come out, or one sentence says why not, and nothing
in it is ever run.
"""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sr3mini.bridges.pth import read_pth

KEPT = {
    "a": torch.arange(6.0).reshape(2, 3),
    "b": torch.tensor(5.0),
    "c": torch.arange(4, dtype=torch.float16),
    "d": torch.ones(3, dtype=torch.bfloat16),
}


def same(read: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert list(read) == list(wanted)
    for name, tensor in wanted.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name], tensor)


def saved(path: Path, what: object) -> Path:
    torch.save(what, path)
    return path


def archive(
    path: Path,
    program: bytes,
    numbers: bytes = b"",
    compression: int = zipfile.ZIP_STORED,
    **members: bytes,
) -> Path:
    """A zip as torch.save lays it out, with any pickle in it and any bytes behind
    tensor 0.
    """
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in {
            "data.pkl": program,
            "data/0": numbers,
            "version": b"3\n",
            **members,
        }.items():
            file.writestr(f"model/{name}", content)
    return path


def program(
    shape: tuple[Any, ...],
    numbers: int,
    *,
    strides: tuple[Any, ...] | None = None,
    offset: int = 0,
    member: object = "0",
    name: object = "a",
) -> bytes:
    """The pickle of {name: tensor}, written as torch writes it."""

    class Tensors:
        def __reduce__(self) -> tuple[Any, ...]:
            steps = (
                strides
                if strides is not None
                else tuple(torch.empty(shape, device="meta").stride())
            )
            return torch._utils._rebuild_tensor_v2, (
                Storage(),
                offset,
                shape,
                steps,
                False,
                OrderedDict(),
            )

    class Storage:
        pass

    class Pickler(pickle.Pickler):
        def persistent_id(self, each: object) -> object:
            return (
                ("storage", torch.FloatStorage, member, "cpu", numbers)
                if isinstance(each, Storage)
                else None
            )

    stream = io.BytesIO()
    Pickler(stream, protocol=2).dump({name: Tensors()})
    return stream.getvalue()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda d: d,
        OrderedDict,
        lambda d: {n: nn.Parameter(t) for n, t in d.items()},
    ],
)
def test_what_torch_save_wrote_comes_back(
    wrap: Callable[[dict[str, Tensor]], object], tmp_path: Path
) -> None:
    same(read_pth(saved(tmp_path / "m.pth", wrap(KEPT))), KEPT)


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ({"epoch": 3, "state_dict": KEPT}, [f"state_dict.{name}" for name in KEPT]),
        ({"netG": {"a": KEPT["a"]}, "netG_ema": {"a": KEPT["a"]}}, "netG.a netG_ema.a"),
        ({"model": {"g": {"a": KEPT["a"]}}}, "model.g.a"),
        ({"a": KEPT["a"], "optimizer": {"state": {0: {"m": KEPT["a"]}}}}, "a"),
        ({"a": KEPT["a"], "rng": torch.ones(3, dtype=torch.uint8)}, "a"),
        ({1: {"a": KEPT["a"]}, "b": {"a": KEPT["a"], 2: KEPT["a"]}}, "b.a"),
        ({"a": KEPT["a"], "b": {"c": {"d": {"e": KEPT["a"]}}}}, "a"),
    ],
)
def test_dictionaries_inside_others_give_names_with_dots(
    what: dict[Any, Any], names: list[str] | str, tmp_path: Path
) -> None:
    """To a depth of three, as far as they are texts."""
    wanted = names.split() if isinstance(names, str) else names
    assert list(read_pth(saved(tmp_path / "m.pth", what))) == wanted


def test_of_the_wanted_names_the_beginning_goes_and_the_others_are_not_copied(
    tmp_path: Path,
) -> None:
    path = saved(tmp_path / "m.pth", {"netG": KEPT, "again": KEPT, "epoch": 3})
    same(read_pth(path, lambda names: "netG."), KEPT)


def test_the_state_of_a_module_comes_back(tmp_path: Path) -> None:
    """It carries version numbers beside the tensors, and integer buffers that no import
    needs.
    """
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    wanted = {
        name: tensor
        for name, tensor in module.state_dict().items()
        if tensor.is_floating_point()
    }
    same(read_pth(saved(tmp_path / "m.pth", module.state_dict())), wanted)


def test_views_and_channels_last_come_back_contiguous(tmp_path: Path) -> None:
    large = torch.randn(2, 3, 4, 5)
    views = {
        "slice": large[1, 1:],
        "transposed": large.transpose(0, 3),
        "channels last": large.to(memory_format=torch.channels_last),
    }
    read = read_pth(saved(tmp_path / "m.pth", views))
    same(read, views)
    assert all(tensor.is_contiguous() for tensor in read.values())


def resident(program: str, *arguments: object) -> int:
    """The peak memory of a process that runs this after importing read_pth and torch,
    in bytes beyond what it had before.
    """
    before = (
        "import resource, sys, torch; from sr3mini.bridges.pth import read_pth; used ="
        " lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; start = used()"
    )
    command = [
        sys.executable,
        "-c",
        f"{before}; {program}; print(used() - start)",
        *map(str, arguments),
    ]
    return (
        int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        * 1024
    )


def test_a_storage_that_many_tensors_share_is_read_once_and_not_kept(
    tmp_path: Path,
) -> None:
    """60 numbers of 5 million each have all of them behind them: 1.2 GB, were each to
    read its own.
    """
    large = torch.arange(5_000_000.0)
    wanted = {
        "first": torch.ones(2),
        **{f"z{i}": large[i : i + 1] for i in range(60)},
        "rows": large[60:66].reshape(2, 3),
    }
    path = saved(tmp_path / "m.pth", wanted)
    read = read_pth(path)
    same(read, wanted)
    assert all(
        tensor.untyped_storage().nbytes() == tensor.nbytes for tensor in read.values()
    )
    read["z0"].fill_(7.0)
    assert (read["z1"].item(), read["rows"][0, 0].item()) == (1.0, 60.0)
    assert resident("read_pth(sys.argv[1])", path) < 3 * path.stat().st_size


def test_tensors_that_fill_their_storages_are_in_memory_once(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "m.pth",
        {f"w{i}": torch.full((10_000_000,), float(i)) for i in range(5)},
    )
    assert resident("kept = read_pth(sys.argv[1])", path) < 1.3 * path.stat().st_size


def test_two_names_of_one_tensor_come_back_as_two_tensors(tmp_path: Path) -> None:
    """Which safetensors can then write."""
    tied = torch.arange(6.0).reshape(2, 3)
    read = read_pth(saved(tmp_path / "m.pth", {"a": tied, "b": tied}))
    same(read, {"a": tied, "b": tied})
    assert read["a"].data_ptr() != read["b"].data_ptr()


def test_a_number_that_was_changed_on_the_way_is_noticed(tmp_path: Path) -> None:
    """By the checksum of its member, also when that is read in pieces."""
    tensor = torch.full((5_000_000,), 1.5)
    content = saved(tmp_path / "m.pth", {"a": tensor}).read_bytes()
    place = content.index(tensor[:1000].numpy().tobytes()) + 19_000_001
    with pytest.raises(ValueError, match="the checksum of m/data/0 is another"):
        read_pth(
            _written(
                tmp_path / "m.pth", content[:place] + b"\x01" + content[place + 1 :]
            )
        )


def test_a_hand_written_archive_is_read_like_torchs_own(tmp_path: Path) -> None:
    """What the hostile ones below are made with; torch itself reads it too."""
    path = archive(
        tmp_path / "m.pth",
        program((2, 2), 4),
        torch.arange(4.0).numpy().tobytes(),
        byteorder=b"little",
    )
    same(read_pth(path), {"a": torch.arange(4.0).reshape(2, 2)})
    same(torch.load(path, weights_only=True), read_pth(path))


class Touch:
    """Pickled, it opens a file for writing when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


@pytest.mark.parametrize(
    ("protocol", "what"), [(2, r"asks for \S+ open, which"), (4, "pickle protocol 4")]
)
def test_a_pickle_that_wants_to_run_something_is_refused(
    protocol: int, what: str, tmp_path: Path
) -> None:
    touched = tmp_path / "touched"
    for payload in (
        Touch(touched),
        {"a": Touch(touched)},
        {"a": torch.ones(1), "b": Touch(touched)},
    ):
        torch.save(payload, tmp_path / "m.pth", pickle_protocol=protocol)
        with pytest.raises(ValueError, match=rf"m.pth is {DAMAGED} \((it )?{what}"):
            read_pth(tmp_path / "m.pth")
    assert not touched.exists()
    torch.load(saved(tmp_path / "m.pth", Touch(touched)), weights_only=False).close()
    assert touched.exists(), "the payload is one that works on those who unpickle"


def test_a_pickle_that_builds_an_object_is_refused(tmp_path: Path) -> None:
    """NEWOBJ, which makes an instance without calling REDUCE."""
    with pytest.raises(ValueError, match="asks for pathlib Path, which no tensor"):
        read_pth(archive(tmp_path / "m.pth", b"\x80\x02cpathlib\nPath\n)\x81."))


def test_a_checkpoint_of_a_big_endian_machine_is_read(tmp_path: Path) -> None:
    numbers = torch.arange(4.0).numpy().astype(">f4").tobytes()
    path = archive(tmp_path / "m.pth", program((4,), 4), numbers, byteorder=b"big")
    same(read_pth(path), {"a": torch.arange(4.0)})


def test_what_many_names_share_is_no_reason_to_refuse(tmp_path: Path) -> None:
    """As the options of several groups of an optimizer."""
    betas = (0.9, 0.999)
    groups = [{"lr": 0.1, "betas": betas} for _ in range(12)]
    path = saved(tmp_path / "m.pth", KEPT | {"groups": groups})
    same(read_pth(path), KEPT)


# What to hash or to print would take for ever, and any memory: tuples of tuples, 2^60
# in all. torch.load hashes keys and prints what it is to call.
LAUGHS = b"K\x01" + b"q\x00h\x00\x86" * 60
LISTS = b"]q\x00" + b"]q\x01(h\x00h\x00e]q\x00(h\x01h\x01e" * 40
EMPTY = b"\x80\x02}"
NAMED = b"X\x01\x00\x00\x00a"
DAMAGED = "no checkpoint of torch 1.6 or later, or is damaged"


def rebuilt(shape: tuple[Any, ...], numbers: int, **how: Any) -> Callable[[Path], Path]:
    """An archive that declares this, with 4 numbers in it."""
    return lambda path: archive(path, program(shape, numbers, **how), b"\0" * 16)


HOSTILE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "numbers missing": (
        lambda p: archive(p, program((2, 2), 4), b"\0" * 12),
        DAMAGED,
    ),
    "numbers of another member": (rebuilt((2, 3), 6), DAMAGED),
    "a shape that its numbers do not fill": (rebuilt((2, 3), 4), DAMAGED),
    "a shape that fills the machine": (rebuilt((10**9, 10**9), 4), DAMAGED),
    "a number repeated a million million times": (
        rebuilt((10**6, 10**6), 4, strides=(0, 0)),
        "declares more numbers than the file has",
    ),
    "an offset behind the end": (rebuilt((2, 2), 4, offset=3), DAMAGED),
    "negative strides": (rebuilt((2, 2), 4, strides=(-2, 1)), DAMAGED),
    "a side that is no number": (rebuilt(("2",), 4, strides=(1,)), DAMAGED),
    "more sides than any tensor": (rebuilt((1,) * 99, 4), "a tensor of 99 sides"),
    "a member outside the archive": (
        rebuilt((4,), 4, member="../../etc/passwd"),
        DAMAGED,
    ),
    "a tensor that is named by no text": (
        rebuilt((4,), 4, name=(1, 2)),
        "holds no dictionary of tensors",
    ),
    "a key that laughs": (
        lambda p: archive(p, EMPTY + LAUGHS + b"K\x02s."),
        "more than any model",
    ),
    "a function that laughs": (
        lambda p: archive(p, EMPTY + NAMED + LAUGHS + b")Rs."),
        "more than any model",
    ),
    "a function that is lists of lists": (
        lambda p: archive(p, EMPTY + NAMED + LISTS + b")Rs."),
        "more than any model",
    ),
    "a function that laughs behind a remark": (
        lambda p: archive(
            p, EMPTY + NAMED + LAUGHS.replace(b"q", b"\x80\x02q") + b")Rs."
        ),
        "more than any model",
    ),
    "a class that laughs": (
        lambda p: archive(p, EMPTY + NAMED + LAUGHS + b")\x81s."),
        "more than any model",
    ),
    "a state that laughs": (
        lambda p: archive(p, b"\x80\x02ccollections\nOrderedDict\n)R" + LAUGHS + b"b."),
        "more than any model",
    ),
    "a storage that laughs": (
        lambda p: archive(p, EMPTY + NAMED + LAUGHS + b"Qs."),
        "more than any model",
    ),
    "a list to append to that laughs": (
        lambda p: archive(p, EMPTY + NAMED + LAUGHS + b"K\x01as."),
        "more than any model",
    ),
    "a dictionary that laughs": (
        lambda p: archive(p, LAUGHS.replace(b"K", b"\x80\x02K") + b"K\x01K\x02s."),
        "more than any model",
    ),
    "a class named by tuples": (
        lambda p: archive(p, EMPTY + NAMED + LAUGHS + b"q\x01h\x01\x93s."),
        "more than any model",
    ),
    "one member under two names": (
        rebuilt((4,), 4, member="0\0again"),
        "a name holds a NUL",
    ),
    "two descriptions": (
        lambda p: archive(p, program((4,), 4), b"\0" * 16, **{"DATA.PKL": LAUGHS}),
        "torch.save writes no member 'data.pkl'",
    ),
    "a member that torch finds under many names": (
        lambda p: archive(p, program((4,), 4), b"\0" * 16, **{"data/a": b""}),
        "torch.save writes no member 'data/a'",
    ),
    "no tensors": (lambda p: saved(p, {"lr": 0.1}), "holds no dictionary of tensors"),
    "no dictionary": (
        lambda p: saved(p, [torch.ones(1)]),
        "holds no dictionary of tensors",
    ),
    "compressed": (
        lambda p: archive(
            p, program((10**6,), 10**6), b"\0" * 4 * 10**6, zipfile.ZIP_DEFLATED
        ),
        "compressed",
    ),
    "some zip": (lambda p: _without_program(p), "data.pkl"),
    "an empty pickle": (lambda p: archive(p, b""), DAMAGED),
    "a pickle that breaks off": (
        lambda p: archive(p, program((2, 2), 4)[:-40], b"\0" * 16),
        DAMAGED,
    ),
    "a pickle of too many bytes": (
        lambda p: archive(p, b"\x80\x02" + b"]0" * 2_000_000 + b"."),
        "no tensors need 4000003 bytes",
    ),
    "the format before torch 1.6": (lambda p: _legacy(p), "torch 1.6"),
    "no zip": (
        lambda p: _written(p, b"PK\x03\x04 and then something else"),
        "torch 1.6",
    ),
    "nothing": (lambda p: _written(p, b""), "torch 1.6"),
    "a folder": (lambda p: p.mkdir() or p, "torch 1.6"),
    "a pipe": (lambda p: os.mkfifo(p) or p, "no regular file"),
    "not there": (lambda p: p, "does not exist"),
}


def _without_program(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme.txt", "hello")
    return path


def _legacy(path: Path) -> Path:
    torch.save(KEPT, path, _use_new_zipfile_serialization=False)
    return path


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(("make", "what"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_or_damaged_file_is_refused_in_a_sentence(
    make: Callable[[Path], Path], what: str, tmp_path: Path
) -> None:
    path = make(tmp_path / "m.pth")
    with pytest.raises(ValueError, match=what) as refused:
        read_pth(path)
    assert str(refused.value).startswith(str(path))
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


def test_wherever_a_file_is_cut_off_it_is_refused(tmp_path: Path) -> None:
    whole = saved(tmp_path / "m.pth", KEPT).read_bytes()
    for length in range(0, len(whole), 97):
        with pytest.raises(ValueError, match=r"m\.pth"):
            read_pth(_written(tmp_path / "m.pth", whole[:length]))


def test_whatever_byte_of_the_pickle_is_changed_it_is_read_or_refused(
    tmp_path: Path,
) -> None:
    """No other kind of error, whatever an interpreter that trusts its input would
    stumble over.
    """
    sound = program((2, 2), 4)
    for place in range(len(sound)):
        byte = (0, 0x28, 0x52, 0x71, 0x85, 0xFF)[place % 6]
        try:
            read_pth(
                archive(
                    tmp_path / "m.pth",
                    sound[:place] + bytes([byte]) + sound[place + 1 :],
                    b"\0" * 16,
                )
            )
        except ValueError as refused:
            if "m.pth" not in str(refused):
                raise
