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

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..files.writing import write_text
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
PUBLISHED: dict[
    tuple[Any, ...], dict[str, Any]
    # by inner_channel, channel_multiplier, res_blocks: what else the configurations of
    # that
    # code say
] = {
    (64, (1, 2, 4, 8, 8), 2): {
        "groups": 32,
        "size": 128,
        "factor": 8,
        "dropout": 0.2,
    },
    (64, (1, 2, 4, 8, 16), 1): {
        "groups": 16,
        "size": 512,
        "factor": 8,
        "dropout": 0.0,
    },
    (32, (1, 2, 4, 8, 8, 16, 16), 2): {
        "groups": 32,
        "size": 512,
        "factor": 8,
        "dropout": 0.0,
    },
}
# our fields that the tensors tell, and the options of that code that they come from
OPTIONS = {
    **{
        "image_channels": "out_channel",
        "conditional": "in_channel",
        "channels": "inner_channel",
    },
    **{
        "multipliers": "channel_multiplier",
        "blocks": "res_blocks",
        "attention": "attn_res",
    },
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
    fields = _layout_of(weights, path)
    demand_finite({PREFIX + name: tensor for name, tensor in weights.items()}, path)
    assumed: dict[str, Any] = {}
    if config is None:
        key = (fields["channels"], fields["multipliers"], fields["blocks"])
        assumed = dict(
            PUBLISHED.get(key, {"groups": 32, "size": 128, "factor": 8, "dropout": 0.0})
        )
        assumed["factor"] = assumed["factor"] if fields["conditional"] else 1
        schedule = {} if betas is None else _schedule_of(betas, path)
        assumed |= (
            {}
            if schedule
            else {
                "schedule": "linear",
                "schedule_steps": 2000,
                "schedule_start": 1e-6,
                "schedule_end": 1e-2,
            }
        )
        fields |= assumed | schedule
    else:
        fields |= _checked(fields_of(config), fields, betas, config, path)
    try:
        preset = Preset(
            name=path.stem,
            data="folder",
            sampling_steps=min(100, fields["schedule_steps"]),
            loss_power=1,
            **fields,
        )
        f = _filled(preset, weights)
    except (ValueError, RuntimeError) as error:
        hint = (
            ""
            if config
            else (
                "; its configuration, given with --config, may tell what was assumed"
                " wrongly"
            )
        )
        raise ValueError(
            f"{path} does not hold the weights of a network that can be built"
            f" ({' '.join(str(error).split())}){hint}"
        ) from error
    return f, {
        "imported": (
            f"sr3mini import {path.name}"
            + (f" --config {Path(config).name}" if config else "")
        ),
        "assumed": assumed,
    }


def export_checkpoint(f: Network, path: str | Path) -> Path:
    """Write `f` as that code's `..._gen.pth`, with its 12 schedule buffers, and beside
    it the configuration, whose path is returned.

    ValueError when that code has no such network; OSError when the place cannot be
    written.
    """
    path, preset = Path(path), f.preset
    if preset.layout != "ddpm" or preset.objective != "noise":
        what = (
            f"a network trained for {preset.objective}"
            if preset.objective != "noise"
            else f"the layout {preset.layout!r}"
        )
        raise ValueError(
            f"{preset.name} cannot be written as a .pth of that code, which has no"
            f" option for {what}; only the layout 'ddpm' fits"
        )
    multiple = 2 ** (len(preset.multipliers) - 1)
    if preset.size % multiple:
        raise ValueError(
            f"{preset.name} cannot be written as a .pth of that code, which fails at a"
            f" size of {preset.size}: it is no multiple of {multiple}"
        )
    weights = {
        PREFIX + their_name(name): tensor.detach().cpu().contiguous()
        for name, tensor in f.state_dict().items()
    }
    _write({**_buffers(preset.training_schedule()), **weights}, path)
    options = path.with_suffix(".json")
    write_text(json.dumps(configuration(preset, path), indent=4) + "\n", options)
    return options


def _write(tensors: dict[str, Tensor], path: Path) -> None:
    """torch.save, beside its place and renamed, so that there is never half a
    checkpoint.
    """
    beside = path.with_name(f".{path.name}.part")
    try:
        torch.save(tensors, beside)
        beside.replace(path)
    except (
        OSError,
        RuntimeError,
    ) as error:  # torch reports a full disk as a RuntimeError
        raise OSError(
            f"{path} could not be written:"
            f" {getattr(error, 'strerror', None) or ' '.join(str(error).split())}"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


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
    names = {their_name(name): name for name in f.state_dict()}
    renamed = {names.get(name, name): tensor for name, tensor in weights.items()}
    wrong = [
        name
        for name, tensor in f.state_dict().items()
        if name not in renamed or renamed[name].shape != tensor.shape
    ]
    for name in wrong or sorted(renamed.keys() - names.values()):
        found = tuple(renamed[name].shape) if name in renamed else "missing"
        raise ValueError(
            f"{PREFIX}{their_name(name)} is {found}, wanted"
            f" {tuple(f.state_dict()[name].shape) if name in wrong else 'nothing of that name'}"
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
        depths: list[list[tuple[int, bool, bool]]] = [[]]
        for n in range(
            1
            + max(
                int(name.split(".")[1]) for name in weights if name.startswith("ups.")
            )
        ):
            if f"ups.{n}.conv.weight" in weights:
                depths.append([])
                continue
            convolution, level = (
                weights[f"ups.{n}.res_block.block1.block.3.weight"],
                weights[f"ups.{n}.res_block.noise_func.noise_func.0.weight"],
            )
            depths[-1].append(
                (
                    len(convolution),
                    f"ups.{n}.attn.qkv.weight" in weights,
                    len(level) == 2 * len(convolution),
                )
            )
        depths.reverse()
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
    if (
        len(blocks) > 1
        or len(multipliers) < len(depths)
        or inputs not in (outputs, 2 * outputs)
    ):
        raise ValueError(
            f"{path} holds a network that no option of that code describes: {inputs}"
            f" channels in, {outputs} out, stages {depths}"
        )
    return {
        **{
            "image_channels": outputs,
            "conditional": inputs == 2 * outputs,
            "channels": channels,
            "multipliers": multipliers,
            "blocks": blocks.pop(),
        },
        "attention": tuple(
            depth for depth, stages in enumerate(depths) if stages[0][1]
        ),
        "layout": "ddpm_affine" if depths[0][0][2] else "ddpm",
    }


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
    steps, first, last = (
        len(betas),
        float(f"{betas[0].item():.6g}"),
        float(f"{betas[-1].item():.6g}"),
    )
    for kind in SCHEDULES:
        fields = {
            "schedule": kind,
            "schedule_steps": steps,
            "schedule_start": first,
            "schedule_end": last,
        }
        if _is_schedule(betas, fields):
            return fields
    raise ValueError(
        f"{path} holds a table of {steps} betas from {first:g} to {last:g} that is none"
        f" of {', '.join(SCHEDULES)}; say with --config which it is"
    )


def _is_schedule(betas: Tensor, fields: dict[str, Any]) -> bool:
    """Whether the table `betas` is the schedule that the fields describe, as exactly as
    numbers of its kind can tell.
    """
    if fields["schedule_steps"] != len(betas):
        return False
    try:
        made = (
            1
            - SCHEDULES[fields["schedule"]](
                *(fields[f"schedule_{name}"] for name in ("steps", "start", "end"))
            ).alphas[1:]
        )
    except ValueError:
        return False
    kind = torch.finfo(
        betas.dtype
        # 2: not only the table was rounded to it, but also a start and an end that were
        # taken from the table
    )
    return torch.allclose(
        made,
        betas.double(),
        rtol=max(1e-4, 2 * kind.eps),
        atol=max(1e-9, 2 * kind.tiny * kind.eps),
    )


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
    return {
        **{field: value for field, value in fields.items() if field not in OPTIONS},
        **schedules[0],
    }


def _buffers(schedule: NoiseSchedule) -> dict[str, Tensor]:
    """The 12 tables that a checkpoint of that code carries, float32, with entry 0 for t
    = 1.
    """
    alphas, gammas, before = (
        schedule.alphas[1:],
        schedule.gammas[1:],
        schedule.gammas[:-1],
    )
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
