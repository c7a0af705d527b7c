"""Models by the Hub's own mixin: the same files and numbers come out."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch

from sr3mini.bridges.torch_export import example
from sr3mini.model.card import describe, model_card
from sr3mini.model.checkpoint import card, load, save
from sr3mini.model.network import build
from sr3mini.model.preset import Preset


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As training leaves one."""
    f, folder = build(tiny.TINY), tmp_path / "model"
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
