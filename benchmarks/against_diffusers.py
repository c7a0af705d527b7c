r"""The same architecture in `diffusers`: training step and sampler, ours over theirs,
turn by turn in one process.

    python benchmarks/against_diffusers.py [--layout small] [--batch 16]
        [--rounds 5] [--calls 5] [--json FILE]
    python benchmarks/against_diffusers.py --layout public --batch 4 --calls 3 \
        --json data/runs/against_diffusers.json

On a GPU:

    python benchmarks/against_diffusers.py --layout public --batch 32 --calls 25

Both networks have the same widths, residual blocks, attentions (one head), groups, and
the level enters both as scale and shift. Both are trained by the same loop (train.py's,
with its fused AdamW) on the same batch, and both sample with the same number of network
calls: ours by `sr3mini.sample`, theirs by their DDPMScheduler. Ours lies in memory as
the package lays it; theirs as it comes, and once more in channels_last. Figures are
medians of seconds over the rounds; ratios are theirs / ours, more than 1 being good for
us. With --compile our step is measured compiled too (minutes to compile), in bf16.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from train_step import alternate, training_step

from sr3mini import sample, upsample
from sr3mini.model.network import build
from sr3mini.model.preset import Preset
from sr3mini.training.monitor import machine

LAYOUTS = {
    "small": Preset(
        "small",
        "folder",
        32,
        4,
        3,
        channels=32,
        multipliers=(1, 2, 4),
        blocks=2,
        attention=(2,),
        groups=8,
    ),
    "public": Preset(
        "public",
        "folder",
        128,
        8,
        3,
        channels=64,
        multipliers=(1, 2, 4, 8, 8),
        blocks=2,
        attention=(3, 4),
        groups=32,
    ),
}


class Theirs(nn.Module):
    """diffusers' network as an f(x, y_t, gamma): the condition concatenated, the level
    told as a step of a thousand.
    """

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        from diffusers import UNet2DModel

        depths = range(len(preset.multipliers))
        attends = [depth in preset.attention for depth in depths]
        self.preset = preset
        self.unet: Any = UNet2DModel(
            in_channels=2 * preset.image_channels,
            out_channels=preset.image_channels,
            block_out_channels=tuple(preset.channels * m for m in preset.multipliers),
            layers_per_block=preset.blocks,
            down_block_types=tuple(
                "AttnDownBlock2D" if a else "DownBlock2D" for a in attends
            ),
            up_block_types=tuple(
                "AttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attends)
            ),
            attention_head_dim=None,  # one head
            norm_num_groups=preset.groups,
            attn_norm_num_groups=preset.groups,
            resnet_time_scale_shift="scale_shift",
            add_attention=attends[-1],
        )

    def forward(self, x: Tensor, y_t: Tensor, gamma: Tensor) -> Tensor:
        both = torch.cat([upsample(x, size=(y_t.shape[-2], y_t.shape[-1])), y_t], dim=1)
        return self.unet(both, gamma.float() * 1000, return_dict=False)[0]


def our_sampler(
    f: nn.Module, preset: Preset, x: Tensor, calls: int, precision: str
) -> Callable[[], Tensor]:
    def draw() -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16, enabled=precision == "bf16"):
            return sample(
                f,
                x,
                preset.sampling_schedule(calls),
                (len(x), preset.image_channels, preset.size, preset.size),
                clip=True,
            )

    return draw


def their_sampler(
    f: nn.Module, preset: Preset, x: Tensor, calls: int, precision: str
) -> Callable[[], Tensor]:
    from diffusers import DDPMScheduler

    scheduler: Any = DDPMScheduler(
        preset.schedule_steps,
        preset.schedule_start,
        preset.schedule_end,
        "linear",
        clip_sample=True,
    )

    @torch.no_grad()
    def draw() -> Tensor:
        scheduler.set_timesteps(calls)
        y = torch.randn(
            len(x), preset.image_channels, preset.size, preset.size, device=x.device
        )
        with torch.autocast(x.device.type, torch.bfloat16, enabled=precision == "bf16"):
            for t in scheduler.timesteps:
                y = scheduler.step(
                    f(x, y, (t / preset.schedule_steps).expand(len(x)).to(x)), t, y
                ).prev_sample
        return y

    return draw


def parameters(f: nn.Module) -> int:
    return sum(p.numel() for p in f.parameters())


def ratios(taken: dict[str, list[float]]) -> dict[str, float]:
    """Theirs over ours: like with like, and our bf16 with their float32. Of each round
    first, then the median.
    """
    pairs = {
        f"{who}, {how}": (f"{who}, {how}", f"ours, {how}")
        for how in ("no", "bf16")
        for who in ("theirs", "theirs in channels_last")
    }
    pairs["theirs in float32 over ours in bf16"] = ("theirs, no", "ours, bf16")
    if "ours compiled, bf16" in taken:
        pairs["theirs in float32 over ours compiled in bf16"] = (
            "theirs, no",
            "ours compiled, bf16",
        )
    return {
        name: round(
            statistics.median(
                a / b for a, b in zip(taken[one], taken[other], strict=True)
            ),
            3,
        )
        for name, (one, other) in pairs.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--layout", default="small", choices=LAYOUTS)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--calls", type=int, default=5, help="of the network, in the samplers"
    )
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    preset = Preset(**{**vars(LAYOUTS[options.layout]), "batch_size": options.batch})
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    x = (
        torch.rand(
            options.batch,
            preset.image_channels,
            *[preset.size // preset.factor] * 2,
            device=device,
        )
        * 2
        - 1
    )
    steps: dict[str, Callable[[], object]] = {}
    draws: dict[str, Callable[[], object]] = {}
    result: dict[str, Any] = {
        "measured": " ".join(["python", *sys.argv]),
        "machine": machine(),
        "torch": torch.__version__,
    }
    result |= {
        "layout": options.layout,
        "batch": options.batch,
        "rounds": options.rounds,
    }
    for precision in ("no", "bf16"):
        ours = build(preset).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # as checkpoint.load gives it
        steps[f"ours, {precision}"] = training_step(preset, precision)
        draws[f"ours, {precision}"] = our_sampler(
            ours.eval(), preset, x, options.calls, precision
        )
        result["parameters, ours"] = parameters(ours)
        for who, way in (
            ("theirs", "contiguous"),
            ("theirs in channels_last", "channels_last"),
        ):
            theirs = Theirs(preset)
            steps[f"{who}, {precision}"] = training_step(
                preset, precision, way, network=theirs
            )
            draws[f"{who}, {precision}"] = their_sampler(
                theirs, preset, x, options.calls, precision
            )
            result["parameters, theirs"] = parameters(theirs)
    if options.compile:
        steps["ours compiled, bf16"] = training_step(preset, "bf16", "compiled")
    for name, actions in (("training step", steps), ("sampler", draws)):
        taken = alternate(actions, options.rounds)
        result[f"{name}: seconds"] = {
            who: round(statistics.median(each), 4) for who, each in taken.items()
        }
        result[f"{name}: theirs / ours"] = ratios(taken)
    print(json.dumps(result, indent=2))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
