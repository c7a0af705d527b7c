"""The browser of the tests: where it may lie, how it is started, how patient one has to
be.
"""

from __future__ import annotations

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
PATIENCE = 180  # seconds for any one thing to happen
