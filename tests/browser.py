"""The browser of the tests: where it may lie, how it is started, how patient one has to
be.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
PATIENCE = 180  # seconds for any one thing to happen


@contextmanager
def started() -> Iterator[Browser]:
    """A headless browser. Where there is none the test is skipped, in CI it fails."""
    with sync_playwright() as playwright:
        executable = next(
            filter(None, map(shutil.which, BROWSERS)),
            playwright.chromium.executable_path,
        )
        if not Path(executable).exists():
            reason = (
                "no browser was found: install chromium, or run `playwright install"
                " chromium`"
            )
            pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
        flags = FLAGS + ["--no-sandbox"] * (os.getuid() == 0)
        with playwright.chromium.launch(
            executable_path=executable, args=flags
        ) as browser:
            yield browser
