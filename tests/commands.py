"""The command line, called as a user calls it."""

from __future__ import annotations

import re

import pytest

from sr3mini import cli


def run(*arguments: object) -> None:
    cli.main([str(a) for a in arguments])


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one sentence that a mistake is answered with; only a progress bar may stand
    above it.
    """
    with pytest.raises(SystemExit) as stop:
        run(*arguments)
    assert stop.value.code == 2
    printed = capsys.readouterr()
    said = [
        line
        for line in printed.err.splitlines()
        if line.strip()
        and not re.search(r"^[^:]+: +\d+%\|", line)
        and not line.startswith("tiny:")
    ]
    assert len(said) == 1, printed.err
    assert said[0].startswith("sr3mini: ")
    assert printed.out == ""
    return said[0]
