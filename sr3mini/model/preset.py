r"""A preset: everything that decides what is trained, in one frozen record that is
stored with the weights.

preset.training_schedule()    the levels that p(gamma) is made of
preset.sampling_schedule(N)   the N levels at which f is called in use
preset.sampled(N, method)     the preset with another number of calls, or method
"""

from __future__ import annotations

import dataclasses
import json
import reprlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, get_args

from ..files.ranges import is_range
from ..files.text import parse_json
from ..sampler import Method, even_log_snr
from ..schedule import NoiseSchedule

# 1 - alpha_t from start to end in T steps
SCHEDULES: dict[str, Callable[[int, float, float], NoiseSchedule]] = {
    "linear": NoiseSchedule.linear,
    "quadratic": NoiseSchedule.quadratic,
    "warmup10": partial(NoiseSchedule.warmup, fraction=0.1),
    "warmup50": partial(NoiseSchedule.warmup, fraction=0.5),
    "constant": lambda steps, start, end: NoiseSchedule.constant(steps, end),
    "cosine": lambda steps, start, end: NoiseSchedule.cosine(steps),
}

# The levels and the network calls of a method that is asked for by name.
USUAL: dict[str, tuple[str, int]] = {
    "ancestral": ("respaced", 100),
    "ddim": ("even", 8),
    "multistep": ("even", 8),
}

CHOICES: dict[str, tuple[object, ...]] = {
    "data": ("glyphs", "letters", "folder"),
    "layout": ("sr3mini", "ddpm", "ddpm_affine"),
    "schedule": tuple(SCHEDULES),
    "sampling_method": get_args(Method),
    "sampling_levels": ("respaced", "even"),
    "conditional": (True, False),
    "objective": ("noise", "regression"),
    "decay": ("cosine", "none"),
    "image_channels": (1, 3),
    "loss_power": (1, 2),
}

# Far beyond what anybody trains: a file from elsewhere must not ask for a network that
# fills the machine. A range of floats takes whole numbers too.
RANGES: dict[str, tuple[float, float]] = {
    "size": (1, 4096),
    "factor": (1, 64),
    "channels": (1, 4096),
    "multipliers": (1, 64),
    "blocks": (0, 16),
    "attention": (0, 16),
    "groups": (1, 4096),
    "schedule_steps": (1, 10_000_000),
    "sampling_steps": (1, 10_000_000),
    "train_steps": (1, 10_000_000),
    "batch_size": (1, 10_000_000),
    "warmup_steps": (0, 10_000_000),
    "blur": (0.0, 100.0),
    "dropout": (0.0, 1.0),
    "detail": (0.0, 1.0),
    "x_noise": (0.0, 1.0),
    "from_files": (0.0, 1.0),
    "worn": (0.0, 1.0),
    "zoom": (1.0, 64.0),
    "weighting": (1.0, 1000.0),
    "ema_decay": (0.0, 1.0),
    "schedule_start": (0.0, 1.0),
    "schedule_end": (0.0, 1.0),
    "learning_rate": (0.0, 1.0),
    "weight_decay": (0.0, 1.0),
}
LONGEST = 64  # characters of a name
LISTS = ("multipliers", "attention")  # of whole numbers; blocks may be one


