"""Sliders: moving one changes the picture, quickly, and a reader with no kernel sees a still one."""

from __future__ import annotations

import time

import pytest
import torch
from checks import seeded
from ipywidgets import HTML, IntSlider

from sr3mini.schedule import NoiseSchedule
from sr3mini.widgets import Playable, gamma_law_slider, trajectory_slider

PAPER = NoiseSchedule.linear(2000, 1e-6, 1e-2)


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=seeded(0)) * 2 - 1


def trajectory() -> Playable:
    steps = [(t, noise(2, 1, 8, 8) * t / 4, None if t == 4 else noise(2, 1, 8, 8)) for t in range(4, -1, -1)]
    return trajectory_slider(steps, noise(2, 1, 8, 8))


@pytest.fixture(params=["gamma law", "trajectory"])
def playable(request: pytest.FixtureRequest) -> Playable:
    return gamma_law_slider(PAPER) if request.param == "gamma law" else trajectory()


def parts(playable: Playable) -> tuple[IntSlider, HTML]:
    slider, picture = playable.children
    assert isinstance(slider, IntSlider)
    assert isinstance(picture, HTML)
    return slider, picture


def test_moving_the_slider_changes_the_picture_and_its_text_and_moving_back_restores_them(playable: Playable) -> None:
    slider, picture = parts(playable)
    first, place = picture.value, slider.value
    slider.value = place + 1
    moved = picture.value
    slider.value = place
    assert first.startswith("<img alt=")
    assert moved.startswith("<img alt=")
    assert moved.split('src="')[0] != first.split('src="')[0]
    assert moved.split('src="')[1] != first.split('src="')[1]
    assert picture.value.split('src="')[0] == first.split('src="')[0]


def test_both_ends_of_the_slider_show_a_picture(playable: Playable) -> None:
    slider, picture = parts(playable)
    for end in (slider.min, slider.max):
        slider.value = end
        assert len(picture.value) > 1000


def test_the_slider_of_gamma_law_follows_the_hand() -> None:
    """Under 0.15 s on an idle machine; a second is allowed on a busy one."""
    slider, _ = parts(gamma_law_slider(PAPER))
    fastest = min(_timed(slider, steps) for steps in (7, 60))
    assert fastest < 1


def _timed(slider: IntSlider, value: int) -> float:
    started = time.perf_counter()
    slider.value = value
    return time.perf_counter() - started


def test_the_notebook_stores_the_live_view_the_still_picture_and_its_text(playable: Playable) -> None:
    data, metadata = playable._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert data["image/png"]
    assert metadata["image/png"] == {"alt": playable.still.alt}  # type: ignore[comparison-overlap]
    assert playable.still.alt.endswith(".")


def test_the_slider_of_a_trajectory_starts_half_way_and_names_the_step() -> None:
    slider, picture = parts(trajectory())
    assert (slider.min, slider.value, slider.max) == (0, 2, 4)
    slider.value = 4
    assert "t = 4 of 4" in picture.value
