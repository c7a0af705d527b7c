r"""Weights on disk: one safetensors file that carries its own preset, so `load` needs
nothing else.

    save(path, f)    beside its place, then renamed: there is never half a checkpoint
    load(name)       a shipped name, a .safetensors file, or a folder that holds
                     model.safetensors

No pickle is ever read. Schedules are not stored as weights, only as three numbers of
the preset: any T can be used.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor

from ..files.text import read_json
from ..files.writing import write_bytes
from .network import Network, build
from .preset import Preset

PACKAGE = Path(__file__).resolve().parent.parent
WEIGHTS = PACKAGE / "weights"
if not WEIGHTS.is_dir():
    WEIGHTS = PACKAGE.parent / "data" / "weights"
"""Where the shipped weights lie: inside an installed package, or in data/ of a clone.
"""


def shipped() -> list[str]:
    """The names that `load` knows without a path."""
    return sorted(path.stem for path in WEIGHTS.glob("*.safetensors"))


def save(path: str | Path, f: Network, dtype: torch.dtype = torch.float32) -> None:
    """Write the weights of `f` as `dtype` (float16 halves the file and keeps 11 bits)
    and its preset to a .safetensors file. OSError when it cannot be written.
    """
    tensors = {
        name: tensor.detach().to("cpu", dtype).contiguous()
        for name, tensor in f.state_dict().items()
    }
    # not safetensors' own save_file, whose files nobody but their owner can read
    write_bytes(to_safetensors(tensors, {"preset": f.preset.to_json()}), path)


def load(name: str | Path, device: str | torch.device = "cpu") -> Network:
    """The trained f(x, y_t, gamma) of a shipped name, a file or a folder: float32,
    ready to sample with, `f.preset` beside it.

    ValueError, in one sentence, when there is no such model or the file is not one of
    ours.
    """
    path = find(name)
    try:
        with safe_open(path, framework="pt") as file:
            written = (file.metadata() or {}).get("preset")
            names = file.keys()
            tensors = {name: file.get_tensor(name).float() for name in names}
    except (SafetensorError, OSError) as error:
        advice = ""
        if zipfile.is_zipfile(path):  # as torch.save writes
            advice = "; sr3mini import makes a model of a .pth of other SR3 code"
        raise ValueError(
            f"{path} is no readable safetensors file ({error}){advice}"
        ) from error
    if written is None:
        raise ValueError(f"{path} carries no preset, so it was not written by sr3mini")
    try:
        preset = Preset.from_json(written)
        # shapes are compared before a network of that size asks for memory
        with torch.device("meta"):
            build(preset).load_state_dict(tensors, assign=True)
        f = build(preset)
        f.load_state_dict(tensors)
    except (RuntimeError, ValueError) as error:
        # torch opens with a headline and lists what is wrong below it
        lines = [line.strip() for line in str(error).splitlines()]
        raise ValueError(
            f"{path} does not hold the weights that its preset describes"
            f" ({lines[:2][-1]})"
        ) from error
    demand_finite(tensors, path)
    f.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return f.eval().requires_grad_(False)


def demand_finite(weights: Mapping[str, Tensor], path: Path) -> None:
    """ValueError, naming the tensor, when one of the weights that `path` holds is NaN
    or infinite.
    """
    for name, tensor in weights.items():
        if not tensor.isfinite().all():
            raise ValueError(
                f"{path} holds weights that are no finite numbers, in {name}: take an"
                " earlier checkpoint of its training"
            )


def card(name: str | Path) -> dict[str, Any]:
    """What is known about a model: the JSON beside its weights (how it was trained,
    what was measured); {} if there is none.
    """
    path = find(name).with_suffix(".json")
    return read_json(path) if path.exists() else {}


def find(name: str | Path) -> Path:
    """The .safetensors file of a shipped name, a path or a folder; ValueError when
    there is none.
    """
    shipped_file = WEIGHTS / f"{name}.safetensors"
    for path in (shipped_file, Path(name), Path(name) / "model.safetensors"):
        if path.is_file():
            return path
    raise ValueError(
        f"no model {str(name)!r}: it is neither shipped ({', '.join(shipped())}), nor a"
        " .safetensors file or a folder with a model.safetensors"
    )
