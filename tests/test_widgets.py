"""Things to play with: moving a control changes the picture, quickly, and a reader with no kernel sees a still one."""

from __future__ import annotations

import time

import pytest
from examples import all_playables
from ipywidgets import HTML, Dropdown, Widget

from sr3mini import widgets
from sr3mini.widgets import Playable

PLAYABLES = all_playables()


@pytest.fixture(params=PLAYABLES)
def playable(request: pytest.FixtureRequest) -> Playable:
    return PLAYABLES[request.param]()


def test_everything_to_play_with_is_tested_here() -> None:
    makers = {name for name, value in vars(widgets).items() if getattr(value, "__annotations__", {}).get("return") == "Playable"}
    assert makers == {name.split()[0] for name in PLAYABLES}


def picture(playable: Playable) -> str:
    shown = playable.children[-1]
    assert isinstance(shown, HTML)
    return shown.value


def elsewhere(control: Widget) -> list[object]:
    """Other positions of a control: the ends of a slider, every option of a menu."""
    positions = [value for _, value in control._options_full] if isinstance(control, Dropdown) else [control.min, control.max]
    return [value for value in positions if value != control.value]


def test_moving_any_control_changes_the_picture_and_its_text_and_moving_back_restores_them(playable: Playable) -> None:
    first = picture(playable)
    assert first.startswith("<img alt=")
    for name, control in playable.controls.items():
        place = control.value
        for position in elsewhere(control):
            control.value = position
            moved = picture(playable)
            assert moved.startswith("<img alt=")
            assert moved.split('src="')[1] != first.split('src="')[1], f"{name} = {position} changes nothing"
            assert moved.split('src="')[0] != first.split('src="')[0], f"{name} = {position}: the text stays that of {place}"
            assert len(moved) > 1000
        control.value = place
        assert picture(playable).split('src="')[0] == first.split('src="')[0]


def test_the_picture_follows_the_hand(playable: Playable) -> None:
    """Under 0.15 s on an idle machine; a second is allowed on a busy one."""
    control = next(iter(playable.controls.values()))
    fastest = min(_timed(control, position) for position in [*elsewhere(control), control.value])
    assert fastest < 1


def _timed(control: Widget, value: object) -> float:
    started = time.perf_counter()
    control.value = value
    return time.perf_counter() - started


def test_the_notebook_stores_the_live_view_the_still_picture_and_its_text(playable: Playable) -> None:
    data, metadata = playable._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert data["image/png"]
    assert metadata["image/png"] == {"alt": playable.still.alt}  # type: ignore[comparison-overlap]
    assert playable.still.alt.endswith(".")


def test_the_slider_of_a_trajectory_starts_half_way_and_names_the_step() -> None:
    playable = PLAYABLES["trajectory_slider"]()
    control = playable.controls["t"]
    assert (control.min, control.value, control.max) == (0, 2, 4)
    control.value = 4
    assert "t = 4 of 4" in picture(playable)
