r"""Checkpoints of the best-known public SR3 code
(Janspiry/Image-Super-Resolution-via-Iterative-Refinement), read and written.

    f, card = import_checkpoint("I640000_E37_gen.pth", "sr_sr3_16_128.json")
            f(x, y_t, gamma), like any other
    export_checkpoint(f, "I640000_E37_gen.pth")
            with the .json that goes with it

The tensors tell most of the layout. What they do not tell (groups, picture size,
dropout) is read from the configuration, or assumed and named in the card. The sampler
of that code is `sample(f, x, f.preset.training_schedule(), shape, variance="posterior",
clip=True)`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..files.writing import atomic, write_text
from ..model.checkpoint import demand_finite
from ..model.network import Network, build
from ..model.preset import LONGEST, SCHEDULES, Preset
from ..schedule import NoiseSchedule
from .janspiry_options import Schedule, configuration, fields_of
from .pth import read_pth

PREFIX = "denoise_fn."
FIRST = "downs.0.weight"  # a tensor of every network, by which it is found
NAMES = (  # the beginning or the middle of a name: ours, and that code's
    (r"^level\.mlp\.0", "noise_level_mlp.1"),
    (r"^level\.mlp\.2", "noise_level_mlp.3"),
    (r"^middle", "mid"),
    (r"^norm", "final_conv.block.0"),
    (r"^head", "final_conv.block.3"),
    (r"^((?:downs|ups)\.\d+)\.(weight|bias)$", r"\1.conv.\2"),
    (r"^stem", "downs.0"),
    (r"\.block\.norm(\d)", r".res_block.block\1.block.0"),
    (r"\.block\.conv(\d)", r".res_block.block\1.block.3"),
    (r"\.block\.level", ".res_block.noise_func.noise_func.0"),
    (r"\.block\.skip", ".res_block.res_conv"),
    (r"\.attention\.", ".attn."),
)
# what a checkpoint does not tell, as in most configurations of that code
OTHERWISE: dict[str, Any] = {
    "groups": 32,
    "size": 128,
    "factor": 8,
    "dropout": 0.0,
    "schedule": "linear",
    "schedule_steps": 2000,
    "schedule_start": 1e-6,
    "schedule_end": 1e-2,
}
# and in those of the networks that it published, by inner_channel, channel_multiplier,
# res_blocks
PUBLISHED: dict[tuple[Any, ...], dict[str, Any]] = {
    (64, (1, 2, 4, 8, 8), 2): {"dropout": 0.2},
    (64, (1, 2, 4, 8, 16), 1): {"groups": 16, "size": 512},
    (32, (1, 2, 4, 8, 8, 16, 16), 2): {"size": 512},
}


def import_checkpoint(
    path: str | Path, config: str | Path | None = None, key: str | None = None
) -> tuple[Network, dict[str, Any]]:
    """The network of a `..._gen.pth` and what is known of it, by the file's own JSON
    configuration or without one. It is found whatever its tensors' names begin with, as
    in module.denoise_fn.… or {"netG": …}; of several networks `key` tells which.

    Nothing in the file is executed. ValueError, in one sentence, when the file is no
    such checkpoint or holds weights that are no finite numbers, when `config` is none
    of that code's or describes another network, or when the layout is not one of
    `which_model_G: sr3`.
    """
    path = Path(path)
    tensors = read_pth(path, partial(_beginning, key, path))
    inner = PREFIX if PREFIX + FIRST in tensors else ""
    weights = {
        name.removeprefix(inner): tensor.float()
        for name, tensor in tensors.items()
        if name.startswith(inner)
    }
    betas = tensors.get("betas")
    if betas is not None and betas.ndim != 1:
        raise ValueError(f"{path} holds betas of shape {tuple(betas.shape)}, not (T,)")
    told = _layout_of(weights, path)
    demand_finite({inner + name: tensor for name, tensor in weights.items()}, path)

    command, hint = f"sr3mini import {path.name}", ""
    command += "" if key is None else f" --key {key}"
    layout = told["channels"], told["multipliers"], told["blocks"]
    if config is not None:
        told = _checked(fields_of(config), told, betas, config, path)
        command += f" --config {Path(config).name}"
    else:
        told |= {} if betas is None else _schedule_of(betas, path)
        hint = "; its --config may tell what is wrong"
    usual = OTHERWISE | PUBLISHED.get(layout, {})
    assumed = {name: it for name, it in usual.items() if name not in told}
    try:
        fields = assumed | told
        steps = min(100, fields["schedule_steps"])
        preset = Preset(
            path.stem[:LONGEST], "folder", sampling_steps=steps, loss_power=1, **fields
        )
        f = _filled(preset, weights)
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"{path} does not hold the weights of a network that can be built"
            f" ({' '.join(str(error).split())}){hint}"
        ) from error
    return f, {"imported": command, "assumed": assumed}


def export_checkpoint(f: Network, path: str | Path) -> Path:
    """Write `f` as that code's `..._gen.pth`, with its 12 schedule buffers, and beside
    it the configuration, whose path is returned.

    ValueError when that code has no such network; OSError when the place cannot be
    written.
    """
    path, preset = Path(path), f.preset
    problem, multiple = "", 2 ** (len(preset.multipliers) - 1)
    if preset.objective != "noise":
        problem = f"has no option for a network trained for {preset.objective}"
    elif preset.layout != "ddpm":
        problem = f"has no option for the layout {preset.layout!r}, only for 'ddpm'"
    elif preset.size % multiple:
        problem = f"fails at a size of {preset.size}: it is no multiple of {multiple}"
    if problem:
        raise ValueError(f"{preset.name} is no network for that code, which {problem}")
    weights = {
        PREFIX + their_name(name): tensor.detach().cpu().contiguous()
        for name, tensor in f.state_dict().items()
    }
    options = path.with_suffix(".json")
    with atomic(path) as beside:
        torch.save({**_buffers(preset.training_schedule()), **weights}, beside)
        write_text(json.dumps(configuration(preset, path), indent=4) + "\n", options)
    return options


def their_name(name: str) -> str:
    """What that code calls one of our tensors. Its `downs` begin with the stem, so ours
    count one less.
    """
    name = re.sub(r"^downs\.(\d+)", lambda found: f"downs.{int(found[1]) + 1}", name)
    for ours, theirs in NAMES:
        name = re.sub(ours, theirs, name)
    return name


def _beginning(key: str | None, path: Path, names: Iterable[str]) -> str:
    """What the names of one network's tensors begin with, before "denoise_fn.": of the
    only network among these names, or of the one that `key` tells.
    """
    found = {
        name.removesuffix(FIRST).rstrip("."): name.removesuffix(FIRST)
        for name in names
        if f".{name}".endswith(f".{FIRST}")
    }
    if not found:
        raise ValueError(
            f"{path} holds no network of which_model_G = 'sr3', only tensors such as"
            f" {next(iter(names))}; a file that ends in _gen.pth may"
        )
    chosen = [
        name for name in found if key in (None, name) or name.startswith(f"{key}.")
    ]
    if len(chosen) != 1:
        raise ValueError(
            f"{path} holds {len(found)} networks: {', '.join(map(repr, found))}; name"
            " one of them with --key"
        )
    return found[chosen[0]].removesuffix(PREFIX)


def _filled(preset: Preset, weights: dict[str, Tensor]) -> Network:
    """The preset's network with these tensors, which are renamed and not copied."""
    with torch.device("meta"):
        f = build(preset)
    names = {their_name(name): name for name in f.state_dict()}
    here = {name: tuple(f.state_dict()[ours].shape) for name, ours in names.items()}
    there = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    for name in here | there:
        found, wanted = there.get(name, "missing"), here.get(name, "no such tensor")
        if found != wanted:
            raise ValueError(f"{PREFIX}{name} is {found}, wanted {wanted}")
    renamed = {names[name]: tensor for name, tensor in weights.items()}
    f.load_state_dict(renamed, assign=True)
    return f.eval().requires_grad_(False)


