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
WHOLE = (  # options that count something
    *("in_channel", "out_channel", "inner_channel", "norm_groups", "res_blocks"),
    *("image_size", "l_resolution", "r_resolution", "n_timestep"),
)


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
        unet, diffusion, betas = (
            model["unet"],
            model.get("diffusion", {}),
            model["beta_schedule"],
        )
        _demand_whole(unet, diffusion)
        image_size = (
            diffusion["image_size"] if "image_size" in diffusion else unet["image_size"]
        )
        multipliers = tuple(
            unet["channel_multiplier"]
            if "channel_multiplier" in unet
            else unet["channel_mults"]
        )
        sizes: dict[str, Any] = next(
            (
                each
                for each in options.get("datasets", {}).values()
                if {"l_resolution", "r_resolution"} <= each.keys()
            ),
            {},
        )
        _demand_whole(sizes)
        size, outputs = sizes.get("r_resolution", image_size), unet["out_channel"]
        conditional = diffusion.get("conditional", unet["in_channel"] > outputs)
        if unet["in_channel"] != outputs * (1 + conditional):
            raise ValueError(
                f"in_channel = {unet['in_channel']} and out_channel = {outputs} do not"
                f" fit conditional = {json.dumps(conditional)}"
            )
        factor = size // sizes.get("l_resolution", size // 8 or 1) if conditional else 1
        return {
            **{
                "image_channels": outputs,
                "conditional": conditional,
                "channels": unet["inner_channel"],
            },
            **{"multipliers": multipliers, "blocks": unet["res_blocks"]},
            "attention": tuple(
                depth
                for depth in range(len(multipliers))
                if image_size // 2**depth in unet["attn_res"]
            ),
            **{
                "groups": unet.get("norm_groups") or 32,
                "dropout": float(unet["dropout"]),
                "size": size,
                "factor": factor,
            },
            "schedules": (
                [
                    _schedule_fields(betas[phase])
                    for phase in ("train", "val")
                    if phase in betas
                ]
                or [_schedule_fields(betas)]
            ),
        }
    except KeyError as error:
        raise ValueError(
            f"{config} is no configuration of that code: it has no {error.args[0]!r}"
        ) from error
    except (TypeError, AttributeError, ArithmeticError, ValueError) as error:
        raise ValueError(
            f"{config} is no configuration that can be used ({error})"
        ) from error


def _demand_whole(*sections: Any) -> None:
    """ValueError where one of the options `WHOLE` is no whole number. norm_groups may
    be null, which stands for 32.
    """
    for name, value in (
        each for section in sections for each in section.items() if each[0] in WHOLE
    ):
        if type(value) is not int and (name, value) != ("norm_groups", None):
            raise ValueError(
                f"{name} = {json.dumps(value)}, but it must be a whole number"
            )


def _schedule_fields(betas: dict[str, Any]) -> dict[str, Any]:
    """A section of beta_schedule in our words. "jsd" is the one without: it ends at
    gamma = 0, where that code divides by 0.
    """
    ours = {theirs: ours for ours, theirs in THEIR_SCHEDULES.items()}
    if betas["schedule"] not in ours:
        raise ValueError(
            f"the schedule {betas['schedule']!r} is none of {', '.join(ours)}"
        )
    _demand_whole(betas)
    numbers = {
        "schedule_start": float(betas["linear_start"]),
        "schedule_end": float(betas["linear_end"]),
    }
    return {
        "schedule": ours[betas["schedule"]],
        "schedule_steps": betas["n_timestep"],
        **numbers,
    }


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
    betas = {
        "schedule": THEIR_SCHEDULES[preset.schedule],
        "n_timestep": preset.schedule_steps,
    }
    betas |= {"linear_start": preset.schedule_start, "linear_end": preset.schedule_end}
    pictures = {
        "name": preset.name,
        "dataroot": f"dataset/pictures_{low}_{high}",
        "datatype": "img",
        "l_resolution": low,
        "r_resolution": high,
        "data_len": -1,
    }
    unet = {
        **{
            "in_channel": preset.image_channels * (1 + preset.conditional),
            "out_channel": preset.image_channels,
            "inner_channel": preset.channels,
        },
        **{
            "norm_groups": preset.groups,
            "channel_multiplier": list(preset.multipliers),
            "res_blocks": preset.blocks,
            "dropout": preset.dropout,
        },
        "attn_res": [preset.size // 2**depth for depth in preset.attention],
    }
    resume = str(path.resolve()).removesuffix(".pth").removesuffix("_gen")
    folders = {
        "log": "logs",
        "tb_logger": "tb_logger",
        "results": "results",
        "checkpoint": "checkpoint",
    }
    return {
        **{
            "name": preset.name,
            "phase": "val",
            "gpu_ids": [0],
            "path": {**folders, "resume_state": resume},
        },
        "datasets": {
            "train": {
                **pictures,
                "mode": "HR",
                "batch_size": 4,
                "num_workers": 8,
                "use_shuffle": True,
            },
            "val": {**pictures, "mode": "LRHR", "data_len": 50},
        },
        "model": {
            **{
                "which_model_G": "sr3",
                "finetune_norm": False,
                "unet": unet,
                "beta_schedule": {"train": betas, "val": betas},
            },
            "diffusion": {
                "image_size": high,
                "channels": preset.image_channels,
                "conditional": preset.conditional,
            },
        },
        "train": {
            **{
                "n_iter": preset.train_steps,
                "val_freq": 10_000,
                "save_checkpoint_freq": 10_000,
                "print_freq": 200,
            },
            "optimizer": {"type": "adam", "lr": preset.learning_rate},
            "ema_scheduler": {
                "step_start_ema": 5000,
                "update_ema_every": 1,
                "ema_decay": preset.ema_decay,
            },
        },
    }
