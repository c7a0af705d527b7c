"""What several verbs check: numbers in their range, network calls, devices."""

from __future__ import annotations

import os
import signal
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

if TYPE_CHECKING:
    import torch

    from ..model.network import Network
    from ..model.preset import Preset

# the values of files that are black and white
RangeOption = Annotated[tuple[float, float] | None, tyro.conf.arg(metavar="LOW HIGH")]
# how a network is asked, if not as its preset says; `sampler.Method`
MethodOption = Literal["ancestral", "ddim", "multistep"] | None
DEFAULT_MODEL = "photos_16_64"  # of the shipped ones, where the user names none


def between(name: str, value: int, least: int, most: int = 2**32) -> int:
    if not least <= value <= most:
        raise ValueError(
            f"{name} = {value}, but it must lie between {least} and {most}"
        )
    return value


def named_preset(name: str) -> Preset:
    """A preset by name, or one of the user's own in a .json file."""
    from ..files.text import read_text
    from ..model.preset import Preset
    from ..model.presets import PRESETS

    if name in PRESETS:
        return PRESETS[name]
    if not name.endswith(".json"):
        raise ValueError(
            f"no preset {name!r}; there are: {', '.join(PRESETS)}; or give a .json file"
        )
    text = read_text(name)
    try:
        return Preset.from_json(text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def asked(f: Network, steps: int | None, method: MethodOption) -> Preset:
    """The preset of `f` with the network calls a picture and the method that are asked
    for. ValueError when it is a regression network, which is called once, and not so.
    """
    if f.preset.objective == "regression":
        for name, value in {"steps": steps, "method": method}.items():
            if value not in (None, 1):
                raise ValueError(
                    f"{name} = {value}, but {f.preset.name} is a regression network and"
                    f" is called once a picture: leave --{name} out"
                )
        return replace(f.preset, sampling_steps=1)
    if steps is not None:
        between("steps", steps, 1, f.preset.schedule_steps)
    return f.preset.sampled(steps, method)


def say_shadowed(*names: str) -> None:
    """Warn where a name that is the project's own is also that of a file or folder."""
    from ..model.checkpoint import shipped

    for name in names:
        if name in ("glyphs", "letters", *shipped()) and os.path.lexists(name):
            warnings.warn(
                f"{name} is taken for the one that comes with sr3mini; write ./{name}"
                " for what lies here",
                stacklevel=2,
            )


def pick_device(name: str) -> torch.device:
    """The device of that name, "auto" being a GPU if there is one; ValueError when this
    machine has no such device.
    """
    import torch

    if name == "auto":
        there = torch.accelerator.current_accelerator(check_available=True)
        name = str(there or "cpu")
    try:
        number = torch.zeros((), device=name)
        number.item()  # the device "meta" has shapes and no numbers
        return number.device
    except (RuntimeError, AssertionError) as error:  # depends on how torch was built
        raise ValueError(
            f"device = {name!r}, but this machine does not have it"
            f" ({str(error).splitlines()[0].rstrip('.')})"
        ) from error


def clear_up_when_terminated() -> None:
    """SIGTERM, which job schedulers send, and SIGHUP, of a terminal that is closed, end
    the run as Ctrl-C does: what is half written goes.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    hang_up = getattr(signal, "SIGHUP", None)  # Windows has none; nohup ignores it
    if hang_up is not None and signal.getsignal(hang_up) == signal.SIG_DFL:
        signal.signal(hang_up, signal.default_int_handler)
