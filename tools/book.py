"""The two halves of every chapter, kept together: NN_name.md, the text that people
edit, and NN_name.ipynb, the same with outputs. Deep dives, deeper/x_name, likewise.

    python tools/book.py sync [NN_name ...]   text -> notebook: add the shared cells,
                                              run it, drop what changes from run to run
    python tools/book.py check [NN_name ...]  say what is wrong with the stored
                                              notebooks; exit with 1 if anything is
    python tools/book.py index                write the index of equations into
                                              symbols.md
    python tools/book.py words                words of prose, equations and cells of
                                              each chapter, beside its budget

The text always wins: an edit made in the .ipynb is lost at the next sync. (File times
are never looked at: a checkout sets them at random.) The shared cells, that is the
navigation at both ends and the set-up before the first code, are not in the text at
all. They are generated here, and carry the tags "nav" and "setup".
"""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import os
import pkgutil
import re
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

CHAPTERS = Path(__file__).resolve().parent.parent / "chapters"
REGISTRY = Path(__file__).resolve().with_name("equations.toml")
ADDRESS = ""  # where the project is published, as git knows it: https://…/sr3mini.git

SETUP = """\
# Installs sr3mini in Colab and other bare environments, and does nothing elsewhere.
import importlib.util, os, subprocess, sys
if not importlib.util.find_spec("sr3mini"):
    place = os.path.expanduser(os.environ.get("SR3MINI_ADDRESS") or "ADDRESS")
    if not (place := place.removeprefix("git+")):
        raise RuntimeError("sr3mini is not installed: clone its repository and run "
            "`make lab`, or set SR3MINI_ADDRESS to its address or to a local clone.")
    local = os.path.isdir(place) and f"{os.path.abspath(place)}[book]"
    wanted = local or f"sr3mini[book] @ git+{place}"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", wanted]
    subprocess.run(pip, check=True)
    importlib.invalidate_caches()"""

SHARED = {"nav", "setup"}
WIDGET = "application/vnd.jupyter.widget-view+json"
ROOMS = (
    *(
        "schedule",
        "forward",
        "degrade",
        "oracle",
        "unet",
        "loss",
        "sampler",
        "metrics",
    ),  # what the book explains
    *(
        "data",
        "data.batches",
        "model.preset",
        "model.network",
        "model.checkpoint",
        "training.plan",
        "training.learn",
    ),
)
PAGES = ("symbols.md", "questions.md")
# around the index in symbols.md
BEGIN, END = (
    "<!-- equations: begin -->",
    "<!-- equations: end -->",
)
_TAG = re.compile(r"\\tag\{([^{}]*)\}")
NUMBER = r"(?:\d+|[A-K])\.\d+"  # of an equation, a section, an exercise: 3.2, D.1
BUDGETS = (1400, 1800, 1300, 1600, 1500, 1700, 1900, 2000, 1500, 2000)  # words
BUDGET = 16_000  # words of the ten chapters together
MOST_EQUATIONS = 10  # numbered, in a chapter
LARGEST = 1_000_000  # bytes: more than that, and pages that show notebooks give up
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {
        "name": "python",
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "pygments_lexer": "ipython3",
    },
}


# -- text -> notebook


def texts(folder: Path = CHAPTERS) -> list[Path]:
    """The texts of the ten chapters, in order, and of the deep dives."""
    return [*main_line(folder), *sorted(folder.glob("deeper/[a-z]_*.md"))]


def main_line(folder: Path = CHAPTERS) -> list[Path]:
    """The chapters' texts, in the order of their numbers."""
    return sorted(folder.glob("[0-9][0-9]_*.md"))


def number(text: Path) -> str:
    """ "3" of 03_name.md, "D" of d_name.md."""
    name = text.stem.partition("_")[0]
    return str(int(name)) if name.isdigit() else name.upper()


def pages(folder: Path = CHAPTERS) -> list[Path]:
    """The pages beside the chapters, which are no notebooks: symbols, questions."""
    return [folder / name for name in PAGES if (folder / name).exists()]


