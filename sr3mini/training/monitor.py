r"""What a training tells while it runs, and how it is asked to stop.

OUT/metrics.jsonl               a line every so often: step, loss, learning rate,
                                images a second; after a validation PSNR, SSIM and
                                consistency
OUT/samples/step_00001000.png   held-out pictures: input, bicubic, samples, original
"""

from __future__ import annotations

import contextlib
import json
import platform
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from ..data.batches import Pictures, batches
from ..files.writing import write_picture, write_text
from ..metrics import consistency, psnr, ssim
from ..model.network import Network
from ..model.preset import Preset
from ..shapes import High, Low
from ..upscaling.draw import draw, grid, seen

MEASURED = ("PSNR", "SSIM", "consistency")


@contextlib.contextmanager
def stop_signals() -> Iterator[list[signal.Signals]]:
    """The list of what asked to stop, empty at first: Ctrl-C, SIGTERM, which job
    schedulers send, or SIGHUP, of a terminal that is closed. The step in hand is
    finished first.

    A second Ctrl-C is a KeyboardInterrupt at once. ValueError outside of the main
    thread, where Python handles no signals.
    """
    asked: list[signal.Signals] = []

    def ask(number: int, _: object) -> None:
        if number == signal.SIGINT and signal.SIGINT in asked:
            raise KeyboardInterrupt
        asked.append(signal.Signals(number))

    numbers = [signal.SIGINT, signal.SIGTERM]
    hang_up = getattr(signal, "SIGHUP", None)  # Windows has none; nohup ignores it
    if hang_up is not None and signal.getsignal(hang_up) == signal.SIG_DFL:
        numbers.append(hang_up)
    before = {number: signal.signal(number, ask) for number in numbers}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def agreed(
    accelerator: Accelerator, losses: list[Tensor], asked: list[signal.Signals]
) -> tuple[list[float], bool]:
    """The losses as the mean over all processes, and whether any process was asked to
    stop: the same answer everywhere.
    """
    stopping = losses[0].new_tensor(float(bool(asked)))
    told = accelerator.reduce(torch.stack([*losses, stopping]), "mean").tolist()
    return told[:-1], told[-1] > 0


def note(
    accelerator: Accelerator, out: Path, step: int, values: dict[str, float]
) -> None:
    """Add a line to `out`/metrics.jsonl, and tell the tracker. OSError, naming the
    file, when it cannot be written.
    """
    accelerator.log(values, step)
    if not accelerator.is_main_process:
        return
    path = out / "metrics.jsonl"
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"{path} could not be written: {reason}") from error


def forget_after(path: Path, step: int) -> None:
    """Drop the lines of steps that a training about to go on from `step` will do again,
    and a line that a kill cut in two.
    """
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        with contextlib.suppress(ValueError, TypeError, KeyError):
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
    write_text("".join(kept), path)


def validation_pictures(pictures: Pictures, size: int) -> Any:
    """Held-out pictures to look at, always the same, y or (y, x) as `batches` gives
    them: as many as have a million pixels together, but 4 to 64.
    """
    count = max(4, min(64, 2**20 // size**2))
    if hasattr(pictures, "__len__"):
        count = min(count, len(pictures))
    with contextlib.closing(batches(pictures, count, seed=0)) as drawn:
        return next(drawn)


def validate(
    accelerator: Accelerator, f: Network, y: High, picture: Path, x: Low | None = None
) -> dict[str, float]:
    """PSNR, SSIM and consistency of one sample a picture, each process drawing its
    share; the first also writes a sheet of eight to `picture`. Pictures that are met
    exactly, whose PSNR is no number, are counted as "exact". x = D y if none is given.

    Nothing is measured, {}, of a network that was trained without x: its pictures are
    of nothing that could be compared.
    """
    y = y.to(accelerator.device)
    x = seen(f.preset, y) if x is None else x.to(accelerator.device)
    if accelerator.is_main_process:
        picture.parent.mkdir(parents=True, exist_ok=True)
        write_picture(grid(f, y[:8], x=x[:8]), picture)
    if not f.preset.conditional:
        return {}
    share = slice(accelerator.process_index, None, accelerator.num_processes)
    values = y.new_zeros(len(MEASURED), 0)
    if len(own := y[share]):
        drawn = draw(f, x[share], seeds=[0])[0]
        each = psnr(drawn, own), ssim(drawn, own), consistency(drawn, x[share])
        values = torch.stack(each)
    finite = values.isfinite()
    sums = torch.where(finite, values, 0).sum(1), finite.sum(1), values.isinf().sum(1)
    all_sums = accelerator.reduce(torch.stack([it.to(y) for it in sums]), "sum")
    totals, counts, infinite = all_sums.tolist()
    found = zip(MEASURED, totals, counts, strict=True)
    figures = {name: total / count for name, total, count in found if count}
    return figures | ({"exact": infinite[0]} if infinite[0] else {})


def start_tracker(accelerator: Accelerator, name: str, preset: Preset) -> None:
    """Tell Accelerate's tracker what is trained. ValueError when its package is not
    installed.
    """
    told = {
        field: str(value) if isinstance(value, tuple) else value
        for field, value in vars(preset).items()
    }
    accelerator.init_trackers("sr3mini", told)
    if accelerator.is_main_process and not accelerator.trackers:
        raise ValueError(f"the tracker {name!r} is not installed; pip install {name}")


def machine() -> str:
    """The kind of machine a figure was measured on: processor, cores in use, GPU if
    there is one.
    """
    processor, cpuinfo = platform.processor(), Path("/proc/cpuinfo")
    if cpuinfo.exists():
        named = re.search(r"model name\s*: (.+)", cpuinfo.read_text())
        processor = named[1].strip() if named else processor
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    cores = torch.get_num_threads()
    name = processor or platform.machine()
    return f"{name}, {cores} core{'s' if cores > 1 else ''}{gpu}"
