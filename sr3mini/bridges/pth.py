r"""Tensors of a `.pth` file that torch.save wrote, by torch.load, which runs nothing of
the pickle inside.

    read_pth(path)  {name: tensor}, whatever the file holds: dictionaries inside others
                    give names with dots, as in netG.denoise_fn.downs.0.weight

A .pth is a zip archive: data.pkl says which tensor has which shape, and data/0, data/1,
... hold the numbers. torch.load keeps to a list of harmless functions, and it checks
the shapes. It would spend any time and memory that a hostile file asks for, so the
archive and its pickle are looked at first.
"""

from __future__ import annotations

import pickletools
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

LARGEST_PROGRAM = 4_000_000  # bytes of data.pkl; 100 million weights take 0.1 million
LARGEST_BUILT = 10**8  # tuples, lists and what they hold, each as often as it is named
FUNCTIONS = {
    "collections OrderedDict",
    "torch._utils _rebuild_parameter",
    "torch._utils _rebuild_tensor_v2",
}
DEEPEST = 3  # dictionaries inside each other that are looked into
ONE_THING = {"BINUNICODE", "GLOBAL", "BINPERSID"}  # what these leave holds no others


def read_pth(
    path: str | Path, choose: Callable[[Iterable[str]], str] = lambda names: ""
) -> dict[str, Tensor]:
    """The float tensors of a .pth file by name, contiguous, each with a storage of its
    own, on the CPU; other entries of the dictionary are left out.

    `choose` sees all names and tells how the wanted ones begin, which they then no
    longer do. ValueError, in one sentence, when the file is missing, damaged, in the
    format of torch before 1.6, or more than a dictionary of tensors. Each storage is
    read once. So this needs memory for what the file holds, and beside it for the
    tensors that are only a part of their storage, or lie in it in another order.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise ValueError("it is no regular file")
        with zipfile.ZipFile(path) as archive:
            _demand_harmless(_program(archive, size))
        whole = torch.load(path, map_location="cpu", weights_only=True)
        tensors = dict(_floats(whole))
        if not tensors:
            raise ValueError("it holds no dictionary of tensors, as a _gen.pth does")
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist") from None
    except Exception as error:  # anything, as the file may hold anything
        raise _refusal(path, error) from error

    begin = choose(tensors)
    try:
        wanted = {
            name.removeprefix(begin): tensor
            for name, tensor in tensors.items()
            if name.startswith(begin)
        }
        return _own_storages(wanted, size)
    except Exception as error:
        raise _refusal(path, error) from error


def _refusal(path: Path, error: Exception) -> ValueError:
    what = " ".join(str(error).split())[:150]
    if not what or isinstance(error, UnpicklingError):  # its text is about options
        what = type(error).__name__
    return ValueError(
        f"{path} is no checkpoint of torch 1.6 or later, or is damaged ({what})"
    )


def _program(archive: zipfile.ZipFile, size: int) -> bytes:
    """data.pkl, once the archive is known to unpack to no more than the file has and to
    be undamaged.
    """
    members = {}
    for info in archive.infolist():
        if info.compress_type or info.flag_bits & 1:
            raise ValueError(f"{info.filename} is compressed or encrypted")
        name = info.filename.partition("/")[2].lower()  # torch looks for it in any case
        kind, _, number = name.partition("/")
        if name in members or (kind == "data" and not number.isdecimal()):
            raise ValueError(f"torch.save writes no member {name!r}")
        members[name] = info

    if sum(info.file_size for info in members.values()) > size:
        raise ValueError("it declares more bytes than the file has")
    if (length := members["data.pkl"].file_size) > LARGEST_PROGRAM:
        raise ValueError(f"no tensors need {length} bytes of description")
    if (damaged := archive.testzip()) is not None:
        raise ValueError(f"the checksum of {damaged} is another")
    return archive.read(members["data.pkl"])


def _demand_harmless(program: bytes) -> None:
    """ValueError unless the pickle names only what a dictionary of tensors needs, and
    builds nothing huge: tuples of the same tuple twice, sixty deep, are 2^60 to hash or
    to print.
    """
    several, shared, before = set(), 0, ""
    for opcode, given, _ in pickletools.genops(program):
        argument: Any = given
        match opcode.name:
            case "PROTO" if argument != 2:
                raise ValueError(f"pickle protocol {argument}, not torch's 2")
            case "GLOBAL" if not (
                argument in FUNCTIONS
                or (argument.startswith("torch ") and argument.endswith("Storage"))
            ):
                raise ValueError(
                    f"it asks for {argument}, which no tensor needs: torch.save its"
                    " state_dict alone"
                )
            case "BINUNICODE" if "\0" in argument:  # one member under many names
                raise ValueError("a name holds a NUL")
            case "BINPUT" | "LONG_BINPUT" if before not in ONE_THING:
                several.add(argument)
            case "BINGET" | "LONG_BINGET":
                shared += argument in several
        before = opcode.name
    if len(program) << min(shared, 64) > LARGEST_BUILT:
        raise ValueError("it describes more than any model has")


def _floats(
    whole: Any, begin: str = "", depth: int = 1
) -> Iterator[tuple[str, Tensor]]:
    """The float tensors of a dictionary and of those inside, such as {"state_dict":
    ...}, with their names.
    """
    for name, entry in whole.items() if isinstance(whole, dict) else ():
        if not isinstance(name, str):
            continue
        if isinstance(entry, Tensor) and entry.is_floating_point():
            yield begin + name, entry.detach()
        elif depth < DEEPEST:
            yield from _floats(entry, f"{begin}{name}.", depth + 1)


def _own_storages(tensors: dict[str, Tensor], size: int) -> dict[str, Tensor]:
    """The tensors, contiguous; those that share a storage, or fill it only in part,
    are copied.
    """
    if sum(tensor.nbytes for tensor in tensors.values()) > size:
        raise ValueError("it declares more numbers than the file has")
    own, taken = {}, set()
    for name, tensor in tensors.items():
        if tensor.ndim > 8:
            raise ValueError(f"it declares a tensor of {tensor.ndim} sides")
        storage = tensor.untyped_storage()
        filled = storage.nbytes() == tensor.nbytes and storage.data_ptr() not in taken
        taken.add(storage.data_ptr())
        contiguous = torch.contiguous_format
        own[name] = (
            tensor.contiguous() if filled else tensor.clone(memory_format=contiguous)
        )
    return own
