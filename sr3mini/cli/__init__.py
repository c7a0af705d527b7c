r"""The command line: one module a verb. A mistake is one sentence and status 2."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable
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
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            tyro.extras.subcommand_cli_from_dict(
                VERBS,
                prog="sr3mini",
                args=arguments,
                config=(tyro.conf.OmitArgPrefixes,),
            )
    except (ValueError, OSError, FloatingPointError, KeyError, ImportError) as error:
        print(f"sr3mini: {_sentence(error)}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("sr3mini: stopped", file=sys.stderr)
        raise SystemExit(130) from None


def _sentence(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror is not None:
        where = "" if error.filename is None else f"{error.filename}: "
        return where + error.strerror
    if isinstance(error, ImportError):
        advice = "; install what this needs with pip install 'sr3mini[book,train]'"
        return str(error) + ("" if "pip install" in str(error) else advice)
    return " ".join(str(error.args[0]).split()) if error.args else type(error).__name__


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    # on a line of its own, not behind a progress bar
    tqdm.write(f"sr3mini: {message}", file=sys.stderr)
