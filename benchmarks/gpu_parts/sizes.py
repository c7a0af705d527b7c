"""How large everything is: on a GPU, and as its twin on a processor, which only shows
that everything runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sr3mini.model.preset import Preset
from sr3mini.model.presets import PRESETS

# preset, way, batch: the most important first, since the time may end them
STEPS = (
    ("public_16_128", "compiled", 64),
    ("public_16_128", "usual", 64),
    ("public_16_128", "contiguous", 64),
    ("faces_16_128_small", "compiled", 128),
    ("faces_16_128_small", "usual", 128),
    ("faces_16_128_small", "contiguous", 128),
    ("photos_16_64", "compiled", 256),
    ("photos_16_64", "usual", 256),
    ("photos_16_64", "contiguous", 256),
    ("photos_16_64", "usual", 1024),
    ("photos_16_64", "usual", 64),
    ("public_16_128", "usual", 128),
    ("public_16_128", "usual", 32),
    ("faces_16_128_small", "usual", 256),
    ("faces_16_128_small", "usual", 64),
    ("public_16_128", "compiled", 128),
    ("photos_16_64", "compiled", 1024),
)


@dataclass(frozen=True)
class Sizes:
    """Numbers of things, and seconds that each part may take."""

    tiny: bool
    side: int  # of the matrices that are multiplied
    copied: int  # bytes
    steps: tuple[tuple[Preset, str, int], ...]
    warm: int  # steps before any is timed
    group: int  # steps between two looks at the clock
    groups: int
    calls: tuple[int, ...]  # network calls a sample
    drawn: int  # pictures drawn together
    resumed: Preset
    trained: Preset
    workers: tuple[int, ...]  # that may decode
    held_out: int  # pictures that are measured at the end, at most
    boxes: dict[str, float]  # part -> seconds
    compiling: float  # seconds that a measurement with a compiler may take
    measuring: float  # and one without
    margin: float  # seconds for all that a timetable forgets
    most_steps: int  # of the training


def full(trained: Preset, names: list[str], step_seconds: float) -> Sizes:
    """For a GPU. `names`: presets whose step is measured."""
    chosen = [each for each in STEPS if each[0] in names]
    photos = replace(PRESETS["photos_16_64"], train_steps=40, batch_size=64)
    return Sizes(
        tiny=False,
        side=8192,
        copied=2**32,
        steps=tuple((PRESETS[name], way, batch) for name, way, batch in chosen),
        warm=3,
        group=10,
        groups=3,
        calls=(10, 25, 100),
        drawn=64,
        resumed=photos,
        trained=trained,
        workers=(8, 14),
        held_out=300,
        boxes={"peaks": 20, "step": step_seconds, "sampler": 50, "resume": 60},
        compiling=120,
        measuring=30,
        margin=15,
        most_steps=10_000_000,
    )


def tiny(trained: Preset) -> Sizes:
    """For a processor: the same code in seconds."""
    public, small = (
        shrunk(PRESETS[name]) for name in ("public_16_128", "faces_16_128_small")
    )
    return Sizes(
        tiny=True,
        side=128,
        copied=2**20,
        steps=((public, "usual", 4), (small, "usual", 2), (public, "compiled", 4)),
        warm=1,
        group=1,
        groups=2,
        calls=(1, 2),
        drawn=2,
        resumed=replace(shrunk(PRESETS["photos_16_64"]), train_steps=40),
        trained=shrunk(trained),
        workers=(0,),
        held_out=6,
        boxes={"peaks": 20, "step": 60, "sampler": 20, "resume": 60},
        compiling=60,
        measuring=30,
        margin=1,
        most_steps=24,
    )


def shrunk(preset: Preset) -> Preset:
    """A preset that a processor trains in a second: pictures of 32 x 32."""
    return replace(
        preset,
        size=32,
        channels=8,
        groups=8,
        multipliers=(1, 1),
        blocks=1,
        attention=(1,),
        sampling_steps=2,
        batch_size=4,
    )
