"""Chapters: text and notebook say the same, outputs are whole, equations are tested;
and every one of these checks can fail.

`pytest --nbval chapters/` runs the chapters and compares their outputs; nothing is run
here but two cells of a made-up chapter.
"""

from __future__ import annotations

import base64
import re
import subprocess
import sys

import book  # tools/book.py, which pyproject.toml puts on the path
import nbformat
import pytest

CHAPTERS = book._named([])


@pytest.mark.parametrize("text", CHAPTERS, ids=lambda text: text.stem)
def test_chapter_is_whole(text):
    assert list(book.problems(text)) == []


def test_every_chapter_is_named_by_its_number():
    """Beside the chapters there are two pages that are no notebooks."""
    names = [
        path.name
        for kind in ("md", "ipynb")
        for path in book.CHAPTERS.glob(f"*.{kind}")
    ]
    assert {
        name for name in names if not re.fullmatch(r"\d\d_\w+\.(md|ipynb)", name)
    } == {"symbols.md", "questions.md"}


@pytest.mark.parametrize(
    "check",
    [
        book.check_equations,
        book.check_index,
        book.check_references,
        book.check_public_names,
        book.check_docstrings,
        book.check_proportion,
    ],
)
def test_the_book_is_whole(check):
    assert list(check()) == []


# -- a made-up book of three chapters, the middle one with everything that a chapter may
# hold

TEXT = r"""---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# A chapter

$$y = x \tag{3.1}$$

+++

Another cell.

```{code-cell} ipython3
print("a")
```

```{code-cell} ipython3
:tags: [raises-exception]

import base64, sys
from IPython.display import display
picture = {
    "image/png": base64.b64encode(b"\x89PNG").decode(),
    "application/vnd.jupyter.widget-view+json": {"model_id": "1"},
}
display(picture, metadata={"image/png": {"alt": "nothing"}}, raw=True)
```
"""
PLAIN = "# Plain\n\n```{code-cell} ipython3\n1 + 1\n```\n"


@pytest.fixture
def text(tmp_path):
    """The text of the middle chapter, beside its notebook, which looks as if it had
    been run.
    """
    for name, source in {
        "02_before.md": PLAIN,
        "03_middle.md": TEXT,
        "10_after.md": PLAIN,
    }.items():
        (tmp_path / name).write_text(source, encoding="utf-8")
    text = tmp_path / "03_middle.md"
    notebook = book.assemble(text)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for count, cell in enumerate(code, start=1):
        cell.execution_count = count
    data = {
        "image/png": base64.b64encode(b"\x89PNG").decode(),
        book.WIDGET: {"model_id": "1"},
    }
    code[2].outputs = [
        nbformat.v4.new_output(
            "display_data", data=data, metadata={"image/png": {"alt": "nothing"}}
        )
    ]
    book.strip(notebook)
    book.write(notebook, text.with_suffix(".ipynb"))
    return text


def stored(text):
    return nbformat.read(text.with_suffix(".ipynb"), as_version=4)


def spoil(text, change):
    """The problems of the chapter after `change(notebook)`."""
    notebook = stored(text)
    change(notebook)
    book.write(notebook, text.with_suffix(".ipynb"))
    return list(book.problems(text))


def test_shared_cells_are_generated(text):
    assert list(book.problems(text)) == []
    cells = stored(text).cells
    assert [cell.id for cell in cells] == [f"cell-{i:02d}" for i in range(7)]
    links = [
        "[← 02 before](02_before.ipynb)",
        "[contents](../README.md)",
        "[symbols](symbols.md)",
        "[10 after →](10_after.ipynb)",
    ]
    assert cells[0].source == cells[-1].source == " · ".join(links)
    assert cells[3].cell_type == "code"
    assert cells[3].metadata.tags == ["setup"]
    assert book.WIDGET not in cells[5].outputs[0].data


