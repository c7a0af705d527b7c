r"""Tensors of a `.pth` file that torch.save wrote, read without running the pickle
inside.

    read_pth(path)  {name: tensor}, whatever the file holds; nothing in it is ever
                    called or imported

A .pth is a zip archive: data.pkl says which tensor has which shape, and data/0, data/1,
... hold the numbers. A pickle is a small program. `_follow` reads the few instructions
that a dictionary of tensors needs, on plain tuples, and refuses the rest.
"""

from __future__ import annotations

import io
import math
import pickletools
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

# bytes of data.pkl: that of 100 million weights takes 0.1 million; in memory each may
# become 70
LARGEST_PROGRAM = 4_000_000
PIECE = 2**24  # bytes read at once
DTYPES = {
    "torch FloatStorage": torch.float32,
    "torch DoubleStorage": torch.float64,
    "torch HalfStorage": torch.float16,
    "torch BFloat16Storage": torch.bfloat16,
}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
DAMAGED = "holds a damaged description of its tensors"
NUMBERS_AND_TEXT = (
    "BININT",
    "BININT1",
    "BININT2",
    "LONG1",
    "BINFLOAT",
    "BINUNICODE",
    "SHORT_BINUNICODE",
)


class Name(str):
    """A class or function that the pickle names. It stays a name."""


class Described(NamedTuple):
    """A tensor of the pickle before its numbers are read: which member of the archive
    holds how many of what kind, and how it lies among them.
    """

    member: str
    dtype: torch.dtype
    numbers: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Refused(ValueError):
    """What is wrong with the file, to follow its name."""


