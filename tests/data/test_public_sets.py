"""Downloads from a server that stalls, cuts, corrupts and refuses; all of it on this
machine.
"""

from __future__ import annotations

import gc
import hashlib
import io
import shutil
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pooch.downloaders
import pytest
from PIL import Image

from sr3mini import cli
from sr3mini.data.public_sets import (
    ATTEMPTS,
    PUBLIC,
    Public,
    download,
    fetch,
    unpack,
)

# pooch leaves it to Python to close the connection of an attempt that failed
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

CONTENT = bytes(range(256)) * 2000  # 512,000 bytes
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `content`; `plan` says what goes wrong with each request, in turn."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.plan, self.requests = CONTENT, [], 0
        self.chunked = False
        self.closing = threading.Event()

    def handle_error(self, *_: object) -> None:
        """A client that went away is what several tests are about."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/set.zip"


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        server = self.server
        server.requests += 1
        fault = server.plan.pop(0) if server.plan else ""
        self.close_connection = True
        if isinstance(fault, int):
            self.send_error(fault)
            return
        body = server.content
        length = ("Content-Length", str(len(body)))
        self.send_response(200)
        self.send_header(
            *(("Transfer-Encoding", "chunked") if server.chunked else length)
        )
        self.end_headers()
        if fault in ("cut", "stall"):
            body = body[: len(body) // 2]
        packed = f"{len(body):x}\r\n".encode() + body + b"\r\n"
        self.wfile.write(packed if server.chunked else body)
        self.wfile.flush()
        if fault == "stall":
            server.closing.wait(20)
        elif server.chunked and fault != "cut":
            self.wfile.write(b"0\r\n\r\n")


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No waiting between attempts, and half a second for a stall."""
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(pooch.downloaders, "DEFAULT_TIMEOUT", 0.5)
    yield
    gc.collect()  # the sockets of failed attempts, while their warnings are ignored


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(
            target=running.serve_forever, kwargs={"poll_interval": 0.02}
        )
        thread.start()
        yield running
        running.closing.set()
        running.shutdown()
        thread.join()


def only(folder: Path, *names: str) -> None:
    assert sorted(file.name for file in folder.iterdir()) == sorted(names)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_file_arrives_whole_and_alone(
    server: Server, tmp_path: Path, chunked: bool
) -> None:
    server.chunked = chunked
    assert download(server.address, tmp_path / "a.zip") == SHA256
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    only(tmp_path, "a.zip")


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("fault", ["cut", "stall", 503])
def test_a_cut_a_stall_and_a_busy_server_are_tried_again(
    server: Server, tmp_path: Path, fault: str | int, chunked: bool
) -> None:
    server.plan, server.chunked = [fault, fault], chunked
    assert download(server.address, tmp_path / "a.zip") == SHA256
    assert server.requests == 3
    only(tmp_path, "a.zip")


def test_what_is_there_is_not_downloaded_once_more(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / "a.zip").write_bytes(CONTENT)
    assert download(server.address, tmp_path / "a.zip") == SHA256
    assert server.requests == 0


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("cut", r"IncompleteRead\(256000 bytes read, 256000 more expected\)"),
        ("stall", "timed out"),
        (404, r"404 Client Error: Not Found for url: \S+"),
    ],
)
def test_a_download_that_stays_bad_is_one_sentence_and_leaves_nothing(
    server: Server, tmp_path: Path, fault: str | int, reason: str
) -> None:
    server.plan = [fault] * ATTEMPTS
    with pytest.raises(OSError, match=rf"^http\S+ could not be downloaded: {reason}$"):
        download(server.address, tmp_path / "a.zip")
    assert server.requests == ATTEMPTS
    only(tmp_path)


def test_no_server_is_one_sentence(tmp_path: Path) -> None:
    with Server() as closed:
        address = closed.address
    with pytest.raises(
        OSError, match=r"^http\S+ could not be downloaded: [^\n]*refused$"
    ):
        download(address, tmp_path / "a.zip")
    only(tmp_path)


def test_without_the_package_it_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ImportError, match=r"pip install 'sr3mini\[train\]'$"):
        download("http://nowhere", tmp_path / "a.zip")


# A set from end to end ----------------------------------------------------------------


def archive(*names: str, damage: bool = False) -> bytes:
    """A ZIP file of 9 x 9 pictures, as GitHub packs a repository."""
    picture = io.BytesIO()
    Image.new("RGB", (9, 9), "red").save(picture, "png")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as opened:
        for name in names:
            opened.writestr(name, picture.getvalue())
    content = packed.getvalue()
    return (
        content.replace(picture.getvalue()[40:50], b"0123456789") if damage else content
    )