def assemble(text: Path) -> NotebookNode:
    """The notebook that a text stands for, with shared cells and without outputs."""
    cells = [
        cell
        for cell in jupytext.read(text, fmt="md:myst").cells
        if not _is_shared(cell)
    ]
    code = next(
        (i for i, cell in enumerate(cells) if cell.cell_type == "code"), len(cells)
    )
    cells = [_nav(text), *cells[:code], _setup(), *cells[code:], _nav(text)]
    for position, cell in enumerate(cells):
        cell.id = (  # new random names at each run would be noise in the history
            f"cell-{position:02d}"
        )
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=METADATA)
    nbformat.validate(notebook)
    return notebook


def _is_shared(cell: NotebookNode) -> bool:
    return bool(SHARED & set(cell.metadata.get("tags", [])))


def _nav(text: Path) -> NotebookNode:
    if text.parent.name == "deeper":
        links = ["[contents](../../README.md)", "[symbols](../symbols.md)"]
        words = " · ".join(["deep dive, beside the main line", *links])
        return nbformat.v4.new_markdown_cell(words, metadata={"tags": ["nav"]})
    chapters = main_line(text.parent)
    here = chapters.index(text)
    links = ["[contents](../README.md)", "[symbols](symbols.md)"]
    if here > 0:
        links.insert(
            0, f"[← {_title(chapters[here - 1])}]({chapters[here - 1].stem}.ipynb)"
        )
    if here + 1 < len(chapters):
        links.append(
            f"[{_title(chapters[here + 1])} →]({chapters[here + 1].stem}.ipynb)"
        )
    return nbformat.v4.new_markdown_cell(" · ".join(links), metadata={"tags": ["nav"]})


def _title(text: Path) -> str:
    return text.stem.replace("_", " ")


def _setup() -> NotebookNode:
    return nbformat.v4.new_code_cell(
        SETUP.replace('"ADDRESS"', f'"{ADDRESS}"'),
        # folded: in JupyterLab by the first, in Colab by its form view
        metadata={
            "tags": ["setup"],
            "jupyter": {"source_hidden": True},
            "cellView": "form",
        },
    )


# -- sync


def sync(text: Path) -> None:
    """Write the notebook of a text, with the outputs of a fresh run. Nothing is written
    when a cell fails.
    """
    notebook = assemble(text)
    execute(notebook, text.parent)
    strip(notebook)
    write(notebook, text.with_suffix(".ipynb"))


def execute(notebook: NotebookNode, folder: Path) -> None:
    """Run every cell in order, in the chapter's folder, on a kernel started for it."""
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=600,
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
        extra_arguments=[
            "--log-level=ERROR"
        ],  # newer kernels warn of unencrypted talk within one machine
    )
    client.execute()


def strip(notebook: NotebookNode) -> None:
    """Drop what differs from run to run, and the live half of every widget that stores
    a still picture as well.
    """
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output.data.pop(WIDGET, None)


def write(notebook: NotebookNode, path: Path) -> None:
    """Written beside its place and renamed, so never half."""
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    beside.replace(path)


def refresh_shared(text: Path) -> None:
    """Renew the shared cells of a stored notebook without running it: their outputs are
    empty whatever they say.
    """
    path = text.with_suffix(".ipynb")
    if not path.exists():
        return
    notebook, wanted = nbformat.read(path, as_version=4), assemble(text)
    stale = False
    for cell, want in zip(_shared(notebook), _shared(wanted), strict=False):
        stale |= cell.source != want.source
        cell.source = want.source
    if stale:
        write(notebook, path)


def _shared(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if _is_shared(cell)]


# -- check: each function yields one sentence for each thing that is wrong


def problems(text: Path) -> Iterator[str]:
    """Everything wrong with the stored notebook of one chapter."""
    path = text.with_suffix(".ipynb")
    if not text.exists():
        yield f"it has a notebook but no text {text.name}"
    elif not path.exists():
        yield f"it has a text but no notebook; run `make sync CHAPTERS={text.stem}`"
    else:
        notebook, wanted = nbformat.read(path, as_version=4), assemble(text)
        yield from check_text(notebook, wanted)
        yield from check_shared(notebook, wanted)
        yield from check_counts(notebook)
        yield from check_widgets(notebook)
        yield from check_alt_text(notebook)
        yield from check_size(path)


