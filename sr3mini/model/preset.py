r"""A preset: everything that decides what is trained, in one frozen record that is
stored with the weights.

preset.training_schedule()    the levels that p(gamma) is made of
preset.sampling_schedule(N)   N of these levels, for Algorithm 2
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..schedule import NoiseSchedule

SCHEDULES: dict[
    str, Callable[[int, float, float], NoiseSchedule]
] = {  # 1 - alpha_t from start to end in T steps
    "linear": NoiseSchedule.linear,
    "quadratic": NoiseSchedule.quadratic,
    "warmup10": partial(NoiseSchedule.warmup, fraction=0.1),
    "warmup50": partial(NoiseSchedule.warmup, fraction=0.5),
    "constant": lambda steps, start, end: NoiseSchedule.constant(steps, end),
    "cosine": lambda steps, start, end: NoiseSchedule.cosine(steps),
}

LAYOUTS = ("sr3mini", "ddpm", "ddpm_affine")

_RANGES: dict[
    str, tuple[float, float]
    # far beyond what anybody trains: a file from elsewhere must not ask for a network
    # that
    # fills the machine
] = {
    **dict.fromkeys(
        ("train_steps", "batch_size", "schedule_steps", "sampling_steps"),
        (1, 10_000_000),
    ),
    **dict.fromkeys(("size", "channels", "groups"), (1, 4096)),
    **dict.fromkeys(("factor", "multipliers"), (1, 64)),
    **dict.fromkeys(("blocks", "attention"), (0, 16)),
    "image_channels": (1, 3),
    "warmup_steps": (0, 10_000_000),
    "loss_power": (1, 2),
    "blur": (0.0, 100.0),
    **dict.fromkeys(
        (
            "dropout",
            "detail",
            "from_files",
            "ema_decay",
            "schedule_start",
            "schedule_end",
            "learning_rate",
            "weight_decay",
        ),
        (0.0, 1.0),
    ),
}


@dataclass(frozen=True)
class Preset:
    """Names and numbers of one training run; `to_json` and `from_json` carry them into
    a checkpoint and back.

    Raises ValueError, in one sentence, when a value makes no sense.
    """

    name: str
    data: str  # "glyphs", or "folder": the reader's own pictures
    size: int  # side of the high-resolution picture in training, pixels
    factor: int  # how many times smaller x is
    image_channels: int = 1  # 1, grey, or 3, red, green and blue
    channels: int = 32
    multipliers: tuple[int, ...] = (1, 2, 4)
    blocks: int | tuple[int, ...] = 1
    attention: tuple[int, ...] = ()
    groups: int = 8
    dropout: float = 0.0
    # standard deviation of y - U x, with which f starts as the best guess for y ~ N(U
    # x, detail^2 I); 0, as in the paper: f starts as 0
    detail: float = 0.0
    conditional: bool = True  # False: f looks at y_t alone, whatever x is
    # of the network; "ddpm" and "ddpm_affine" are those of the best-known public SR3
    # code
    layout: str = "sr3mini"
    schedule: str = (
        "linear"  # how 1 - alpha_t goes from start to end in training: one of SCHEDULES
    )
    schedule_steps: int = 2000  # T in training
    schedule_start: float = 1e-6
    schedule_end: float = 1e-2
    sampling_steps: int = 25  # T in use, unless asked otherwise
    loss_power: int = 2  # p of L_p
    # largest standard deviation, in pixels of x, of the blur that training adds to x:
    # one a picture, uniform in [0, blur]
    blur: float = 0.0
    # share of the training pictures whose x is clipped and rounded to 8 bits, as a file
    # stores it
    from_files: float = 0.0
    # or "regression": one call gives the picture, which makes SR3's baseline of the
    # same size
    objective: str = "noise"
    train_steps: int = 10_000
    batch_size: int = 64
    learning_rate: float = 2e-3
    warmup_steps: int = 200
    # of the learning rate, to 0; or "none": it stays after the warm-up, as in the paper
    decay: str = "cosine"
    weight_decay: float = 0.01
    ema_decay: float = 0.999

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or self.data not in ("glyphs", "folder"):
            raise ValueError(
                "a preset has a name, and data = 'glyphs' or 'folder'; got"
                f" {self.name!r} and {self.data!r}"
            )
        if self.name in ("", ".", "..") or set(self.name) & set("/\\"):
            raise ValueError(
                f"a preset cannot have the name {self.name!r}: its training is written"
                " into a folder of that name, so it takes a word without slashes"
            )
        if (
            self.layout not in LAYOUTS
            or self.schedule not in SCHEDULES
            or not isinstance(self.conditional, bool)
        ):
            raise ValueError(
                f"layout = {self.layout!r}, schedule = {self.schedule!r} and"
                f" conditional = {self.conditional!r}, but the layouts are"
                f" {', '.join(LAYOUTS)}, the schedules {', '.join(SCHEDULES)}, and"
                " conditional is true or false"
            )
        if self.layout != "sr3mini" and not isinstance(self.blocks, int):
            raise ValueError(
                f"blocks = {self.blocks}, but the layout {self.layout!r} has one number"
                " of blocks for all depths"
            )
        if self.decay not in ("cosine", "none"):
            raise ValueError(
                f"decay = {self.decay!r}, but the learning rate falls by a 'cosine' or,"
                " with 'none', not at all"
            )
        if self.objective not in ("noise", "regression"):
            raise ValueError(
                f"objective = {self.objective!r}, but a network is trained for 'noise'"
                " or for 'regression'"
            )
        if self.detail > 0 and (
            self.objective != "noise"
            or self.layout != "sr3mini"
            or not self.conditional
        ):
            raise ValueError(
                f"detail = {self.detail}, but only a network of the layout 'sr3mini'"
                " that is shown x and predicts noise can start from U x"
            )
        for field in (
            field for field in dataclasses.fields(self) if field.name in _RANGES
        ):
            value, (least, most) = getattr(self, field.name), _RANGES[field.name]
            values = (
                value
                if isinstance(value, tuple) and "tuple" in str(field.type)
                else (value,)
            )
            if not all(
                isinstance(v, (int, type(least))) and least <= v <= most for v in values
            ):
                raise ValueError(
                    f"{field.name} = {value!r}, but it must be {type(least).__name__}"
                    f" and lie between {least} and {most}"
                )
        if self.image_channels == 2:
            raise ValueError(
                "image_channels = 2, but pictures are grey, 1, or coloured, 3"
            )
        if self.sampling_steps > self.schedule_steps:
            raise ValueError(
                f"sampling_steps = {self.sampling_steps}, but a schedule of"
                f" schedule_steps = {self.schedule_steps} has no more levels than that"
            )
        depths = len(self.multipliers) if isinstance(self.multipliers, tuple) else 0
        if not 1 <= depths <= 8 or (
            isinstance(self.blocks, tuple) and len(self.blocks) != depths
        ):
            raise ValueError(
                f"multipliers = {self.multipliers} and blocks = {self.blocks}: there"
                " must be 1 to 8 depths, and one number a depth in each"
            )
        if self.size % self.factor:
            raise ValueError(
                f"size = {self.size} is no multiple of factor = {self.factor}, so x"
                " would have no whole number of pixels"
            )

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
        """`steps` (default `sampling_steps`) evenly spaced levels of the training
        schedule: f knows gamma, not t, so any will do.
        """
        return self.training_schedule().respaced(
            self.sampling_steps if steps is None else steps
        )

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Preset:
        """ValueError, in one sentence, when the text is no JSON object, a field is
        unknown or missing, or a value makes no sense.
        """
        try:
            written: dict[str, Any] = json.loads(text)
            fields: dict[str, Any] = {
                field: tuple(value) if isinstance(value, list) else value
                for field, value in written.items()
            }
            return cls(**fields)
        except (TypeError, AttributeError, RecursionError) as error:
            raise ValueError(
                f"this preset was not written by this version of sr3mini ({error})"
            ) from error
