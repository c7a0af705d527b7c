r"""How a training is run, beside its preset: once for `train` and for the command line,
whose --help prints what stands below each name.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Precision = Literal["no", "bf16"]
LARGEST = 2**32


@dataclass(frozen=True)
class Options:
    """How a training is run. ValueError when a number lies out of its range."""

    # your own pictures, for presets that ask for them: a folder, what sr3mini prepare
    # wrote, .tar or .parquet shards, or hf://owner/name.
    data: str | None = None
    # of the weights, the order of the data and the noise.
    seed: int = 0
    # begin with the weights of this model, a shipped name, a file or a folder, instead
    # of random ones: to make it know other pictures.
    begin_with: str | None = None
    # go on from the newest whole state in --out, exactly as if nothing had happened;
    # begin if there is none.
    resume: bool = False
    # bf16 multiplies in bfloat16, which needs less memory and is faster where the
    # processor or GPU knows it; weights stay float32.
    precision: Precision = "no"
    # take each batch in so many parts: the same result in less memory.
    micro_batches: int = 1
    # spread weights, average and optimizer over the processes (FSDP), for networks that
    # do not fit into one GPU, instead of copying them (DDP).
    shard: bool = False
    # let torch.compile make faster kernels; the first steps take minutes.
    compile: bool = False
    # processes that decode pictures (default: one a core and at most 8 beside a GPU,
    # none beside a CPU).
    workers: int | None = None
    # steps between two states; the newest two stay, and the best.
    save_every: int = 500
    # also keep the states at multiples of so many steps, for ever; 0 keeps none.
    keep_every: int = 0
    # steps between two looks at held-out pictures: PSNR, SSIM, consistency, a sheet in
    # samples/; 0 never looks.
    validate_every: int = 1000
    # also report to tensorboard, wandb or another tracker that Accelerate knows.
    tracker: str | None = None

    def __post_init__(self) -> None:
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise ValueError(
                    f"{name} = {value}, but it must lie between {least} and {most}"
                )
        if self.data == "":
            raise ValueError("data is empty: name the folder of your pictures")


_RANGES = {
    "seed": (0, LARGEST),
    "micro_batches": (1, LARGEST),
    "workers": (0, 1024),
    "save_every": (1, LARGEST),
    "keep_every": (0, LARGEST),
    "validate_every": (0, LARGEST),
}


def demand_equal_shares(batch: int, ranks: int, parts: int) -> None:
    """ValueError when the processes cannot share a batch, each in so many parts."""
    if batch % (ranks * parts):
        raise ValueError(
            f"a batch of {batch} pictures cannot be shared by {ranks} processes with"
            f" {parts} micro-batches each: it must be a multiple of {ranks * parts}"
        )


def command(program: str, flags: Mapping[str, object]) -> str:
    """A line for the shell; flags that are None or False are left out."""
    said = [program]
    for name, value in flags.items():
        if value is True:
            said.append(name)
        elif value is not None and value is not False:
            said.append(f"{name} {shlex.quote(str(value))}")
    return " ".join(said)
