"""The CPU twin of benchmarks/race.py: our training and the public recipe at tiny sizes,
and the table that is made of what they reached.
"""

from __future__ import annotations

import importlib
import json
import math
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from project import ROOT
from tiny import TINY, pictures

from sr3mini import NoiseSchedule
from sr3mini.training.learn import learning_rate


@pytest.fixture
def race(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    module = importlib.import_module("race")
    public = module.public_preset(TINY, 4, (1, 2))
    tiny = module.Contest(TINY, replace(public, schedule_steps=20), (8, (1, 1)), 4)
    monkeypatch.setattr(module, "CONTESTS", {"photos": tiny})
    monkeypatch.setattr(module, "CHECKS", (0.002, 0.004))
    monkeypatch.setattr(module, "SHORT", (0.002,))
    return module


def test_both_trainings_are_run_looked_at_and_stored_once(
    race: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, stored = pictures(tmp_path / "pictures", 40), tmp_path / "race.json"
    line = ["race.py", "--sets", str(folder), "--seeds", "0", "--minutes", "0.004"]
    line += ["--recipes", "ours", "public", "--json", str(stored)]
    monkeypatch.setattr("sys.argv", line)
    race.main()
    first = stored.read_text()
    found = json.loads(first)
    runs = found["runs"]
    assert found["medians"] == race.medians(runs)
    assert found["overtaken"] == race.overtaken(found["medians"])
    assert found["bicubic"]["pictures"]["all"].keys() == {*race.TABLE}
    keys = [(each["recipe"], each["minutes"]) for each in runs]
    assert keys == [("ours", 0.004), ("ours", 0.002), ("public", 0.004)]
    for each in runs:
        assert [look["minutes"] for look in each["looks"]][-1] == each["minutes"]
        assert each["own"]["calls"] == (20 if each["recipe"] == "public" else 8)
        figures = [*each["looks"][-1].values(), *each["own"].values()]
        assert all(math.isfinite(figure) for figure in figures)
    said = capsys.readouterr().out.splitlines()[-1]
    assert "ours after minutes" in said

    race.main()  # nothing is left to run
    assert stored.read_text() == first


def test_the_public_recipe_draws_one_t_a_batch_and_its_root_uniformly(
    race: ModuleType,
) -> None:
    torch.manual_seed(0)
    schedule = NoiseSchedule.from_gammas(torch.tensor([0.81, 0.01]))
    for _ in range(20):
        gammas = race.one_t_a_batch(schedule, 4000)
        low, high = (0.1, 0.9) if gammas.min() < 0.5 else (0.9, 1.0)
        u = (gammas.sqrt() - low) / (high - low)
        assert u.min() >= 0
        assert u.max() <= 1
        assert abs(u.mean().item() - 0.5) < 0.02


def test_our_learning_rate_ends_with_the_time(
    race: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a step takes: by this clock they become slower and slower."""
    clock, rates = iter(range(10**6)), []
    monkeypatch.setattr(race.time, "process_time", lambda: next(clock) ** 1.1)

    class Watched:
        done = 0

        def train(self, steps: int, total: int) -> None:
            self.done += steps
            preset = replace(TINY, train_steps=max(1, total))
            rates.append(learning_rate(preset, self.done))

    looked: list[Any] = []
    steps = race.timed(Watched(), 10, [5, 10], lambda *at: looked.append(at))
    assert rates[-1] < 0.01 * TINY.learning_rate
    assert looked[1] == (10, steps)
    assert 0.3 * steps < looked[0][1] < 0.7 * steps


@pytest.mark.parametrize(
    ("psnr", "minutes"), [(10.0, 1.0), (15.0, 2.0), (20.0, 4.0), (21.0, None)]
)
def test_the_time_to_a_quality_is_read_between_two_looks(
    race: ModuleType, psnr: float, minutes: float | None
) -> None:
    points = [(4.0, 20.0), (1.0, 10.0)]
    assert race.minutes_to(psnr, points) == pytest.approx(minutes)


def test_the_table_has_medians_over_seeds(race: ModuleType) -> None:
    def one(recipe: str, seed: int, psnr: float) -> dict[str, Any]:
        figures = dict.fromkeys(race.TABLE, psnr)
        looks = [{"minutes": at, **figures} for at in (1.0, 10.0)]
        head = {"set": "glyphs", "recipe": recipe, "seed": seed, "minutes": 10.0}
        return head | {"looks": looks, "own": {"calls": 8, "seconds": 0.5, **figures}}

    runs = [one("public", seed, float(seed)) for seed in (1, 2, 9)]
    rows = race.medians([*runs, one("ours", 0, 5.0)])
    last = [row for row in rows if row["minutes"] == 10 and not row["own"]]
    assert [(row["seeds"], row["PSNR"]) for row in last] == [(1, 5.0), (3, 2.0)]
    own = [row for row in rows if row["own"]]
    assert [(row["calls"], row["seconds"]) for row in own] == [(8, 0.5)] * 2
    found = race.overtaken(rows)
    assert {each["recipe"] for each in found} == {"public"}
    minutes = {each["own"]: each["ours after minutes"] for each in found}
    assert minutes == {False: 1.0, True: 10.0}
