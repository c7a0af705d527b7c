"""The book as plain pages that need no kernel and no network: build/html/index.html and
a page a chapter.

    python tools/edition.py [folder] [--places N]

Text and outputs are those of the stored notebooks. Formulas become MathML, which
browsers draw by themselves. What is there to play with is drawn here, at every place of
its controls, and edition/play.js shows the picture that belongs to where they stand.
Chapter 2's explorer has too many places for that: edition/schedules.js computes it in
the browser. `--places 3` draws three places of each control, which is enough to try the
pages out.
"""

from __future__ import annotations

import argparse
import ast
import base64
import contextlib
import html
import io
import itertools
import json
import linecache
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import book
import nbformat
import slices
from markdown_it import MarkdownIt
from markdown_it.token import Token
from math_core import LatexToMathML
from mdit_py_plugins.dollarmath import dollarmath_plugin
from nbformat import NotebookNode
from PIL import Image
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from sr3mini.book.widgets import Playable
from sr3mini.book.widgets.base import Dropdown, positions
from sr3mini.book.widgets.ch02 import ScheduleExplorer
from sr3mini.data import to_bytes

ROOT = book.CHAPTERS.parent
ASSETS = Path(__file__).resolve().parent / "edition"
PLAYED = re.compile(r"\bwidgets\.\w+\(")
# letters of LaTeX: a formula in the text may then be wider than a narrow screen, and
# scrolls
LONG = 36
MATHS = LatexToMathML()
REFERENCE = re.compile(
    rf"(?P<equation>\((?P<tag>{book.NUMBER})\))|[Ss]ection (?P<section>{book.NUMBER})"
    r"|(?:[Cc]hapter|[Dd]ive) (?P<chapter>\d+|[A-K]\b)"
)


def build(out: Path, places: int | None = None) -> None:
    """Write the whole edition into the folder `out`, which is emptied first."""
    shutil.rmtree(out, ignore_errors=True)
    (out / "images").mkdir(parents=True)
    (out / "solutions").mkdir()
    for asset in ("style.css", "play.js", "schedules.js"):
        shutil.copy(ASSETS / asset, out)
    with (out / "style.css").open("a", encoding="utf-8") as style:
        style.write(HtmlFormatter(style="default").get_style_defs("pre.code"))
    pages = Pages()
    for text in book.texts():
        if (notebook := text.with_suffix(".ipynb")).exists():
            (out / f"{text.stem}.html").write_text(
                page_of(notebook, pages, out, places), encoding="utf-8"
            )
    for solution in sorted((book.CHAPTERS / "solutions").glob("*.py")):
        body = (
            '<nav><a href="../index.html">contents</a></nav>\n'
            f"{code(solution.read_text(encoding='utf-8'))}"
        )
        (out / "solutions" / f"{solution.stem}.html").write_text(
            frame(solution.stem, body, "../"),
            encoding="utf-8",
        )
    for page in book.pages():
        body = (
            '<nav><a href="index.html">contents</a></nav>\n'
            f"{pages.render(page.read_text(encoding='utf-8'))}"
        )
        (out / f"{page.stem}.html").write_text(
            frame(page.stem.capitalize(), body), encoding="utf-8"
        )
    (out / "index.html").write_text(contents(pages, out), encoding="utf-8")