NAMES = (
    "repo-1/images/a.png",
    "repo-1/images/deep/a.png",
    "repo-1/README.md",
    "repo-1/other/b.png",
)


@pytest.fixture
def toy(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A public set "toy" on the local server."""
    server.content = archive(*NAMES)
    monkeypatch.setitem(
        PUBLIC,
        "toy",
        Public("Toy pictures", "CC0", "http://home", server.address, "images"),
    )
    return server


def _prepare_toy(parent: Path) -> list[str]:
    options = ["--public", "toy", "--size", "8", "--jobs", "1"]
    return ["prepare", *options, "--out", str(parent / "toy_8")]


def test_a_public_set_is_shown_fetched_and_prepared(
    toy: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The licence first; pictures of the named folder only; the archive gone; a second
    call downloads nothing.
    """
    command = [*_prepare_toy(tmp_path), "--yes"]
    cli.main(command)
    said = capsys.readouterr().out
    assert said.index("licence  CC0") < said.index("2 pictures of 8 x 8")
    only(tmp_path, "toy", "toy_8")
    assert sorted(
        str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.webp")
    ) == ["toy_8/a.png.webp", "toy_8/deep/a.png.webp"]
    noted = (tmp_path / "toy_8" / "prepared.json").read_text()
    assert hashlib.sha256(toy.content).hexdigest() in noted
    assert toy.address in noted
    cli.main(command)
    assert toy.requests == 1


def test_nothing_is_downloaded_before_the_licence_is_accepted(
    toy: Server,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = _prepare_toy(tmp_path)
    # a pipe is nobody who could accept
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))
    with pytest.raises(SystemExit):
        cli.main(command)
    said = capsys.readouterr()
    assert "licence  CC0" in said.out
    assert "to accept the licence above, add --yes" in said.err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr(
        "sys.stdin",
        type("Terminal", (io.StringIO,), {"isatty": lambda self: True})("no\n"),
    )
    with pytest.raises(SystemExit):
        cli.main(command)
    assert "nothing was downloaded" in capsys.readouterr().err
    assert toy.requests == 0
    monkeypatch.setattr(
        "sys.stdin",
        type("Terminal", (io.StringIO,), {"isatty": lambda self: True})("yes\n"),
    )
    cli.main(command)
    assert toy.requests == 1


def test_a_damaged_archive_is_removed_and_leaves_nothing_unpacked(
    toy: Server, tmp_path: Path
) -> None:
    toy.content = archive(*NAMES, damage=True)
    with pytest.raises(
        OSError,
        match=(r"toy\.zip arrived damaged \(.*\) and was removed; try again$"),
    ):
        fetch("toy", tmp_path / "toy")
    only(tmp_path)


def test_an_archive_that_leads_out_of_its_folder_is_not_followed(
    tmp_path: Path,
) -> None:
    """Up, from the root, and with a drive's letter (which Linux takes for a name)."""
    names = ("images/a.png", "images/../../../up.png", "/images/root.png")
    drives = ("images\\..\\evil.png", "images/C:drive.png", "images//etc/two.png")
    (tmp_path / "a.zip").write_bytes(archive(*names, *drives))
    unpack(tmp_path / "a.zip", tmp_path / "out" / "in", "images", "")
    found = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.png")}
    wanted = ("a.png", "up.png", "root.png", "C:drive.png", "etc/two.png")
    assert found == {f"out/in/{name}" for name in wanted}


def test_an_archive_without_the_pictures_is_told(
    toy: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toy.content = archive("other/a.png")
    with pytest.raises(SystemExit):
        cli.main(["prepare", "--public", "toy", "--out", str(tmp_path / "8"), "--yes"])
    assert "toy holds no file at all" in capsys.readouterr().err


def test_an_archive_too_large_for_the_disk_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.zip").write_bytes(archive("images/a.png"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(OSError, match=r"out could not be written: No space left"):
        unpack(tmp_path / "a.zip", tmp_path / "out", "images", "")
    only(tmp_path, "a.zip")


def test_other_names_and_folders_in_the_way_are_told(
    toy: Server, tmp_path: Path
) -> None:
    with pytest.raises(
        ValueError,
        match=r"^no set 'imagenet' is handed to a program; there are: clothing, toy$",
    ):
        fetch("imagenet", tmp_path / "x")
    with pytest.raises(
        ValueError, match="was not downloaded by sr3mini prepare: move it away"
    ):
        fetch("toy", tmp_path)


def test_every_set_tells_its_licence_and_its_home() -> None:
    for chosen in PUBLIC.values():
        assert chosen.title
        assert chosen.licence
        assert chosen.home.startswith("https://")
        assert chosen.address.startswith("https://")
    assert PUBLIC["clothing"].licence.startswith("CC0")
