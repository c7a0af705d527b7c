"""The reader's own SR3: what she got right, collected from the chapters' exercises in
one file beside the notebooks.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from .grader import Answer, Exercise, grade

FILE = Path("my_sr3.py")  # in the folder of the notebook
HEAD = """\
# Your own SR3, collected from the exercises; the last cell of chapter 7 runs it.
import math

import torch
import torch.nn.functional as F
from torch import nn
"""


def keep(name: str, answer: Answer, exercises: Mapping[str, Exercise]) -> None:
    """Put a right answer into FILE under its exercise's name, in the place of an
    earlier one, and say whether it is right there too: without the rest of its
    notebook.
    """
    before = FILE.read_text("utf-8") if FILE.is_file() else ""
    try:
        source = textwrap.dedent(inspect.getsource(answer)).strip()
        source = re.sub(r"^def \w+", f"def {name}", source)
        known = _blocks() | {name: source}
        FILE.write_text("\n\n\n".join([HEAD.strip(), *known.values()]) + "\n", "utf-8")
    except (OSError, TypeError):  # a source that cannot be found, a folder of others
        print(f"It could not be kept: copy it into {FILE} for chapter 7.")
        return
    exercise = next(each for each in exercises.values() if each.function == name)
    said = grade(exercise, _loaded(exercises)[name])
    if said == "right.":
        print(f"Kept as {name} in {FILE}.")
    else:
        FILE.write_text(before, "utf-8")
        print(f"Not kept, since it is not right by itself, in {FILE}: {said}")


def mine_of(exercises: Mapping[str, Exercise]) -> SimpleNamespace:
    """Her function for each exercise that builds, where FILE has one that is right, and
    else the book's. Prints which is which.
    """
    own, functions, hers = _loaded(exercises), _book(exercises), []
    for exercise in exercises.values():
        name = exercise.function
        changed = name in functions and own[name] is not functions[name]
        if changed and grade(exercise, own[name]) == "right.":
            functions[name] = own[name]
            hers.append(name)
    print("yours:", ", ".join(hers) or "none yet")
    print("the book's:", ", ".join(name for name in functions if name not in hers))
    return SimpleNamespace(**functions)


def _book(exercises: Mapping[str, Exercise]) -> dict[str, Answer]:
    """The right function of each exercise that builds."""
    return {each.function: each.right for each in exercises.values() if each.builds}


def _blocks() -> dict[str, str]:
    """The functions in FILE, by name."""
    text = FILE.read_text("utf-8") if FILE.is_file() else ""
    _, *parts = re.split(r"^(?=def )", text, flags=re.MULTILINE)
    return {re.split(r"\W", part[4:])[0]: part.strip() for part in parts}


def _loaded(exercises: Mapping[str, Exercise]) -> dict[str, Any]:
    """What FILE defines, beside the book's functions, which hers may call."""
    space: dict[str, Any] = {"__name__": "my_sr3", **_book(exercises)}
    if FILE.is_file():
        try:
            exec(compile(FILE.read_text("utf-8"), str(FILE), "exec"), space)
        except Exception as error:
            print(f"{FILE} could not be run ({type(error).__name__}: {error})")
    return space