def check_text(notebook: NotebookNode, wanted: NotebookNode) -> Iterator[str]:
    """The author's cells are those of the text, word for word. One sentence: later
    cells may only have been shifted.
    """
    stored = [_essence(cell) for cell in notebook.cells if not _is_shared(cell)]
    text = [_essence(cell) for cell in wanted.cells if not _is_shared(cell)]
    for position, (in_notebook, in_text) in enumerate(zip(stored, text, strict=False)):
        if in_notebook != in_text:
            yield (
                f"text and notebook differ, first in the text's cell {position}, which"
                f" begins {in_text[1][:60]!r}; run `make sync`"
            )
            return
    if len(stored) != len(text):
        yield (
            f"the text has {len(text)} cells and the notebook {len(stored)}; run `make"
            " sync`"
        )


def _essence(cell: NotebookNode) -> tuple[str, str, dict]:
    return cell.cell_type, cell.source, dict(cell.metadata)


def check_shared(notebook: NotebookNode, wanted: NotebookNode) -> Iterator[str]:
    """Navigation first and last, set-up as the first code cell, each as generated."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    places = {
        "the navigation at the top": (notebook.cells[:1], _shared(wanted)[0]),
        "the set-up cell": (code[:1], _shared(wanted)[1]),
        "the navigation at the end": (notebook.cells[-1:], _shared(wanted)[-1]),
    }
    for what, (found, want) in places.items():
        if [_essence(cell) for cell in found] != [_essence(want)]:
            yield f"{what} is missing or not as book.py writes it; run `make sync`"
    if len(_shared(notebook)) > 3:
        yield "a shared cell is there more than once; run `make sync`"


def check_counts(notebook: NotebookNode) -> Iterator[str]:
    """1, 2, … n: nbval does not compare a cell without a count, and other counts mean
    that cells ran out of order.
    """
    counts = [
        cell.execution_count for cell in notebook.cells if cell.cell_type == "code"
    ]
    if counts != list(range(1, len(counts) + 1)):
        yield (
            f"execution counts are {counts}, not 1…{len(counts)}: a cell is empty or"
            " ran out of order"
        )


def check_widgets(notebook: NotebookNode) -> Iterator[str]:
    """Stored widget state makes some viewers refuse a notebook; a stored live view
    shows nothing without a kernel.
    """
    if "widgets" in notebook.metadata:
        yield "metadata.widgets is stored; run `make sync`"
    for position, output in _outputs(notebook):
        if WIDGET in output.get("data", {}):
            yield (
                f"cell {position} stores a live widget; show it together with an"
                " image/png of the same, which is what gets stored"
            )


def check_alt_text(notebook: NotebookNode) -> Iterator[str]:
    """Every picture says in words what it shows."""
    for position, output in _outputs(notebook):
        for kind in output.get("data", {}):
            if (
                kind.startswith("image/")
                and not output.get("metadata", {}).get(kind, {}).get("alt", "").strip()
            ):
                yield (
                    f"cell {position} has a picture without alt text:"
                    f" metadata[{kind!r}]['alt'] is missing"
                )


def _outputs(notebook: NotebookNode) -> Iterator[tuple[int, NotebookNode]]:
    for position, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            yield position, output


def check_size(path: Path) -> Iterator[str]:
    size = path.stat().st_size
    if size > LARGEST:
        yield (
            f"the notebook is {size / 1e6:.1f} MB; at most {LARGEST / 1e6:.0f} MB, so"
            " make its figures fewer or smaller"
        )


# -- the book as a whole


def whole_book() -> Iterator[str]:
    """Everything wrong with what chapters share and refer to."""
    for check in (
        check_equations,
        check_index,
        check_references,
        check_public_names,
        check_docstrings,
        check_proportion,
    ):
        yield from check()


# -- equations


def check_equations(
    folder: Path = CHAPTERS, root: Path = CHAPTERS.parent, registered: Path = REGISTRY
) -> Iterator[str]:
    r"""Every \tag{N.M} of a chapter has an entry in equations.toml, every entry a tag,
    a function and a test.
    """
    registry = tomllib.loads(registered.read_text(encoding="utf-8"))
    seen = Counter(tag for text in texts(folder) for tag in tags(text))
    for tag, count in seen.items():
        if tag not in registry:
            yield f"equation ({tag}) is in a chapter but not in equations.toml"
        if count > 1:
            yield (
                f"equation ({tag}) is tagged {count} times; refer to an equation by"
                " (N.M), and tag it once"
            )
    for tag, entry in registry.items():
        if tag not in seen:
            yield f"equation ({tag}) is in equations.toml but in no chapter"
        if set(entry) != {"function", "test", "what"}:
            yield (
                f"equation ({tag}): an entry has the keys function, test and what, not"
                f" {', '.join(sorted(entry)) or 'none'}"
            )
            continue
        if not _is_function(entry["function"]):
            yield (
                f"equation ({tag}): the function {entry['function']} cannot be imported"
            )
        if not _is_test(entry["test"], root):
            yield f"equation ({tag}): the test {entry['test']} does not exist"


def tags(text: Path) -> list[str]:
    """The tags of a text's equations, as often as they occur."""
    cells = jupytext.read(text, fmt="md:myst").cells
    return [
        tag
        for cell in cells
        if cell.cell_type == "markdown"
        for tag in _TAG.findall(cell.source)
    ]


