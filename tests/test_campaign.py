"""A hundred of the mutated files of `campaign`: each is read right or refused in one
sentence.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import campaign


def test_a_hundred_mutated_files_are_read_right_or_refused(tmp_path: Path) -> None:
    """In a process without the checks of types that tests add."""
    options = ["--count", "100", "--seed", "0", "--keep", str(tmp_path / "files")]
    done = subprocess.run(
        [sys.executable, campaign.__file__, *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "       all           100" in done.stdout


def test_a_case_is_a_function_of_its_seed_and_number() -> None:
    content = bytes(range(256)) * 4
    made = [campaign.mutated(campaign.Random("0/7"), content) for _ in range(2)]
    assert made[0] == made[1] != campaign.mutated(campaign.Random("0/8"), content)


def test_what_ends_otherwise_is_seen(tmp_path: Path) -> None:
    """The judge itself, on six endings that must not pass."""
    said = "sr3mini: a.png is no picture\n"
    command = ["plan", "--out", str(tmp_path)]
    assert campaign.verdict(command, tmp_path, 2, said) == ""
    assert campaign.verdict(command, tmp_path, 0, "a.png:  50%|### | 1/2 [?]\n") == ""
    for status, text in (
        (1, said),
        (None, said),
        (2, ""),
        (2, "Traceback (most recent call last):\n" + said),
        (2, "sr3mini: " + "x" * 2000),
        (2, "sr3mini: \x1b[2J"),
        (0, "libtiff: a remark\n"),
    ):
        assert campaign.verdict(command, tmp_path, status, text) != ""
    (tmp_path / ".a.part.png").touch()
    assert "half-written" in campaign.verdict(command, tmp_path, 2, said)
    (tmp_path / ".a.part.png").rename(tmp_path / "a.png")
    upscaled = ["upscale", "none.png", "--out", str(tmp_path)]
    assert "cannot be used" in campaign.verdict(upscaled, tmp_path, 0, "")
