r"""The configuration of the best-known public SR3 code: its JSON, read and written.

fields_of("sr_sr3_16_128.json")             our words for its options
configuration(preset, Path("I1_E1_gen.pth"))    its options for our preset
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ..model.preset import Preset

THEIR_SCHEDULES = {
    "linear": "linear",
    "quadratic": "quad",
    "warmup10": "warmup10",
    "warmup50": "warmup50",
    "constant": "const",
    "cosine": "cosine",
}
WHOLE = {  # options that count something
    *("in_channel", "out_channel", "inner_channel", "norm_groups", "res_blocks"),
    *("image_size", "l_resolution", "r_resolution", "n_timestep"),
}


def fields_of(config: str | Path) -> dict[str, Any]:
    """The preset's fields by the options in a file of that code, and "schedules", those
    of training and of sampling.

    Options may also have the names of the network's arguments. ValueError, in one
    sentence, for a file that cannot be used.
    """
    options = _options(config)
    try:
        model = options.get("model", options)
        if model.get("which_model_G", "sr3") != "sr3":
            raise ValueError(
                f"which_model_G is {model['which_model_G']!r}, and only 'sr3' can be"
                " imported"
            )
        unet, diffusion = model["unet"], model.get("diffusion", {})
        _demand_whole(unet)
        _demand_whole(diffusion)
        image_size = {**unet, **diffusion}["image_size"]
        conditional = _conditional(unet, diffusion)
        return {
            **_network_fields(unet, image_size),
            "conditional": conditional,
            **_sizes(options, image_size, conditional),
            "schedules": _schedules(model["beta_schedule"]),
        }
    except KeyError as error:
        raise ValueError(
            f"{config} is no configuration of that code: it has no {error.args[0]!r}"
        ) from error
    except (TypeError, AttributeError, ArithmeticError, ValueError) as error:
        raise ValueError(
            f"{config} is no configuration that can be used ({error})"
        ) from error


def _demand_whole(section: Any) -> None:
    """ValueError where one of the options `WHOLE` is no whole number. norm_groups may
    be null, which stands for 32.
    """
    for name in WHOLE & section.keys():
        value = section[name]
        if type(value) is not int and (name, value) != ("norm_groups", None):
            raise ValueError(
                f"{name} = {json.dumps(value)}, but it must be a whole number"
            )


def _conditional(unet: Any, diffusion: Any) -> bool:
    inputs, outputs = unet["in_channel"], unet["out_channel"]
    conditional = diffusion.get("conditional", inputs > outputs)
    if inputs != outputs * (1 + conditional):
        raise ValueError(
            f"in_channel = {inputs} and out_channel = {outputs} do not fit conditional"
            f" = {json.dumps(conditional)}"
        )
    return conditional


def _network_fields(unet: Any, image_size: int) -> dict[str, Any]:
    """Attention is told by the sides of the pictures that it looks at."""
    name = "channel_multiplier" if "channel_multiplier" in unet else "channel_mults"
    multipliers = tuple(unet[name])
    depths = range(len(multipliers))
    return {
        "image_channels": unet["out_channel"],
        "channels": unet["inner_channel"],
        "multipliers": multipliers,
        "blocks": unet["res_blocks"],
        "attention": tuple(n for n in depths if image_size // 2**n in unet["attn_res"]),
        "groups": unet.get("norm_groups") or 32,
        "dropout": float(unet["dropout"]),
    }


def _sizes(options: Any, size: int, conditional: bool) -> dict[str, int]:
    """By the first data set that says them, or of that code's usual factor 8."""
    low = size // 8 or 1
    for each in options.get("datasets", {}).values():
        if {"l_resolution", "r_resolution"} <= each.keys():
            _demand_whole(each)
            low, size = each["l_resolution"], each["r_resolution"]
            break
    return {"size": size, "factor": size // low if conditional else 1}


def _schedules(betas: Any) -> list[dict[str, Any]]:
    """The sections of beta_schedule in our words, or the only one. "jsd" is the one
    without: it ends at gamma = 0, where that code divides by 0.
    """
    ours = {theirs: ours for ours, theirs in THEIR_SCHEDULES.items()}
    sections = [betas[phase] for phase in ("train", "val") if phase in betas] or [betas]
    found = []
    for each in sections:
        if each["schedule"] not in ours:
            raise ValueError(
                f"the schedule {each['schedule']!r} is none of {', '.join(ours)}"
            )
        _demand_whole(each)
        schedule = {
            "schedule": ours[each["schedule"]],
            "schedule_steps": each["n_timestep"],
            "schedule_start": float(each["linear_start"]),
            "schedule_end": float(each["linear_end"]),
        }
        found.append(schedule)
    return found


def _options(config: str | Path) -> dict[str, Any]:
    """That code's JSON with its // comments: sections `model` and, if there are any,
    `datasets`.
    """
    try:
        text = Path(config).read_text(encoding="utf-8")
        options = json.loads(
            re.sub(r'("(?:\\.|[^"\\])*")|//[^\n]*', lambda found: found[1] or "", text)
        )
    except FileNotFoundError:
        raise ValueError(f"{config} does not exist") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{config} is no JSON with // comments ({error})") from error
    if not isinstance(options, dict):
        raise ValueError(
            f"{config} is no configuration of that code: it holds no JSON object"
        )
    return options


def configuration(preset: Preset, path: Path) -> dict[str, Any]:
    """The options under which that code builds this network; folders of pictures are
    named as its own preparation names them.
    """
    low, high = preset.size // preset.factor, preset.size
    resume = str(path.resolve()).removesuffix(".pth").removesuffix("_gen")
    folders = {"log": "logs", "tb_logger": "tb_logger", "results": "results"}
    folders |= {"checkpoint": "checkpoint", "resume_state": resume}
    pictures = {
        "name": preset.name,
        "dataroot": f"dataset/pictures_{low}_{high}",
        "datatype": "img",
        "l_resolution": low,
        "r_resolution": high,
        "data_len": -1,
    }
    loader = {"batch_size": 4, "num_workers": 8, "use_shuffle": True}
    betas = {
        "schedule": THEIR_SCHEDULES[preset.schedule],
        "n_timestep": preset.schedule_steps,
        "linear_start": preset.schedule_start,
        "linear_end": preset.schedule_end,
    }
    unet = {
        "in_channel": preset.image_channels * (1 + preset.conditional),
        "out_channel": preset.image_channels,
        "inner_channel": preset.channels,
        "norm_groups": preset.groups,
        "channel_multiplier": list(preset.multipliers),
        "res_blocks": preset.blocks,
        "dropout": preset.dropout,
        "attn_res": [high // 2**depth for depth in preset.attention],
    }
    diffusion = {
        "image_size": high,
        "channels": preset.image_channels,
        "conditional": preset.conditional,
    }
    every = {"val_freq": 10_000, "save_checkpoint_freq": 10_000, "print_freq": 200}
    ema = {"step_start_ema": 5000, "update_ema_every": 1, "ema_decay": preset.ema_decay}
    return {
        "name": preset.name,
        "phase": "val",
        "gpu_ids": [0],
        "path": folders,
        "datasets": {
            "train": {**pictures, "mode": "HR", **loader},
            "val": {**pictures, "mode": "LRHR", "data_len": 50},
        },
        "model": {
            "which_model_G": "sr3",
            "finetune_norm": False,
            "unet": unet,
            "beta_schedule": {"train": betas, "val": betas},
            "diffusion": diffusion,
        },
        "train": {
            "n_iter": preset.train_steps,
            **every,
            "optimizer": {"type": "adam", "lr": preset.learning_rate},
            "ema_scheduler": ema,
        },
    }
