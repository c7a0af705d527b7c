r"""The command line: one module a verb. A mistake is one sentence and status 2."""

from __future__ import annotations

import itertools
import re
import sys
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import tyro
from tqdm.auto import tqdm

from .convert import export, import_
from .evaluate import evaluate
from .generate import generate
from .plan import plan
from .prepare import prepare
from .train import train
from .upscale import upscale

REFUSALS = (ValueError, OSError, FloatingPointError, KeyError, ImportError, MemoryError)
LONGEST = 1500  # characters of a sentence

VERBS: dict[str, Callable[..., Any]] = {
    "prepare": prepare,
    "plan": plan,
    "train": train,
    "upscale": upscale,
    "generate": generate,
    "evaluate": evaluate,
    "import": import_,
    "export": export,
}
for (
    _verb
) in VERBS.values():  # --help breaks its own lines, and keeps those that it finds
    _verb.__doc__ = re.sub(r"\n {12}(?=\S)", " ", _verb.__doc__ or "")


def main(arguments: list[str] | None = None) -> None:
    """Entry point of `sr3mini`."""
    for stream in (sys.stdout, sys.stderr):
        # names that a console cannot print, as Windows's of cp1252: their codes instead
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        _demand_words(sys.argv[1:] if arguments is None else arguments)
        with warnings.catch_warnings():
            warnings.showwarning = partial(_show_warning, set())
            tyro.extras.subcommand_cli_from_dict(
                VERBS,
                prog="sr3mini",
                args=arguments,
                config=(tyro.conf.OmitArgPrefixes,),
            )
    except REFUSALS as error:
        print(f"sr3mini: {_sentence(error)}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("sr3mini: stopped", file=sys.stderr)
        raise SystemExit(130) from None


def _demand_words(arguments: list[str]) -> None:
    """ValueError for an argument that is empty: Path("") would be the folder that one
    is in, and an empty name that of nothing.
    """
    for before, word in itertools.pairwise(["sr3mini", *arguments]):
        if not word.strip() or re.fullmatch(r"--[\w-]+=\s*", word):
            raise ValueError(
                f"the argument behind {before} is empty; is a variable not set?"
            )


def _sentence(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror is not None:
        where = "" if error.filename is None else f"{error.filename}: "
        return _plain(where + error.strerror)
    if isinstance(error, ImportError):
        advice = "; install what this needs with pip install 'sr3mini[book,train]'"
        return _plain(str(error) + ("" if "pip install" in str(error) else advice))
    own = isinstance(error, KeyError) and error.args  # whose str() has quotes around it
    said = str(error.args[0] if own else error)
    return _plain(said) or type(error).__name__


def _plain(said: str) -> str:
    """One line without control characters, which the names of files may hold, and with
    its middle left out where somebody's text made it long.
    """
    line = " ".join(said.split())
    line = "".join(
        c if c.isprintable() or "\ud800" <= c <= "\udfff" else repr(c)[1:-1]
        for c in line
    )
    return line if len(line) <= LONGEST else f"{line[:900]} [...] {line[-500:]}"


def _show_warning(
    said: set[str], message: Warning | str, *_: object, **__: object
) -> None:
    """Each sentence once a run; on a line of its own, not behind a progress bar."""
    line = _plain(str(message))
    if line not in said:
        said.add(line)
        tqdm.write(f"sr3mini: {line}", file=sys.stderr)
