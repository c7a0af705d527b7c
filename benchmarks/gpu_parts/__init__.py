"""The parts of benchmarks/gpu.py, a module each."""

import time

STARTED = time.monotonic()  # before torch is imported, which takes seconds
