"""`sr3mini prepare`: everything good survives, everything else is named once, and a run
that was stopped goes on.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import pytest
import tiny
import torch
from messy import messy
from PIL import Image
from rooms import room

from sr3mini import cli
from sr3mini.data import batches, open_pictures
from sr3mini.data.folder import Folder, part
from sr3mini.files.decoding import Decoded, decode
from sr3mini.files.finding import walk
from sr3mini.files.ranges import Range
from sr3mini.files.reading import read_square

# the module: the package offers the function under this name
prepare = importlib.import_module("sr3mini.data.prepared")
SIZE = 16


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Path, set[str], set[str]]:
    """(source, prepared folder, names of its pictures, names of what is no picture), by
    the command and two processes.
    """
    source, out = (
        tmp_path_factory.mktemp("source"),
        tmp_path_factory.mktemp("out") / "prepared",
    )
    good, bad = messy(source, good=120, broken=15)
    cli.main(
        ["prepare", str(source), "--size", str(SIZE), "--out", str(out), "--jobs", "2"]
    )
    return source, out, good, bad


def record(out: Path) -> dict[str, object]:
    return json.loads((out / "prepared.json").read_text(encoding="utf-8"))


def names(out: Path, split: str) -> set[str]:
    return {
        name.decode()
        for name in (out / f"{split}.names").read_bytes().split(b"\0")[:-1]
    }


def test_every_good_picture_survives_under_a_name_of_its_own(
    made: tuple[Path, Path, set[str], set[str]],
) -> None:
    source, out, good, _ = made
    assert names(out, "train") | names(out, "test") == {f"{name}.webp" for name in good}
    assert names(out, "train").isdisjoint(names(out, "test"))
    for name in good:
        with Image.open(out / f"{name}.webp") as picture:
            assert picture.size == (SIZE, SIZE)
        assert torch.equal(
            read_square(out / f"{name}.webp", SIZE, 3),
            read_square(source / name, SIZE, 3),
        ), name


def test_every_other_file_is_named_once_with_the_reason(
    made: tuple[Path, Path, set[str], set[str]],
) -> None:
    _, out, good, bad = made
    noted = record(out)
    assert noted["pictures"] == len(good)
    skipped = noted["skipped"]
    assert isinstance(skipped, dict)
    assert set(skipped) == bad
    assert "No such file" in skipped["gone"]
    assert all(
        reason.startswith("could not be read as a picture (")
        for reason in skipped.values()
    )
    assert "decompression bomb" in skipped["bomb.png"]


def test_the_summary_counts_and_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    messy(tmp_path / "source", good=12, broken=3)
    cli.main(
        [
            "prepare",
            str(tmp_path / "source"),
            "--size",
            "8",
            "--out",
            str(tmp_path / "out"),
            "--jobs",
            "1",
        ]
    )
    said = capsys.readouterr().out
    assert f"12 pictures of 8 x 8 in {tmp_path / 'out'}" in said
    assert "8 files were skipped; " in said
    assert said.count("\n  ") == 5 + 1
    assert "1 of the 12 made in this run lost something, such as\n  animated" in said


def test_enlarged_pictures_are_counted_in_the_run_that_makes_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The shorter side decides; a picture of the very size is not enlarged. Run again,
    only what is new is counted, and called so.
    """
    (tmp_path / "source").mkdir()
    for name, shape in (
        ("tiny", (6, 6)),
        ("flat", (40, 7)),
        ("just", (8, 8)),
        ("large", (40, 30)),
    ):
        Image.new("RGB", shape).save(tmp_path / "source" / f"{name}.png")

    def said(*arguments: str) -> str:
        cli.main(
            [
                "prepare",
                str(tmp_path / "source"),
                "--size",
                "8",
                "--out",
                str(tmp_path / "out"),
                *arguments,
            ]
        )
        return capsys.readouterr().out

    assert "\n2 of the 4 made in this run were enlarged, which teaches blur\n" in said(
        "--jobs", "2"
    )
    assert "teaches blur" not in said("--jobs", "1")
    for name, side in (("small", 3), ("wide", 9), ("pixel", 1)):
        Image.new("RGB", (side, side)).save(tmp_path / "source" / f"{name}.png")
    assert "\n2 of the 3 made in this run were enlarged, which teaches blur\n" in said(
        "--jobs", "1"
    )


