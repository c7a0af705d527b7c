"""Downloads from a server that stalls, cuts, corrupts and refuses; all of it on this
machine.
"""

from __future__ import annotations

import hashlib
import io
import threading
import time
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image

from sr3mini import cli
from sr3mini.data import public_sets as fetch
from sr3mini.data.public_sets import PUBLIC, Public, download, unpack

CONTENT = bytes(range(256)) * 2000  # 512,000 bytes
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `content`; `plan` says what goes wrong with each request, in turn, and
    `ranges` notes what was asked for.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.plan, self.ranges, self.tag, self.knows_ranges = (
            CONTENT,
            [],
            [],
            '"1"',
            True,
        )
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
        fault = server.plan.pop(0) if server.plan else ""
        asked = self.headers.get("Range", "")
        server.ranges.append(asked)
        self.close_connection = True
        if isinstance(fault, int):
            self.send_error(fault)
            return
        valid = (
            server.knows_ranges
            and asked
            and self.headers.get("If-Range", server.tag) == server.tag
        )
        start = int(asked.removeprefix("bytes=").rstrip("-")) if valid else 0
        if valid and start >= len(server.content):
            self.send_error(416)
            return
        body = server.content[start:]
        self.send_response(206 if valid else 200)
        if valid:
            self.send_header(
                "Content-Range",
                f"bytes {start}-{len(server.content) - 1}/{len(server.content)}",
            )
        self.send_header("ETag", server.tag)
        self.send_header(
            *(
                ("Transfer-Encoding", "chunked")
                if server.chunked
                else ("Content-Length", str(len(body)))
            )
        )
        self.end_headers()
        if fault == "corrupt":
            body = b"?" + body[1:]
        if fault in ("cut", "stall"):
            body = body[: len(body) // 2]
        self.wfile.write(
            f"{len(body):x}\r\n".encode() + body + b"\r\n" if server.chunked else body
        )
        self.wfile.flush()
        if fault == "stall":
            server.closing.wait(20)
        elif server.chunked and fault != "cut":
            self.wfile.write(b"0\r\n\r\n")


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


def get(server: Server, file: Path, sha256: str = SHA256, attempts: int = 3) -> bytes:
    download(
        server.address,
        file,
        sha256,
        attempts=attempts,
        timeout=0.5,
        pause=0.01,
        progress=False,
    )
    return file.read_bytes()


def only(folder: Path, *names: str) -> None:
    assert sorted(file.name for file in folder.iterdir()) == sorted(names)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_file_arrives_whole_and_alone(
    server: Server, tmp_path: Path, chunked: bool
) -> None:
    server.chunked = chunked
    assert get(server, tmp_path / "a.zip") == CONTENT
    only(tmp_path, "a.zip")


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("fault", ["cut", "stall"])
def test_a_cut_or_a_stall_is_gone_on_from(
    server: Server, tmp_path: Path, fault: str, chunked: bool
) -> None:
    server.plan, server.chunked = [fault, fault], chunked
    assert get(server, tmp_path / "a.zip") == CONTENT
    assert server.ranges == [
        "",
        f"bytes={len(CONTENT) // 2}-",
        f"bytes={len(CONTENT) * 3 // 4}-",
    ]
    only(tmp_path, "a.zip")


def test_a_server_that_knows_no_ranges_starts_anew(
    server: Server, tmp_path: Path
) -> None:
    server.plan, server.knows_ranges = ["cut"], False
    assert get(server, tmp_path / "a.zip") == CONTENT


def test_a_new_version_is_not_glued_to_the_old_one(
    server: Server, tmp_path: Path
) -> None:
    server.plan = ["cut", 404]
    with pytest.raises(OSError, match="404"):
        get(server, tmp_path / "a.zip")
    server.content, server.tag = CONTENT[::-1], '"2"'
    assert get(server, tmp_path / "a.zip", "") == CONTENT[::-1]


def test_a_run_that_ended_is_gone_on_with_by_the_next(
    server: Server, tmp_path: Path
) -> None:
    server.plan = ["cut", 503, 503, 503]
    with pytest.raises(
        OSError,
        match=(
            r"cannot be reached, or breaks off \(503 Service Unavailable\), 3 times in"
            r" a row; what arrived is kept"
        ),
    ):
        get(server, tmp_path / "a.zip")
    only(tmp_path, "a.zip.part", "a.zip.tag")
    assert get(server, tmp_path / "a.zip") == CONTENT
    assert server.ranges[-1] == f"bytes={len(CONTENT) // 2}-"
    only(tmp_path, "a.zip")


def test_attempts_are_counted_from_the_last_new_byte(
    server: Server, tmp_path: Path
) -> None:
    server.plan = ["cut", 503, "cut", 503, "cut", 503]
    assert get(server, tmp_path / "a.zip", attempts=3) == CONTENT


def test_a_download_that_was_whole_already_is_not_lost(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / "a.zip.part").write_bytes(CONTENT)
    assert get(server, tmp_path / "a.zip") == CONTENT


def test_a_damaged_download_is_fetched_once_more(
    server: Server, tmp_path: Path
) -> None:
    server.plan = ["corrupt"]
    assert get(server, tmp_path / "a.zip") == CONTENT


def test_a_download_that_stays_damaged_is_refused_and_removed(
    server: Server, tmp_path: Path
) -> None:
    server.plan = ["corrupt", "corrupt"]
    with pytest.raises(
        OSError,
        match=(
            rf"arrived damaged twice: its SHA-256 is [0-9a-f]{{64}} and not {SHA256};"
            r" nothing was kept$"
        ),
    ):
        get(server, tmp_path / "a.zip")
    only(tmp_path)


def test_what_does_not_exist_is_told_at_once(server: Server, tmp_path: Path) -> None:
    server.plan = [404, 404, 404]
    with pytest.raises(OSError, match=r"was refused by its server: 404 Not Found$"):
        get(server, tmp_path / "a.zip")
    assert len(server.ranges) == 1
    only(tmp_path)


def test_no_server_is_one_sentence(tmp_path: Path) -> None:
    with Server() as closed:
        address = closed.address
    with pytest.raises(
        OSError,
        match=(
            r"^http\S+ cannot be reached, or breaks off \([^\n]*refused\), 2 times in a"
            r" row; what arrived is kept[^\n]*$"
        ),
    ):
        download(address, tmp_path / "a.zip", attempts=2, pause=0.01, progress=False)


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


def test_a_public_set_is_shown_fetched_and_prepared(
    toy: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The licence first; pictures of the named folder only; the archive gone; a second
    call downloads nothing.
    """
    command = [
        "prepare",
        "--public",
        "toy",
        "--size",
        "8",
        "--out",
        str(tmp_path / "toy_8"),
        "--jobs",
        "1",
        "--yes",
    ]
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
    requests = len(toy.ranges)
    cli.main(command)
    assert len(toy.ranges) == requests == 1


def test_nothing_is_downloaded_before_the_licence_is_accepted(
    toy: Server,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = [
        "prepare",
        "--public",
        "toy",
        "--size",
        "8",
        "--out",
        str(tmp_path / "toy_8"),
        "--jobs",
        "1",
    ]
    monkeypatch.setattr(
        "sys.stdin", io.StringIO("yes\n")
    )  # a pipe is nobody who could accept
    with pytest.raises(SystemExit):
        cli.main(command)
    said = capsys.readouterr()
    assert "licence  CC0" in said.out
    assert "nothing was downloaded: accept the licence above with --yes" in said.err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr(
        "sys.stdin",
        type("Terminal", (io.StringIO,), {"isatty": lambda self: True})("no\n"),
    )
    with pytest.raises(SystemExit):
        cli.main(command)
    assert "nothing was downloaded" in capsys.readouterr().err
    assert toy.ranges == []
    monkeypatch.setattr(
        "sys.stdin",
        type("Terminal", (io.StringIO,), {"isatty": lambda self: True})("yes\n"),
    )
    cli.main(command)
    assert len(toy.ranges) == 1


def test_without_a_network_no_folder_is_left(
    toy: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what was not there before; what had arrived is kept, with the folder it lies
    in.
    """
    toy.plan = [404, "cut", 404]
    with pytest.raises(OSError, match="404"):
        fetch.fetch("toy", tmp_path / "data" / "deep" / "toy", progress=False)
    only(tmp_path)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with pytest.raises(OSError, match="404"):
        fetch.fetch("toy", tmp_path / "data" / "deep" / "toy", progress=False)
    only(tmp_path / "data" / "deep", "toy.zip.part", "toy.zip.tag")


def test_a_damaged_archive_is_removed_and_leaves_nothing_unpacked(
    toy: Server, tmp_path: Path
) -> None:
    toy.content = archive(*NAMES, damage=True)
    with pytest.raises(
        OSError,
        match=(
            r"toy\.zip arrived damaged \(.*\) and was removed; run the same command"
            r" again$"
        ),
    ):
        fetch.fetch("toy", tmp_path / "toy", progress=False)
    only(tmp_path)


def test_an_archive_that_leads_out_of_its_folder_is_not_followed(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.zip").write_bytes(
        archive(
            "images/a.png",
            "images/../../../evil.png",
            "/images/root.png",
            "images\\..\\evil.png",
        )
    )
    unpack(tmp_path / "a.zip", tmp_path / "out" / "in", "images", progress=False)
    assert [str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.png")] == [
        "out/in/a.png"
    ]


def test_an_archive_without_the_pictures_or_too_large_for_the_disk_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.zip").write_bytes(archive("other/a.png"))
    with pytest.raises(OSError, match=r"holds no picture in a folder called images$"):
        unpack(tmp_path / "a.zip", tmp_path / "out", "images", progress=False)
    (tmp_path / "a.zip").write_bytes(archive("images/a.png"))
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 3}))
    with pytest.raises(OSError, match=r"unpacks to 0\.0 GB, and less is free in"):
        unpack(tmp_path / "a.zip", tmp_path / "out", "images", progress=False)
    only(tmp_path, "a.zip")


@pytest.mark.parametrize("name", ["ffhq", "celeba-hq"])
def test_a_set_that_only_people_get_says_how(name: str, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError,
        match=(
            rf"^{name} cannot be downloaded by a program: .*https://github\.com/.*"
            r" Then: sr3mini prepare FOLDER [^\n]*$"
        ),
    ):
        fetch.fetch(name, tmp_path / name)
    only(tmp_path)


def test_other_names_and_folders_in_the_way_are_told(
    toy: Server, tmp_path: Path
) -> None:
    with pytest.raises(
        ValueError,
        match=r"^no public set 'imagenet'; there are: clothing, ffhq, celeba-hq, toy$",
    ):
        fetch.fetch("imagenet", tmp_path / "x")
    with pytest.raises(
        ValueError, match="is there already, and was not downloaded by sr3mini prepare"
    ):
        fetch.fetch("toy", tmp_path)


def test_every_set_tells_its_licence_and_its_home() -> None:
    for chosen in PUBLIC.values():
        assert chosen.title
        assert chosen.licence
        assert chosen.home.startswith("https://")
        assert bool(chosen.address) != bool(chosen.by_hand)
    assert PUBLIC["clothing"].licence.startswith("CC0")