def contents(pages: Pages, out: Path) -> str:
    """The first page: title and picture of the README, and its tables as a map."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    opening = readme.split("\n## ")[0]
    shutil.copy(ROOT / "data" / "readme.png", out / "images")
    opening = opening.replace("(data/readme.png)", "(images/readme.png)")
    links = (
        "\n\nAll letters and equations: [symbols](chapters/symbols.md). What people ask"
        " most about SR3: [questions](chapters/questions.md)."
    )
    about = (
        "\n\nThese pages need no Python: what can be played with works here too. On a"
        " narrow screen a tap on a picture shows it at full size."
    )
    about += " To run and change the code, open the notebooks, as the README says."
    top, end = pages.render(opening + about + "\n\n## The book\n"), pages.render(links)
    return frame("sr3mini", f"{top}\n{map_of(readme, pages)}\n{end}")


def map_of(readme: str, pages: Pages) -> str:
    """The line of the chapters, and beside each the deep dives that go on from it."""
    row = re.compile(r"^\| (\d+|[A-K]) \| (\[.*?\)) \| (.*?) \| (.*?) \|", re.MULTILINE)
    rows = [match.groups() for match in row.finditer(readme)]
    assert rows, "the README has tables of the chapters and of the deep dives"
    line = [each for each in rows if each[0].isdigit()]
    dives = [each for each in rows if not each[0].isdigit()]
    parts = []
    for number, link, words, read in line:
        beside = "".join(
            f'<span class="dive">{name} {pages.render_line(to)}</span> '
            for name, to, after, _ in dives
            if number in after.split(", ")
        )
        parts.append(
            f'<li><span class="stop">{number}</span> <b>{pages.render_line(link)}</b>'
            f' <span class="read">{read}</span><p>{pages.render_line(words)}</p>'
            f"{beside}</li>"
        )
    return f'<ol class="map">\n{"".join(parts)}\n</ol>'


# -- pages


class Pages:
    """Turns the book's markdown into HTML, and knows where its sections and equations
    are.
    """

    def __init__(self) -> None:
        self.chapters, self.sections, self.equations = {}, {}, {}
        for text in book.texts():
            if not text.with_suffix(".ipynb").exists():
                continue
            page = f"{text.stem}.html"
            self.chapters[book.number(text)] = page
            for number, heading in re.findall(
                rf"^## ({book.NUMBER}) (.*)$",
                text.read_text(encoding="utf-8"),
                re.MULTILINE,
            ):
                self.sections[number] = (
                    f"{page}#{unquote(book.anchor(f'{number} {heading}'))}"
                )
            self.equations |= {tag: f"{page}#eq-{tag}" for tag in book.tags(text)}
        self.markdown = (
            MarkdownIt("commonmark")
            .enable("table")
            .use(dollarmath_plugin, renderer=formula, allow_labels=False)
        )

    def render(self, source: str) -> str:
        """One markdown cell. Tables get a box to scroll in, headings their ids, and
        "(3.2)", "section 3.2", "chapter 3" become links.
        """
        tokens = self.markdown.parse(source)
        for before, token in itertools.pairwise(tokens):
            if token.type != "inline":
                continue
            if before.type == "heading_open":
                before.attrSet("id", unquote(book.anchor(token.content)))
            else:
                token.children = list(self.linked(token.children or []))
            for child in token.children or []:
                if child.type == "link_open":
                    child.attrSet(
                        "href", rewritten(unquote(str(child.attrGet("href"))))
                    )
        page = self.markdown.renderer.render(tokens, self.markdown.options, {})
        return page.replace("<table>", '<div class="wide"><table>').replace(
            "</table>", "</table></div>"
        )

    def render_line(self, source: str) -> str:
        """A few words, as part of a line."""
        return self.render(source).strip().removeprefix("<p>").removesuffix("</p>")

    def linked(self, tokens: list[Token]) -> Iterator[Token]:
        """The same tokens, with a link around each reference that stands outside a
        link.
        """
        inside = 0
        for token in tokens:
            inside += token.nesting if token.type.startswith("link_") else 0
            if token.type != "text" or inside:
                yield token
                continue
            end = 0
            for match in REFERENCE.finditer(token.content):
                target = self.target(match)
                if target is None:
                    continue
                yield words(token.content[end : match.start()])
                yield Token("link_open", "a", 1, attrs={"href": target})
                yield words(match[0])
                yield Token("link_close", "a", -1)
                end = match.end()
            yield words(token.content[end:])

    def target(self, match: re.Match[str]) -> str | None:
        if match["equation"]:
            return self.equations.get(match["tag"])
        return (
            self.sections.get(match["section"])
            if match["section"]
            else self.chapters.get(match["chapter"])
        )


def words(content: str) -> Token:
    return Token("text", "", 0, content=content)


def rewritten(link: str) -> str:
    """A link between files of the repository as a link between pages."""
    if "://" in link:
        return link
    path, mark, anchor = link.partition("#")
    if path.endswith("../README.md"):
        path = "index.html"
    # chapters and deep dives lie beside each other here
    path = re.sub(r"^(chapters/|deeper/|\.\./)+", "", path)
    path = re.sub(r"\.(ipynb|md|py)$", ".html", path)
    return f"{path}{mark}{anchor}"


def formula(latex: str, options: dict[str, Any]) -> str:
    """LaTeX as MathML. The tag of a displayed equation becomes its anchor, and stands
    at the right.
    """
    tag = re.search(r"\\tag\{([^{}]*)\}", latex)
    if not options.get("display_mode"):
        maths = MATHS.convert_with_local_state(latex, displaystyle=False)
        return f'<span class="long">{maths}</span>' if len(latex) > LONG else maths
    maths = MATHS.convert_with_local_state(
        latex.replace(tag[0], "") if tag else latex, displaystyle=True
    )
    number, anchor = (
        (f'<span class="tag">({tag[1]})</span>', f' id="eq-{tag[1]}"')
        if tag
        else ("", "")
    )
    return (
        f'<div class="equation"{anchor}><div class="wide">{maths}</div>{number}</div>\n'
    )


def page_of(path: Path, pages: Pages, out: Path, places: int | None) -> str:
    """The page of a chapter, from its stored notebook."""
    cells = nbformat.read(path, as_version=4).cells
    parts, chapter = [], Chapter(path.stem, cells, out, places)
    for cell in cells:
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "markdown":
            body = pages.render(cell.source)
            parts.append(f"<nav>{body}</nav>" if "nav" in tags else body)
        elif cell.cell_type == "code" and "setup" not in tags:
            parts.append(code(cell.source))
            parts.append(
                chapter.to_play_with(cell)
                if PLAYED.search(cell.source)
                else chapter.outputs(cell)
            )
    title = next(
        re.findall(r"^# (.*)$", cell.source, re.MULTILINE)[0]
        for cell in cells
        if cell.source.startswith("# ")
    )
    return frame(title, "\n".join(parts))


def code(source: str) -> str:
    marked = highlight(source, PythonLexer(), HtmlFormatter(nowrap=True))
    return f'<pre class="code"><code>{marked}</code></pre>'


def frame(title: str, body: str, up: str = "") -> str:
    """A whole page around `body`; `up` leads to the folder of the style sheet."""
    head = (ASSETS / "page.html").read_text(encoding="utf-8")
    return (
        head.replace("{{title}}", html.escape(title))
        .replace("{{up}}", up)
        .replace("{{body}}", body)
    )


# -- outputs


class Chapter:
    """The outputs of one chapter: pictures are written into images/, and what can be
    played with is made once more.
    """

    def __init__(
        self, name: str, cells: list[NotebookNode], out: Path, places: int | None
    ) -> None:
        self.name, self.cells, self.out, self.places = name, cells, out, places
        self.space: dict[str, object] = {"__name__": "__main__"}
        self.run: set[str] = set()
        self.pictures = 0

    def outputs(self, cell: NotebookNode) -> str:
        """What the notebook stores below a cell."""
        return "\n".join(self.output(output) for output in cell.outputs)

    def output(self, output: NotebookNode) -> str:
        if output.output_type == "stream":
            return f'<pre class="output">{html.escape(output.text)}</pre>'
        if output.output_type == "error":
            return (
                f'<pre class="output">{html.escape(output.ename)}:'
                f" {html.escape(output.evalue)}</pre>"
            )
        if "text/markdown" in output.data:  # a source, in a fence
            return code(output.data["text/markdown"].split("\n", 1)[1].rstrip("`\n"))
        if "image/png" in output.data:
            png = base64.b64decode(output.data["image/png"])
            alt = output.metadata["image/png"]["alt"]
            return f"<figure>{self.picture(png, alt)}</figure>"
        return f'<pre class="output">{html.escape(output.data["text/plain"])}</pre>'

    def picture(self, png: bytes, alt: str) -> str:
        with Image.open(io.BytesIO(png)) as opened:
            width, height = opened.size
        return (
            f'<img src="{self.store(png)}" alt="{html.escape(alt)}" width="{width}"'
            f' height="{height}">'
        )

    def store(self, png: bytes) -> str:
        """Write a picture; its address as pages use it."""
        self.pictures += 1
        name = f"images/{self.name[:2]}-{self.pictures:03}.png"
        (self.out / name).write_bytes(png)
        return name

    def to_play_with(self, cell: NotebookNode) -> str:
        """Controls, and one picture for each place they can stand at; or the data that
        schedules.js draws from.
        """
        playable = self.made(cell)
        data: dict[str, object] = {
            "controls": [
                control_of(name, control, self.places)
                for name, control in playable.controls.items()
            ]
        }
        if isinstance(playable, ScheduleExplorer):
            data["pictures"] = [picture_data(picture) for picture in playable.pictures]
            kind = "explorer"
        else:
            data["frames"] = [
                [self.store(picture.png()), picture.alt]
                for picture in drawn(playable, self.places)
            ]
            kind = "frames"
        still = self.picture(playable.still.png(), playable.still.alt)
        stored = json.dumps(data, ensure_ascii=False).replace("</", "<\\/")
        return (
            f'<div class="play" data-kind="{kind}">\n<figure>{still}</figure>\n<script'
            f' type="application/json">{stored}</script>\n</div>'
        )

    def made(self, cell: NotebookNode) -> Playable:
        """Run the cells that this one needs, once each, and it; its last line is the
        thing to play with.
        """
        *needed, last = slices.needed(self.cells, cell)
        with contextlib.chdir(book.CHAPTERS), contextlib.redirect_stdout(io.StringIO()):
            for each in needed:
                if each.id not in self.run:
                    self.evaluate(each)
            value = self.evaluate(last)
        assert isinstance(value, Playable), (
            f"{self.name}: the cell {last.source!r} should end with something to play"
            " with"
        )
        return value

    def evaluate(self, cell: NotebookNode) -> object:
        """Run a cell; the value of its last line, if that is an expression."""
        self.run.add(cell.id)
        name = f"{self.name}, {cell.id}"
        # where inspect.getsource looks
        linecache.cache[name] = (
            len(cell.source),
            None,
            cell.source.splitlines(keepends=True),
            name,
        )
        body = ast.parse(cell.source).body
        shown = body.pop() if body and isinstance(body[-1], ast.Expr) else None
        exec(compile(ast.Module(body, []), name, "exec", dont_inherit=True), self.space)
        return (
            eval(
                compile(ast.Expression(shown.value), name, "eval", dont_inherit=True),
                self.space,
            )
            if shown
            else None
        )


def control_of(name: str, control: Any, places: int | None) -> dict[str, object]:
    """What play.js has to know of a slider or a menu."""
    labels, values = zip(*kept_places(control, places), strict=True)
    start, menu = values.index(control.value), isinstance(control, Dropdown)
    return {
        "name": name,
        "label": control.description,
        "menu": menu,
        "labels": labels,
        "values": values,
        "start": start,
    }


def kept_places(control: Any, places: int | None) -> list[tuple[str, object]]:
    """All places of a control; or its two ends and the one it stands at, filled up to
    about `places`.
    """
    every = positions(control)
    if places is None or len(every) <= places:
        return every
    start = [value for _, value in every].index(control.value)
    kept = {0, start, len(every) - 1} | {
        (len(every) - 1) * i // (places - 1) for i in range(places if places > 3 else 0)
    }
    return [every[i] for i in sorted(kept)]


def drawn(playable: Playable, places: int | None) -> Iterator[Any]:
    """A picture for every combination of places; the last control changes fastest."""
    names = list(playable.controls)
    for values in itertools.product(
        *(
            [value for _, value in kept_places(control, places)]
            for control in playable.controls.values()
        )
    ):
        yield playable.draw(**dict(zip(names, values, strict=True)))


def picture_data(picture: Any) -> dict[str, object]:
    """Channels, side and the bytes 0..255 of a picture, for JavaScript."""
    return {
        "channels": len(picture),
        "side": picture.shape[-1],
        "bytes": base64.b64encode(to_bytes(picture).numpy().tobytes()).decode(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "build" / "html")
    parser.add_argument("--places", type=int)
    given = parser.parse_args()
    build(given.folder.resolve(), given.places)
    print(f"open {os.path.relpath(given.folder / 'index.html')} in a browser")


if __name__ == "__main__":
    main()