def test_the_text_may_bring_shared_cells_along_and_need_no_header(text):
    whole = book.assemble(text)
    headless = (
        TEXT.split("---\n", 2)[2]
        + "\n```{code-cell} ipython3\n:tags: [setup]\n\nold()\n```\n"
    )
    text.write_text(headless, encoding="utf-8")
    assert [cell.source for cell in book.assemble(text).cells] == [
        cell.source for cell in whole.cells
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda nb: nb.cells[1].update(source="# Another"),
            "text and notebook differ, first in the text's cell 0",
        ),
        (
            lambda nb: nb.cells[4].metadata.update(tags=["nbval-skip"]),
            "text and notebook differ, first in the text's cell 2",
        ),
        (lambda nb: nb.cells.pop(5), "the text has 4 cells and the notebook 3"),
        (
            lambda nb: nb.cells[0].update(source="previous"),
            "the navigation at the top is missing",
        ),
        (lambda nb: nb.cells.pop(), "the navigation at the end is missing"),
        (
            lambda nb: nb.cells[3].update(source="%pip install sr3mini"),
            "the set-up cell is missing",
        ),
        (lambda nb: nb.cells.insert(4, nb.cells.pop(3)), "the set-up cell is missing"),
        (
            lambda nb: nb.cells.insert(
                2, nbformat.from_dict({**nb.cells[0], "id": "again"})
            ),
            "a shared cell is there more than once",
        ),
        (
            lambda nb: nb.cells[4].update(execution_count=None),
            "execution counts are [1, None, 3], not 1…3",
        ),
        (
            lambda nb: nb.cells[4].update(execution_count=7),
            "execution counts are [1, 7, 3], not 1…3",
        ),
        (lambda nb: nb.metadata.update(widgets={}), "metadata.widgets is stored"),
        (
            lambda nb: nb.cells[5].outputs[0].data.update({book.WIDGET: {}}),
            "cell 5 stores a live widget",
        ),
        (
            lambda nb: nb.cells[5].outputs[0].metadata.clear(),
            "cell 5 has a picture without alt text",
        ),
        (
            lambda nb: nb.cells[5].outputs[0].metadata["image/png"].update(alt=" "),
            "cell 5 has a picture without alt text",
        ),
        (
            lambda nb: (
                nb.cells[5].outputs[0].data.update({"image/png": "A" * 1_000_001})
            ),
            "the notebook is 1.0 MB",
        ),
    ],
)
def test_check_names_the_fault(text, change, said):
    found = spoil(text, change)
    assert any(said in problem for problem in found), found


def test_check_names_a_missing_half(text):
    text.with_suffix(".ipynb").unlink()
    assert "it has a text but no notebook" in next(book.problems(text))
    lonely = text.with_name("04_lonely.md")
    book.write(nbformat.v4.new_notebook(), lonely.with_suffix(".ipynb"))
    assert "no text 04_lonely.md" in next(book.problems(lonely))


def test_sync_runs_strips_and_repeats_itself(text):
    before = stored(text)
    book.sync(text)
    once = text.with_suffix(".ipynb").read_bytes()
    book.sync(text)
    assert text.with_suffix(".ipynb").read_bytes() == once
    assert list(book.problems(text)) == []
    after = stored(text)
    assert after.cells[4].outputs == [
        nbformat.v4.new_output("stream", name="stdout", text="a\n")
    ]
    assert after.cells[5].outputs == before.cells[5].outputs


def test_the_text_wins_and_a_failing_cell_stores_nothing(text):
    spoil(text, lambda nb: nb.cells[1].update(source="# Edited in the notebook"))
    before = text.with_suffix(".ipynb").read_bytes()
    text.write_text(TEXT.replace('print("a")', "1 / 0"), encoding="utf-8")
    with pytest.raises(book.CellExecutionError, match="ZeroDivisionError"):
        book.sync(text)
    assert text.with_suffix(".ipynb").read_bytes() == before
    text.write_text(TEXT, encoding="utf-8")
    book.sync(text)
    assert stored(text).cells[1].source == "# A chapter\n\n$$y = x \\tag{3.1}$$"


def test_a_new_chapter_renews_its_neighbours_navigation(text):
    (text.parent / "04_new.md").write_text(PLAIN, encoding="utf-8")
    assert sum("navigation" in problem for problem in book.problems(text)) == 2
    book.refresh_shared(text)
    assert list(book.problems(text)) == []
    assert stored(text).cells[0].source.endswith("[04 new →](04_new.ipynb)")


# -- the set-up cell


def test_setup_cell_is_short_silent_and_does_nothing_here(text):
    source = stored(text).cells[3].source
    assert source.count("\n") < 12
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", source],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize(
    ("address", "variable", "wanted"),
    [
        (
            "",
            "https://host/sr3mini.git",
            "sr3mini[book] @ git+https://host/sr3mini.git",
        ),
        ("https://host/a.git", "", "sr3mini[book] @ git+https://host/a.git"),
        (
            "https://host/a.git",
            "git+https://host/b.git",
            "sr3mini[book] @ git+https://host/b.git",
        ),
        (
            "",
            "clone",
            "{folder}/clone[book]",
        ),  # made absolute: pip takes a bare word for a package of that name
    ],
)
def test_setup_cell_asks_pip_for(tmp_path, monkeypatch, address, variable, wanted):
    (tmp_path / "clone").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(book, "ADDRESS", address)
    monkeypatch.setenv("SR3MINI_ADDRESS", variable)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    calls = []
    monkeypatch.setattr(subprocess, "run", lambda command, check: calls.append(command))
    exec(book._setup().source, {})
    assert calls == [
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            wanted.format(folder=tmp_path),
        ]
    ]


