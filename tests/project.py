"""Where the project lies, for tests that look at its files."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# a checkpoint of the best-known public SR3 code, with random weights
FIXTURE = ROOT / "tests" / "fixtures" / "janspiry_tiny"
