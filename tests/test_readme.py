"""What the README says is what the repository holds."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState
from PIL import Image
from project import ROOT
from public_code import write_checkpoint

from sr3mini import cli
from sr3mini.book.measured import measured
from sr3mini.evaluation.table import format_table
from sr3mini.model.checkpoint import card

README = (ROOT / "README.md").read_text(encoding="utf-8")
# digits of each measure of photographs
COLUMNS = {
    "PSNR": 2,
    "SSIM": 3,
    "consistency": 1,
    "sharpness": 3,
    "edges": 1,
    "flat": 2,
}


def test_the_table_of_results_is_the_one_stored_with_the_weights() -> None:
    about = card("glyphs_8_32")
    for run in (about, about["algorithm 2"]):
        assert format_table(run["metrics"]) in README
        assert run["evaluated"] in README
    assert about["trained"] in README


def test_the_figures_for_photographs_are_the_stored_ones() -> None:
    run = measured("photos_16_64")
    for name, found in run["sets"].items():
        table = found["table"]
        bicubic, original = table["bicubic"], table["original"]
        twin, one = table["photos_16_64_regression"], table["photos_16_64"]
        several = table["mean of 4"]
        cells = [f"{it['PSNR']:.2f}" for it in (bicubic, twin, one, several)]
        cells += [f"{it['consistency']:.1f}" for it in (bicubic, twin, one)]
        cells += [f"{it['sharpness']:.3f}" for it in (twin, one, original)]
        cells += [f"{it['edges']:.1f}" for it in (twin, one)]
        cells += [f"{it['flat']:.2f}" for it in (twin, one)]
        assert f"| {name}, {found['count']} | {' | '.join(cells)} |" in README
        before = table["photos_16_64@ancestral:25"]
        pairs = [
            f"{before[column]:.{digits}f} → {one[column]:.{digits}f}"
            for column, digits in COLUMNS.items()
        ]
        assert f"| {name} | {' | '.join(pairs)} |" in README
    assert run["measured"] in README
    assert all(part["command"] in README for part in run["parts"])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "letters_4_32",
            'in 25 calls, {} ms a sample; "SR3, 5 calls" the second-order solver that '
            "the preset asks for, {} ms",
        ),
        ("photos_16_64", "takes {} ms on one core, with five second-order calls {}:"),
        (
            "glyphs_8_32",
            "25 calls, the default before, a sample takes {} ms, with the preset's 8 "
            "calls {} (",
        ),
    ],
)
def test_the_time_of_a_sample_is_the_stored_one(name: str, said: str) -> None:
    searched = measured(f"defaults_{name}")
    (usual,) = (row for row in searched["rows"] if row["calls"] == 25)
    before, now = (f"{row['ms']:.0f}" for row in (usual, searched["best"]))
    assert said.format(before, now) in README
    assert f"benchmarks/defaults.py --model {name}" in README


def test_the_figures_of_a_large_picture_are_the_stored_ones() -> None:
    run = measured("large_picture")
    before, now = run["rows"]
    assert (before["way"], now["way"]) == ("before", "now")
    for row in (before, now):
        assert f"{row['seconds']} s and {row['peak_MB']:,} MB" in README
    assert run["command"] in README
    assert before["seconds"] > 4 * now["seconds"]


def test_the_figures_of_the_race_are_the_stored_ones() -> None:
    race = measured("race")
    rows = {}
    for row in race["medians"]:
        head = row["set"], row["recipe"]
        cells = [*head, f"{row['told']:.0f}"]
        if row["own"]:
            cells += [f"{row['calls']:,.0f}", f"{row['seconds']:.3g}"]
            cells += [f"{row['PSNR']:.2f}", f"{row['SSIM']:.3f}"]
            cells += [f"{row['consistency']:,.0f}", f"{row['sharpness']:.3f}"]
            cells += [f"{1e3 * row['edge distance']:.1f}"]
            assert f"| {' | '.join(cells)} |" in README
        elif row["told"] == 10:
            rows[*head, row["minutes"]] = row
    formats = {"PSNR": ".1f", "SSIM": ".2f", "consistency": ",.0f", "sharpness": ".3f"}
    for head in {key[:2] for key in rows}:
        cells = [*head]
        for name, how in formats.items():
            cells += [f"{rows[*head, at][name]:{how}}" for at in (2.0, 5.0, 10.0)]
        assert f"| {' | '.join(cells)} |" in README
    eight, all_of_them = (
        [
            f"{race['bicubic'][name][kind]['PSNR']:.1f}"
            for name in ("glyphs", "clothing")
        ]
        for kind in ("own", "all")
    )
    said = f"{' and '.join(eight)} dB on the eight, {' and '.join(all_of_them)} on all"
    assert f"Bicubic has (glyphs, clothing) {said}." in README
    assert race["command"] in README


def test_the_race_ends_as_it_is_told() -> None:
    """One minute of ours against ten of the others, each drawn in its own way."""
    own = {
        (row["set"], row["recipe"], row["told"]): row
        for row in measured("race")["medians"]
        if row["own"]
    }
    for (data, recipe, _), rival in own.items():
        if recipe != "ours":
            one = own[data, "ours", 1.0]
            assert one["PSNR"] > rival["PSNR"]
            assert one["consistency"] < rival["consistency"]
            assert one["SSIM"] > rival["SSIM"]
            assert rival["calls"] in (1000, 2000)
    assert own["clothing", "ours", 1.0]["sharpness"] > 0.1  # grain: 0.05 is there
    soonest = {
        (row["own"], row["ours after minutes"]) for row in measured("race")["overtaken"]
    }
    assert soonest == {(False, 0.5), (True, 1.0)}
    bicubic = measured("race")["bicubic"]["clothing"]["own"]
    for (data, *_), row in own.items():
        assert row["seeds"] == 3
        for column in ("PSNR", "SSIM"):
            assert data != "clothing" or row[column] < bicubic[column]


def test_the_figures_of_a_gpu_are_the_stored_ones() -> None:
    gpu = measured("gpu")
    for way in gpu["step"]:
        cells = [f"{way['images_per_second']:.0f}", f"{way['share_of_peak']:.2f}"]
        cells += [f"{way[f'{k}_memory_gb']:.1f}" for k in ("peak", "planned")]
        assert f"| {' | '.join(cells)} |" in README
    for row in gpu["faces"]["evaluation"]:
        if row["method"] in ("originals", "SR3", "SR3 in bf16"):
            continue
        cells = [f"{row['PSNR']:.2f}", f"{row['SSIM']:.3f}"]
        cells += [f"{row['consistency']:.2f}", f"{row['sharpness']:.4f}"]
        shown = f"| {' | '.join(cells)} |" in README
        assert shown != (row["method"] in ("multistep, 6 calls", "ddim, 8 calls"))
    assert gpu["command"] in README
    assert gpu["faces"]["command"] in README


def test_the_figures_for_letters_are_the_stored_ones() -> None:
    digits = {"PSNR": 2, "SSIM": 3, "consistency": 0, "sharpness": 3, "diversity": 3}
    for name, row in measured("letters_4_32")["table"].items():
        cells = [f"{row[c]:.{n}f}" if c in row else "–" for c, n in digits.items()]
        assert f"| {name} | {' | '.join(cells)} |" in README
    assert measured("letters_4_32")["command"] in README


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)\)", README))
def test_every_link_leads_somewhere(target: str) -> None:
    assert (ROOT / target).exists()


def test_every_chapter_that_is_written_is_in_the_table_and_no_other() -> None:
    chapters = (ROOT / "chapters").rglob("[0-9a-z]*_*.ipynb")
    written = {
        path.relative_to(ROOT).as_posix()
        for path in chapters
        if ".ipynb_checkpoints" not in path.parts
    }
    assert written == set(re.findall(r"\]\(([^)]+\.ipynb)\)", README))


@pytest.mark.parametrize("verb", ["lab", "test", "sync"])
def test_the_verbs_it_names_are_in_the_makefile(verb: str) -> None:
    assert f"make {verb}" in README
    assert re.search(
        rf"^{verb}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )


def test_the_python_example_runs() -> None:
    example = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert example is not None
    names: dict[str, object] = {}
    # three steps show that it runs; a hundred would show no more
    exec(example[1].replace("steps=100", "steps=3"), names)
    assert tuple(names["y"].shape) == (1, 1, 32, 32)  # type: ignore[attr-defined]


# Its commands -------------------------------------------------------------------------

ELSEWHERE = {  # what installs or opens something is tried where that can be done
    "make": "lab and test: every run of the tests in CI begins with it",
    "py": "Windows",
    r".venv\Scripts\python": "Windows",
    "conda": "conda",
    "torchrun": "several processes: tests of the training start two of their own",
    "accelerate": "several processes: tests of the training start two of their own",
    "sbatch": "a cluster",
}
# these take from minutes to days as printed, so here they run with numbers that are at
# most so large
LONG = {
    "train": {"--steps": 2, "--batch-size": 4, "--validate-every": 0},
    "evaluate": {"--count": 2, "--samples": 2, "--steps": 2},
}


def commands() -> list[str]:
    """Every line of the fenced blocks that are no Python, without its comment; the
    tables of results are none.
    """
    found, about = [], card("glyphs_8_32")
    runs = (about, about["algorithm 2"])
    tables = [format_table(run["metrics"]) for run in runs]
    for language, text in re.findall(
        r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL
    ):
        if language != "python" and text.rstrip("\n") not in tables:
            found += [
                line.split("  #")[0].split("    #")[0].strip()
                for line in text.replace("\\\n", " ").splitlines()
                if line.strip()
            ]
    return found


def shortened(arguments: list[str]) -> Iterator[str]:
    """The same arguments, with smaller numbers for what would take long."""
    most = dict(LONG.get(arguments[0], {}))
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--compile":  # a minute, and a compiler
            continue
        yield argument
        if argument in most:
            yield str(min(int(next(waiting)), most.pop(argument)))
    yield from (word for option, value in most.items() for word in (option, str(value)))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the README speaks of: a picture, and a folder of some."""
    folder = tmp_path_factory.mktemp("readme")
    for name in ("photos", "mixture"):
        (folder / name).mkdir()
    for part in measured("photos_16_64")["parts"]:
        if "preset" in part:  # --preset NAME.json
            name = part["command"].split()[3]
            (folder / name).write_text(json.dumps(part["preset"]), encoding="utf-8")
    for name in (
        "photo.jpg",
        *(f"{place}/{n}.jpg" for place in ("photos", "mixture") for n in range(4)),
    ):
        Image.radial_gradient("L").resize((24, 20)).convert("RGB").save(folder / name)
    write_checkpoint(folder / "I640000_E37_gen.pth")
    return folder