def test_what_is_upright_and_what_is_white_stay_so(
    made: tuple[Path, Path, set[str], set[str]],
) -> None:
    out = made[1]
    turned = read_square(out / "turned.png.webp", SIZE, 1)[0]
    assert (turned[:7] < 20).all()
    assert (turned[9:] > 235).all()
    assert (read_square(out / "sixteen.png.webp", SIZE, 3) == 255).all()
    # of the first frame
    assert read_square(out / "animated.gif.webp", SIZE, 3)[:, 3, 3].tolist() == [
        255,
        0,
        0,
    ]
    assert read_square(out / "cat.b.png.webp", SIZE, 3).min() == 255


@pytest.mark.filterwarnings("ignore:left out below .*, no pictures")
def test_training_on_what_was_prepared_is_training_on_the_folder_itself(
    made: tuple[Path, Path, set[str], set[str]],
) -> None:
    """The same pictures in the same order: but for those whose names do not look like
    pictures, which a raw folder does not try.
    """
    source, out, _, bad = made
    prepared = open_pictures(str(out), SIZE, 3)
    raw = Folder(
        source,
        SIZE,
        files=[
            source / str(file.relative_to(out)).removesuffix(".webp")
            for file in prepared.files
        ],
    )
    for a, b, _ in zip(
        batches(prepared, 8, seed=0), batches(raw, 8, seed=0), range(20), strict=False
    ):
        assert torch.equal(a, b)
    both = {
        str(file.relative_to(source))
        for split in ("train", "test")
        for file in open_pictures(str(source), SIZE, 3, split).files
    }
    assert both - bad == made[2]
    test = {
        str(file.relative_to(source))
        for file in open_pictures(str(source), SIZE, 3, "test").files
    }
    assert {f"{name}.webp" for name in test - bad} == names(out, "test")


