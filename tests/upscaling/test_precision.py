"""bfloat16 is taken where a trial says that it is faster, and nowhere else."""

from __future__ import annotations

import itertools

import pytest
import torch
from tiny import network

from sr3mini.model.network import Network
from sr3mini.upscaling import precision
from sr3mini.upscaling.precision import numbers_for, quicker


@pytest.mark.parametrize(
    ("narrow", "dtype", "ratio"),
    [
        (0.04, torch.bfloat16, 2.5),
        (0.1, torch.float32, 1.0),
        (0.2, torch.float32, 0.5),
    ],
)
def test_the_faster_one_by_a_fifth_is_taken_by_its_best_time(
    narrow: float, dtype: torch.dtype, ratio: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first calls are slow, and the machine is now and then: the best counts."""
    delay = itertools.cycle([9.0, 0.0, 0.3])

    def told(f: Network, tried: torch.dtype) -> float:
        return (narrow if tried == torch.bfloat16 else 0.1) + next(delay)

    monkeypatch.setattr(precision, "seconds_of", told)
    found, times = quicker(network())
    assert found == dtype
    assert times == pytest.approx(ratio)


def test_a_trial_calls_the_network_in_both_and_is_short(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[torch.dtype] = []
    f = network()
    f.stem.register_forward_hook(lambda *told: seen.append(told[2].dtype))  # type: ignore[union-attr]
    assert quicker(f)[1] > 0
    assert set(seen) == {torch.float32, torch.bfloat16}
    assert len(seen) <= 10
    seen.clear()
    monkeypatch.setattr(precision, "LIMIT", 0.0)
    quicker.cache_clear()
    quicker(f)
    assert len(seen) == 4


def test_a_large_picture_is_worth_a_trial_whose_word_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    f, tried = network(), []
    found = torch.bfloat16, 1.75
    monkeypatch.setattr(precision, "quicker", lambda f: (tried.append(f), found)[1])
    assert numbers_for(f, 99) == (torch.float32, "")
    assert not tried
    dtype, word = numbers_for(f, 100)
    assert (dtype, tried) == (torch.bfloat16, [f])
    assert word == "in bfloat16, bfloat16 is 1.8x as fast"