def read_pth(path: str | Path) -> dict[str, Tensor]:
    """The float tensors of a .pth file by name, contiguous, on the CPU; other entries
    of the dictionary are left out.

    ValueError, in one sentence, when the file is missing, damaged, in the format of
    torch before 1.6, or more than a dictionary of tensors. Each storage is read once,
    one after the other. So this needs memory for the tensors once, which are never more
    than the file holds, and beside them for one storage at most, of which they were
    only a part or in another order.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive, path.stat().st_size)
            described = _described(archive.read(members["data.pkl"]))
            return _tensors(archive, members, described)
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist") from None
    except Refused as refused:
        raise ValueError(f"{path} {refused}") from None
    except (
        zipfile.BadZipFile,
        OSError,
        EOFError,
        RuntimeError,
        ValueError,
        KeyError,
    ) as error:
        what = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"{path} is no checkpoint that torch 1.6 or later wrote, or is damaged"
            f" ({what})"
        ) from error


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """The members by their name below the archive's one folder. torch never compresses,
    so no member is larger than the file.
    """
    found = {}
    for info in archive.infolist():
        if (
            info.compress_type != zipfile.ZIP_STORED
            or info.flag_bits & 1
            or info.file_size != info.compress_size
        ):
            raise Refused(
                "holds compressed or encrypted members, which torch.save never writes"
            )
        found[info.filename.partition("/")[2]] = info
    if sum(info.file_size for info in found.values()) > size:
        raise Refused("declares more bytes than the file has")
    if "data.pkl" not in found:
        raise Refused(
            "is a zip archive, but none that torch.save wrote: it has no data.pkl"
        )
    if found["data.pkl"].file_size > LARGEST_PROGRAM:
        raise Refused(
            f"describes its tensors in {found['data.pkl'].file_size} bytes, more than"
            " any model needs"
        )
    if "byteorder" in found and archive.read(found["byteorder"]) != b"little":
        raise Refused("was written by a big-endian machine; save it again on another")
    return found


def _described(program: bytes) -> dict[str, Described]:
    """The tensors that the pickle describes; a dictionary that wraps another, as
    {"state_dict": ...}, is opened.
    """
    whole = _follow(program)
    if isinstance(whole, dict) and not any(
        isinstance(each, Described) for each in whole.values()
    ):
        whole = next(
            (
                each
                for each in whole.values()
                if isinstance(each, dict)
                and any(isinstance(e, Described) for e in each.values())
            ),
            whole,
        )
    found = (
        {str(name): each for name, each in whole.items() if isinstance(each, Described)}
        if isinstance(whole, dict)
        else {}
    )
    if not found:
        raise Refused("holds no dictionary of tensors")
    return found


def _follow(program: bytes) -> Any:
    """What the pickle builds, out of dictionaries, lists, tuples, text, numbers and
    `Described`: an interpreter that cannot call anything.
    """
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[Any, Any] = {}

    def since_mark() -> list[Any]:
        start = marks.pop()
        taken = stack[start:]
        del stack[start:]
        return taken

    try:
        for instruction, argument, _ in pickletools.genops(io.BytesIO(program)):
            match instruction.name:
                case "PROTO" | "FRAME":
                    pass
                case "STOP":
                    return stack.pop()
                case "MARK":
                    marks.append(len(stack))
                case "EMPTY_DICT":
                    stack.append({})
                case "EMPTY_LIST":
                    stack.append([])
                case "EMPTY_TUPLE":
                    stack.append(())
                case "NONE" | "NEWTRUE" | "NEWFALSE" as constant:
                    stack.append(CONSTANTS[constant])
                case kind if kind in NUMBERS_AND_TEXT:
                    stack.append(argument)
                case "BINPUT" | "LONG_BINPUT":
                    memo[argument] = stack[-1]
                case "MEMOIZE":
                    memo[len(memo)] = stack[-1]
                case "BINGET" | "LONG_BINGET":
                    stack.append(memo[argument])
                case "TUPLE":
                    stack.append(tuple(since_mark()))
                case "TUPLE1" | "TUPLE2" | "TUPLE3" as kind:
                    stack[-int(kind[-1]) :] = [tuple(stack[-int(kind[-1]) :])]
                case "APPEND":
                    stack[-2].append(stack.pop())
                case "APPENDS":
                    taken = since_mark()
                    stack[-1].extend(taken)
                case "SETITEM":
                    value, key = stack.pop(), stack.pop()
                    _put(stack[-1], [key], [value])
                case "SETITEMS":
                    taken = since_mark()
                    _put(stack[-1], taken[::2], taken[1::2])
                case "GLOBAL":
                    stack.append(Name(argument))
                case "STACK_GLOBAL":
                    attribute, module = stack.pop(), stack.pop()
                    stack.append(Name(f"{module} {attribute}"))
                case "BINPERSID":
                    stack.append(("storage", stack.pop()))
                case "REDUCE":
                    arguments, name = stack.pop(), stack.pop()
                    stack.append(_built(name, arguments))
                case "BUILD":
                    # attributes, such as a state dict's _metadata: of no use here
                    stack.pop()
                case other:
                    raise Refused(
                        "holds a pickle that does more than describe tensors"
                        f" ({other}), so it is not read"
                    )
    except (
        IndexError,
        KeyError,
        TypeError,
        AttributeError,
        UnicodeDecodeError,
    ) as error:
        raise Refused(DAMAGED) from error
    raise Refused("holds a description of its tensors that breaks off")


def _put(target: Any, keys: list[Any], values: list[Any]) -> None:
    """target[key] = value. Keys are text or numbers: to hash tuples of tuples of tuples
    may take for ever.
    """
    if type(target) is not dict or not all(isinstance(key, (str, int)) for key in keys):
        raise Refused(DAMAGED)
    target.update(zip(keys, values, strict=True))


def _built(name: Any, arguments: Any) -> Any:
    """What calling `name` would give, for the three names that a dictionary of tensors
    needs.
    """
    if name == "collections OrderedDict" and arguments == ():
        return {}
    if name == "torch._utils _rebuild_parameter":
        return arguments[0]
    if name == "torch._utils _rebuild_tensor_v2":
        (_, (_, storage, member, _, numbers)), offset, shape, strides = arguments[:4]
        counts = (numbers, offset, *shape, *strides)
        if (
            not all(type(count) is int and count >= 0 for count in counts)
            or not len(shape) == len(strides) <= 8
            or not isinstance(member, str)
        ):
            raise Refused(DAMAGED)
        return (
            Described(member, DTYPES[storage], numbers, offset, shape, strides)
            if isinstance(storage, Name) and storage in DTYPES
            else None
        )
    raise Refused(
        f"asks for {name} to be called, which no dictionary of tensors needs, so it is"
        " not read"
        if isinstance(name, Name)
        else DAMAGED
    )


def _tensors(
    archive: zipfile.ZipFile,
    members: dict[str, zipfile.ZipInfo],
    described: dict[str, Described],
) -> dict[str, Tensor]:
    """The numbers of all tensors, once each is known to lie inside its member of the
    archive and they are no more than the file holds.
    """
    if sum(
        math.prod(each.shape) * each.dtype.itemsize for each in described.values()
    ) > sum(info.file_size for info in members.values()):
        raise Refused("declares more numbers than the file has")
    for each in described.values():
        info = members.get(f"data/{each.member}")
        last = each.offset + sum(
            (side - 1) * stride
            for side, stride in zip(each.shape, each.strides, strict=True)
        )
        if (
            info is None
            or info.file_size != each.numbers * each.dtype.itemsize
            or 0 in each.shape
            or last >= each.numbers
        ):
            raise Refused(
                f"declares a tensor of shape {each.shape} that its numbers do not fill"
            )
    sharing: dict[str, list[str]] = {}
    for name, each in described.items():
        sharing.setdefault(each.member, []).append(name)
    tensors: dict[str, Tensor] = {}
    for member, names in sharing.items():
        storage = _content(archive, members[f"data/{member}"])
        for name in names:
            each = described[name]
            view = torch.frombuffer(storage, dtype=each.dtype).as_strided(
                each.shape, each.strides, each.offset
            )
            whole = (
                len(names) == 1 and view.numel() == each.numbers
            )  # or else a few numbers would keep all the others alive
            tensors[name] = (
                view.contiguous()
                if whole
                else view.clone(memory_format=torch.contiguous_format)
            )
    return {name: tensors[name] for name in described}


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytearray:
    """The bytes of a member, in memory once."""
    content = bytearray(info.file_size)
    with archive.open(info) as file:
        for start in range(0, len(content), PIECE):
            content[start : start + PIECE] = file.read(PIECE)
    return content
