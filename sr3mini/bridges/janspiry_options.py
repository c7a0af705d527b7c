r"""The configuration of the best-known public SR3 code: its JSON, read and written.

fields_of("sr_sr3_16_128.json")             our words for its options
configuration(preset, Path("I1_E1_gen.pth"))    its options for our preset
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ..files.text import read_text
from ..model.preset import SCHEDULES, Preset

Schedule = tuple[str, int, float, float]  # a name of SCHEDULES, T, start, end

THEIRS = {"quadratic": "quad", "constant": "const"}  # where its name is another
# without "jsd", which ends at gamma = 0, where that code divides by 0
OURS = {THEIRS.get(name, name): name for name in SCHEDULES}
WHOLE = {  # options that count something
    "in_channel",
    "out_channel",
    "inner_channel",
    "norm_groups",
    "res_blocks",
    "image_size",
    "l_resolution",
    "r_resolution",
    "n_timestep",
}


def fields_of(config: str | Path) -> dict[str, Any]:
    """The preset's fields by the options in a file of that code, JSON with // comments;
    and "schedules", those of training and of sampling.

    ValueError, in one sentence, for a file that cannot be used.
    """
    text = read_text(config)
    try:
        text = re.sub(r'("(?:\\.|[^"\\])*")|//[^\n]*', lambda it: it[1] or "", text)
        return _fields(json.loads(text, object_hook=_whole))
    except KeyError as error:
        raise ValueError(f"{config} is no configuration: it lacks {error}") from error
    except (
        *(TypeError, AttributeError, ArithmeticError, ValueError),
        RecursionError,
    ) as error:
        raise ValueError(
            f"{config} is no configuration that can be used ({error})"
        ) from error


def _whole(section: dict[str, Any]) -> dict[str, Any]:
    """A section of the file; ValueError where one of the options `WHOLE` is no whole
    number. norm_groups may be null, which stands for 32.
    """
    for name in WHOLE & section.keys():
        value = section[name]
        if type(value) is not int and (name, value) != ("norm_groups", None):
            raise ValueError(
                f"{name} = {json.dumps(value)}, but it must be a whole number"
            )
    return section


def _fields(options: Any) -> dict[str, Any]:
    model = options["model"]
    if model["which_model_G"] != "sr3":
        raise ValueError(
            f"which_model_G is {model['which_model_G']!r}, and only 'sr3' can be"
            " imported"
        )
    unet, diffusion = model["unet"], model["diffusion"]
    inputs, outputs = unet["in_channel"], unet["out_channel"]
    conditional, size = diffusion["conditional"], diffusion["image_size"]
    if inputs != outputs * (1 + conditional):
        raise ValueError(
            f"in_channel = {inputs} and out_channel = {outputs} do not fit conditional"
            f" = {json.dumps(conditional)}"
        )
    multipliers = tuple(unet["channel_multiplier"])
    sides = [size // 2**depth for depth in range(len(multipliers))]
    pictures, *_ = options["datasets"].values()
    low, high = pictures["l_resolution"], pictures["r_resolution"]
    if high % low:
        raise ValueError(
            f"r_resolution = {high} is no multiple of l_resolution = {low}"
        )
    return {
        "image_channels": outputs,
        "conditional": conditional,
        "channels": unet["inner_channel"],
        "multipliers": multipliers,
        "blocks": unet["res_blocks"],
        "attention": tuple(
            n for n, side in enumerate(sides) if side in unet["attn_res"]
        ),
        "groups": unet["norm_groups"] or 32,
        "dropout": float(unet["dropout"]),
        "size": high,
        "factor": high // low if conditional else 1,
        "schedules": [_schedule(model["beta_schedule"][it]) for it in ("train", "val")],
    }


def _schedule(section: Any) -> Schedule:
    theirs = section["schedule"]
    if theirs not in OURS:
        raise ValueError(f"the schedule {theirs!r} is none of {', '.join(OURS)}")
    ends = float(section["linear_start"]), float(section["linear_end"])
    return OURS[theirs], section["n_timestep"], *ends


def configuration(preset: Preset, path: Path) -> dict[str, Any]:
    """The options under which that code builds this network; folders of pictures are
    named as its own preparation names them.
    """
    low, high = preset.size // preset.factor, preset.size
    pictures = {
        "name": preset.name,
        "dataroot": f"dataset/pictures_{low}_{high}",
        "datatype": "img",
        "l_resolution": low,
        "r_resolution": high,
        "data_len": -1,
    }
    loader = {"batch_size": 4, "num_workers": 8, "use_shuffle": True}
    resume = str(path.resolve()).removesuffix(".pth").removesuffix("_gen")
    folders = {name: name for name in ("tb_logger", "results", "checkpoint")}
    return {
        "name": preset.name,
        "phase": "val",
        "gpu_ids": [0],
        "path": {**folders, "log": "logs", "resume_state": resume},
        "datasets": {
            "train": {**pictures, "mode": "HR", **loader},
            "val": {**pictures, "mode": "LRHR", "data_len": 50},
        },
        "model": _model(preset),
        "train": {
            "n_iter": preset.train_steps,
            "val_freq": 10_000,
            "save_checkpoint_freq": 10_000,
            "print_freq": 200,
            "optimizer": {"type": "adam", "lr": preset.learning_rate},
        },
    }


def _model(preset: Preset) -> dict[str, Any]:
    """That code's section on the network and its schedule."""
    betas = {
        "schedule": THEIRS.get(preset.schedule, preset.schedule),
        "n_timestep": preset.schedule_steps,
        "linear_start": preset.schedule_start,
        "linear_end": preset.schedule_end,
    }
    unet = {
        "in_channel": preset.image_channels * (1 + preset.conditional),
        "out_channel": preset.image_channels,
        "inner_channel": preset.channels,
        "norm_groups": preset.groups,
        "channel_multiplier": preset.multipliers,
        "res_blocks": preset.blocks,
        "dropout": preset.dropout,
        "attn_res": [preset.size // 2**depth for depth in preset.attention],
    }
    diffusion = {
        "image_size": preset.size,
        "channels": preset.image_channels,
        "conditional": preset.conditional,
    }
    return {
        "which_model_G": "sr3",
        "finetune_norm": False,
        "unet": unet,
        "beta_schedule": {"train": betas, "val": betas},
        "diffusion": diffusion,
    }
