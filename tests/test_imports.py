"""Who may import whom, how little `import sr3mini` brings in, and that the shapes are checked while the tests run."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from jaxtyping import TypeCheckError

import sr3mini

ORDER = (
    *("schedule", "translate", "forward", "degrade", "oracle", "unet", "ddpm_unet", "loss", "sampler"),
    *("metrics", "pictures", "files", "perceptual", "fonts", "folders", "pairs", "loading", "stream", "data", "prepare", "fetch"),
    *("preset", "checkpoint", "cards", "pth", "janspiry_options", "janspiry", "bridges", "hub"),
    *("trace", "plan", "evaluate", "tiles", "upscale", "album", "compare", "report", "failures"),
    *("watch", "resume", "train", "figures", "widgets", "exercises", "cli"),
)
KEPT_OUT = ("translate", "watch", "resume", "train", "figures", "widgets", "exercises", "cli")
FOLDER = Path(sr3mini.__file__).parent
ROOMS = sorted({path.relative_to(FOLDER).parts[0].removesuffix(".py") for path in FOLDER.rglob("*.py")} - {"__init__", "__main__"})  # modules and packages


def imported_rooms(source: str, level: int = 1) -> Iterator[str]:
    """Every room that a room imports, inside functions too: from .room import, from . import room, import sr3mini.room.

    `level`: how many dots lead to sr3mini; 2 inside a room that is a package, where one dot stays in the room.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            if 0 < node.level < level:
                continue
            path = (["sr3mini"] if node.level else []) + (node.module.split(".") if node.module else [])
            if path == ["sr3mini"]:
                yield from (alias.name for alias in node.names)
            elif path[0] == "sr3mini":
                yield path[1]
        elif isinstance(node, ast.Import):
            paths = (alias.name.split(".") for alias in node.names)
            yield from (path[1] for path in paths if path[0] == "sr3mini" and len(path) > 1)


def imports_from_below(name: str, source: str, level: int = 1) -> list[str]:
    """The rooms that `name` imports although they do not stand above it."""
    return [other for other in imported_rooms(source, level) if other not in ORDER[: ORDER.index(name)]]


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_imports_only_from_the_rooms_above_it(name: str) -> None:
    assert name in ORDER, f"sr3mini/{name}.py has no place in the order of rooms: give it one"
    package = FOLDER / name
    for file in package.glob("*.py") if package.is_dir() else [FOLDER / f"{name}.py"]:
        assert imports_from_below(name, file.read_text(encoding="utf-8"), 1 + package.is_dir()) == [], file


@pytest.mark.parametrize(
    "line",
    [
        "from .unet import UNet",
        "from . import unet",
        "import sr3mini.unet",
        "import sr3mini.unet as network",
        "from sr3mini.unet import UNet",
        "from sr3mini import unet",
        "def late():\n    from .unet import UNet",
    ],
)
def test_an_import_from_below_is_seen_however_it_is_written(line: str) -> None:
    assert imports_from_below("degrade", line) == ["unet"]
    assert imports_from_below("sampler", line) == []


def test_inside_a_package_one_dot_stays_in_the_room_and_two_dots_leave_it() -> None:
    assert imports_from_below("degrade", "from .unet import UNet\nfrom . import unet", 2) == []
    assert imports_from_below("degrade", "from ..unet import UNet", 2) == ["unet"]
    assert imports_from_below("degrade", "from .. import unet", 2) == ["unet"]


@pytest.fixture(scope="module")
def brought_in() -> set[str]:
    """What `import sr3mini` adds, in a fresh interpreter, to what `import torch` has loaded."""
    program = "import json, sys, torch; before = set(sys.modules); import sr3mini; print(json.dumps(list(set(sys.modules) - before)))"
    return set(json.loads(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout))


def test_import_sr3mini_leaves_the_heavy_packages_out(brought_in: set[str]) -> None:
    heavy = {"datasets", "diffusers", "lmdb", "tensorboard"} | {"matplotlib", "IPython", "ipywidgets", "accelerate", "torchmetrics"}
    heavy |= {"tyro", "scipy", "sympy", "beartype"}
    tops = {name.split(".")[0] for name in brought_in}
    assert "sr3mini" in tops
    assert {name for name in tops if name in heavy or name.startswith("jupyter")} == set()


def test_import_sr3mini_brings_in_its_five_dependencies_and_nothing_else(brought_in: set[str]) -> None:
    """wadler_lindig is what jaxtyping itself imports."""
    tops = {name.split(".")[0] for name in brought_in} - {"sr3mini", "torch"} - set(sys.stdlib_module_names)
    assert tops <= {"numpy", "PIL", "safetensors", "tqdm", "jaxtyping", "wadler_lindig", "typing_extensions"}


def test_import_sr3mini_leaves_its_own_upper_rooms_out(brought_in: set[str]) -> None:
    assert {f"sr3mini.{name}" for name in KEPT_OUT} & brought_in == set()


def test_all_names_of_the_package_are_there() -> None:
    assert [name for name in sr3mini.__all__ if not hasattr(sr3mini, name)] == []


def test_shapes_are_checked_while_the_tests_run() -> None:
    """Three levels for two images: without the hook of conftest, torch would broadcast or fail somewhere inside."""
    with pytest.raises(TypeCheckError):
        sr3mini.diffuse(torch.zeros(2, 4), torch.full((3,), 0.5), torch.zeros(2, 4))