def test_setup_cell_without_any_address_says_what_to_do(monkeypatch):
    monkeypatch.setattr(book, "ADDRESS", "")
    monkeypatch.delenv("SR3MINI_ADDRESS", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        RuntimeError,
        match=r"clone its repository and run `make lab`, or set SR3MINI_ADDRESS",
    ):
        exec(book._setup().source, {})


# -- equations

ENTRY = """["3.1"]
function = "sr3mini.forward.gamma_pdf"
test = "tests/test_made_up.py::test_it"
what = "an identity"
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("", "", None),
        (ENTRY, "", "(3.1) is in a chapter but not in equations.toml"),
        ("3.1", "3.2", "(3.2) is in equations.toml but in no chapter"),
        (
            "gamma_pdf",
            "gamma_pfd",
            "the function sr3mini.forward.gamma_pfd cannot be imported",
        ),
        (
            "sr3mini.forward.gamma_pdf",
            "sr3mini.backward.gamma_pdf",
            "the function sr3mini.backward.gamma_pdf cannot be imported",
        ),
        (
            "::test_it",
            "::test_that",
            "the test tests/test_made_up.py::test_that does not exist",
        ),
        (
            "::test_it",
            "::helper",
            "the test tests/test_made_up.py::helper does not exist",
        ),
        (
            "test_made_up",
            "test_gone",
            "the test tests/test_gone.py::test_it does not exist",
        ),
        (
            'what = "an identity"\n',
            "",
            "an entry has the keys function, test and what, not function, test",
        ),
    ],
)
def test_registry_has_no_orphans(text, old, new, said):
    folder = text.parent
    (folder / "tests").mkdir()
    (folder / "tests" / "test_made_up.py").write_text(
        "def test_it():\n    pass\n\n\ndef helper():\n    pass\n", encoding="utf-8"
    )
    (folder / "equations.toml").write_text(ENTRY.replace(old, new), encoding="utf-8")
    found = list(book.check_equations(folder, folder, folder / "equations.toml"))
    assert found == [] if said is None else any(said in problem for problem in found), (
        found
    )


def test_registry_wants_each_tag_once(text):
    (text.parent / "equations.toml").write_text("", encoding="utf-8")
    (text.parent / "10_after.md").write_text(
        PLAIN + "\n$$y = x \\tag{3.1}$$\n", encoding="utf-8"
    )
    assert any(
        "(3.1) is tagged 2 times" in problem
        for problem in book.check_equations(
            text.parent, text.parent, text.parent / "equations.toml"
        )
    )


# -- references, index, and the package in the book


def with_words(text, words):
    """The made-up book with these words at the end of its middle chapter, a README that
    plans chapters 2, 3 and 10, and a page of symbols.
    """
    folder = text.parent
    text.write_text(
        TEXT.replace("# A chapter", "# A chapter\n\n## 3.1 The first part")
        + "\n"
        + words
        + "\n",
        encoding="utf-8",
    )
    (folder / "README.md").write_text(
        "| 2 | before |\n| 3 | middle |\n| 10 | after |\n", encoding="utf-8"
    )
    (folder / "equations.toml").write_text(ENTRY, encoding="utf-8")
    (folder / "symbols.md").write_text(
        f"# Symbols\n\n{book.BEGIN}\n{book.END}\n", encoding="utf-8"
    )
    return folder


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            (
                "See chapter 2, chapters 2 and 10, section 3.1, equation (3.1), and"
                " [there](03_middle.ipynb#3.1-The-first-part)."
            ),
            None,
        ),
        ("Numbers are no references: $f(0.5)$ and `f(0.5)`.", None),
        ("See chapter 4.", "there is no chapter 4"),
        ("See chapters 2, 5 and 10.", "there is no chapter 5"),
        ("See section 3.2.", "there is no section 3.2"),
        ("By (3.7), this holds.", "there is no equation (3.7)"),
        ("See [here](04_gone.ipynb).", "the link to 04_gone.ipynb leads nowhere"),
        (
            "See [here](03_middle.ipynb#3.1-The-last-part).",
            "has no heading for the link to #3.1-The-last-part",
        ),
    ],
)
def test_references_are_followed(text, words, said):
    folder = with_words(text, words)
    found = list(book.check_references(folder, folder))
    assert found == [] if said is None else any(said in problem for problem in found), (
        found
    )


def test_references_of_the_pages_beside_the_chapters_are_followed_too(text):
    folder = with_words(text, "")
    words = (
        "See chapter 3 and [there](03_middle.ipynb#3.1-The-first-part).\n\n```\nrun"
        " (9.9)\n```\n"
    )
    (folder / "questions.md").write_text(
        f"# Questions\n\n## 1. Why?\n\n{words}", encoding="utf-8"
    )
    assert list(book.check_references(folder, folder)) == []
    (folder / "questions.md").write_text(
        "# Questions\n\n## 1. Why?\n\nSee section 3.9 and [there](04_gone.ipynb).\n",
        encoding="utf-8",
    )
    assert list(book.check_references(folder, folder)) == [
        "questions.md: there is no section 3.9",
        "questions.md: the link to 04_gone.ipynb leads nowhere",
    ]


def test_the_index_names_equations_places_and_functions_and_knows_when_it_is_old(text):
    folder = with_words(text, "")
    assert len(list(book.check_index(folder, folder / "equations.toml"))) == 1
    book.write_index(folder, folder / "equations.toml")
    assert list(book.check_index(folder, folder / "equations.toml")) == []
    assert (
        "| [(3.1)](03_middle.ipynb#3.1-The-first-part) | an identity |"
        " `forward.gamma_pdf` |" in (folder / "symbols.md").read_text(encoding="utf-8")
    )
    assert list(book.check_references(folder, folder)) == []
    (folder / "equations.toml").write_text(
        ENTRY.replace("identity", "equality"), encoding="utf-8"
    )
    assert len(list(book.check_index(folder, folder / "equations.toml"))) == 1


def test_a_public_function_that_the_book_never_names_is_found(text):
    folder = with_words(text, "")
    missing = list(book.check_public_names(folder))
    assert "sr3mini.forward.gamma_pdf appears in no chapter" in missing
    assert "sr3mini.schedule.NoiseSchedule.linear appears in no chapter" in missing
    with_words(
        text,
        "Prose about linear things and gamma_pdf does not count; `gamma_pdf` and"
        " `NoiseSchedule.linear(…)` do.",
    )
    assert set(missing) - set(book.check_public_names(folder)) == {
        "sr3mini.forward.gamma_pdf appears in no chapter",
        "sr3mini.schedule.NoiseSchedule appears in no chapter",
        "sr3mini.schedule.NoiseSchedule.linear appears in no chapter",
    }


def test_a_docstring_that_refers_to_no_equation_is_found(text):
    folder = with_words(text, "")
    (folder / "sr3mini").mkdir()
    (folder / "sr3mini" / "room.py").write_text(
        '"""As (tag 3.1) and (tag 3.9) say."""', encoding="utf-8"
    )
    assert list(book.check_docstrings(folder, folder / "sr3mini")) == [
        "sr3mini/room.py refers to equation (3.9), which no chapter has"
    ]


# -- the command


def test_command_says_what_is_wrong_and_exits_with_1(text, monkeypatch, capsys):
    monkeypatch.setattr(book, "CHAPTERS", text.parent)
    monkeypatch.setattr(book.texts, "__defaults__", (text.parent,))
    assert book.main(["check", "03_middle"]) == 0
    spoil(text, lambda nb: nb.cells[1].update(source="# Another"))
    assert book.main(["check", f"chapters/{text.name}"]) == 1
    assert capsys.readouterr().err.startswith("03_middle: text and notebook differ")
    with pytest.raises(
        SystemExit,
        match=r"there is no chapter 04_more; there are: 02_before, 03_middle, 10_after",
    ):
        book.main(["check", "04_more"])


def test_formulas_code_and_the_targets_of_links_are_no_prose(tmp_path):
    text = tmp_path / "04_few.md"
    lines = [
        "# One two",
        "Three $x = y$ [four](five.md#six) `seven` don't.",
        "$$\neight\n$$",
        "```\nnine\n```",
        "A well-known 3×3 γ_T.",
        "```{code-cell} ipython3\nten = 10\n```",
    ]
    text.write_text("\n\n".join(lines), encoding="utf-8")
    # One two Three four don't A well-known γ T
    assert book.prose(text) == 9


def test_a_chapter_that_is_too_long_or_numbers_too_much_is_named(text):
    folder = text.parent
    enough = (1000, 1000, 1000)
    assert list(book.check_proportion(folder, enough, 3000)) == []
    words = book.prose(text)
    (said,) = book.check_proportion(folder, (1000, words - 1, 1000), 3000)
    assert said == f"03_middle.md has {words} words of prose; at most {words - 1}"
    (said,) = book.check_proportion(folder, enough, 1)
    assert said.endswith("words of prose; at most 1")
    equations = "".join(f"$$\nx\n\\tag{{3.{n}}}\n$$\n\n" for n in range(1, 12))
    text.write_text(PLAIN + equations, encoding="utf-8")
    (said,) = book.check_proportion(folder, enough, 3000)
    assert said.startswith("03_middle.md numbers 11 equations; at most 10")
