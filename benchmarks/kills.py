"""A training that is killed again and again ends with the same weights, bit by bit, as
one that is left alone.

    python benchmarks/kills.py --kills 50

Each kill is a `kill -9` of a process of its own at a random moment: before the first
step, in one, or while a state is written. The next process goes on from the newest
whole state.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path

import torch

# the optimizer would import it at its first step, in every process anew
import torch._dynamo
from safetensors.torch import load_file

from sr3mini.data import glyphs
from sr3mini.model.preset import Preset
from sr3mini.training.state import state_paths
from sr3mini.training.train import train

STEPS_A_KILL = 8  # on average
SAVE_EVERY = 2
PRESET = Preset(
    *("killed", "glyphs", 32, 4, 1, 8, (1, 2)),
    groups=4,
    batch_size=4,
    dropout=0.1,
    blur=1.0,
    from_files=0.5,
    warmup_steps=5,
    ema_decay=0.99,
    sampling_steps=2,
)


def attempt(
    preset: Preset, out: Path, moments: random.Random | None = None, pause: float = 0.0
) -> bool:
    """Train in a process of its own; with `moments`, kill it up to `pause` seconds
    after a step so many ahead. Whether it was killed rather than done.
    """
    child = os.fork()
    if child == 0:
        failed = 1
        try:
            train(
                preset,
                out,
                resume=True,
                save_every=SAVE_EVERY,
                validate_every=0,
                progress=False,
            )
            failed = 0
        finally:
            os._exit(failed)
    if moments is not None:
        target = steps_done(out) + moments.randrange(0, 2 * STEPS_A_KILL, SAVE_EVERY)
        while (
            steps_done(out) < target
            and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        ):
            time.sleep(0.002)
        time.sleep(moments.uniform(0, pause))
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit(f"the training in {out} failed instead of going on")
    return os.WIFSIGNALED(status)


def steps_done(out: Path) -> int:
    """The step of the newest state."""
    return max([0, *(int(path.name[5:]) for path in state_paths(out / "state"))])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # threads do not survive a fork
    warnings.simplefilter("error")
    glyphs("train", PRESET.size), glyphs("test", PRESET.size)  # rendered once, here
    preset, moments = (
        replace(PRESET, train_steps=2 * STEPS_A_KILL * arguments.kills),
        random.Random(arguments.seed),
    )
    with tempfile.TemporaryDirectory() as folder:
        left_alone, killed = Path(folder) / "left_alone", Path(folder) / "killed"
        began = time.monotonic()
        attempt(preset, left_alone)
        two_saves = 2 * SAVE_EVERY * (time.monotonic() - began) / preset.train_steps
        kills = while_writing = 0
        known: set[tuple[str, int]] = set()
        reached = []
        while kills < arguments.kills and attempt(preset, killed, moments, two_saves):
            kills += 1
            reached.append(steps_done(killed))
            halves = {
                (path.name, path.stat().st_mtime_ns)
                for path in (killed / "state").glob(".*")
            }
            while_writing += bool(halves - known)
            known |= halves
        attempt(preset, killed)
        ends = [
            load_file(state_paths(out / "state")[-1] / "state.safetensors")
            for out in (left_alone, killed)
        ]
        same = ends[0].keys() == ends[1].keys() and all(
            torch.equal(ends[0][name], ends[1][name]) for name in ends[0]
        )
        models = [
            (out / "model.safetensors").read_bytes() for out in (left_alone, killed)
        ]
    figures = {
        "kills": kills,
        "while a state was written": while_writing,
        "steps": preset.train_steps,
        "killed after step": reached,
    }
    print(
        json.dumps({**figures, "bit by bit the same": same and models[0] == models[1]})
    )
    if not same or models[0] != models[1] or kills < arguments.kills:
        sys.exit(1)


if __name__ == "__main__":
    main()
