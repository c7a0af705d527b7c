"""f in the hands of diffusers: the same numbers come out."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import tiny
import torch
from checks import seeded
from torch import Tensor

from sr3mini.bridges.diffusers import at_timestep, to_diffusers
from sr3mini.model.network import build
from sr3mini.oracle import GaussianOracle
from sr3mini.sampler import sample
from sr3mini.schedule import NoiseSchedule

SCHEDULE = NoiseSchedule.linear(12, 1e-4, 0.5)
SCHEDULES = {
    "linear": SCHEDULE,
    "cosine": NoiseSchedule.cosine(10),
    "respaced": NoiseSchedule.linear(2000, 1e-6, 1e-2).respaced(8),
}
HOW: list[dict[str, Any]] = [
    {"method": "ancestral", "variance": "paper"},
    {"method": "ancestral", "variance": "posterior"},
    {"method": "ancestral", "variance": "posterior", "clip": True},
    {"method": "ddim"},
    {"method": "ddim", "clip": True},
]


def diffusers_loop(
    f: Any,
    x: Tensor,
    schedule: NoiseSchedule,
    y_T: Tensor,
    generator: torch.Generator,
    how: dict[str, Any],
) -> Tensor:
    """As every example of diffusers writes it."""
    scheduler, model, y_t = (
        to_diffusers(schedule, **how),
        at_timestep(f, x, schedule),
        y_T,
    )
    clipped = (
        {"use_clipped_model_output": True}
        if how == {"method": "ddim", "clip": True}
        else {}
    )
    for t in scheduler.timesteps:
        y_t = scheduler.step(
            model(y_t, t), t, y_t, generator=generator, **clipped
        ).prev_sample
    return y_t


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("how", HOW, ids=str)
def test_the_schedulers_of_diffusers_draw_what_we_draw(
    schedule: NoiseSchedule, how: dict[str, Any]
) -> None:
    """With the same y_T and the same z. A network with random weights: no symmetry
    could hide a shifted index. Their tables are float32.
    """
    f, x, y_T = (
        build(tiny.TINY),
        torch.randn(2, 1, 4, 4, generator=seeded(1)),
        torch.randn(2, 1, 16, 16, generator=seeded(2)),
    )
    ours = sample(f, x, schedule, (2, 1, 16, 16), generator=seeded(3), y_T=y_T, **how)
    theirs = diffusers_loop(f, x, schedule, y_T, seeded(3), how)
    assert ours.std() > 0.1
    assert (ours - theirs).abs().max() < 2e-4 * ours.abs().max()


def test_their_alphas_cumprod_is_our_gamma_one_step_later() -> None:
    scheduler = to_diffusers(SCHEDULE)
    assert torch.allclose(
        scheduler.alphas_cumprod.double(), SCHEDULE.gammas[1:], rtol=1e-5
    )
    assert scheduler.timesteps.tolist() == list(range(11, -1, -1))
    levels: list[float] = []

    def f(x: Tensor, y_t: Tensor, gamma: Tensor) -> Tensor:
        levels.append(gamma[0].item())
        return y_t

    for t in scheduler.timesteps:
        at_timestep(f, torch.zeros(1), SCHEDULE)(torch.zeros(1, 1), t)
    assert levels == SCHEDULE.gammas[1:].flip(0).tolist()


def test_a_method_that_diffusers_has_not_is_refused_and_its_absence_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ValueError, match="'ancestral' and 'ddim'"):
        to_diffusers(SCHEDULE, method="multistep")
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ImportError, match="pip install diffusers"):
        to_diffusers(SCHEDULE)


def test_an_oracle_goes_over_the_bridge_like_a_network() -> None:
    """f is any callable: here the exact noise of N(0, I), for which the ancestral
    sampler leaves the variance as it is.
    """
    f, y_T = (
        GaussianOracle(torch.zeros(4), torch.eye(4)),
        torch.randn(3, 4, generator=seeded(0)),
    )
    x = torch.zeros(3, 0)
    ours = sample(f, x, SCHEDULE, (3, 4), generator=seeded(1), y_T=y_T)
    assert torch.allclose(
        ours, diffusers_loop(f, x, SCHEDULE, y_T, seeded(1), HOW[0]), atol=1e-4
    )
