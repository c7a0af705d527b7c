"""Freed memory stays with a process that has a network."""

from __future__ import annotations

import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from sr3mini.model.network import build
from sr3mini.model.presets import PRESETS
torch.set_num_threads(1)
if {build}:
    build(PRESETS["glyphs_8_32"])
def faults():
    torch.ones(2**24) + 1  # pieces of 64 MB: up to 32, glibc may keep them by itself
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
faults()
counts = [faults() for _ in range(10)]
rounds = [after - before for before, after in zip(counts, counts[1:])]
print(sorted(rounds)[4])  # where pieces lie is chance: once, the heap may still grow
"""


def faults(build: bool) -> int:
    """Pages that the system handed out in a round of work, the median of nine."""
    line = [sys.executable, "-c", FAULTS.format(build=build)]
    return int(subprocess.run(line, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is Linux's")
def test_what_is_freed_is_used_again() -> None:
    assert faults(build=True) < 1000 / 9
