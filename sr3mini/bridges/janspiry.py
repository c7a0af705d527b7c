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
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..files.writing import atomic, write_text
from ..model.checkpoint import demand_finite
from ..model.network import Network, build
from ..model.preset import SCHEDULES, Preset
from ..schedule import NoiseSchedule
from .janspiry_options import configuration, fields_of
from .pth import read_pth

PREFIX = "denoise_fn."
NAMES = (  # the beginning or the middle of a name: ours, and that code's
    (r"^level\.mlp\.0", "noise_level_mlp.1"),
    (r"^level\.mlp\.2", "noise_level_mlp.3"),
    (r"^middle", "mid"),
    (r"^norm", "final_conv.block.0"),
    (r"^head", "final_conv.block.3"),
    (r"^((?:downs|ups)\.\d+)\.(weight|bias)$", r"\1.conv.\2"),
    (r"^stem", "downs.0"),
    (r"\.block\.norm1", ".res_block.block1.block.0"),
    (r"\.block\.conv1", ".res_block.block1.block.3"),
    (r"\.block\.level", ".res_block.noise_func.noise_func.0"),
    (r"\.block\.norm2", ".res_block.block2.block.0"),
    (r"\.block\.conv2", ".res_block.block2.block.3"),
    (r"\.block\.skip", ".res_block.res_conv"),
    (r"\.attention\.", ".attn."),
)
OTHERWISE = {"groups": 32, "size": 128, "factor": 8, "dropout": 0.0}
# What else the configurations of that code say of the networks that it published, by
# inner_channel, channel_multiplier, res_blocks.
PUBLISHED: dict[tuple[Any, ...], dict[str, Any]] = {
    (64, (1, 2, 4, 8, 8), 2): {**OTHERWISE, "dropout": 0.2},
    (64, (1, 2, 4, 8, 16), 1): {**OTHERWISE, "groups": 16, "size": 512},
    (32, (1, 2, 4, 8, 8, 16, 16), 2): {**OTHERWISE, "size": 512},
}
UNTOLD_SCHEDULE = {
    "schedule": "linear",
    "schedule_steps": 2000,
    "schedule_start": 1e-6,
    "schedule_end": 1e-2,
}
# our fields that the tensors tell, and the options of that code that they come from
OPTIONS = {
    "image_channels": "out_channel",
    "conditional": "in_channel",
    "channels": "inner_channel",
    "multipliers": "channel_multiplier",
    "blocks": "res_blocks",
    "attention": "attn_res",
}


def import_checkpoint(
    path: str | Path, config: str | Path | None = None
) -> tuple[Network, dict[str, Any]]:
    """The network of a `..._gen.pth` and what is known of it, by the file's own JSON
    configuration or without one.

    Nothing in the file is executed. ValueError, in one sentence, when the file is no
    such checkpoint or holds weights that are no finite numbers, when `config` is none
    of that code's or describes another network, or when the layout is not one of
    `which_model_G: sr3`.
    """
    path = Path(path)
    if path.stem.endswith("_opt"):
        raise ValueError(
            f"{path} holds the state of an optimizer; the weights lie beside it, in"
            f" {path.name.replace('_opt', '_gen')}"
        )
    tensors = read_pth(path)
    weights = {
        name.removeprefix(PREFIX): tensor.float()
        for name, tensor in tensors.items()
        if name.startswith(PREFIX)
    }
    betas = _betas_of(tensors, path)
    told = _layout_of(weights, path)
    demand_finite({PREFIX + name: tensor for name, tensor in weights.items()}, path)

    assumed, command = {}, f"sr3mini import {path.name}"
    if config is None:
        assumed = _assumed(told)
        rest = assumed | ({} if betas is None else _schedule_of(betas, path))
        hint = "; its configuration, given with --config, may tell what is wrong"
    else:
        rest = _checked(fields_of(config), told, betas, config, path)
        command, hint = f"{command} --config {Path(config).name}", ""
    if betas is not None:
        assumed = {name: it for name, it in assumed.items() if "schedule" not in name}
    try:
        f = _filled(_preset(path.stem, told | rest), weights)
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"{path} does not hold the weights of a network that can be built"
            f" ({' '.join(str(error).split())}){hint}"
        ) from error
    return f, {"imported": command, "assumed": assumed}


def _assumed(told: dict[str, Any]) -> dict[str, Any]:
    """What the tensors do not tell: as published, or as most of that code's networks
    are.
    """
    key = (told["channels"], told["multipliers"], told["blocks"])
    fields = PUBLISHED.get(key, OTHERWISE) | UNTOLD_SCHEDULE
    return fields if told["conditional"] else fields | {"factor": 1}


def _preset(name: str, fields: dict[str, Any]) -> Preset:
    steps = min(100, fields["schedule_steps"])
    return Preset(
        name=name, data="folder", sampling_steps=steps, loss_power=1, **fields
    )


def export_checkpoint(f: Network, path: str | Path) -> Path:
    """Write `f` as that code's `..._gen.pth`, with its 12 schedule buffers, and beside
    it the configuration, whose path is returned.

    ValueError when that code has no such network; OSError when the place cannot be
    written.
    """
    path, preset = Path(path), f.preset
    problem, multiple = None, 2 ** (len(preset.multipliers) - 1)
    if preset.objective != "noise":
        problem = f"has no option for a network trained for {preset.objective}"
    elif preset.layout != "ddpm":
        problem = f"has no option for the layout {preset.layout!r}, only for 'ddpm'"
    elif preset.size % multiple:
        problem = f"fails at a size of {preset.size}: it is no multiple of {multiple}"
    if problem is not None:
        raise ValueError(
            f"{preset.name} cannot be written as a .pth of that code, which {problem}"
        )
    weights = {
        PREFIX + their_name(name): tensor.detach().cpu().contiguous()
        for name, tensor in f.state_dict().items()
    }
    with atomic(path) as beside:
        torch.save({**_buffers(preset.training_schedule()), **weights}, beside)
    options = path.with_suffix(".json")
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