def _is_function(name: str) -> bool:
    try:
        return callable(pkgutil.resolve_name(name))
    except (ImportError, AttributeError, ValueError):
        return False


def _is_test(name: str, root: Path) -> bool:
    """tests/test_file.py::test_name, found by reading the file, not by running it."""
    file, _, function = name.partition("::")
    if not function.startswith("test") or not (root / file).is_file():
        return False
    tree = ast.parse((root / file).read_text(encoding="utf-8"))
    return any(
        isinstance(node, ast.FunctionDef) and node.name == function
        for node in tree.body
    )


def index(folder: Path = CHAPTERS, registered: Path = REGISTRY) -> str:
    """The index of equations, a row a tag: where it stands, what it says, and the
    function that computes it.
    """
    registry = tomllib.loads(registered.read_text(encoding="utf-8"))
    places = {
        tag: (text, heading)
        for text in texts(folder)
        for heading, body in sections(text)
        for tag in _TAG.findall(body)
    }
    rows = ["| equation | says | computed by |", "|---|---|---|"]
    for tag in sorted(places, key=_place):
        text, heading = places[tag]
        entry = registry.get(tag, {"what": "", "function": ""})
        rows.append(
            f"| [({tag})]({text.relative_to(folder).with_suffix('.ipynb')}"
            f"#{anchor(heading)}) | {entry['what']} |"
            f" `{entry['function'].removeprefix('sr3mini.')}` |"
        )
    return "\n".join(rows)


def _place(tag: str) -> tuple[bool, int, int]:
    """Where a tag stands in the index: chapters before deep dives."""
    of, _, place = tag.partition(".")
    return not of.isdigit(), int(of) if of.isdigit() else ord(of[0]), int(place)


def write_index(folder: Path = CHAPTERS, registered: Path = REGISTRY) -> None:
    """Put the index of equations between the marks of symbols.md."""
    page = folder / "symbols.md"
    before, after = (
        page.read_text(encoding="utf-8").split(BEGIN)[0],
        page.read_text(encoding="utf-8").split(END)[1],
    )
    page.write_text(
        f"{before}{BEGIN}\n{index(folder, registered)}\n{END}{after}", encoding="utf-8"
    )


def check_index(folder: Path = CHAPTERS, registered: Path = REGISTRY) -> Iterator[str]:
    """The index in symbols.md is the one that would be written now."""
    if f"{BEGIN}\n{index(folder, registered)}\n{END}" not in (
        folder / "symbols.md"
    ).read_text(encoding="utf-8"):
        yield (
            "the index of equations in symbols.md is out of date; run `python"
            " tools/book.py index`"
        )


# -- proportion


def prose(text: Path) -> int:
    """The words of a text that a reader reads: formulas, code and links' targets do
    not count.
    """
    words = "\n".join(
        cell.source
        for cell in jupytext.read(text, fmt="md:myst").cells
        if cell.cell_type == "markdown"
    )
    words = re.sub(r"```.*?```|\$\$.*?\$\$|\$[^$]*\$", " ", words, flags=re.DOTALL)
    words = re.sub(r"\]\([^)]*\)|`[^`]*`|<[^>]*>", " ", words)
    return len(re.findall(r"[^\W\d_]+(?:['’-][^\W\d_]+)*", words))


