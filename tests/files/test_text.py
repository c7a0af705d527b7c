"""Text from other systems: read, or one sentence that names the file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from commands import fails
from tiny import TINY

from sr3mini import cli
from sr3mini.files import text
from sr3mini.files.text import read_json, read_text

SAID = {"name": "Größe 大", "size": 3}


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"]
)
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_what_windows_writes_is_read(
    ending: str, encoding: str, tmp_path: Path
) -> None:
    mark = "\ufeff" if encoding[-3:] in ("-le", "-be") else ""
    said = mark + json.dumps(SAID, ensure_ascii=False, indent=1).replace("\n", ending)
    (tmp_path / "a.json").write_bytes(said.encode(encoding))
    assert read_json(tmp_path / "a.json") == SAID


REFUSED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "is no JSON"),
    "no JSON": (b'{"a": 1;}', "is no JSON .Expecting ',' delimiter: line 1"),
    "half": (b'{"a": [1, 2', "is no JSON"),
    "a list": (b"[1]", "holds no JSON object"),
    "a number": (b"3", "holds no JSON object"),
    "another encoding": ("{ü}".encode("latin-1"), "no text in UTF-8, at byte 1: save"),
    "GBK": ('{"大": 1}'.encode("gbk"), "no text in UTF-8"),
    "half of UTF-16": ("{}".encode("utf-16")[:-1], "no text in UTF-8"),
    "UTF-16 without its mark": ("{}".encode("utf-16-le"), "is no JSON"),
    "a picture": (b"\x89PNG\r\n", "no text in UTF-8, at byte 0"),
    "deep lists": (b"[" * 10**6, "is no JSON"),
    "deep objects": (b'{"a":' * 10**6, "is no JSON"),
    "a long number": (b'{"a": ' + b"9" * 10**5 + b"}", "is no JSON"),
}


@pytest.mark.parametrize(("content", "what"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_json_is_refused_by_name(
    content: bytes, what: str, tmp_path: Path
) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=rf"a\.json( is)? {what}") as refused:
        read_json(tmp_path / "a.json")
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300


def test_what_is_no_file_of_reasonable_size_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe would be waited for, and a device never ends."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(bytes(100))
    monkeypatch.setattr(text, "LARGEST", 99)
    for name, what in {
        tmp_path / "none": "does not exist",
        tmp_path: "is no file",
        tmp_path / "pipe": "is no file",
        Path("/dev/zero"): "is no file",
        Path("/dev/null"): "is no file",
        tmp_path / "large": "has more than 99 bytes",
    }.items():
        with pytest.raises(ValueError, match=f"{name} {what}"):
            read_text(name)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_preset_in_such_a_file_is_one(
    encoding: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "p.json").write_text(TINY.to_json(), encoding=encoding)
    cli.main(["plan", str(tmp_path / "p.json")])
    assert "tiny: " in capsys.readouterr().out


@pytest.mark.parametrize(
    "change", [{"size": -1}, {"attention": [9]}, {"colour": 2}, {"name": "x" * 10**6}]
)
def test_a_preset_that_makes_no_sense_is_refused_with_its_files_name(
    change: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "p.json").write_text(json.dumps(json.loads(TINY.to_json()) | change))
    said = fails(capsys, "plan", tmp_path / "p.json")
    assert f"{tmp_path / 'p.json'}: " in said
    assert next(iter(change)) in said
    assert len(said) < 400
