"""A checkpoint of the best-known public SR3 code, as that code wrote it: its names, its
shapes, its schedule's tables, its random weights.

The weights are drawn here again, bit by bit: seed 7, of which the network's own
initialisation had used 647,715 numbers. What that code computed with them lies in
expected.safetensors, and tells whether another version of torch draws others.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from project import FIXTURE
from safetensors.torch import load_file
from torch import Tensor

NAME = "I10_E1_gen.pth"


def weights() -> dict[str, Tensor]:
    """The network's tensors: matrices and kernels that keep the variance, the rest
    small.
    """
    shapes = json.loads((FIXTURE / "shapes.json").read_text(encoding="utf-8"))
    generator = torch.Generator().manual_seed(7)
    torch.rand(647_715, generator=generator)
    drawn = {}
    for name, shape in shapes.items():
        inputs = torch.Size(shape[1:]).numel()
        std = 1.2 / inputs**0.5 if len(shape) > 1 else 0.08
        drawn[name] = torch.empty(shape).normal_(0, std, generator=generator)
    return drawn


def write_checkpoint(path: Path) -> Path:
    """The file, or, in a folder, the file under its own name."""
    path = path / NAME if path.is_dir() else path
    named = {f"denoise_fn.{name}": tensor for name, tensor in weights().items()}
    torch.save({**load_file(FIXTURE / "tables.safetensors"), **named}, path)
    return path


def write_config(path: Path) -> Path:
    """The options of that network, as a configuration of that code says them."""
    told = json.loads((FIXTURE / "config.json").read_text(encoding="utf-8"))
    unet = told["unet"]
    unet["channel_multiplier"] = unet.pop("channel_mults")
    options = {
        "datasets": {"train": {"l_resolution": 2, "r_resolution": 16}},
        "model": {
            "which_model_G": "sr3",
            "unet": unet,
            "beta_schedule": dict.fromkeys(("train", "val"), told["beta_schedule"]),
            "diffusion": {"image_size": unet.pop("image_size"), "conditional": True},
        },
    }
    path.write_text(json.dumps(options), encoding="utf-8")
    return path
