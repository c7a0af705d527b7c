r"""Text that people and other programs wrote, in the encodings of any system.

read_text(file)   its text, without a byte order mark
read_json(file)   the object {...} that it holds
"""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import Any

LARGEST = 2**26  # bytes; the names of a million skipped files take less


def read_text(file: str | Path) -> str:
    """A text in UTF-8, or in UTF-16 with the mark that tells it.

    ValueError, in one sentence that names the file, when it is missing, no regular
    file, larger than 64 MiB, or in another encoding.
    """
    path, problem = Path(file), ""
    if not path.is_file():
        problem = "is no file" if path.exists() else "does not exist"
    elif path.stat().st_size > LARGEST:
        problem = f"has more than {LARGEST} bytes, which no text here needs"
    if problem:
        raise ValueError(f"{path} {problem}")
    content = path.read_bytes()
    marks = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    encoding = "utf-16" if content.startswith(marks) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is no text in UTF-8, at byte {error.start}: save it as UTF-8"
        ) from error


def read_json(file: str | Path) -> dict[str, Any]:
    """The object of a JSON file. ValueError, in one sentence that names the file."""
    return parse_json(read_text(file), str(file))


def parse_json(text: str, name: str) -> dict[str, Any]:
    """The object of a JSON text; `name` stands for it in the ValueError."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} is no JSON ({error})") from error
    if not isinstance(found, dict):
        raise ValueError(f"{name} holds no JSON object {{...}}")
    return found
