"""Every command and every piece of Python of the questions page runs as it is printed,
one after the other, in a folder like the one the page asks for.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import matplotlib.cbook
import pytest
import torch
from accelerate.state import AcceleratorState
from PIL import Image
from project import ROOT
from public_code import write_checkpoint, write_config

from sr3mini import cli

PAGE = (ROOT / "chapters" / "questions.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
QUESTIONS = re.findall(r"^## (\d+)\. (.+)$", PAGE, re.MULTILINE)


def blocks() -> list[tuple[str, str, str]]:
    """(number of the question, language, text) of every fenced block, in the order of
    the page.
    """
    _, *parts = re.split(r"^## (\d+)\. .*$", PAGE, flags=re.MULTILINE)
    return [
        (number, *found)
        for number, body in zip(parts[::2], parts[1::2], strict=True)
        for found in FENCE.findall(body)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """photos/, small/, cat.jpg, a set and a checkpoint of the best-known public SR3
    code.
    """
    place = tmp_path_factory.mktemp("questions")
    with Image.open(
        matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    ) as photograph:
        crops = [
            photograph.crop((40 * n, 60 * n, 40 * n + 96, 60 * n + 72))
            for n in range(6)
        ]
    for name in ("photos", "small", "theirs/hr_64", "theirs/lr_16", "theirs/sr_16_64"):
        (place / name).mkdir(parents=True)
    for number, crop in enumerate(crops):
        crop.save(place / "photos" / f"{number}.png")
        crop.resize((24, 18), Image.Resampling.BICUBIC).save(
            place / "small" / f"{number}.png"
        )
        y = crop.resize((64, 64))
        for name, picture in (
            ("hr_64", y),
            ("lr_16", y.resize((16, 16))),
            ("sr_16_64", y.resize((16, 16)).resize((64, 64))),
        ):
            picture.save(place / "theirs" / name / f"{number:05}.png")
    crops[0].resize((24, 18)).save(place / "cat.jpg")
    write_checkpoint(place / "I640000_E37_gen.pth")
    write_config(place / "sr_sr3_16_128.json")
    return place


SPACE: dict[str, object] = {}


@pytest.mark.filterwarnings(
    "ignore:the training goes on with train_steps"
)  # asked for, in the answer about --resume
@pytest.mark.parametrize(("number", "language", "text"), blocks())
def test_a_block_runs_as_printed(
    number: str, language: str, text: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    if language == "python":
        exec(text, SPACE)
        return
    assert language == ""
    for line in text.splitlines():
        program, *arguments = shlex.split(line)
        assert program == "sr3mini"
        cli.main(arguments)
        AcceleratorState._reset_state(reset_partial_state=True)


def test_what_the_page_promises_is_there(folder: Path) -> None:
    """Runs after the blocks: the files that the answers speak of."""
    for name in (
        *(
            "large/cat_x4.png",
            "answers/cat_x4_1.png",
            "answers/cat_x4_3.png",
            "answers/cat_x4_disagreement.png",
            "results/0_x4.png",
        ),
        *(
            "figures.csv",
            "figures.md",
            "figures.png",
            "runs/try/metrics.jsonl",
            "runs/photos/model.safetensors",
            "runs/imported/model.safetensors",
        ),
    ):
        assert (folder / name).is_file(), name
    with (
        Image.open(folder / "sized" / "cat_88x66.png") as sized,
        Image.open(folder / "threefold" / "cat_x3.png") as threefold,
    ):
        assert (sized.size, threefold.size) == ((88, 66), (72, 54))
    assert isinstance(SPACE["y"], torch.Tensor)


def test_there_are_fifteen_questions_and_each_has_an_answer() -> None:
    assert [int(number) for number, _ in QUESTIONS] == list(range(1, 16))
    answered = {number for number, _, _ in blocks()}
    linked = re.split(r"^## (\d+)\. .*$", PAGE, flags=re.MULTILINE)
    for number, body in zip(linked[1::2], linked[2::2], strict=True):
        assert number in answered or ".ipynb#" in body, (
            f"question {number} has neither a command nor a chapter"
        )


def test_the_page_names_no_command_outside_its_blocks_that_does_not_exist() -> None:
    for verb in re.findall(r"`sr3mini (\w+)", PAGE):
        assert verb in cli.VERBS