def test_a_second_run_makes_nothing_anew_but_what_has_changed(
    made: tuple[Path, Path, set[str], set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out, _, bad = made
    read: list[str] = []

    def watched(file: Path, given: Range | None) -> Decoded:
        read.append(str(file.relative_to(source)))
        return decode(file, given=given)

    monkeypatch.setattr(prepare, "decode", watched)
    before = record(out)
    os.utime(out / "cat.a.png.webp", (1, 1))  # older than its source now
    again = prepare.prepare(source, out, SIZE, progress=False)
    assert set(read) == bad | {"cat.a.png"}
    assert (again.pop("made"), again.pop("enlarged")) == (1, 0)
    assert (again.pop("remarks"), again.pop("hint")) == ({}, "")
    assert again == before == record(out)


def test_a_new_picture_joins_and_no_other_changes_sides(tmp_path: Path) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    messy(source, good=60, broken=0)
    prepare.prepare(source, out, 8, progress=False)
    before = names(out, "test")
    Image.new("RGB", (9, 9)).save(source / "new.png")
    prepare.prepare(source, out, 8, progress=False)
    assert "new.png.webp" in names(out, "train") | names(out, "test")
    assert names(out, "test") - {"new.png.webp"} == before


def test_held_out_are_whole_folders_where_asked_for(tmp_path: Path) -> None:
    for person in range(60):
        for photo in range(3):
            file = tmp_path / "people" / f"person {person}" / f"{photo}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4)).save(file)
    prepare.prepare(
        tmp_path / "people", tmp_path / "out", 4, folders="group", progress=False
    )
    people = [
        {name.split("/")[0] for name in names(tmp_path / "out", split)}
        for split in ("train", "test")
    ]
    assert people[0].isdisjoint(people[1])
    assert len(names(tmp_path / "out", "test")) == 3 * len(people[1]) > 0


SLOW = """
import sys, time
from PIL import Image
opened = Image.open
def slowly(*arguments, **options):
    time.sleep(0.02)
    return opened(*arguments, **options)
Image.open = slowly
from sr3mini.cli import main
main(sys.argv[1:])
"""  # so that a busy machine, too, is in time to stop it


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_was_stopped_is_gone_on_with(
    tmp_path: Path, end: signal.Signals
) -> None:
    """In the middle: nothing half-written, no use of it before it is whole, and the
    second run ends where one run would.
    """
    source, out = tmp_path / "source", tmp_path / "out"
    good, _ = messy(source, good=400, broken=3)
    command = [
        sys.executable,
        "-c",
        SLOW,
        "prepare",
        str(source),
        "--size",
        "96",
        "--out",
        str(out),
        "--jobs",
        "2",
    ]
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen(command, stderr=said)
    while len(list(out.rglob("*.webp"))) < 40:
        assert process.poll() is None, (tmp_path / "said").read_text()
        time.sleep(0.02)
    process.send_signal(end)
    assert process.wait(60) == (130 if end == signal.SIGINT else -signal.SIGKILL)
    assert end == signal.SIGKILL or (tmp_path / "said").read_text().endswith(
        "sr3mini: stopped\n"
    )
    done = [file for file in out.rglob("*.webp") if not file.name.startswith(".")]
    assert 40 <= len(done) < 400
    for file in done:
        read_square(file, 96)
    with pytest.raises(
        ValueError,
        match=(r"^[^\n]*out is half prepared: run the same sr3mini prepare once more$"),
    ):
        open_pictures(str(out), 96, 3)
    prepare.prepare(source, out, 96, progress=False)
    assert names(out, "train") | names(out, "test") == {f"{name}.webp" for name in good}
    assert [file for file in out.rglob(".*.part*") if end == signal.SIGINT] == []


def test_a_full_disk_stops_it_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a worker process too: what is said is a sentence, not its traceback."""
    messy(tmp_path / "source", good=20, broken=0)

    def full(self: Image.Image, file: Path, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    for jobs in (1, 2):
        with pytest.raises(
            OSError,
            match=r"^[^\n]*\.webp could not be written: No space left on device$",
        ):
            prepare.prepare(
                tmp_path / "source", tmp_path / "out", 8, jobs=jobs, progress=False
            )


def test_mistakes_are_told_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "source"
    messy(source, good=12, broken=0)
    (tmp_path / "empty").mkdir()
    for kind in ("hr_16", "lr_4", "sr_4_16"):
        (tmp_path / "theirs" / kind).mkdir(parents=True)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("no picture")
    cli.main(
        [
            "prepare",
            str(source),
            "--size",
            "8",
            "--out",
            str(tmp_path / "out"),
            "--jobs",
            "1",
        ]
    )
    capsys.readouterr()
    for arguments, sentence in (
        ((), "give either the folder of your pictures, or --public"),
        ((source, "--public", "clothing"), "give either the folder"),
        ((tmp_path / "gone",), "gone is not a folder"),
        ((tmp_path / "empty", "--out", tmp_path / "new"), "holds no file at all"),
        (
            (tmp_path / "texts", "--out", tmp_path / "new"),
            "no file below .* could be prepared; the first: a.txt could not be read",
        ),
        (
            (tmp_path / "theirs", "--out", tmp_path / "new"),
            "prepared by other SR3 code, .* its folder hr_... alone",
        ),
        ((source, "--out", source), "holds others, .*; name another folder"),
        ((source, "--out", source / "deep"), "holds others, .*; name another folder"),
        (
            (source, "--out", tmp_path / "out", "--size", "4"),
            "out is a file, or holds others, or pictures of another size or range",
        ),
        ((source, "--out", source / "notes.txt"), "notes.txt is a file, or holds"),
        ((source, "--size", "0"), "size = 0, but it must lie between 1 and 4096"),
    ):
        with pytest.raises(SystemExit) as stop:
            cli.main(["prepare", *map(str, arguments)])
        said = capsys.readouterr()
        assert stop.value.code == 2
        assert said.out == ""
        last = said.err.strip().splitlines()[-1]
        assert re.search(sentence, last), last
        assert last.startswith("sr3mini: ")
    assert not (tmp_path / "new").exists()


def test_a_prepared_folder_inside_its_source_is_not_prepared_itself(
    tmp_path: Path,
) -> None:
    good, _ = messy(tmp_path, good=12, broken=0)
    for _ in range(2):
        assert prepare.prepare(
            tmp_path, tmp_path / "deep" / "small", 8, progress=False
        )["pictures"] == len(good)


@pytest.mark.filterwarnings("ignore:left out below .*, no pictures")
def test_what_was_prepared_earlier_is_no_source(tmp_path: Path) -> None:
    """Nor is it trained on twice, raw and prepared; asked for by its own name, it is
    walked.
    """
    good, bad = messy(tmp_path, good=12, broken=0)
    prepare.prepare(tmp_path, tmp_path / "p8", 8, progress=False)
    with pytest.warns(
        UserWarning, match=r"left out: .*p8 \(sr3mini prepare wrote it\)$"
    ):
        prepare.prepare(tmp_path, tmp_path / "deep" / "p4", 4, progress=False)
    assert names(tmp_path / "deep" / "p4", "train") | names(
        tmp_path / "deep" / "p4", "test"
    ) == {f"{name}.webp" for name in good}
    with pytest.warns(
        UserWarning, match=r"left out: .*p[48] \(sr3mini prepare wrote it\)$"
    ):
        raw = {
            str(file.relative_to(tmp_path))
            for split in ("train", "test")
            for file in open_pictures(str(tmp_path), 4, 3, split).files
        }
    assert raw <= good | bad
    assert sum(name.endswith(".webp") for name in walk(tmp_path / "p8")) == len(good)


def test_a_link_that_leads_nowhere_is_named_once(tmp_path: Path) -> None:
    """Where it once led somewhere too: its square is there, and is used no more."""
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (4, 4)).save(source / name)
    Image.new("RGB", (4, 4)).save(tmp_path / "elsewhere.png")
    (source / "link.png").symlink_to(tmp_path / "elsewhere.png")
    assert prepare.prepare(source, out, 4, progress=False)["pictures"] == 3
    (tmp_path / "elsewhere.png").unlink()
    again = prepare.prepare(source, out, 4, progress=False)
    assert (again["pictures"], again["skipped"]) == (
        2,
        {"link.png": "could not be read as a picture (No such file or directory)"},
    )
    raw = Folder(source, 4)
    with pytest.warns(
        UserWarning, match=r"^skipped: .*link\.png could not be read .*No such file"
    ):
        assert len(list(raw)) == 3


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_file_whose_square_would_be_called_as_a_folder_is_skipped_and_named(
    tmp_path: Path, jobs: int
) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    (source / "dog.webp").mkdir(parents=True)
    for name in ("cat.png", "dog", "dog.webp/1.png", "dog.webp/2.png"):
        Image.new("RGB", (4, 4)).save(source / name, "png")
    made = prepare.prepare(source, out, 4, jobs=jobs, progress=False)
    assert made["skipped"] == {
        "dog": ("would become dog.webp, a folder beside it; rename it")
    }
    assert names(out, "train") | names(out, "test") == {
        "cat.png.webp",
        "dog.webp/1.png.webp",
        "dog.webp/2.png.webp",
    }


def test_a_square_of_an_earlier_run_in_the_way_of_a_folder_is_named(
    tmp_path: Path,
) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    for name in ("cat.png", "dog"):
        Image.new("RGB", (4, 4)).save(source / name, "png")
    prepare.prepare(source, out, 4, progress=False)
    (source / "dog.webp" / "deep").mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(source / "dog.webp" / "deep" / "1.png")
    with pytest.raises(
        OSError,
        match=(r"Not a directory: '[^\n]+dog\.webp/deep'$"),
    ):
        prepare.prepare(source, out, 4, progress=False)
    (out / "dog.webp").unlink()
    assert set(prepare.prepare(source, out, 4, progress=False)["skipped"]) == {"dog"}


def test_opening_a_prepared_folder_lists_nothing(
    made: tuple[Path, Path, set[str], set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its index is read: no folder is looked into, whatever lies there."""
    monkeypatch.setattr(os, "scandir", lambda *_: pytest.fail("a folder was listed"))
    assert len(open_pictures(str(made[1]), SIZE, 3)) == record(made[1])["train"]


def test_larger_pictures_than_were_prepared_are_refused_and_smaller_ones_made(
    made: tuple[Path, Path, set[str], set[str]],
) -> None:
    assert open_pictures(str(made[1]), 8, 1)[0].shape == (1, 8, 8)
    with pytest.raises(
        ValueError,
        match=(
            r"holds pictures of 16 pixels a side: prepare them again with --size 32$"
        ),
    ):
        open_pictures(str(made[1]), 32, 3)


def test_a_folder_is_entered_once_and_hidden_names_are_passed_over(
    made: tuple[Path, Path, set[str], set[str]],
) -> None:
    source, _, good, bad = made
    assert sorted(walk(source)) == sorted(good | bad)


def test_a_folder_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a stand-in: the tests may run as root, who may read everything."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").touch()
    whole = os.scandir

    def scandir(place: str):  # type: ignore[no-untyped-def]
        if place.endswith("a"):
            raise PermissionError(13, "Permission denied")
        return whole(place)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.warns(UserWarning, match=r"left out: .*a \(Permission denied\)"):
        assert list(walk(tmp_path)) == ["b/1.png"]


def test_a_twentieth_is_held_out_and_never_nothing() -> None:
    many = [str(i) for i in range(10_000)]
    test = part(many, many, "test", Path())
    assert 400 < len(test) < 600
    assert sorted(test + part(many, many, "train", Path())) == sorted(many)
    # a name's side does not depend on the others
    assert set(part(many[::2], many[::2], "test", Path())) == set(test) & set(many[::2])
    two = ["a", "b"]
    assert (
        sorted(part(two, two, "train", Path()) + part(two, two, "test", Path())) == two
    )
    for split in ("train", "test"):
        with pytest.warns(
            UserWarning,
            match=("too few pictures in . to hold some out: all serve for both parts"),
        ):
            assert part(["a"], ["a"], split, Path()) == ["a"]


@pytest.mark.parametrize(
    "name",
    ["/etc/hostname", "../a.png", "a/../../b.png", "../", "b/../../..", "/"],
)
@pytest.mark.parametrize("place", [0, 1, -1])
def test_names_that_lead_out_of_a_prepared_folder_are_refused(
    place: int, name: str, tmp_path: Path
) -> None:
    """Nothing outside is opened, whoever wrote the list."""
    prepare.prepare(tiny.pictures(tmp_path / "in"), tmp_path / "out", 8, progress=False)
    index = tmp_path / "out" / "train.names"
    names = index.read_bytes().split(b"\0")[:-1]
    names[place] = name.encode()
    index.write_bytes(b"".join(each + b"\0" for each in names))
    with pytest.raises(ValueError, match=r"train\.names names pictures outside of"):
        open_pictures(str(tmp_path / "out"), 8, 3)


def test_a_list_that_was_cut_off_is_half_prepared(tmp_path: Path) -> None:
    prepare.prepare(tiny.pictures(tmp_path / "in"), tmp_path / "out", 8, progress=False)
    index = tmp_path / "out" / "train.names"
    whole = index.read_bytes()
    for length in range(len(whole)):
        index.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="is half prepared"):
            open_pictures(str(tmp_path / "out"), 8, 3)


