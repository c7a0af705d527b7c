r"""A preset: everything that decides what is trained, in one frozen record that is stored with the weights.

    preset.network()              the U-Net, untrained
    preset.training_schedule()    the levels that p(gamma) is made of
    preset.sampling_schedule(N)   N of these levels, for Algorithm 2
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

from .schedule import NoiseSchedule
from .unet import UNet


@dataclass(frozen=True)
class Preset:
    """Names and numbers of one training run; `to_json` and `from_json` carry them into a checkpoint and back."""

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
    sampling_steps: int = 100  # T in use, unless asked otherwise
    loss_power: int = 2  # p of L_p
    train_steps: int = 10_000
    batch_size: int = 64
    learning_rate: float = 2e-3
    warmup_steps: int = 200
    weight_decay: float = 0.01
    ema_decay: float = 0.999

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
        """ValueError when a field is unknown or missing."""
        fields = {k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(text).items()}
        try:
            return cls(**fields)
        except TypeError as error:
            raise ValueError(f"this preset was written by another version of sr3mini ({error})") from error


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

PRESETS = {preset.name: preset for preset in (_GLYPHS_8_32,)}
