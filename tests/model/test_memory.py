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
    torch.ones(2**22) + 1  # pieces of 16 MB, each of 4096 pages
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
faults()
before = faults()
for _ in range(9):
    after = faults()
print(after - before)
"""


def faults(build: bool) -> int:
    """Pages that the system handed out in nine rounds of the same work."""
    line = [sys.executable, "-c", FAULTS.format(build=build)]
    return int(subprocess.run(line, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is Linux's")
def test_what_is_freed_is_used_again() -> None:
    """Nine rounds would otherwise take eighteen pieces anew. Where the pieces come to
    lie is chance, and the heap may still grow by one or two.
    """
    assert faults(build=True) < 4 * 4096