def check_proportion(
    folder: Path = CHAPTERS, budgets: tuple[int, ...] = BUDGETS, whole: int = BUDGET
) -> Iterator[str]:
    """The ten chapters keep to their words, and to ten numbered equations each."""
    line = main_line(folder)
    for text, budget in zip(line, budgets, strict=True):
        if (words := prose(text)) > budget:
            yield f"{text.name} has {words:,} words of prose; at most {budget:,}"
        if (count := len(tags(text))) > MOST_EQUATIONS:
            yield (
                f"{text.name} numbers {count} equations; at most {MOST_EQUATIONS}, so"
                " move some into a deep dive, or number fewer"
            )
    if (words := sum(map(prose, line))) > whole:
        yield f"the chapters have {words:,} words of prose; at most {whole:,}"


def _counts(chapters: list[Path]) -> Iterator[str]:
    """A line a chapter, and one for the main line."""
    yield f"{'':28} {'words':>7} {'budget':>7} {'equations':>10} {'code cells':>11}"
    line = dict(zip(main_line(), BUDGETS, strict=False))
    for text in chapters:
        cells = jupytext.read(text, fmt="md:myst").cells
        code = sum(cell.cell_type == "code" for cell in cells)
        budget = f"{line[text]:,}" if text in line else "–"
        numbered = len(tags(text))
        yield f"{text.stem:28} {prose(text):7,} {budget:>7} {numbered:10} {code:11}"
    words = sum(prose(text) for text in line)
    yield f"{'the ten chapters':28} {words:7,} {BUDGET:7,}"


# -- references: chapters, sections, equations, pages


def sections(text: Path) -> list[tuple[str, str]]:
    """Each heading of a text with the words and formulas below it, code left out."""
    words = "\n".join(
        cell.source
        for cell in jupytext.read(text, fmt="md:myst").cells
        if cell.cell_type == "markdown"
    )
    _, *parts = re.split(r"^#+ +(.*)$", words, flags=re.MULTILINE)
    return list(zip(parts[::2], parts[1::2], strict=True))


def anchor(heading: str) -> str:
    """What a link to a heading ends with, in JupyterLab and in our pages; what would
    end a link or a table's cell is encoded.
    """
    return re.sub(
        r"[()|]", lambda sign: f"%{ord(sign[0]):X}", heading.strip().replace(" ", "-")
    )


def check_references(
    folder: Path = CHAPTERS, root: Path = CHAPTERS.parent
) -> Iterator[str]:
    """Every "chapter 3", "section 3.5", "(3.2)" and link of a text leads somewhere."""
    planned = {
        *re.findall(
            r"^\| (\d+|[A-K]) \|",
            (root / "README.md").read_text(encoding="utf-8"),
            re.MULTILINE,
        )
    }
    headings = {
        text: [heading for heading, _ in sections(text)] for text in texts(folder)
    }
    numbered = {heading.split()[0] for known in headings.values() for heading in known}
    tagged = {tag for text in texts(folder) for tag in tags(text)}
    for text in [*texts(folder), *pages(folder)]:
        written = "\n".join(f"{heading}\n{body}" for heading, body in sections(text))
        words = re.sub(
            r"```.*?```|\$\$.*?\$\$|\$[^$]*\$|`[^`]*`", " ", written, flags=re.DOTALL
        )
        for found in re.findall(
            r"[Cc]hapter \d+|[Cc]hapters \d+(?:(?:–|, | and | to )\d+)*"
            r"|[Dd]ives? [A-K](?:(?:–|, | and | to )[A-K])*\b",
            words,
        ):
            yield from (
                f"{text.name}: there is no chapter {number}"
                for number in re.findall(r"\d+|\b[A-K]\b", found)
                if number not in planned
            )
        for number in re.findall(rf"[Ss]ections? ({NUMBER})", words):
            if number not in numbered:
                yield f"{text.name}: there is no section {number}"
        for tag in re.findall(rf"\(({NUMBER})\)", words):
            if tag not in tagged:
                yield f"{text.name}: there is no equation ({tag})"
        yield from (
            f"{text.name}: {problem}" for problem in broken_links(written, text.parent)
        )


def broken_links(words: str, folder: Path) -> Iterator[str]:
    """The links between files of the book that lead to no file or no heading of it."""
    for target in re.findall(r"\]\(([^)\s]+)\)", words):
        file, _, place = target.partition("#")
        if re.match(r"https?://|mailto:", target):
            continue
        if file and not (folder / file).exists():
            yield f"the link to {file} leads nowhere"
        elif (
            place
            and file.endswith(".ipynb")
            and place
            not in {
                anchor(heading)
                for heading, _ in sections((folder / file).with_suffix(".md"))
            }
        ):
            yield f"{file} has no heading for the link to #{place}"


