"""Where the parts write what they found: kept on disk after every single measurement,
so that an end at any moment costs only the measurement under way. And what keeps each
of them in its time.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch

from sr3mini.data import write_text

from . import STARTED
from .sizes import Sizes
from .table import table

Found = TypeVar("Found")
AGAIN = 10.0  # seconds until a measurement that did not hear TimeUp is told once more
GRACE = 30.0  # seconds after the end until the process is ended by force


class TimeUp(BaseException):
    """A measurement took too long. No Exception, which compilers would catch."""


@dataclass
class Board:
    """The settings of a run, and everything found so far."""

    out: Path
    seconds: float  # that the run may take, from the start of the process
    sizes: Sizes
    data: list[Path] = field(default_factory=list)
    result: dict[str, Any] = field(default_factory=dict)

    def left(self) -> float:
        """Seconds until the end."""
        return STARTED + self.seconds - time.monotonic()

    def put(self, part: str, found: Any) -> None:
        """Keep what a part found: of the parts with many measurements, one more."""
        if isinstance(found, list):
            self.result.setdefault(part, []).extend(found)
        else:
            self.result.setdefault(part, {}).update(found)
        self.keep()
        say(f"{part}: {json.dumps(found)}")

    def fail(self, what: str, reason: str) -> None:
        """Note, in one line, what could not be measured."""
        self.result.setdefault("not measured", []).append(f"{what}: {reason}")
        self.keep()
        say(f"NOT MEASURED {what}: {reason}")

    def keep(self) -> None:
        """Write gpu.json and table.txt, each whole or not at all."""
        text = json.dumps(self.result, indent=2, default=str)
        write_text(text + "\n", self.out / "gpu.json")
        write_text(table(self.result) + "\n", self.out / "table.txt")


def attempt(
    board: Board, what: str, seconds: float | None, action: Callable[[], Found]
) -> Found | None:
    """What the action returns. None when it fails, needs more memory than there is, or
    takes longer than `seconds` (None: it keeps its own time): which is noted, and the
    next one has its turn.
    """
    reason, start = "", time.monotonic()
    try:
        if seconds is None:
            return action()
        with within(min(seconds, board.left())):
            return action()
    except TimeUp:
        reason = f"it was not over after {time.monotonic() - start:.0f} s"
    except torch.OutOfMemoryError:
        reason = "out of memory"
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        reason = f"{type(error).__name__}: {first[:300]}"
    free()
    board.fail(what, reason)
    return None


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """TimeUp for what has not ended after so many seconds. Not to be nested."""

    def end(number: int, frame: object) -> None:
        raise TimeUp

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.01), AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def end_by_force(board: Board) -> None:
    """From now on: the end of the process, some seconds after its time, whatever hangs.
    What was measured is on disk.
    """

    def watch() -> None:
        while board.left() > -GRACE:
            time.sleep(1)
        say(f"{table(board.result)}\nended by force: the time is over")
        sys.stdout.flush()
        os._exit(3)

    threading.Thread(target=watch, daemon=True).start()


def free() -> None:
    """Give back all memory that nobody uses, and forget what was compiled: a second
    batch size would otherwise be compiled for any size, which is slower.
    """
    gc.collect()
    torch._dynamo.reset()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def device() -> torch.device:
    """The GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def synchronize() -> None:
    """Wait for all that a GPU has been given to do."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def say(text: str) -> None:
    seconds = time.monotonic() - STARTED
    print(f"[{seconds:6.1f} s] {text}", flush=True)
