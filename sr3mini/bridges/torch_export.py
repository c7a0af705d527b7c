r"""f as a program of torch.export, which runs without any code of ours.

export_program(f, "f.pt2")
"""

from __future__ import annotations

import copy
import io
from pathlib import Path

import torch
from torch import Tensor

from ..files.writing import atomic
from ..model.network import Network


def export_program(f: Network, path: str | Path) -> float:
    """Write f as a .pt2 file of torch.export, for any batch size and the preset's
    picture size; returns how far it is from f.

    The program takes (x, y_t, gamma), gamma in float64 as `sample` hands it over. It is
    read back and compared with f on a batch of another size before it gets its place:
    the largest difference is returned, and above 1e-4 a ValueError is raised.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise OSError(f"{path} could not be written: there is no folder {path.parent}")
    f = copy.deepcopy(f).cpu().eval()
    f.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    batch = torch.export.Dim("batch", min=1, max=65535)
    inputs = example(f, 3)
    with atomic(path) as beside, torch.no_grad():
        program = torch.export.export(
            f, example(f, 2), dynamic_shapes=({0: batch},) * 3, strict=False
        )
        # torch would end the process where a disk is full
        torch.export.save(program, packed := io.BytesIO())
        beside.write_bytes(packed.getvalue())
        read = torch.export.load(beside).module()
        difference = (read(*inputs) - f(*inputs)).abs().max().item()
        if not difference <= 1e-4:
            raise ValueError(
                f"the exported program is {difference:.1e} away from {f.preset.name},"
                f" so {path} was not written"
            )
    return difference


def example(f: Network, batch: int) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs (x, y_t, gamma) of the preset's sizes, noise from a fixed seed."""
    size, channels = f.preset.size, f.preset.image_channels
    generator = torch.Generator().manual_seed(0)
    x, y_t = (
        torch.randn(batch, channels, side, side, generator=generator)
        for side in (size // f.preset.factor, size)
    )
    gamma = torch.rand(batch, generator=generator, dtype=torch.float64) * 0.98 + 0.01
    return x, y_t, gamma
