"""How little `import sr3mini`, its rooms and --help bring in (who may import whom,
`make lint` checks), and that the shapes are checked while the tests run.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from jaxtyping import TypeCheckError

import sr3mini

WINGS = (
    "book",
    "bridges",
    "cli",
    "data",
    "evaluation",
    "files",
    "model",
    "training",
    "upscaling",
)


@pytest.fixture(scope="module")
def brought_in() -> set[str]:
    """What `import sr3mini` and a look at each name of its rooms add, in a fresh
    interpreter, to what `import torch` has loaded.
    """
    program = (
        "import json, sys, torch; before = set(sys.modules); import sr3mini;"
        " [getattr(sr3mini, name) for name in {*sr3mini.__all__} - {'load'}];"
        " print(json.dumps(list(set(sys.modules) - before)))"
    )
    return set(
        json.loads(
            subprocess.run(
                [sys.executable, "-c", program],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
    )


def test_import_sr3mini_leaves_the_heavy_packages_out(brought_in: set[str]) -> None:
    heavy = {"datasets", "diffusers", "tensorboard"} | {
        "matplotlib",
        "IPython",
        "ipywidgets",
        "accelerate",
        "torchmetrics",
    }
    heavy |= {"tyro", "scipy", "sympy", "beartype"}
    tops = {name.split(".")[0] for name in brought_in}
    assert "sr3mini" in tops
    assert {
        name for name in tops if name in heavy or name.startswith("jupyter")
    } == set()


def test_import_sr3mini_brings_in_its_five_dependencies_and_nothing_else(
    brought_in: set[str],
) -> None:
    """wadler_lindig is what jaxtyping itself imports."""
    tops = (
        {name.split(".")[0] for name in brought_in}
        - {"sr3mini", "torch"}
        - set(sys.stdlib_module_names)
    )
    assert tops <= {
        "numpy",
        "PIL",
        "safetensors",
        "tqdm",
        "jaxtyping",
        "wadler_lindig",
        "typing_extensions",
    }


def test_import_sr3mini_brings_in_no_wing(brought_in: set[str]) -> None:
    assert {
        name.split(".")[1] for name in brought_in if name.startswith("sr3mini.")
    } & set(WINGS) == set()


HELP = """
import sys
from contextlib import suppress
from sr3mini.cli import VERBS, main
for verb in ([], *([verb] for verb in VERBS)):
    with suppress(SystemExit):
        main([*verb, "--help"])
print(*sorted(sys.modules), file=sys.stderr)
"""


def test_help_is_answered_without_torch() -> None:
    """Of the command and of every verb, in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", HELP], capture_output=True, text=True, check=True
    )
    assert done.stdout.count("usage: sr3mini") == 9
    loaded = {name.split(".")[0] for name in done.stderr.split()}
    assert "tyro" in loaded
    assert loaded & {"torch", "numpy", "PIL", "accelerate", "matplotlib"} == set()


def test_a_room_is_opened_when_it_is_asked_for() -> None:
    program = (
        "import sys, sr3mini; before = 'torch' in sys.modules;"
        " print(before, sr3mini.metrics.psnr.__module__, sr3mini.sample.__module__)"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert told.split() == ["False", "sr3mini.metrics", "sr3mini.sampler"]


def test_every_wing_is_known() -> None:
    assert sorted(
        path.parent.name for path in Path(sr3mini.__file__).parent.glob("*/__init__.py")
    ) == sorted(WINGS)


def test_all_names_of_the_package_are_there() -> None:
    assert [name for name in sr3mini.__all__ if not hasattr(sr3mini, name)] == []
    assert set(sr3mini.__all__) <= set(dir(sr3mini))


def test_shapes_are_checked_while_the_tests_run() -> None:
    """Three levels for two images: without the hook of conftest, torch would broadcast
    or fail somewhere inside.
    """
    with pytest.raises(TypeCheckError):
        sr3mini.diffuse(torch.zeros(2, 4), torch.full((3,), 0.5), torch.zeros(2, 4))


def test_load_is_offered_without_being_brought_in(brought_in: set[str]) -> None:
    from sr3mini.model import checkpoint

    assert "sr3mini.model.checkpoint" not in brought_in
    assert sr3mini.load is checkpoint.load
    assert "load" in sr3mini.__all__
    with pytest.raises(AttributeError, match="'sr3mini' has no attribute 'laod'"):
        sr3mini.laod  # noqa: B018
