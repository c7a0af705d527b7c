"""The static edition, in a real browser: pages without a kernel whose every control
moves its picture, that ask nobody for anything, and that fit on a wide and on a narrow
screen. It is built once, with three places for each control.

Skipped where there is no browser, except in CI (the variable CI is set), where that is
a failure.
"""

from __future__ import annotations

import functools
import hashlib
import html
import http.server
import itertools
import json
import re
import subprocess
import sys
import threading

import book  # tools/book.py
import edition  # tools/edition.py
import numpy as np
import pytest
import torch
from browser import PATIENCE, started
from checks import randn, seeded
from matplotlib.figure import Figure
from project import ROOT

from sr3mini import diffuse, gamma_pdf, log_snr
from sr3mini.book.figures import Picture
from sr3mini.book.widgets import Playable
from sr3mini.book.widgets.base import choice, slider
from sr3mini.book.widgets.ch02 import ENDS, FAMILIES, STARTS, STEPS, explored

PAGES = [
    *(
        f"{text.stem}.html"
        for text in book.texts()
        if text.with_suffix(".ipynb").exists()
    ),
    "index.html",
    "symbols.html",
    "questions.html",
]
WIDTHS = (1280, 390)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The edition, built as `make html` builds it, but with fewer places."""
    out = tmp_path_factory.mktemp("edition")
    subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            ROOT / "tools" / "edition.py",
            out,
            "--places",
            "3",
        ],
        check=True,
        capture_output=True,
    )
    return out


@pytest.fixture(scope="module")
def address(folder):
    """Where the edition is served, on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    class Patient(http.server.ThreadingHTTPServer):
        def handle_error(self, *_):
            """A browser that leaves a page hangs up on what it was still loading."""

    with Patient(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=folder)
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser():
    with started() as launched:
        yield launched


@pytest.fixture
def page(browser, address, tmp_path):
    """A page on which nothing may go wrong: no error, and no request to anywhere else.
    A screenshot is left behind.
    """
    with browser.new_page(viewport={"width": 1280, "height": 1000}) as page:
        page.set_default_timeout(PATIENCE * 1000)
        wrong = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "console",
            lambda message: (
                wrong.append(message.text)
                if message.type in ("error", "warning")
                else None
            ),
        )
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((address, "data:"))
                else wrong.append(request.url)
            ),
        )
        page.on(
            "response",
            lambda response: (
                wrong.append(f"{response.status} {response.url}")
                if response.status >= 400
                else None
            ),
        )
        yield page
        page.screenshot(path=tmp_path / "screenshot.png")
        assert wrong == []


# -- the pages


@pytest.mark.parametrize("name", PAGES)
def test_every_control_moves_its_picture_and_its_text_and_nothing_hangs_over_the_edge(
    page, address, folder, name
):
    page.goto(f"{address}/{name}")
    boxes = page.locator(".play").all()
    assert len(boxes) == len(edition.PLAYED.findall(source_of(name)))
    for box in boxes:
        data = json.loads(box.locator("script").text_content())
        controls = box.locator("input, select").all()
        assert len(controls) == len(data["controls"])
        look = (
            functools.partial(explorer_look, box)
            if box.get_attribute("data-kind") == "explorer"
            else functools.partial(frame_look, box, folder, data)
        )
        for i, control in enumerate(controls):
            before = look()
            move(page, control)
            after = look()
            assert after[0] != before[0], (
                f"{name}: {data['controls'][i]['label']} leaves the picture as it is"
            )
            assert after[1] != before[1], (
                f"{name}: {data['controls'][i]['label']} leaves the text as it is"
            )
            move(page, control)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 1000})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, (
            f"{name} is wider than {width} pixels"
        )


def test_on_a_narrow_screen_pictures_fit_and_a_tap_shows_them_at_their_own_size(
    page, address
):
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(f"{address}/03_sampling_gamma.html")
    picture = page.locator(".play img")
    natural = int(picture.get_attribute("width"))
    assert picture.bounding_box()["width"] < 390 < natural
    picture.click()
    assert picture.bounding_box()["width"] == natural
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    picture.click()
    assert picture.bounding_box()["width"] < 390


def source_of(name):
    """The code of a page's chapter."""
    of = {f"{text.stem}.html": text for text in book.texts()}
    return book._code(of[name]) if name in of else ""


def frame_look(box, folder, data):
    """The bytes of the picture that is shown, and its text, which must be those of the
    place where the controls stand.
    """
    shape = [len(control["labels"]) for control in data["controls"]]
    places = box.evaluate(
        "box => [...box.querySelectorAll('input, select')].map(c => c.tagName ==="
        " 'SELECT' ? c.selectedIndex : Number(c.value))"
    )
    address, alt = data["frames"][np.ravel_multi_index(places, shape)]
    picture = box.locator("img")
    assert (picture.get_attribute("src"), picture.get_attribute("alt")) == (
        address,
        alt,
    )
    # fails when the picture cannot be shown
    picture.evaluate("picture => picture.decode()")
    said = [output.inner_text() for output in box.locator("output").all()]
    wanted = [
        control["labels"][place]
        for control, place in zip(data["controls"], places, strict=True)
    ]
    # a menu says it itself
    assert all(one in ("", other) for one, other in zip(said, wanted, strict=True))
    return hashlib.sha256((folder / address).read_bytes()).digest(), alt


