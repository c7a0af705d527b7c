r"""Memory that a call of the network frees is kept for its next one.

keep_freed_memory()     of this process, on Linux

By itself the C library there gives every piece of more than some megabytes back to the
system at once. A step asks for hundreds of them, and the system hands each out anew,
page by page and filled with zeros: a sixth of a small network's time on a processor.
"""

from __future__ import annotations

import ctypes
import sys

# numbers of glibc's malloc.h
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
KEPT = 2**30  # bytes, of one piece and of what is free in all


def keep_freed_memory() -> None:
    """Of this process, from now on: pieces of up to `KEPT` bytes, and as much in all,
    stay with it when they are freed. Where the C library is not glibc, nothing happens.
    """
    if sys.platform != "linux":
        return
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        for option in (TRIM_THRESHOLD, MMAP_THRESHOLD):
            set_option(option, KEPT)
