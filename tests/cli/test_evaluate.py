"""`sr3mini evaluate` as a user meets it: data sets, folders of results, files of
figures, mistakes.
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
import tiny
from commands import fails, run
from PIL import Image
from tiny import photograph, save

from sr3mini.evaluation.compare import Case, Comparison
from sr3mini.model import checkpoint
from sr3mini.model.network import build


@pytest.fixture
def model(tmp_path: Path) -> Path:
    checkpoint.save(tmp_path / "tiny.safetensors", build(tiny.TINY))
    return tmp_path / "tiny.safetensors"


@pytest.fixture
def references(tmp_path: Path) -> Path:
    (tmp_path / "hr").mkdir()
    photograph(tmp_path / "hr" / "own.png")
    return save(tmp_path / "hr", "noise.png", size=(40, 33))


def read(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def test_results_beside_references_on_the_terminal_and_in_every_file(
    references: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("own", "noise"):
        with Image.open(references / f"{name}.png") as picture:
            picture.crop((0, 0, picture.width // 4 * 4, picture.height // 4 * 4)).point(
                lambda level: max(level - 3, 0)
            ).save(tmp_path / f"{name}_x4.png")
    results = tmp_path / "results"
    results.mkdir()
    for name in ("own", "noise"):
        (tmp_path / f"{name}_x4.png").rename(results / f"{name}_x4.png")
    files = {
        option: tmp_path / f"figures.{option}" for option in ("csv", "markdown", "out")
    } | {"sheet": tmp_path / "sheet.png"}
    command = (
        "evaluate",
        "--references",
        references,
        "--results",
        results,
        "--bicubic",
        4,
        "--border",
        4,
        "--y-channel",
    )
    run(
        *command,
        *(each for option, path in files.items() for each in (f"--{option}", path)),
    )
    printed = capsys.readouterr().out
    assert (
        f"2 pictures of {references}, x4, PSNR and SSIM of Y, 4 pixels of border"
        " left out" in printed
    )
    lines = read(files["csv"])
    assert [(line["picture"], line["method"]) for line in lines] == [
        *(
            (name, method)
            for name in ("noise.png", "own.png")
            for method in ("bicubic", "results")
        ),
        *(("mean", method) for method in ("bicubic", "results")),
    ]
    by_method = {line["method"]: line for line in lines if line["picture"] == "mean"}
    stored = json.loads(files["out"].read_text())
    for method, line in by_method.items():
        assert float(line["PSNR-Y"]) == pytest.approx(
            sum(float(each["PSNR-Y"]) for each in lines[:4] if each["method"] == method)
            / 2,
            rel=1e-4,
        )
        assert f"{float(line['PSNR-Y']):.2f}" in printed
        assert f"| {method} | {float(line['PSNR-Y']):.2f} |" in files[
            "markdown"
        ].read_text(encoding="utf-8")
        assert stored["metrics"][method]["PSNR-Y"] == pytest.approx(
            float(line["PSNR-Y"]), rel=1e-4
        )
    assert (
        float(by_method["results"]["PSNR-Y"])
        > 35
        > float(by_method["bicubic"]["PSNR-Y"])
    )
    with Image.open(files["sheet"]) as sheet:
        assert sheet.width > 4 * 96
    assert stored["evaluated"] == "sr3mini " + shlex.join(
        str(each)
        for each in (
            "evaluate",
            "--references",
            references,
            "--results",
            results,
            *command[5:],
        )
    )


def test_a_model_on_whole_pictures(
    references: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(
        "evaluate",
        "--references",
        references,
        "--model",
        model,
        "--steps",
        2,
        "--samples",
        2,
        "--seed",
        5,
    )
    head, columns, *rows = capsys.readouterr().out.splitlines()
    assert (
        head == f"2 pictures of {references}, x4, 2 network calls a picture (ancestral)"
    )
    assert columns.split() == ["PSNR", "SSIM", "consistency", "diversity"]
    assert [row[:10].strip() for row in rows] == ["bicubic", "SR3", "mean of 2"]


def test_a_count_draws_the_same_pictures_every_time(
    references: Path, tmp_path: Path
) -> None:
    save(references, *(f"{n}.png" for n in range(6)))
    for name in ("a", "b"):
        run(
            "evaluate",
            "--references",
            references,
            "--bicubic",
            2,
            "--count",
            3,
            "--seed",
            1,
            "--csv",
            tmp_path / name,
        )
    assert (tmp_path / "a").read_text() == (tmp_path / "b").read_text()
    assert len({line["picture"] for line in read(tmp_path / "a")} - {"mean"}) == 3


def test_a_data_set_has_a_csv_and_a_sheet_too(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tiny.pictures(tmp_path / "own", 3)
    run(
        "evaluate",
        "--model",
        model,
        "--data",
        own,
        "--samples",
        2,
        "--steps",
        2,
        "--y-channel",
        "--csv",
        tmp_path / "f.csv",
        "--sheet",
        tmp_path / "f.png",
    )
    assert "3 pictures of " in capsys.readouterr().out
    lines = read(tmp_path / "f.csv")
    assert {line["picture"] for line in lines} == {"00.png", "01.png", "02.png", "mean"}
    assert float(lines[-1]["PSNR-Y"]) > 0
    with Image.open(tmp_path / "f.png") as sheet:
        assert sheet.height >= 3 * 128


def test_options_that_do_not_belong_together(
    references: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = ("evaluate", "--references", references)
    assert "name their folder too" in fails(capsys, "evaluate", "--results", references)
    assert "name their folder too" in fails(capsys, "evaluate", "--bicubic", 4)
    assert "say what to compare with" in fails(capsys, *both)
    assert "give either --data" in fails(
        capsys, *both, "--data", references, "--bicubic", 4
    )
    assert "name the --model too" in fails(capsys, *both, "--bicubic", 4, "--steps", 3)
    assert "--method is of a model: name the --model too" in fails(
        capsys, *both, "--bicubic", 4, "--method", "ddim"
    )
    assert "leave --bicubic out" in fails(
        capsys, *both, "--bicubic", 2, "--model", model
    )
    assert "bicubic = 1, but it must lie between 2" in fails(
        capsys, *both, "--bicubic", 1
    )
    assert "border = -1" in fails(capsys, *both, "--bicubic", 4, "--border", -1)
    checkpoint.save(
        tmp_path / "free.safetensors",
        tiny.network(dataclasses.replace(tiny.TINY, conditional=False)),
    )
    assert "has no reference to be compared with" in fails(
        capsys, *both, "--model", tmp_path / "free.safetensors"
    )
    assert "this machine does not have it" in fails(
        capsys, *both, "--model", model, "--device", "cuda:77"
    )
    assert "is not a folder" in fails(
        capsys, "evaluate", "--references", tmp_path / "none", "--bicubic", 4
    )
    assert "is not a folder" in fails(capsys, *both, "--results", tmp_path / "none")


def test_wrong_places_and_missing_packages_are_said_before_the_long_part(
    references: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        Comparison, "add", lambda *_: pytest.fail("the evaluation began")
    )
    for package in ("torchvision", "torch_fidelity"):
        monkeypatch.setitem(sys.modules, package, None)
    both = ("evaluate", "--references", references, "--bicubic", 4)
    for option in ("--csv", "--markdown", "--sheet"):
        assert "there is no folder" in fails(
            capsys, *both, option, tmp_path / "none" / "figures.png"
        )
        assert "it is a folder" in fails(capsys, *both, option, tmp_path)
    assert "end it in .png" in fails(capsys, *both, "--sheet", tmp_path / "sheet.txt")
    assert "pip install torchvision" in fails(capsys, *both, "--lpips")
    assert "pip install torch-fidelity" in fails(capsys, *both, "--fid")


def test_a_run_that_is_stopped_leaves_nothing(
    references: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add, added = Comparison.add, []

    def second_time_lucky(self: Comparison, case: Case) -> object:
        added.append(case.name)
        if len(added) == 2:
            raise KeyboardInterrupt
        return add(self, case)

    monkeypatch.setattr(Comparison, "add", second_time_lucky)
    with pytest.raises(SystemExit) as stop:
        run(
            "evaluate",
            "--references",
            references,
            "--bicubic",
            4,
            "--csv",
            tmp_path / "f.csv",
            "--sheet",
            tmp_path / "f.png",
            "--out",
            tmp_path / "f.json",
        )
    assert stop.value.code == 130
    assert {path.name for path in tmp_path.iterdir()} == {"hr"}


@pytest.mark.filterwarnings("default:passed over")  # as outside of tests
def test_a_picture_that_cannot_be_read_is_named(
    references: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (references / "a.png").write_text("no picture")
    with pytest.raises(SystemExit):
        run("evaluate", "--references", references, "--bicubic", 4)
    assert (
        f"{references / 'a.png'} could not be read as a picture"
        in capsys.readouterr().err
    )


@pytest.mark.filterwarnings("default:passed over")  # as outside of tests
@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.png", b"", "could not be read as a picture"),
        ("z.jpg", b"\xff\xd8\xff\xe0 cut", "could not be read as a picture"),
        ("m.gif", b"GIF89a", "could not be read as a picture"),
        ("z.png", (3, 40), "too few to be shrunk by 4"),
        ("a.png", (40, 3), "too few to be shrunk by 4"),
        ("z.bmp", (5, 5), "SSIM needs pictures of at least 6 pixels"),
        ("z.png", (13, 13), "SSIM needs pictures of at least 6 pixels"),
    ],
)
def test_one_bad_picture_is_passed_over_and_the_rest_is_written(
    name: str,
    content: bytes | tuple[int, int],
    why: str,
    references: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if isinstance(content, bytes):
        (references / name).write_bytes(content)
    else:
        Image.new("RGB", content).save(references / name)
    border = ("--border", 4) if content == (13, 13) else ()
    files = {
        option: tmp_path / f"figures.{option}" for option in ("csv", "markdown", "out")
    } | {"sheet": tmp_path / "sheet.png"}
    with pytest.raises(SystemExit) as stop:
        run(
            "evaluate",
            "--references",
            references,
            "--bicubic",
            4,
            *border,
            *(each for option, path in files.items() for each in (f"--{option}", path)),
        )
    printed = capsys.readouterr()
    assert stop.value.code == 2
    assert printed.out.startswith(f"2 pictures of {references}, x4")
    assert re.search(rf"sr3mini: passed over: .*{name}.*{why}", printed.err)
    assert printed.err.endswith("sr3mini: 1 of 3 pictures could not be measured\n")
    assert len(read(files["csv"])) == 3
    assert all(path.is_file() for path in files.values())


def test_a_file_that_cannot_be_written_does_not_take_the_others_with_it(
    references: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".f.part.csv").mkdir()  # where the CSV file would be written first
    (tmp_path / ".f.part.csv" / "full").touch()
    with pytest.raises(SystemExit):
        run(
            *("evaluate", "--references", references, "--bicubic", 4),
            *("--csv", tmp_path / "f.csv", "--out", tmp_path / "f.json"),
            *("--markdown", tmp_path / "f.md"),
        )
    assert f"{tmp_path / 'f.csv'} could not be written" in capsys.readouterr().err
    assert (tmp_path / "f.json").is_file()
    assert (tmp_path / "f.md").is_file()


@pytest.mark.parametrize(
    "name", [b"\x93\xfa.png", "\u732b.png".encode(), b"a\tb\n.png", b"e\xcc\x81.png"]
)
def test_any_name_is_measured_and_written(
    name: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = save(tmp_path / "hr", "a.png")
    file = folder / os.fsdecode(name)
    (folder / "a.png").rename(file)
    run(
        *("evaluate", "--references", folder, "--bicubic", 4),
        *("--csv", tmp_path / "f.csv", "--markdown", tmp_path / "f.md"),
        *("--sheet", tmp_path / "f.png"),
    )
    assert "1 pictures of " in capsys.readouterr().out
    assert (tmp_path / "f.png").is_file()
    assert len(read(tmp_path / "f.csv")) == 2


def test_figures_of_exact_results_are_json(
    references: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(references, tmp_path / "sr")
    out = tmp_path / "f.json"
    run(
        "evaluate",
        "--references",
        references,
        "--results",
        tmp_path / "sr",
        "--out",
        out,
    )
    found = json.loads(out.read_text(), parse_constant=pytest.fail)["metrics"]
    assert found == {"results": {"exact": 2, "SSIM": pytest.approx(1)}}
    assert capsys.readouterr().out.splitlines()[1].split() == ["exact", "SSIM"]


@pytest.mark.parametrize("option", ["--csv", "--markdown", "--sheet"])
@pytest.mark.parametrize("kind", ["file", "link", "dangling link"])
def test_a_file_that_is_there_is_not_replaced(
    option: str,
    kind: str,
    references: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mine, path = tmp_path / "mine.png", tmp_path / "f.png"
    if kind != "dangling link":
        mine.write_text("my own")
    if kind == "file":
        path = mine
    else:
        path.symlink_to(mine)
    both = ("evaluate", "--references", references, "--bicubic", 4)
    assert "is there already, and of no evaluation: name" in fails(
        capsys, *both, option, path
    )
    assert path.is_symlink() == (kind != "file")
    assert mine.exists() == (kind != "dangling link")


@pytest.mark.filterwarnings("default:.*of an earlier evaluation")
def test_figures_of_an_earlier_evaluation_are_replaced_and_that_is_told(
    references: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / name for name in ("f.csv", "f.md", "f.png")]
    options = zip(("--csv", "--markdown", "--sheet"), files, strict=True)
    both = ("evaluate", "--references", references, *itertools.chain(*options))
    run(*both, "--bicubic", 4)
    before = [file.read_bytes() for file in files]
    capsys.readouterr()
    run(*both, "--bicubic", 2)
    said = capsys.readouterr().err
    for file, content in zip(files, before, strict=True):
        assert f"{file}, of an earlier evaluation, will be replaced" in said
        assert file.read_bytes() != content


def test_figures_go_where_a_link_leads_and_to_a_device(
    references: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.json").write_text("{}")
    (tmp_path / "link.json").symlink_to("mine.json")
    both = ("evaluate", "--references", references, "--bicubic", 4)
    run(*both, "--out", tmp_path / "link.json", "--csv", "/dev/null")
    assert (tmp_path / "link.json").is_symlink()
    assert "metrics" in json.loads((tmp_path / "mine.json").read_text())
    assert not Path("/dev/null").is_file()


@pytest.mark.filterwarnings("default")
def test_small_and_unreadable_pictures_of_a_set_are_told(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = save(tmp_path / "own", "a.png", "b.png", "c.png", size=(8, 30))
    tiny.pictures(own, 2)
    (own / "d.png").write_text("no picture")
    out = tmp_path / "f.csv"
    both = ("evaluate", "--model", model, "--data", own, "--samples", 1, "--steps", 1)
    with pytest.raises(SystemExit):
        run(*both, "--csv", out)
    printed = capsys.readouterr()
    assert "3 of 6 pictures are smaller than 16 x 16 and enlarged" in printed.err
    assert "1 of 6 pictures could not be measured" in printed.err
    assert printed.out.startswith("5 pictures of ")
    assert {line["picture"] for line in read(out)} - {"mean"} == {
        *("00.png", "01.png", "a.png", "b.png", "c.png")
    }


def test_a_suffix_is_of_results(
    references: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = ("evaluate", "--references", references, "--bicubic", 4)
    assert "is of results" in fails(capsys, *both, "--suffix", "_SwinIR")
