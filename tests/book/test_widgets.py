"""Things to play with: moving a control changes the picture, quickly, and a reader with
no kernel sees a still one.
"""

from __future__ import annotations

import time

import pytest
import torch
from examples import all_playables
from ipywidgets import HTML, IntSlider, Widget

from sr3mini import NoiseSchedule
from sr3mini.book import widgets
from sr3mini.book.widgets import Playable
from sr3mini.book.widgets.base import choice, positions, slider, stops
from sr3mini.book.widgets.ch02 import (
    ENDS,
    FAMILIES,
    STARTS,
    STEPS,
    explored,
    longest_fibonacci,
)

PLAYABLES = all_playables()


@pytest.fixture(params=PLAYABLES)
def playable(request: pytest.FixtureRequest) -> Playable:
    return PLAYABLES[request.param]()


def test_everything_to_play_with_is_tested_here() -> None:
    makers = {
        name
        for name, value in vars(widgets).items()
        if getattr(value, "__annotations__", {}).get("return") == "Playable"
    }
    assert makers == {name.split()[0] for name in PLAYABLES}


def picture(playable: Playable) -> str:
    shown = playable.children[-1]
    assert isinstance(shown, HTML)
    return shown.value


def elsewhere(control: Widget) -> list[object]:
    """Other places of a control: the ends of a slider, every option of a menu or of a
    slider over listed values.
    """
    places = [value for _, value in positions(control)]
    return [
        value
        for value in (
            places[:: len(places) - 1] if isinstance(control, IntSlider) else places
        )
        if value != control.value
    ]


def test_moving_any_control_changes_picture_and_text_and_moving_back_restores_them(
    playable: Playable,
) -> None:
    first = picture(playable)
    assert first.startswith("<img alt=")
    for name, control in playable.controls.items():
        place = control.value
        for position in elsewhere(control):
            control.value = position
            moved = picture(playable)
            assert moved.startswith("<img alt=")
            assert moved.split('src="')[1] != first.split('src="')[1], (
                f"{name} = {position} changes nothing"
            )
            assert moved.split('src="')[0] != first.split('src="')[0], (
                f"{name} = {position}: the text stays that of {place}"
            )
            assert len(moved) > 1000
        control.value = place
        assert picture(playable).split('src="')[0] == first.split('src="')[0]


def test_the_picture_follows_the_hand(playable: Playable) -> None:
    """Under 0.15 s on an idle machine; a second is allowed on a busy one."""
    control = next(iter(playable.controls.values()))
    fastest = min(
        _timed(control, position) for position in [*elsewhere(control), control.value]
    )
    assert fastest < 1


def _timed(control: Widget, value: object) -> float:
    started = time.perf_counter()
    control.value = value
    return time.perf_counter() - started


def test_the_notebook_stores_the_live_view_the_still_picture_and_its_text(
    playable: Playable,
) -> None:
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


def test_positions_are_every_place_a_control_can_stand_at() -> None:
    assert positions(slider(2, 1, 4, "")) == [("1", 1), ("2", 2), ("3", 3), ("4", 4)]
    assert positions(choice("b", ["a", "b"], "")) == [("a", "a"), ("b", "b")]
    assert positions(stops(0.1, [("small", 0.1), ("large", 7)], "")) == [
        ("small", 0.1),
        ("large", 7),
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_explorer_has_a_schedule_for_all_its_places_and_says_what_is_not_used(
    family: str,
) -> None:
    """A control is called unused exactly when moving it leaves the schedule alone."""
    for T in STEPS:
        tables = {
            (start, end): explored(family, T, start, end)[0].gammas
            for start in STARTS
            for end in ENDS
        }
        uses_start = not torch.equal(
            tables[STARTS[0], ENDS[2]], tables[STARTS[4], ENDS[2]]
        )
        uses_end = not torch.equal(
            tables[STARTS[0], ENDS[2]], tables[STARTS[0], ENDS[5]]
        )
        note = explored(family, T, STARTS[0], ENDS[0])[2]
        assert ("start" in note, "end is" in note or "end are" in note) == (
            not uses_start,
            not uses_end,
        )


def test_fibonacci_in_the_explorer_takes_as_many_steps_as_there_are() -> None:
    for start in STARTS:
        NoiseSchedule.fibonacci(longest_fibonacci(start), start)
        with pytest.raises(ValueError, match="strictly between 0 and 1"):
            NoiseSchedule.fibonacci(longest_fibonacci(start) + 1, start)
    schedule, title, note = explored("fibonacci", 2000, 1e-6, 1e-2)
    assert schedule.steps == longest_fibonacci(1e-6) == 29
    assert title.startswith("fibonacci, T = 29")
    assert "T stops" in note


def test_the_explorer_marks_the_step_and_noises_both_pictures_there() -> None:
    playable = PLAYABLES["schedule_explorer"]()
    assert "t = 50, where" in playable.still.alt
    assert "γ at T: 0.605" in playable.still.alt
    for percent, t in ((0, 0), (1, 1), (100, 100)):
        playable.controls["percent"].value = percent
        assert f"t = {t}, where" in playable.now().alt
    playable.controls["T"].value = 5
    playable.controls["percent"].value = 29  # 1.45 steps
    assert "t = 1, where" in playable.now().alt
