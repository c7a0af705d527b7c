r"""The range of a picture: which of its values are black and white.

    bounds_of(array, told)      (low, high), or a ValueError that names what to tell
    from_stored(array, bounds)  (H, W, C) as stored -> (C, H, W) in [-1, 1]
    to_stored(image, ...)       and back, into the same type and range

8 bits mean 0..255, and 16 bits that are used to a quarter at least 0..65535. Of all
others (floats, signed and 32-bit numbers, 12 bits in 16) no file tells what white is.
A guess for each picture would give two pictures of one set two scales, so it is asked
for, once a run: `--range LOW HIGH`.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

Range = tuple[float, float]


class Unfit(ValueError):
    """What is wrong with a file, to follow its name."""


class RangeNeeded(Unfit):
    """No file tells which values are black and white; `found`: which ones there are."""

    def __init__(self, reason: str, found: Range) -> None:
        super().__init__(reason)
        self.found = found


def full(dtype: np.dtype) -> Range:
    """All that a type of whole numbers holds."""
    return float(np.iinfo(dtype).min), float(np.iinfo(dtype).max)


def told(bounds: Range) -> str:
    """A range as the command line takes it; a single value with one above it."""
    low, high = bounds
    return f"--range {low:.10g} {high if high != low else low + 1:.10g}"


def is_range(value: object) -> bool:
    """Whether it is two finite numbers, the lower one first."""
    if not isinstance(value, tuple) or len(value) != 2:
        return False
    numbers = all(type(each) in (int, float) for each in value)
    return numbers and -np.inf < value[0] < value[1] < np.inf


def demand_range(bounds: Range | None) -> Range | None:
    """ValueError unless a range that somebody gives is one."""
    if bounds is not None and not is_range(bounds):
        raise ValueError(f"range = {bounds}, but LOW must lie below HIGH")
    return bounds


def bounds_of(
    array: np.ndarray, given: Range | None = None, stated: Range | None = None
) -> Range:
    """The values of this picture that are black and white: those given, or those that
    its file states or its type stands for. ValueError when none is right.
    """
    found = _found(array)
    if given is None:
        return stated or _usual(array.dtype, found)
    least, most = (-np.inf, np.inf) if array.dtype.kind == "f" else full(array.dtype)
    if given[0] < least or given[1] > most or outside(array, given) > 0.5:
        raise Unfit(
            f"holds {array.dtype} from {found[0]:.10g} to {found[1]:.10g}, which"
            f" {told(given)}, of this run or of the model, does not fit"
        )
    return given


def _found(array: np.ndarray) -> Range:
    """The least and the largest value; ValueError where one is no finite number."""
    low, high = float(array.min()), float(array.max())
    if array.dtype.kind != "f" and array.dtype.itemsize > 4:
        raise Unfit(f"holds {array.dtype}: save it with 32 bits, or as floats")
    if not (np.isfinite(low) and np.isfinite(high)):
        count = int(np.sum(~np.isfinite(array)))
        raise Unfit(
            f"holds {count} values that are no finite numbers (NaN or infinity), which"
            " every pixel around would take up: fill them first"
        )
    return low, high


def _usual(dtype: np.dtype, found: Range) -> Range:
    low, high = found
    if dtype == np.uint8:
        return full(dtype)
    if dtype == np.uint16 and (high - low >= 2**14 or high in (0, 2**16 - 1)):
        return full(dtype)
    raise RangeNeeded(
        f"holds {dtype} from {low:.10g} to {high:.10g}, and nothing tells which values"
        f" are black and white: say {told(found)}, or what all of the set fits in",
        found,
    )


def outside(array: np.ndarray, bounds: Range) -> float:
    """The share of the values that lie outside."""
    return float(np.mean((array < bounds[0]) | (array > bounds[1])))


def from_stored(
    array: np.ndarray, bounds: Range | None = None
) -> Float[Tensor, "C H W"]:
    """(H, W, C) -> [-1, 1], float32, clipped; `bounds`: all that its type of whole
    numbers holds, if not given.
    """
    low, high = bounds or full(array.dtype)
    if array.dtype.itemsize > 2:  # of 8 and 16 bits float32 loses nothing
        array = array.astype(np.float64) - low
        low, high = 0, high - low
    values = torch.from_numpy(array.astype(np.float32)).permute(2, 0, 1)
    return ((values - low) / ((high - low) / 2) - 1).clamp_(-1, 1)


def to_stored(
    image: Float[Tensor, "C H W"], dtype: np.dtype, bounds: Range | None = None
) -> np.ndarray:
    """[-1, 1] -> (H, W, C) of that type; whole numbers are rounded to the nearest and
    clipped.
    """
    low, high = bounds or full(dtype)
    precise = image.double() if dtype.itemsize > 2 else image
    values = (precise.permute(1, 2, 0) + 1) * ((high - low) / 2) + low
    if dtype.kind != "f":
        values = values.round_().clamp_(low, high)
    return values.numpy().astype(dtype)