def test_a_file_that_prepare_did_not_write_is_refused(tmp_path: Path) -> None:
    for content in ("", "[]", "{}", '{"size": "8"}'):
        (tmp_path / "prepared.json").write_text(content)
        with pytest.raises(
            ValueError, match=r"prepared\.json was not written by sr3mini prepare, or"
        ):
            room("data.prepared").prepared(tmp_path, 8)


def test_the_parts_are_the_same_in_another_unicode_form() -> None:
    names = [f"{n}/é Ü ガ.png" for n in range(400)]
    other = [unicodedata.normalize("NFD", name) for name in names]
    assert names != other
    held = part(names, names, "test", Path())
    again = part(other, other, "test", Path())
    assert [unicodedata.normalize("NFC", name) for name in again] == held


def test_folders_may_count_equally(tmp_path: Path) -> None:
    source, out = tmp_path / "src", tmp_path / "out"
    for folder, count in (("many", 60), ("few", 21)):
        (source / folder / "deeper").mkdir(parents=True)
        for k in range(count):
            picture = Image.new("L", (8, 8), k)
            picture.save(source / folder / "deeper" / f"{k}.png")
    Image.new("L", (8, 8)).save(source / "alone.png")
    cli.main(
        [
            "prepare",
            str(source),
            "--size",
            "8",
            "--out",
            str(out),
            "--folders",
            "balance",
        ]
    )
    taken = (out / "train.names").read_bytes().decode().split("\0")[:-1]
    held = (out / "test.names").read_bytes().decode().split("\0")[:-1]
    assert not set(taken) & set(held)
    assert len(held) == len(set(held))
    assert len(set(taken)) + len(held) == 82
    tops = [name.partition("/")[0] for name in taken]
    many, few = tops.count("many"), tops.count("few")
    assert many == len({name for name in taken if name.startswith("many")})
    assert 0.8 < few / many < 1.2
    times = record(out)["times"]
    assert times == {
        "many": 1,
        "few": round(many / len({name for name in taken if name.startswith("few")})),
        "": tops.count("alone.png.webp"),
    }
    assert len(open_pictures(str(out), 8, 1, "train")) == len(taken)
