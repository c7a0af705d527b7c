"""`sr3mini train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from .base import between, named_preset

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]


def train(
    preset: str,
    out: Path | None = None,
    data: str | None = None,
    seed: int = 0,
    steps: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    resume: Flag = False,
    precision: Literal["no", "bf16"] = "no",
    micro_batches: int = 1,
    shard: Flag = False,
    compile: Flag = False,
    workers: int | None = None,
    save_every: int = 500,
    keep_every: int = 0,
    validate_every: int = 1000,
    tracker: str | None = None,
) -> None:
    """Train a preset, on whatever this machine has; Ctrl-C ends early and keeps what
    was learnt.

    Several GPUs: torchrun --nproc-per-node 8 -m sr3mini train ..., or accelerate launch
    -m sr3mini train ...; launch/ holds files for both and for Slurm.

    Args:
        preset: what to train, such as glyphs_8_32, or a .json file with a preset of
            your own, like the config.json of every training.
        out: folder for model.safetensors, model.json, samples.png, and for what is
            written on the way: metrics.jsonl, samples/, state/ (default: runs/PRESET).
        data: your own pictures, for presets that ask for them: a folder, what sr3mini
            prepare wrote, .tar or .parquet shards, or hf://owner/name.
        seed: of the weights, the order of the data and the noise.
        steps: number of training steps, if not the preset's own.
        batch_size: pictures a step, all processes together, if not the preset's own.
        learning_rate: if not the preset's own; may change with --resume, which is the
            cure for a loss that went astray.
        resume: go on from the newest whole state in --out, exactly as if nothing had
            happened; begin if there is none.
        precision: bf16 multiplies in bfloat16, which needs less memory and is faster
            where the processor or GPU knows it.
        micro_batches: take each batch in so many parts: the same result in less memory.
        shard: spread weights, average and optimizer over the processes (FSDP), for
            networks that do not fit into one GPU.
        compile: let torch.compile make faster kernels; the first steps take minutes.
        workers: processes that decode pictures (default: one a core and at most 8
            beside a GPU, none beside a CPU).
        save_every: steps between two states; the newest two stay, and the best.
        keep_every: also keep the states at multiples of so many steps, for ever; 0
            keeps none.
        validate_every: steps between two looks at held-out pictures: PSNR, SSIM,
            consistency, a sheet in samples/; 0 never looks.
        tracker: also report to tensorboard, wandb or another tracker that Accelerate
            knows.
    """
    import dataclasses
    import os

    from ..training.train import train as run

    given = {
        "train_steps": (
            None if steps is None else between("steps", steps, 1, 10_000_000)
        ),
        "batch_size": (
            None
            if batch_size is None
            else between("batch_size", batch_size, 1, 10_000_000)
        ),
        "learning_rate": learning_rate,
    }
    for name, value, least in (
        ("micro_batches", micro_batches, 1),
        ("save_every", save_every, 1),
        ("keep_every", keep_every, 0),
        ("workers", workers or 0, 0),
    ):
        between(name, value, least)
    chosen = dataclasses.replace(
        named_preset(preset),
        **{name: value for name, value in given.items() if value is not None},
    )  # type: ignore[arg-type]
    folder = Path("runs") / chosen.name if out is None else out
    run(
        *(chosen, folder),
        data=data,
        seed=between("seed", seed, 0),
        resume=resume,
        precision=precision,
        micro_batches=micro_batches,
        shard=shard,
        compile=compile,
        workers=workers,
        save_every=save_every,
        keep_every=keep_every,
        validate_every=between("validate_every", validate_every, 0),
        tracker=tracker,
    )
    if os.environ.get("RANK", "0") == "0":
        print(
            f"wrote {folder / 'model.safetensors'}, {folder / 'model.json'} and"
            f" {folder / 'samples.png'}"
        )