@pytest.mark.parametrize(
    "command", [each for each in commands() if each.split()[0] not in ELSEWHERE]
)
def test_a_command_runs_as_printed(
    command: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With names for its placeholders, and smaller numbers for what takes long."""
    monkeypatch.chdir(place)
    program, *arguments = shlex.split(
        command.replace("PICTURE...", "photo.jpg").replace("DIR", "upscaled")
    )
    assert program.removeprefix(".venv/bin/") == "sr3mini", (
        f"the README prints {command!r}: run it here, or say in ELSEWHERE where it"
        " is run"
    )
    cli.main(list(shortened(arguments)))
    AcceleratorState._reset_state(reset_partial_state=True)


def test_the_readme_has_commands_and_what_is_run_elsewhere_is_still_in_it() -> None:
    programs = {command.split()[0] for command in commands()}
    assert {"make", "py", "conda"} <= programs
    assert len([command for command in commands() if "sr3mini " in command]) >= 5


def test_numbers_are_made_smaller_and_never_larger() -> None:
    assert (
        " ".join(shortened(["train", "--steps", "9000", "--seed", "0"]))
        == "train --steps 2 --seed 0 --batch-size 4 --validate-every 0"
    )
    assert list(shortened(["evaluate", "--count", "1"]))[:3] == [
        "evaluate",
        "--count",
        "1",
    ]
    assert list(shortened(["upscale", "--steps", "9000"])) == [
        "upscale",
        "--steps",
        "9000",
    ]
