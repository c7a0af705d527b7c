"""What the README says is what the repository holds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sr3mini.checkpoint import card
from sr3mini.evaluate import format_table

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_of_results_is_the_one_stored_with_the_weights() -> None:
    about = card("glyphs_8_32")
    assert format_table(about["metrics"]) in README
    assert about["evaluated"] in README
    assert about["trained"] in README


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)\)", README))
def test_every_link_leads_somewhere(target: str) -> None:
    assert (ROOT / target).exists()


def test_every_chapter_that_is_written_is_in_the_table_and_no_other() -> None:
    written = {f"chapters/{path.name}" for path in (ROOT / "chapters").glob("[0-9]*.ipynb")}
    assert written == set(re.findall(r"\]\(([^)]+\.ipynb)\)", README))


@pytest.mark.parametrize("verb", ["lab", "test", "sync"])
def test_the_verbs_it_names_are_in_the_makefile(verb: str) -> None:
    assert f"make {verb}" in README
    assert re.search(rf"^{verb}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def test_the_python_example_runs() -> None:
    example = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert example is not None
    names: dict[str, object] = {}
    exec(example[1].replace("steps=100", "steps=3"), names)  # three steps show that it runs; a hundred would show no more
    assert tuple(names["y"].shape) == (1, 1, 32, 32)  # type: ignore[attr-defined]
