"""What a reader does: open a chapter in JupyterLab, run it, drag a slider, and see the picture change. In a real browser.

Skipped where there is no browser, except in CI (the variable CI is set), where that is a failure. A screenshot is left in
pytest's temporary folder, whatever happens. Time limits are generous, since the machine may be busy with other things.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Error, sync_playwright

CHAPTER = Path(__file__).resolve().parent.parent / "chapters" / "03_sampling_gamma.ipynb"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
PATIENCE = 180  # seconds for any one thing to happen


@pytest.fixture
def server(tmp_path):
    """The address of a JupyterLab that serves a copy of the chapter, with settings of its own, and is gone afterwards."""
    book = tmp_path / "book"
    book.mkdir()
    write_without_outputs(CHAPTER, book / CHAPTER.name)
    # JupyterLab would ask whether it may fetch news.
    quiet = tmp_path / "config" / "labconfig" / "page_config.json"
    quiet.parent.mkdir(parents=True)
    quiet.write_text(json.dumps({"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}), encoding="utf-8")
    folders = {f"JUPYTER_{kind.upper()}_DIR": str(tmp_path / kind) for kind in ("config", "data", "runtime")}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
    command += ["--ServerApp.port_retries=0", "--IdentityProvider.token=", f"--ServerApp.root_dir={book}"]
    log = tmp_path / "server.log"
    with log.open("w") as output, subprocess.Popen(command, env=os.environ | folders, stdout=output, stderr=output, start_new_session=True) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(lambda: process.poll() is not None or answers(f"{address}/api/status"), "JupyterLab to start")
            assert process.poll() is None, f"JupyterLab did not start:\n{log.read_text()}"
            yield address
        finally:
            stop(process)


def write_without_outputs(source, target):
    """A notebook without outputs needs no trust, and every count and picture seen later is new."""
    notebook = nbformat.read(source, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, target)


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
    """A page of a headless browser. Nothing but this machine can be reached from it: chapters work with the network off."""
    with sync_playwright() as playwright:
        executable = next(filter(None, map(shutil.which, BROWSERS)), playwright.chromium.executable_path)
        if not Path(executable).exists():
            reason = "no browser was found: install chromium, or run `playwright install chromium`"
            pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
        flags = FLAGS + ["--no-sandbox"] * (os.getuid() == 0)
        with playwright.chromium.launch(executable_path=executable, args=flags) as browser:
            page = browser.new_page(viewport={"width": 1280, "height": 1000})
            page.set_default_timeout(PATIENCE * 1000)
            page.route(lambda address: not address.startswith("http://127.0.0.1:"), lambda route: route.abort())
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


def test_dragging_a_slider_changes_the_picture(server, page):
    page.goto(f"{server}/lab/tree/{CHAPTER.name}")
    cells = nbformat.read(CHAPTER, as_version=4).cells
    code = sum(cell.cell_type == "code" for cell in cells)
    meant_to_fail = sum("raises-exception" in cell.metadata.get("tags", []) for cell in cells)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    prompts = page.locator(".jp-CodeCell .jp-InputPrompt")

    def running():
        """Asked again when JupyterLab let the first request fall, as it does while it is still connecting to the kernel."""
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        page.wait_for_timeout(3000)
        return prompts.filter(has_text=re.compile(r"\[[*0-9]+\]")).count()

    wait_for(running, "the cells to run")

    def all_run():
        error = page.locator("[data-mime-type='application/vnd.jupyter.error']")
        if error.count() > meant_to_fail:
            pytest.fail(f"a cell failed:\n{error.last.inner_text()}")
        return prompts.filter(has_text=f"[{code}]:").count()

    wait_for(all_run, f"code cell {code} to have run")
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()

    output = page.locator(".jp-OutputArea-output").filter(has=page.locator(".noUi-handle")).filter(has=page.locator("img")).first
    slider, picture = output.locator(".noUi-target").first, output.locator("img").first
    before = wait_for(lambda: digest(picture), "a picture beside the slider")

    def drag_changes_the_picture():
        """Tried again when the page moved below the mouse, as it does while cells further up are still being laid out."""
        drag(page, slider)
        page.wait_for_timeout(2000)
        return digest(picture) not in (None, before)

    wait_for(drag_changes_the_picture, "the picture to change when the slider is dragged")
    picture.scroll_into_view_if_needed()  # for the screenshot


def digest(picture):
    """A fingerprint of the bytes that the browser shows; None while they are being exchanged."""
    read = "async picture => Array.from(new Uint8Array(await (await fetch(picture.src)).arrayBuffer()))"
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
    page.mouse.move(track["x"] + share * track["width"], start["y"] + start["height"] / 2, steps=10)
    page.mouse.up()