def _filled(preset: Preset, weights: dict[str, Tensor]) -> Network:
    """The preset's network with these tensors, which are renamed and not copied."""
    with torch.device("meta"):
        f = build(preset)
    wanted, names = f.state_dict(), {their_name(name): name for name in f.state_dict()}
    renamed = {names.get(name, name): tensor for name, tensor in weights.items()}
    for name in [*wanted, *renamed]:
        there, here = (
            tuple(tensors[name].shape) if name in tensors else None
            for tensors in (renamed, wanted)
        )
        if there != here:
            raise ValueError(
                f"{PREFIX}{their_name(name)} is {there or 'missing'}, wanted"
                f" {here or 'nothing of that name'}"
            )
    f.load_state_dict(renamed, assign=True)
    return f.eval().requires_grad_(False)


def _layout_of(weights: dict[str, Tensor], path: Path) -> dict[str, Any]:
    """The fields of the preset that the tensors tell: the way up has, for every depth,
    its stages and then a resampling.
    """
    if any(name.startswith("time_mlp") for name in weights):
        raise ValueError(
            f"{path} holds a network of which_model_G = 'ddpm', which is told t and not"
            " gamma; only 'sr3' can be imported"
        )
    try:
        stem, head = weights["downs.0.weight"], weights["final_conv.block.3.weight"]
        channels, inputs, outputs = len(stem), stem.shape[1], len(head)
        depths = _way_up(weights)[::-1]
        blocks = {len(stages) - 1 for stages in depths}
        widths = [{width for width, _, _ in stages} for stages in depths]
        multipliers = tuple(
            width.pop() // channels for width in widths if len(width) == 1
        )
    except (KeyError, ValueError, IndexError, ZeroDivisionError, TypeError) as error:
        raise ValueError(
            f"{path} holds tensors, but not those of that code's network; a file that"
            f" ends in _gen.pth does ({error})"
        ) from error
    regular = len(blocks) == 1 and len(multipliers) == len(depths)
    if not regular or inputs not in (outputs, 2 * outputs):
        raise ValueError(
            f"{path} holds a network that no option of that code describes: {inputs}"
            f" channels in, {outputs} out, stages {depths}"
        )
    return {
        "image_channels": outputs,
        "conditional": inputs == 2 * outputs,
        "channels": channels,
        "multipliers": multipliers,
        "blocks": blocks.pop(),
        "attention": tuple(n for n, stages in enumerate(depths) if stages[0][1]),
        "layout": "ddpm_affine" if depths[0][0][2] else "ddpm",
    }


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


def _betas_of(tensors: dict[str, Tensor], path: Path) -> Tensor | None:
    """The table of beta (T,) that a checkpoint carries, if it does."""
    betas = tensors.get("betas")
    if betas is not None and betas.ndim != 1:
        raise ValueError(
            f"{path} holds betas of shape {tuple(betas.shape)}, but a schedule is a"
            " table of one number a step"
        )
    return betas


def _schedule_of(betas: Tensor, path: Path) -> dict[str, Any]:
    """The fields of the preset that describe a checkpoint's table of beta."""
    start, end = (float(f"{beta:.6g}") for beta in (betas[0], betas[-1]))
    ends = {"schedule_steps": len(betas), "schedule_start": start, "schedule_end": end}
    for kind in SCHEDULES:
        if _is_schedule(betas, {"schedule": kind, **ends}):
            return {"schedule": kind, **ends}
    raise ValueError(
        f"{path} holds a table of {len(betas)} betas from {start:g} to {end:g} that is"
        f" none of {', '.join(SCHEDULES)}; say with --config which it is"
    )


def _is_schedule(betas: Tensor, fields: dict[str, Any]) -> bool:
    """Whether the table `betas` is the schedule that the fields describe, as exactly as
    numbers of its kind can tell.
    """
    if fields["schedule_steps"] != len(betas):
        return False
    family = SCHEDULES[fields["schedule"]]
    try:
        made = family(
            fields["schedule_steps"], fields["schedule_start"], fields["schedule_end"]
        )
    except ValueError:
        return False
    # 2: the table was rounded, and so were a start and an end that were taken from it
    kind = torch.finfo(betas.dtype)
    rtol, atol = max(1e-4, 2 * kind.eps), max(1e-9, 2 * kind.tiny * kind.eps)
    return torch.allclose(1 - made.alphas[1:], betas.double(), rtol=rtol, atol=atol)


def _checked(
    fields: dict[str, Any],
    told: dict[str, Any],
    betas: Tensor | None,
    config: str | Path,
    path: Path,
) -> dict[str, Any]:
    """The fields that only a configuration tells, once it agrees with the tensors in
    all others.
    """
    for field, option in OPTIONS.items():
        if fields[field] != told[field]:
            raise ValueError(
                f"{config} describes another network than {path}: by {option} it has"
                f" {field} = {fields[field]}, by the tensors {told[field]}"
            )
    schedules = fields.pop("schedules")
    if betas is not None and not any(_is_schedule(betas, each) for each in schedules):
        raise ValueError(
            f"{config} describes a schedule of {schedules[0]['schedule_steps']} steps,"
            f" but the {len(betas)} betas of {path} are another's"
        )
    untold = {name: value for name, value in fields.items() if name not in OPTIONS}
    return untold | schedules[0]


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