def explorer_look(box):
    """What the canvases show, and the text."""
    return box.evaluate(
        "box => [...box.querySelectorAll('canvas')].map(c => c.toDataURL()).join()"
    ), box.locator(".explorer").get_attribute("aria-label")


def move(page, control):
    """A menu to its next option; the handle of a slider, with the mouse, to the other
    side, or back.
    """
    if control.evaluate("control => control.tagName") == "SELECT":
        options, chosen = control.evaluate(
            "control => [control.length, control.selectedIndex]"
        )
        control.select_option(index=(chosen + 1) % options)
        return
    control.scroll_into_view_if_needed()
    track, (value, most) = (
        control.bounding_box(),
        control.evaluate("control => [Number(control.value), Number(control.max)]"),
    )
    # of the handle: its middle runs from one radius inside the track to the other
    radius = 8
    at = track["x"] + radius + (track["width"] - 2 * radius) * value / most
    to = track["x"] + track["width"] * (0.05 if value > most / 2 else 0.95)
    page.mouse.move(at, track["y"] + track["height"] / 2)
    page.mouse.down()
    page.mouse.move(to, track["y"] + track["height"] / 2, steps=3)
    page.mouse.up()
    assert control.evaluate("control => Number(control.value)") != value


def test_every_link_leads_to_a_page_and_every_anchor_to_its_place(folder):
    ids = {
        path: set(re.findall(r' id="([^"]*)"', path.read_text(encoding="utf-8")))
        for path in folder.rglob("*.html")
    }
    for path, own in ids.items():
        text = path.read_text(encoding="utf-8")
        assert len(own) == len(re.findall(r' id="', text)), (
            f"{path.name} has an id twice"
        )
        for link in re.findall(r'(?:href|src)="([^"]*)"', text):
            if "://" in link or link.startswith("data:"):
                continue
            file, _, anchor = html.unescape(link).partition("#")
            target = (path.parent / file).resolve() if file else path
            assert target.exists(), f"{path.name} leads to {link}"
            assert not anchor or anchor in ids[target], f"{path.name} leads to {link}"


def test_every_picture_has_its_text_and_every_chapter_its_place(folder):
    for path in folder.rglob("*.html"):
        pictures = re.findall(r"<img [^>]*>", path.read_text(encoding="utf-8"))
        assert all(re.search(r'alt="[^"]{10,}"', picture) for picture in pictures), (
            path.name
        )
    assert set(PAGES) == {path.name for path in folder.glob("*.html")}


def test_equations_are_mathml_with_their_numbers(folder):
    for text in (
        book.CHAPTERS / name.replace(".html", ".md")
        for name in PAGES
        if name[0].isdigit()
    ):
        page = (folder / f"{text.stem}.html").read_text(encoding="utf-8")
        for tag in book.tags(text):
            assert re.search(
                rf'id="eq-{re.escape(tag)}"><div class="wide"><math'
                r' display="block">.*</math></div><span'
                rf' class="tag">\({re.escape(tag)}\)</span>',
                page,
            )
        outside = re.sub(r"<(pre|code|script)\b.*?</\1>", "", page, flags=re.DOTALL)
        assert "\\tag" not in outside
        assert "$" not in outside


# -- the schedules in the browser are those of the package

PAIRS = [(STARTS[0], ENDS[3]), (STARTS[4], ENDS[-1])]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_browser_computes_the_same_schedules_as_the_package(page, address, family):
    page.goto(f"{address}/02_noise_schedules.html")
    compute = (
        "([f, T, a, b]) => { const s = explored(f, T, a, b); return {...s, snr:"
        " s.gammas.slice(1).map(logSnr), p: density(s)}; }"
    )
    for T, (start, end) in itertools.product((5, 100, 2000), PAIRS):
        given = page.evaluate(compute, [family, T, start, end])
        schedule, title, note = explored(family, T, start, end)
        assert (given["title"], given["note"]) == (title, note)
        middles = (schedule.gammas[1:] + schedule.gammas[:-1]) / 2
        tables = {
            "alphas": schedule.alphas,
            "gammas": schedule.gammas,
            "p": gamma_pdf(schedule, middles),
        }
        for name, table in tables.items():
            np.testing.assert_allclose(
                np.array(given[name], float),
                table.numpy(),
                rtol=1e-9,
                atol=0,
                err_msg=f"{name}, T = {T}",
            )
        np.testing.assert_allclose(
            given["snr"],
            log_snr(schedule.gammas[1:]).numpy(),
            rtol=0,
            atol=1e-9,
            err_msg=f"log-SNR, T = {T}",
        )


def test_the_browser_writes_the_same_titles_for_every_start_and_end(page, address):
    page.goto(f"{address}/02_noise_schedules.html")
    places = list(itertools.product(FAMILIES, (STEPS[0], STEPS[3]), STARTS, ENDS))
    given = page.evaluate(
        "places => places.map(p => { const s = explored(...p); return [s.title,"
        " s.note]; })",
        places,
    )
    assert given == [list(explored(*place)[1:]) for place in places]


