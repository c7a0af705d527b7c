r"""A preset: everything that decides what is trained, in one frozen record that is stored with the weights.

    preset.network()              the U-Net, untrained
    preset.training_schedule()    the levels that p(gamma) is made of
    preset.sampling_schedule(N)   N of these levels, for Algorithm 2
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from .schedule import NoiseSchedule
from .unet import UNet

_RANGES: dict[str, tuple[float, float]] = {  # far beyond what anybody trains: a file from elsewhere must not ask for a network that fills the machine
    **dict.fromkeys(("train_steps", "batch_size", "schedule_steps", "sampling_steps"), (1, 10_000_000)),
    **dict.fromkeys(("size", "channels", "groups"), (1, 4096)),
    **dict.fromkeys(("factor", "multipliers"), (1, 64)),
    **dict.fromkeys(("blocks", "attention"), (0, 16)),
    "image_channels": (1, 4),
    "warmup_steps": (0, 10_000_000),
    "loss_power": (1, 2),
    **dict.fromkeys(("dropout", "ema_decay", "schedule_start", "schedule_end", "learning_rate", "weight_decay"), (0.0, 1.0)),
}


@dataclass(frozen=True)
class Preset:
    """Names and numbers of one training run; `to_json` and `from_json` carry them into a checkpoint and back.

    Raises ValueError, in one sentence, when a value makes no sense.
    """

    name: str
    data: str  # "glyphs", or "folder": the reader's own pictures
    size: int  # side of the high-resolution picture in training, pixels
    factor: int  # how many times smaller x is
    image_channels: int = 1
    channels: int = 32
    multipliers: tuple[int, ...] = (1, 2, 4)
    blocks: int | tuple[int, ...] = 1
    attention: tuple[int, ...] = ()
    groups: int = 8
    dropout: float = 0.0
    schedule_steps: int = 2000  # T in training; 1 - alpha_t rises linearly from start to end
    schedule_start: float = 1e-6
    schedule_end: float = 1e-2
    sampling_steps: int = 25  # T in use, unless asked otherwise
    loss_power: int = 2  # p of L_p
    objective: str = "noise"  # or "regression": one call gives the picture, which makes SR3's baseline of the same size
    train_steps: int = 10_000
    batch_size: int = 64
    learning_rate: float = 2e-3
    warmup_steps: int = 200
    weight_decay: float = 0.01
    ema_decay: float = 0.999

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or self.data not in ("glyphs", "folder"):
            raise ValueError(f"a preset has a name, and data = 'glyphs' or 'folder'; got {self.name!r} and {self.data!r}")
        if self.objective not in ("noise", "regression"):
            raise ValueError(f"objective = {self.objective!r}, but a network is trained for 'noise' or for 'regression'")
        for field in (field for field in dataclasses.fields(self) if field.name in _RANGES):
            value, (least, most) = getattr(self, field.name), _RANGES[field.name]
            values = value if isinstance(value, tuple) and "tuple" in str(field.type) else (value,)
            if not all(isinstance(v, (int, type(least))) and least <= v <= most for v in values):
                raise ValueError(f"{field.name} = {value!r}, but it must be {type(least).__name__} and lie between {least} and {most}")
        depths = len(self.multipliers) if isinstance(self.multipliers, tuple) else 0
        if not 1 <= depths <= 8 or (isinstance(self.blocks, tuple) and len(self.blocks) != depths):
            raise ValueError(f"multipliers = {self.multipliers} and blocks = {self.blocks}: there must be 1 to 8 depths, and one number a depth in each")
        if self.size % self.factor:
            raise ValueError(f"size = {self.size} is no multiple of factor = {self.factor}, so x would have no whole number of pixels")

    def network(self) -> Network:
        """A U-Net of this preset's layout with fresh random weights."""
        return Network(self)

    def training_schedule(self) -> NoiseSchedule:
        """The schedule behind p(gamma) in training."""
        return NoiseSchedule.linear(self.schedule_steps, self.schedule_start, self.schedule_end)

    def sampling_schedule(self, steps: int | None = None) -> NoiseSchedule:
        """`steps` (default `sampling_steps`) evenly spaced levels of the training schedule: f knows gamma, not t, so any will do."""
        return self.training_schedule().respaced(self.sampling_steps if steps is None else steps)

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Preset:
        """ValueError, in one sentence, when the text is no JSON object, a field is unknown or missing, or a value makes no sense."""
        try:
            written: dict[str, Any] = json.loads(text)
            fields: dict[str, Any] = {field: tuple(value) if isinstance(value, list) else value for field, value in written.items()}
            return cls(**fields)
        except (TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"this preset was not written by this version of sr3mini ({error})") from error


class Network(UNet):
    """The U-Net of a preset; `f.preset` tells its schedule and sizes."""

    def __init__(self, preset: Preset) -> None:
        super().__init__(
            image_channels=preset.image_channels,
            condition_channels=preset.image_channels,
            channels=preset.channels,
            multipliers=preset.multipliers,
            blocks=preset.blocks,
            attention=preset.attention,
            groups=preset.groups,
            dropout=preset.dropout,
        )
        self.preset = preset


_GLYPHS_8_32 = Preset(
    name="glyphs_8_32",
    data="glyphs",
    size=32,
    factor=4,
    channels=16,
    multipliers=(1, 2, 6),
    blocks=(0, 1, 1),
    train_steps=9000,
    batch_size=32,
)

_GLYPHS_8_32_REGRESSION = dataclasses.replace(_GLYPHS_8_32, name="glyphs_8_32_regression", objective="regression")

PRESETS = {preset.name: preset for preset in (_GLYPHS_8_32, _GLYPHS_8_32_REGRESSION)}
