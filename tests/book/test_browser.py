"""What a reader does: open each chapter in JupyterLab, run it, move every control, and
see the pictures change. In a real browser.

Of a chapter only the cells are run that the controls need: all of them run in `pytest
--nbval chapters/`.

Skipped where there is no browser, except in CI (the variable CI is set), where that is
a failure. A screenshot is left in pytest's temporary folder, whatever happens. Time
limits are generous, since the machine may be busy with other things.
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

import book  # tools/book.py
import nbformat
import pytest
import slices  # tools/slices.py
from browser import PATIENCE, started
from playwright.sync_api import Error
from project import ROOT

CONTROLS = ".noUi-target, .widget-dropdown select"


class Server(NamedTuple):
    """A JupyterLab: where it answers, and the folder that it serves."""

    address: str
    folder: Path


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A JupyterLab over an empty folder, with settings of its own, which is gone
    afterwards.
    """
    tmp_path = tmp_path_factory.mktemp("lab")
    folder = tmp_path / "book"
    folder.mkdir()
    folders = {
        f"JUPYTER_{kind.upper()}_DIR": str(tmp_path / kind)
        for kind in ("config", "data", "runtime")
    }
    # as `make lab` has it: it asks for no news, and hides machinery
    folders["JUPYTER_CONFIG_PATH"] = str(ROOT / "tools" / "lab")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        f"--port={port}",
    ]
    command += [
        "--ServerApp.port_retries=0",
        "--IdentityProvider.token=",
        f"--ServerApp.root_dir={folder}",
    ]
    log = tmp_path / "server.log"
    with (
        log.open("w") as output,
        subprocess.Popen(
            command,
            env=os.environ | folders,
            stdout=output,
            stderr=output,
            start_new_session=True,
        ) as process,
    ):
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(
                lambda: process.poll() is not None or answers(f"{address}/api/status"),
                "JupyterLab to start",
            )
            assert process.poll() is None, (
                f"JupyterLab did not start:\n{log.read_text()}"
            )
            yield Server(address, folder)
        finally:
            stop(process)


def answers(address):
    try:
        with urllib.request.urlopen(address, timeout=5) as reply:
            return reply.status == 200
    except (urllib.error.URLError, OSError):
        return False


def stop(process):
    process.terminate()  # ends the kernels too
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def page(tmp_path):
    """A page of a headless browser. Nothing but this machine can be reached from it:
    chapters work with the network off.
    """
    with started() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.set_default_timeout(PATIENCE * 1000)
        page.route(
            lambda address: not address.startswith("http://127.0.0.1:"),
            lambda route: route.abort(),
        )
        try:
            yield page
        finally:
            page.screenshot(path=tmp_path / "screenshot.png")