def test_the_browser_noises_a_picture_as_the_package_does(page, address):
    page.goto(f"{address}/02_noise_schedules.html")
    y_0, eps = randn(1, 12), randn(1, 12, seed=1)
    for gamma in (1.0, 0.3, 0.0):
        given = page.evaluate(
            "([y, g, e]) => diffuse(y, g, e)", [y_0[0].tolist(), gamma, eps[0].tolist()]
        )
        wanted = diffuse(y_0, torch.tensor([gamma], dtype=torch.float64), eps)[0]
        np.testing.assert_allclose(given, wanted.numpy(), rtol=0, atol=1e-9)
    noise = np.array(page.evaluate("Array.from(normals(100000, 1))"))
    assert abs(noise.mean()) < 0.02
    assert abs(noise.std() - 1) < 0.02
    assert abs((np.abs(noise) < 1).mean() - 0.6827) < 0.01


# -- the parts of the builder


def test_frames_are_drawn_for_every_combination_the_last_control_fastest():
    playable = Playable(
        lambda a, b: Picture(Figure((1, 1)), f"{a} {b}"),
        {"a": slider(2, 1, 4, "a"), "b": choice("x", ["x", "y"], "b")},
    )
    assert [picture.alt for picture in edition.drawn(playable, None)] == [
        f"{a} {b}" for a in (1, 2, 3, 4) for b in "xy"
    ]
    assert [picture.alt for picture in edition.drawn(playable, 3)] == [
        f"{a} {b}" for a in (1, 2, 4) for b in "xy"
    ]
    assert edition.control_of("a", playable.controls["a"], 3) | {"values": 0} == {
        **{
            "name": "a",
            "label": "a",
            "menu": False,
            "labels": ("1", "2", "4"),
            "values": 0,
            "start": 1,
        },
    }


@pytest.mark.parametrize(
    ("link", "wanted"),
    [
        ("../README.md", "index.html"),
        ("../../README.md", "index.html"),
        ("deeper/a_oracles.ipynb#A.1-x", "a_oracles.html#A.1-x"),
        ("../03_sampling_gamma.ipynb", "03_sampling_gamma.html"),
        ("../solutions/dive_a.py", "solutions/dive_a.html"),
        ("03_sampling_gamma.ipynb#3.2-Why", "03_sampling_gamma.html#3.2-Why"),
        ("chapters/00_tour.ipynb", "00_tour.html"),
        ("solutions/ch03.py", "solutions/ch03.html"),
        ("symbols.md", "symbols.html"),
        ("#Equations", "#Equations"),
        ("https://arxiv.org/abs/2104.07636", "https://arxiv.org/abs/2104.07636"),
    ],
)
def test_links_between_files_become_links_between_pages(link, wanted):
    assert edition.rewritten(link) == wanted


def test_references_become_links_and_code_and_links_stay_as_they_are():
    pages = edition.Pages()
    page = pages.render(
        "See (3.2) in section 3.4 of chapter 3, `(3.2)`, [so"
        " (3.2)](03_sampling_gamma.ipynb), (99.1) and $f(3.2)$."
    )
    assert (
        '<a href="03_sampling_gamma.html#eq-3.2">(3.2)</a> in <a'
        ' href="03_sampling_gamma.html#3.4-The-density">section 3.4</a> of ' in page
    )
    assert (
        '<a href="03_sampling_gamma.html">chapter 3</a>, <code>(3.2)</code>, <a'
        ' href="03_sampling_gamma.html">so (3.2)</a>, (99.1)' in page
    )
    assert page.count("#eq-3.2") == 1
    page = pages.render("Dive A, deep dive K, (A.1) and section A.2; dive Z.")
    for target, words in (
        ("a_oracles_and_floors.html", "Dive A"),
        ("k_inside_the_network.html", "dive K"),
        ("a_oracles_and_floors.html#eq-A.1", "(A.1)"),
    ):
        assert f'<a href="{target}">{words}</a>' in page
    assert "section A.2</a>; dive Z." in page


def test_a_slider_of_hundreds_of_places_keeps_ends_and_start_when_few_are_asked_for():
    control = slider(37, 0, 500, "t")
    for places in (3, 5, 60):
        kept = [value for _, value in edition.kept_places(control, places)]
        assert kept == sorted(set(kept))
        assert {0, 37, 500} <= set(kept)
        assert len(kept) <= places + 2
    assert len(edition.kept_places(control, None)) == 501


def test_pictures_reach_javascript_as_bytes():
    picture = torch.rand(3, 4, 4, generator=seeded(0)) * 2 - 1
    data = edition.picture_data(picture)
    values = (
        np.frombuffer(edition.base64.b64decode(data["bytes"]), np.uint8) / 127.5 - 1
    )
    assert (data["channels"], data["side"]) == (3, 4)
    np.testing.assert_allclose(values, picture.flatten().numpy(), atol=1 / 255 + 1e-6)