def _layout_of(weights: dict[str, Tensor], path: Path) -> dict[str, Any]:
    """The fields of the preset that the tensors tell: the way up has, for every depth,
    its stages and then a resampling. `_filled` compares all shapes.
    """
    try:
        channels, inputs = weights["downs.0.weight"].shape[:2]
        outputs = len(weights["final_conv.block.3.weight"])
        depths = _way_up(weights)[::-1]
        last = [stages[0] for stages in depths]
        conditional = inputs > outputs
        return {
            "image_channels": outputs,
            "conditional": conditional,
            "channels": channels,
            "multipliers": tuple(width // channels for width, _, _ in last),
            "blocks": len(depths[0]) - 1,
            "attention": tuple(n for n, (_, attends, _) in enumerate(last) if attends),
            "layout": "ddpm_affine" if last[0][2] else "ddpm",
            **({} if conditional else {"factor": 1}),
        }
    except (KeyError, ValueError, IndexError, ZeroDivisionError, TypeError) as error:
        raise ValueError(
            f"{path} holds no network of which_model_G = 'sr3'; a file that ends in"
            f" _gen.pth may ({error})"
        ) from error


def _way_up(weights: dict[str, Tensor]) -> list[list[tuple[int, bool, bool]]]:
    """For every depth, the deepest first, its stages: how wide, whether with attention,
    whether the level scales as well as shifts.
    """
    depths: list[list[tuple[int, bool, bool]]] = [[]]
    numbers = {int(name.split(".")[1]) for name in weights if name.startswith("ups.")}
    for n in range(1 + max(numbers)):
        if f"ups.{n}.conv.weight" in weights:
            depths.append([])
            continue
        width = len(weights[f"ups.{n}.res_block.block1.block.3.weight"])
        level = len(weights[f"ups.{n}.res_block.noise_func.noise_func.0.weight"])
        attention = f"ups.{n}.attn.qkv.weight" in weights
        depths[-1].append((width, attention, level == 2 * width))
    return depths


def _schedule_of(betas: Tensor, path: Path) -> dict[str, Any]:
    """The fields of the preset that describe a checkpoint's table of beta."""
    start, end = (float(f"{beta:.6g}") for beta in (betas[0], betas[-1]))
    for kind in SCHEDULES:
        schedule = kind, len(betas), start, end
        if _is_schedule(betas, schedule):
            return _as_fields(schedule)
    raise ValueError(
        f"{path} holds a table of {len(betas)} betas from {start:g} to {end:g} that is"
        f" none of {', '.join(SCHEDULES)}; say with --config which it is"
    )


def _as_fields(schedule: Schedule) -> dict[str, Any]:
    names = ("schedule", "schedule_steps", "schedule_start", "schedule_end")
    return dict(zip(names, schedule, strict=True))


def _is_schedule(betas: Tensor, schedule: Schedule) -> bool:
    """Whether the table `betas` is this schedule, as exactly as numbers of its kind can
    tell.
    """
    kind, steps, start, end = schedule
    if steps != len(betas):
        return False
    try:
        made = SCHEDULES[kind](steps, start, end)
    except ValueError:
        return False
    # 2: the table was rounded, and so were a start and an end that were taken from it
    exact = torch.finfo(betas.dtype)
    rtol, atol = max(1e-4, 2 * exact.eps), max(1e-9, 2 * exact.tiny * exact.eps)
    return torch.allclose(1 - made.alphas[1:], betas.double(), rtol=rtol, atol=atol)


def _checked(
    fields: dict[str, Any],
    told: dict[str, Any],
    betas: Tensor | None,
    config: str | Path,
    path: Path,
) -> dict[str, Any]:
    """All fields, by a configuration that agrees with the tensors."""
    for field, value in told.items():
        if fields.get(field, value) != value:
            raise ValueError(
                f"{config} describes another network than {path}: it has"
                f" {field} = {fields[field]}, and the tensors {value}"
            )
    schedules = fields.pop("schedules")
    if betas is not None and not any(_is_schedule(betas, each) for each in schedules):
        raise ValueError(
            f"{config} describes a schedule of {schedules[0][1]} steps, but the"
            f" {len(betas)} betas of {path} are another's"
        )
    return fields | told | _as_fields(schedules[0])


def _buffers(schedule: NoiseSchedule) -> dict[str, Tensor]:
    """The 12 tables that a checkpoint of that code carries, float32, with entry 0 for t
    = 1.
    """
    alphas, gammas = schedule.alphas[1:], schedule.gammas[1:]
    before = schedule.gammas[:-1]
    variance = (1 - alphas) * (1 - before) / (1 - gammas)
    tables = {
        "betas": 1 - alphas,
        "alphas_cumprod": gammas,
        "alphas_cumprod_prev": before,
        "sqrt_alphas_cumprod": gammas.sqrt(),
        "sqrt_one_minus_alphas_cumprod": (1 - gammas).sqrt(),
        "log_one_minus_alphas_cumprod": (1 - gammas).log(),
        "sqrt_recip_alphas_cumprod": (1 / gammas).sqrt(),
        "sqrt_recipm1_alphas_cumprod": (1 / gammas - 1).sqrt(),
        "posterior_variance": variance,
        "posterior_log_variance_clipped": variance.clamp(min=1e-20).log(),
        "posterior_mean_coef1": (1 - alphas) * before.sqrt() / (1 - gammas),
        "posterior_mean_coef2": (1 - before) * alphas.sqrt() / (1 - gammas),
    }
    return {name: table.float() for name, table in tables.items()}