# -- the package in the book


def check_public_names(folder: Path = CHAPTERS) -> Iterator[str]:
    """Every public function of the rooms that the book explains is named in the
    book's code, or in its text `like this`.
    """
    book = "\n".join(_code(text) for text in texts(folder))
    for room in ROOMS:
        for name in public_names(importlib.import_module(f"sr3mini.{room}")):
            if not re.search(rf"\b{name.rsplit('.')[-1]}\b", book):
                yield f"sr3mini.{room}.{name} appears in no chapter"


def public_names(module: ModuleType) -> Iterator[str]:
    """Functions and classes that a room defines, and the named constructors of its
    classes.
    """
    for name, value in vars(module).items():
        if (
            not name.startswith("_")
            and getattr(value, "__module__", "") == module.__name__
            and (inspect.isfunction(value) or inspect.isclass(value))
        ):
            yield name
            if inspect.isclass(value):
                yield from (
                    f"{name}.{method}"
                    for method, kind in vars(value).items()
                    if isinstance(kind, classmethod) and method[0] != "_"
                )


def _code(text: Path) -> str:
    """What a text says in code: its code cells, and what stands between backticks in
    its words.
    """
    cells = jupytext.read(text, fmt="md:myst").cells
    return "\n".join(
        (
            cell.source
            if cell.cell_type == "code"
            else "\n".join(re.findall(r"`([^`]+)`", cell.source))
        )
        for cell in cells
    )


def check_docstrings(
    folder: Path = CHAPTERS, package: Path = CHAPTERS.parent / "sr3mini"
) -> Iterator[str]:
    """Every equation that the package's docstrings refer to is in the book."""
    tagged = {tag for text in texts(folder) for tag in tags(text)}
    for file in sorted(package.rglob("*.py")):
        for tag in re.findall(rf"\btag ({NUMBER})", file.read_text(encoding="utf-8")):
            if tag not in tagged:
                yield (
                    f"{file.relative_to(package.parent)} refers to equation ({tag}),"
                    " which no chapter has"
                )


# -- the command


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("verb", choices=["sync", "check", "index", "words"])
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NN_name",
        help="chapters; when none is named, all of them, and what they share",
    )
    given = parser.parse_args(arguments)
    chapters = _named(given.names)
    if given.verb == "sync" and not all(_sync_aloud(text) for text in chapters):
        return 1
    if given.verb == "index":
        write_index()
    if given.verb == "words":
        print("\n".join(_counts(chapters)))
        return 0
    wrong = [
        f"{text.stem}: {problem}" for text in chapters for problem in problems(text)
    ]
    if not given.names:
        wrong += [f"the book: {problem}" for problem in whole_book()]
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


def _named(names: list[str]) -> list[Path]:
    """The texts of the named chapters; 03_name, 03_name.md, chapters/03_name.ipynb all
    name one. All chapters for no names.
    """
    known = sorted(
        {
            path.with_suffix(".md")
            for path in (*texts(), *CHAPTERS.rglob("[0-9a-z]*_*.ipynb"))
        },
        key=lambda text: (text.parent.name == "deeper", text),
    )
    if not names:
        return known
    by_name = {text.stem: text for text in known}
    unknown = [name for name in names if Path(name).stem not in by_name]
    if unknown:
        raise SystemExit(
            f"there is no chapter {unknown[0]}; there are:"
            f" {', '.join(by_name) or 'none yet'}"
        )
    return [by_name[Path(name).stem] for name in names]


def _sync_aloud(text: Path) -> bool:
    if not text.exists():
        print(
            f"{text.stem}: there is no text {text.name} to make a notebook from",
            file=sys.stderr,
        )
        return False
    start = time.perf_counter()
    try:
        sync(text)
    except CellExecutionError as error:
        print(
            f"{error}\n{text.stem}: a cell failed ({error.ename}: {error.evalue}), so"
            " its notebook was left as it was",
            file=sys.stderr,
        )
        return False
    for other in texts():
        refresh_shared(other)
    print(f"{text.stem}: run and stored in {time.perf_counter() - start:.1f} s")
    return True


if __name__ == "__main__":
    # silences a notice of the kernel's debugger
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    raise SystemExit(main())
