"""pyproject.toml, constraints.txt and environment.yml tell one story."""

from __future__ import annotations

import re
import tomllib

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from project import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]
# where conda-forge calls a package otherwise
CONDA_NAMES = {
    "torch": "pytorch",
    "playwright": "playwright-python",
}
PIP_ONLY = {"math-core"}  # taken from PyPI in a conda environment too


def direct():
    """name -> Requirement, for the base and all extras; a package named twice must be
    asked for in the same way.
    """
    lists = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    found = {}
    for requirement in (Requirement(line) for group in lists for line in group):
        name = canonicalize_name(requirement.name)
        assert found.setdefault(name, requirement).specifier == requirement.specifier, (
            f"{name} is asked for with two different ranges"
        )
    return found


def pins():
    """name -> version, as constraints.txt pins them."""
    lines = [
        line
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines), (
        "constraints.txt holds lines that are not name==version"
    )
    return {
        canonicalize_name(name): version
        for name, version in (line.split("==") for line in lines)
    }


def test_constraints_pin_every_direct_dependency_inside_its_range():
    pinned = pins()
    for name, requirement in direct().items():
        assert name in pinned, (
            f"constraints.txt does not pin {name}; run `make constraints`"
        )
        assert requirement.specifier.contains(pinned[name]), (
            f"constraints.txt pins {name} to {pinned[name]}, outside"
            f" {requirement.specifier}"
        )


def test_constraints_pin_torch_for_every_kind_of_machine():
    pinned = pins()
    assert pinned["torch"] == "2.13.0"
    assert not [
        name for name in pinned if name.startswith(("nvidia", "cuda", "triton"))
    ]


def test_constraints_leave_out_the_project_and_the_installers():
    assert not {"sr3mini", "pip", "setuptools", "wheel"} & set(pins())


def test_torchvision_is_not_required():
    conda = (ROOT / "environment.yml").read_text(encoding="utf-8")
    assert "torchvision" not in direct()
    assert "torchvision" not in pins()
    assert "torchvision" not in conda


def test_conda_environment_equals_the_project():
    packages = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))[
        "dependencies"
    ]
    conda = {
        requirement.name: requirement.specifier
        for requirement in (
            Requirement(line) for line in packages if isinstance(line, str)
        )
    }
    wanted = {
        CONDA_NAMES.get(name, name): requirement.specifier
        for name, requirement in direct().items()
        if name not in PIP_ONLY
    }
    wanted["python"] = Requirement(f"python{PROJECT['requires-python']}").specifier
    assert conda.pop("pip") == ""
    assert conda == wanted
    assert packages[-1] == {
        "pip": ["-e .", *(str(direct()[name]) for name in sorted(PIP_ONLY))]
    }