def wait_for(condition, what):
    """The first true value of `condition()`; looked at twice a second."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.5)
    pytest.fail(f"waited {PATIENCE} s in vain for {what}")


PLAYABLE = re.compile(r"\bwidgets\.\w+\(")


def played(chapter):
    """Code cells that show something to play with."""
    return [
        cell
        for cell in nbformat.read(chapter, as_version=4).cells
        if cell.cell_type == "code" and PLAYABLE.search(cell.source)
    ]


def shortened(chapter):
    """A notebook with the cells to play with, those that they need, and nothing else.
    Without outputs it needs no trust.
    """
    cells = nbformat.read(chapter, as_version=4).cells
    wanted = {
        id(needed): needed
        for cell in cells
        if cell in played(chapter)
        for needed in slices.needed(cells, cell)
    }
    kept = [cell for cell in cells if id(cell) in wanted]
    for cell in kept:
        cell.outputs, cell.execution_count = [], None
    return nbformat.v4.new_notebook(cells=kept, metadata=book.METADATA)


CHAPTERS = [text.with_suffix(".ipynb") for text in book.texts()]
PLAYED = [chapter for chapter in CHAPTERS if chapter.exists() and played(chapter)]


@pytest.mark.parametrize("chapter", PLAYED, ids=lambda chapter: chapter.stem)
def test_moving_any_control_changes_its_picture(server, page, chapter):
    notebook = shortened(chapter)
    nbformat.write(notebook, server.folder / chapter.name)
    page.goto(f"{server.address}/lab/workspaces/{chapter.stem}/tree/{chapter.name}")
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    prompts = page.locator(".jp-CodeCell .jp-InputPrompt")

    def running():
        """Asked again when JupyterLab let the first request fall, as it does while it
        is still connecting to the kernel.
        """
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        page.wait_for_timeout(3000)
        return prompts.filter(has_text=re.compile(r"\[[*0-9]+\]")).count()

    wait_for(running, "the cells to run")

    def all_run():
        error = page.locator("[data-mime-type='application/vnd.jupyter.error']")
        if error.count():
            pytest.fail(f"a cell failed:\n{error.last.inner_text()}")
        return prompts.filter(has_text=f"[{len(notebook.cells)}]:").count()

    wait_for(all_run, f"code cell {len(notebook.cells)} to have run")
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()

    outputs = (
        page.locator(".jp-OutputArea-output")
        .filter(has=page.locator("img"))
        .filter(has=page.locator(CONTROLS))
    )
    assert outputs.count() == len(played(chapter))
    for output in outputs.all():
        picture = output.locator("img").last
        for control in output.locator(CONTROLS).all():
            before = wait_for(
                lambda shown=picture: digest(shown), "a picture below the controls"
            )

            def moving_changes_the_picture(
                control=control, picture=picture, before=before
            ):
                """Tried again when the page moved below the mouse, as it does while
                cells further up are still being laid out.
                """
                move(page, control)
                page.wait_for_timeout(1500)
                return digest(picture) not in (None, before)

            wait_for(
                moving_changes_the_picture, f"the picture of {chapter.stem} to change"
            )
    picture.scroll_into_view_if_needed()  # for the screenshot


def move(page, control):
    """Drag a slider, or take another line of a menu."""
    if control.evaluate("element => element.tagName") == "SELECT":
        control.select_option(
            index=(control.evaluate("menu => menu.selectedIndex") + 1)
            % control.locator("option").count()
        )
    else:
        drag(page, control)


def digest(picture):
    """A fingerprint of the bytes that the browser shows; None while they are being
    exchanged.
    """
    read = (
        "async picture => Array.from(new Uint8Array(await (await"
        " fetch(picture.src)).arrayBuffer()))"
    )
    try:
        return hashlib.sha256(bytes(picture.evaluate(read))).hexdigest()
    except Error:
        return None


def drag(page, slider):
    """Take the slider's handle with the mouse to the other side of its track."""
    handle = slider.locator(".noUi-handle").first
    handle.hover()  # scrolls there, and waits until it stands still
    track, start = slider.bounding_box(), handle.bounding_box()
    share = 0.9 if start["x"] < track["x"] + track["width"] / 2 else 0.3
    page.mouse.down()
    page.mouse.move(
        track["x"] + share * track["width"], start["y"] + start["height"] / 2, steps=10
    )
    page.mouse.up()


def test_the_lab_asks_for_no_news_and_shows_chapters_without_machinery(server, page):
    for name in ("00_a.ipynb", "00_a.md", "conftest.py", "symbols.md"):
        (server.folder / name).write_text("{}", encoding="utf-8")
    page.goto(f"{server.address}/lab/workspaces/tree")
    shown = page.locator(".jp-DirListing-itemText")
    page.get_by_text("symbols.md").first.wait_for()
    listed = shown.all_inner_texts()
    assert {"00_a.ipynb", "symbols.md"} <= set(listed)
    assert not {"00_a.md", "conftest.py"} & set(listed)
    page.wait_for_timeout(3000)
    assert not page.get_by_text("Jupyter news").count()
