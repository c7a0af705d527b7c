"""f in the hands of diffusers, of torch.export and of the Hub's mixin: the same numbers
come out.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from checks import seeded
from torch import Tensor

from sr3mini import cli
from sr3mini.bridges import diffusers as bridges
from sr3mini.bridges.diffusers import at_timestep, to_diffusers
from sr3mini.bridges.torch_export import example, export_program
from sr3mini.model.card import describe, model_card
from sr3mini.model.checkpoint import card, load, save
from sr3mini.model.network import build
from sr3mini.model.preset import Preset
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
        build(tiny),
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


# torch.export -------------------------------------------------------------------------

PRESETS = {
    "ours, with attention and padded sides": dataclasses.replace(
        tiny.TINY, multipliers=(1, 1, 2), attention=(2,), size=18, factor=3
    ),
    "unconditional": dataclasses.replace(
        tiny.TINY, multipliers=(1,), conditional=False, factor=1
    ),
    "of the public code": dataclasses.replace(
        tiny.TINY, layout="ddpm", image_channels=3, attention=(1,)
    ),
}


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_an_exported_program_computes_f_for_any_batch(
    preset: Preset, tmp_path: Path
) -> None:
    f = tiny.network(preset)
    assert export_program(f, tmp_path / "f.pt2") < 1e-5
    program = torch.export.load(tmp_path / "f.pt2").module()
    for batch in (1, 5):
        inputs = example(f, batch)
        assert f(*inputs).std() > 0.01
        assert (program(*inputs) - f(*inputs)).abs().max() < 1e-5
    assert [p.name for p in tmp_path.iterdir()] == ["f.pt2"]


def test_an_exported_program_can_be_sampled_from(tmp_path: Path) -> None:
    f, schedule = build(tiny), SCHEDULE.respaced(5)
    export_program(f, tmp_path / "f.pt2")
    program = torch.export.load(tmp_path / "f.pt2").module()
    x, _, _ = example(f, 3)
    ours, theirs = (
        sample(each, x, schedule, (3, 1, 16, 16), generator=seeded(0))
        for each in (f, program)
    )
    assert (ours - theirs).abs().max() < 1e-5


def test_a_program_that_computes_something_else_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    f, real = build(tiny), torch.export.load

    class Wrong:
        def __init__(self, path: Path) -> None:
            self.program = real(path).module()

        def module(self) -> Any:
            return lambda *inputs: self.program(*inputs) + 0.01

    monkeypatch.setattr(bridges.torch.export, "load", Wrong)
    with pytest.raises(
        ValueError, match=r"is 1.0e-02 away from tiny, so .*f.pt2 was not written"
    ):
        export_program(f, tmp_path / "f.pt2")
    assert list(tmp_path.iterdir()) == []


def test_the_verb_writes_a_program(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "model.safetensors", build(tiny))
    cli.main(["export", str(tmp_path), "--out", str(tmp_path / "f.pt2")])
    printed = capsys.readouterr()
    assert printed.out.startswith(f"wrote {tmp_path / 'f.pt2'}; at most ")
    assert printed.err == ""


# The Hub ------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As training leaves one."""
    f, folder = build(tiny), tmp_path / "model"
    folder.mkdir()
    save(folder / "model.safetensors", f)
    table = {
        "bicubic": {"PSNR": 20.0, "SSIM": 0.5},
        "SR3": {"PSNR": 22.123, "SSIM": 0.61, "diversity": 0.1},
    }
    about = {
        "trained": "sr3mini train --preset tiny",
        "parameters": 123,
        "evaluated": "sr3mini evaluate --model model",
        "metrics": table,
    }
    (folder / "model.json").write_text(json.dumps(about))
    describe(folder, f.preset)
    return folder


def test_a_folder_describes_itself(folder: Path) -> None:
    assert Preset.from_json((folder / "config.json").read_text()) == tiny.TINY
    text = (folder / "README.md").read_text()
    header = text.split("---\n")[1]
    assert "library_name: sr3mini" in header
    assert "pipeline_tag: image-to-image" in header
    for line in (
        (
            "Enlarges grey pictures 4 times, trained from 4 x 4 to 16 x 16 pixels (SR3:"
            " diffusion super-resolution)."
        ),
        "- trained: `sr3mini train --preset tiny`",
        "`sr3mini evaluate --model model`",
        "| | PSNR | SSIM | diversity |",
        "| SR3 | 22.12 | 0.61 | 0.1 |",
        "| bicubic | 20 | 0.5 | – |",
    ):
        assert line in text.splitlines()


def test_a_card_says_what_kind_of_model_it_is() -> None:
    unconditional = model_card(
        dataclasses.replace(tiny.TINY, conditional=False, factor=1), {}
    )
    assert "unconditional-image-generation" in unconditional
    assert "Generates grey pictures of 16 x 16 pixels from noise." in unconditional
    assert "upscale" not in unconditional
    assert "Measured" not in unconditional
    assert "SR3's baseline" in model_card(
        dataclasses.replace(tiny.TINY, objective="regression"), {}
    )


def test_the_mixin_reads_a_local_folder_and_writes_one(
    folder: Path, tmp_path: Path
) -> None:
    from sr3mini.bridges.hub import Model

    f, inputs = load(folder), example(load(folder), 2)
    model = Model.from_pretrained(folder)
    assert model.preset == f.preset
    assert torch.equal(model(*inputs), f(*inputs))
    model.save_pretrained(tmp_path / "copy")
    assert sorted(p.name for p in (tmp_path / "copy").iterdir()) == [
        "README.md",
        "config.json",
        "model.json",
        "model.safetensors",
    ]
    assert card(tmp_path / "copy") == card(folder)
    assert (tmp_path / "copy" / "README.md").read_text() == (
        folder / "README.md"
    ).read_text()
    for again in (
        load(tmp_path / "copy"),
        Model.from_pretrained(str(tmp_path / "copy")),
    ):
        assert torch.equal(again(*inputs), f(*inputs))


def test_a_model_of_the_hub_is_fetched_file_by_file_and_goes_back_whole(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the network: what would be asked for is recorded."""
    import huggingface_hub.hub_mixin as mixin

    from sr3mini.bridges import hub

    asked: dict[str, Any] = {}

    def snapshot(repository: str, **how: Any) -> str:
        asked.update(how, repository=repository)
        return str(folder)

    class Api:
        def __init__(self, token: object) -> None: ...

        def create_repo(self, repo_id: str, **_: object) -> Any:
            return type("Repository", (), {"repo_id": repo_id})

        def upload_folder(self, folder_path: Path, **_: object) -> str:
            asked["uploaded"] = sorted(p.name for p in folder_path.iterdir())
            return "done"

    monkeypatch.setattr(hub, "snapshot_download", snapshot)
    monkeypatch.setattr(
        mixin, "hf_hub_download", lambda **_: str(folder / "config.json")
    )
    monkeypatch.setattr(mixin, "HfApi", Api)
    model = hub.Model.from_pretrained("somebody/tiny", revision="v1")
    assert (asked["repository"], asked["revision"]) == ("somebody/tiny", "v1")
    assert not any(
        name.endswith((".bin", ".pth", ".pkl")) for name in asked["allow_patterns"]
    )
    assert model.push_to_hub("me/tiny") == "done"
    assert asked["uploaded"] == [
        "README.md",
        "config.json",
        "model.json",
        "model.safetensors",
    ]


def test_a_folder_without_a_model_is_refused_in_a_sentence(tmp_path: Path) -> None:
    from sr3mini.bridges.hub import Model

    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="no model"):
        Model.from_pretrained(tmp_path)