@dataclass(frozen=True)
class Preset:
    """Names and numbers of one training run; `to_json` and `from_json` carry them into
    a checkpoint and back.

    Raises ValueError, in one sentence, when a value makes no sense.
    """

    name: str
    data: str  # "glyphs", "letters", or "folder": the reader's own pictures
    size: int  # side of the high-resolution picture in training, pixels
    factor: int  # how many times smaller x is
    image_channels: int = 1  # 1, grey, or 3, red, green and blue

    channels: int = 32
    multipliers: tuple[int, ...] = (1, 2, 4)
    blocks: int | tuple[int, ...] = 1
    attention: tuple[int, ...] = ()
    groups: int = 8
    dropout: float = 0.0
    # Standard deviation of y - U x, with which f starts as the best guess for
    # y ~ N(U x, detail^2 I). With 0, as in the paper, f starts as 0.
    detail: float = 0.0
    conditional: bool = True  # False: f looks at y_t alone, whatever x is
    layout: str = "sr3mini"  # or "ddpm", "ddpm_affine": of the best-known public code

    schedule: str = "linear"  # how 1 - alpha_t goes from start to end: of SCHEDULES
    schedule_steps: int = 2000  # T in training
    schedule_start: float = 1e-6
    schedule_end: float = 1e-2
    sampling_steps: int = 25  # T in use, unless asked otherwise
    sampling_method: Method = "ancestral"  # or "ddim", "multistep": of `sample`
    # "respaced", levels of the training schedule, or "even" in log-SNR
    sampling_levels: str = "respaced"

    loss_power: int = 2  # p of L_p
    # With `detail`, the U-Net's answer counts in a unit that shrinks with the signal
    # (I.2). The loss weighs levels so that its own error counts alike at all of them,
    # but none more than `weighting` times. With 1, as in the paper, all weigh 1.
    weighting: float = 1.0
    # Largest standard deviation, in pixels of x, of the blur that training adds to x:
    # one a picture, uniform in [0, blur].
    blur: float = 0.0
    # Standard deviation, on [-1, 1], of the noise of a cheap camera on x.
    x_noise: float = 0.0
    # Share of the training pictures whose x is clipped and rounded to 8 bits, as a file
    # stores it.
    from_files: float = 0.0
    # Share of those whose x is as a cheap camera and a JPEG file leave it.
    worn: float = 0.0
    # Training reads pictures `zoom` times as large, and takes from each a square of
    # `size` pixels up to the whole, from anywhere, shrunk to `size`, mirrored or not.
    zoom: float = 1.0
    # "regression": one call gives the picture, SR3's baseline of the same size.
    objective: str = "noise"
    train_steps: int = 10_000
    batch_size: int = 64
    learning_rate: float = 2e-3
    warmup_steps: int = 200
    decay: str = "cosine"  # of the learning rate; "none", as in the paper: it stays
    weight_decay: float = 0.01
    ema_decay: float = 0.999
    # The values of picture files that are black and white, where the files do not tell.
    range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for field in CHOICES:
            self._demand_choice(field)
        for field in RANGES:
            self._demand_range(field)
        name = self.name
        word = isinstance(name, str) and name.isprintable() and len(name) <= LONGEST
        self._demand(
            "name",
            word and not set(name) & set("/\\") and name not in ("", ".", ".."),
            "a word without slashes, the name of a folder",
        )
        self._demand_sense()

    def _demand_choice(self, field: str) -> None:
        value, choices = getattr(self, field), CHOICES[field]
        known = any(type(value) is type(each) and value == each for each in choices)
        self._demand(field, known, f"one of {', '.join(map(repr, choices))}")

    def _demand_range(self, field: str) -> None:
        value, (least, most) = getattr(self, field), RANGES[field]
        kind, several = type(least), isinstance(value, tuple)
        fits = field == "blocks" or several == (field in LISTS)
        for each in value if several else (value,):
            number = isinstance(each, (int, kind)) and not isinstance(each, bool)
            fits = fits and number and least <= each <= most
        what = "a list of whole numbers" if field in LISTS else kind.__name__
        self._demand(field, fits, f"{what} between {least} and {most}")

    def _demand_sense(self) -> None:
        """ValueError when two fields do not go together."""
        depths, plain = len(self.multipliers), self.layout == "sr3mini"
        blocks = self.blocks
        drawn_from_x = self.objective == "noise" and plain and self.conditional
        self._demand(
            "multipliers", 1 <= depths <= 8, "1 to 8 numbers, one for each depth"
        )
        self._demand(
            "blocks",
            isinstance(blocks, int) or (plain and len(blocks) == depths),
            f"one number, or with layout = 'sr3mini' one for each of {depths} depths",
        )
        self._demand(
            "attention",
            all(depth < depths for depth in self.attention),
            f"a list of depths below {depths}, counted from 0",
        )
        self._demand(
            "detail",
            self.detail == 0 or drawn_from_x,
            "0, since only a network with layout = 'sr3mini' that is shown x and"
            " predicts noise can start from U x",
        )
        self._demand(
            "weighting",
            self.weighting == 1 or self.detail > 0,
            "1, since only a network with detail has an answer in other units",
        )
        self._demand(
            "worn",
            self.worn + self.from_files <= 1,
            f"at most 1 - from_files = {1 - self.from_files:g}",
        )
        self._demand(
            "sampling_steps",
            self.sampling_steps <= self.schedule_steps,
            f"at most schedule_steps = {self.schedule_steps}",
        )
        self._demand(
            "range",
            self.range is None or (self.data == "folder" and is_range(self.range)),
            "null, or for a folder two numbers, the lower one first",
        )
        self._demand(
            "size",
            self.size % self.factor == 0,
            f"a multiple of factor = {self.factor}",
        )

    def _demand(self, field: str, fits: bool, what: str) -> None:
        if not fits:
            value = reprlib.repr(getattr(self, field))
            raise ValueError(f"{field} = {value}, but it must be {what}")

    @property
    def label(self) -> str:
        """What tables and pictures call its network: "SR3", or "regression" when it is
        trained to give the picture itself.
        """
        return "regression" if self.objective == "regression" else "SR3"

    def training_schedule(self) -> NoiseSchedule:
        """The schedule behind p(gamma) in training."""
        return SCHEDULES[self.schedule](
            self.schedule_steps, self.schedule_start, self.schedule_end
        )

    def sampling_schedule(self, steps: int | None = None) -> NoiseSchedule:
        """`steps` (default `sampling_steps`) levels of those that `sampling_levels`
        names: f knows gamma, not t, so any will do that it was trained on.
        """
        training = self.training_schedule()
        steps = self.sampling_steps if steps is None else steps
        if self.sampling_levels == "respaced":
            return training.respaced(steps)
        return even_log_snr(steps, last=max(1e-4, training.gammas[-1].item()))

    def sampled(self, steps: int | None = None, method: Method | None = None) -> Preset:
        """This preset with `steps` network calls, or with a `method`, which brings the
        levels and calls of `USUAL`. A regression stays as it is.

        ValueError when there are not so many levels, or no such method.
        """
        changes: dict[str, Any] = {}
        if self.objective == "regression":
            return self
        if method is not None:
            levels, calls = USUAL.get(method, (self.sampling_levels, 1))
            changes = {"sampling_method": method, "sampling_levels": levels}
            changes["sampling_steps"] = min(calls, self.schedule_steps)
        if steps is not None:
            changes["sampling_steps"] = steps
        return replace(self, **changes) if changes else self

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Preset:
        """ValueError, in one sentence, when the text is no JSON object, a field is
        unknown or missing, or a value makes no sense.
        """
        fields: dict[str, Any] = {
            field: tuple(value) if isinstance(value, list) else value
            for field, value in parse_json(text, "this preset").items()
        }
        try:
            return cls(**fields)
        except TypeError as error:  # a field is unknown, or missing
            raise ValueError(
                "this preset was not written by this version of sr3mini"
                f" ({str(error)[:120]})"
            ) from error
