"""Checkpoints of the best-known public SR3 code come in and go out: every layout of its
options, its configuration, and the two verbs.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checks import seeded
from PIL import Image
from project import FIXTURE
from public_code import write_checkpoint, write_config
from safetensors.torch import load_file
from torch import Tensor

from sr3mini import cli
from sr3mini.bridges import janspiry
from sr3mini.bridges.janspiry import export_checkpoint, import_checkpoint, their_name
from sr3mini.bridges.pth import read_pth
from sr3mini.model.checkpoint import card, load, save
from sr3mini.model.network import build
from sr3mini.model.preset import Preset
from sr3mini.sampler import sample

TINY = Preset(
    *("tiny", "folder", 16, 4, 3, 8, (1, 2), 1, (1,)),
    **{
        "groups": 4,
        "dropout": 0.2,
        "layout": "ddpm",
        "schedule_steps": 20,
        "schedule_start": 1e-4,
        "schedule_end": 0.3,
        "sampling_steps": 20,
        "loss_power": 1,
    },  # type: ignore[arg-type]
)
LAYOUTS: dict[str, dict[str, Any]] = {
    "colour": {},
    "grey": {"image_channels": 1},
    "unconditional": {"conditional": False, "factor": 1},
    "unconditional and grey": {"conditional": False, "factor": 1, "image_channels": 1},
    "one depth": {"multipliers": (1,), "attention": ()},
    "five depths": {"multipliers": (1, 2, 2, 1, 2)},
    "the last narrower": {"multipliers": (4, 2, 1)},
    "no block": {"blocks": 0},
    "three blocks": {"blocks": 3},
    "attention everywhere": {"attention": (0, 1)},
    "attention in the middle alone": {"attention": ()},
    "two groups": {"groups": 2},
    "no dropout": {"dropout": 0.0},
    "another size": {"size": 96, "factor": 6},
    **{
        f"schedule {name}": {"schedule": name}
        for name in ("quadratic", "warmup10", "warmup50", "constant", "cosine")
    },
}


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That code's own file."""
    return write_checkpoint(tmp_path_factory.mktemp("public"))


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_config(tmp_path_factory.mktemp("config") / "config.json")


def layout(**changes: Any) -> Any:
    """A network of this layout with random weights, the small bias and norm tensors
    among them.
    """
    fields = {name: getattr(TINY, name) for name in TINY.__dataclass_fields__} | changes
    f = build(Preset(**fields)).eval().requires_grad_(False)
    generator = seeded(0)
    for parameter in f.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator) / 4)
    return f


def identical(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def edited(tmp_path: Path, edit: Callable[[dict[str, Any]], object]) -> Path:
    """The configuration of an exported TINY after one edit."""
    options = json.loads(
        export_checkpoint(layout(), tmp_path / "t_gen.pth").read_text()
    )
    edit(options)
    (tmp_path / "edited.json").write_text(json.dumps(options))
    return tmp_path / "edited.json"


def refused(path: Path, config: Path | None = None) -> str:
    with pytest.raises(ValueError, match=r".") as error:
        import_checkpoint(path, config)
    assert "\n" not in str(error.value)
    return str(error.value)


# That code's own file -----------------------------------------------------------------


def test_a_folder_made_from_its_checkpoint_predicts_and_samples_what_it_did(
    public: Path, config: Path, tmp_path: Path
) -> None:
    """Through the verb and `load`, as a user goes."""
    cli.main(
        [
            "import",
            str(public),
            "--config",
            str(config),
            "--out",
            str(tmp_path),
        ]
    )
    f, expected = load(tmp_path), load_file(FIXTURE / "expected.safetensors")
    eps = f(
        expected["condition"], expected["y_t"], expected["sqrt_gamma"][:, 0].square()
    )
    assert (eps - expected["eps"]).abs().max() < 1e-5
    with torch.random.fork_rng():
        torch.manual_seed(123)
        y = sample(
            f,
            expected["condition"],
            f.preset.training_schedule(),
            (2, 3, 16, 16),
            variance="posterior",
            clip=True,
        )
    assert (y - expected["super_resolution_final"]).abs().max() < 1e-5


def test_what_is_exported_has_the_very_names_and_tables_of_its_own(
    public: Path, config: Path, tmp_path: Path
) -> None:
    """All 12 tables and all weights, bit by bit; and torch.load, with which that code
    reads them, reads them.
    """
    f, _ = import_checkpoint(public, config)
    export_checkpoint(f, tmp_path / "I10_E1_gen.pth")
    own = read_pth(public)
    assert len(own) == 12 + len(f.state_dict())
    assert identical(read_pth(tmp_path / "I10_E1_gen.pth"), own)
    assert identical(torch.load(tmp_path / "I10_E1_gen.pth", weights_only=True), own)


@pytest.mark.parametrize("changes", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_of_its_options_goes_out_and_comes_in_unchanged(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    f = layout(**changes)
    config = export_checkpoint(f, tmp_path / "tiny_gen.pth")
    g, about = import_checkpoint(tmp_path / "tiny_gen.pth", config)
    assert identical(f.state_dict(), g.state_dict())
    assert {
        name
        for name in vars(f.preset)
        if getattr(f.preset, name) != getattr(g.preset, name)
    } <= {"name"}
    assert about["assumed"] == {}
    again = tmp_path / "again" / "tiny_gen.pth"
    again.parent.mkdir()
    export_checkpoint(g, again)
    assert identical(read_pth(tmp_path / "tiny_gen.pth"), read_pth(again))
    save(tmp_path / "model.safetensors", g)
    assert identical(load(tmp_path).state_dict(), f.state_dict())


@pytest.mark.parametrize("changes", LAYOUTS.values(), ids=LAYOUTS)
def test_without_a_configuration_the_tensors_tell_the_layout(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    """All but groups, sizes and dropout, which are assumed, and named."""
    f = layout(
        **{"channels": 32, "groups": 32}
        | {name: value for name, value in changes.items() if name != "groups"}
    )
    export_checkpoint(f, tmp_path / "tiny_gen.pth")
    g, about = import_checkpoint(tmp_path / "tiny_gen.pth")
    assert identical(f.state_dict(), g.state_dict())
    assert about["assumed"] == {
        "groups": 32,
        "size": 128,
        **({"factor": 8} if f.preset.conditional else {}),
        "dropout": 0.0,
    }
    different = {
        name
        for name in vars(f.preset)
        if getattr(f.preset, name) != getattr(g.preset, name)
    }
    if f.preset.schedule in (
        "constant",
        "cosine",
    ):  # a constant table is a linear one too, and a cosine has neither start nor end
        different -= {"schedule", "schedule_start", "schedule_end"}
    assert different <= {"name", "size", "factor", "dropout"}
    assert torch.allclose(
        g.preset.training_schedule().gammas,
        f.preset.training_schedule().gammas,
        rtol=1e-5,
    )


def test_an_affine_level_is_seen_in_the_tensors_and_cannot_go_out(
    tmp_path: Path,
) -> None:
    """Its network knows it, its options do not."""
    f = layout(layout="ddpm_affine", channels=32, groups=32)
    torch.save(
        {
            f"denoise_fn.{their_name(name)}": tensor
            for name, tensor in f.state_dict().items()
        },
        tmp_path / "a_gen.pth",
    )
    g, about = import_checkpoint(tmp_path / "a_gen.pth")
    assert identical(f.state_dict(), g.state_dict())
    assert g.preset.layout == "ddpm_affine"
    assert about["assumed"]["schedule_steps"] == 2000
    with pytest.raises(ValueError, match="no option for the layout 'ddpm_affine'"):
        export_checkpoint(g, tmp_path / "b_gen.pth")
    assert not (tmp_path / "b_gen.pth").exists()


def test_what_the_tensors_do_not_tell_of_a_published_layout_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The published 64 -> 512 network has 16 groups, and its tensors would fit 32 as
    well. Looked up here for a network of a handier size.
    """
    published = janspiry.PUBLISHED[64, (1, 2, 4, 8, 16), 1]
    assert published == {"groups": 16, "size": 512}
    monkeypatch.setitem(janspiry.PUBLISHED, (32, (1, 2), 1), published)
    export_checkpoint(layout(channels=32), tmp_path / "t_gen.pth")
    g, about = import_checkpoint(tmp_path / "t_gen.pth")
    assert (g.preset.groups, g.preset.size, g.preset.factor) == (16, 512, 8)
    assert about["assumed"] == published | {"factor": 8, "dropout": 0.0}
    export_checkpoint(layout(), tmp_path / "small_gen.pth")
    said = refused(tmp_path / "small_gen.pth")
    assert "make it a multiple of 32); its --config may tell" in said


def test_what_that_code_cannot_run_does_not_go_out(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match="fails at a size of 18: it is no multiple of 4"
    ):
        export_checkpoint(
            layout(size=18, factor=3, multipliers=(1, 2, 2)), tmp_path / "t_gen.pth"
        )
    with pytest.raises(
        ValueError, match="no option for a network trained for regression"
    ):
        export_checkpoint(layout(objective="regression"), tmp_path / "t_gen.pth")
    assert list(tmp_path.iterdir()) == []


# What others made of it ---------------------------------------------------------------

NETWORKS: dict[str, tuple[Callable[[Any], object], str | None]] = {
    "as it is": (lambda d: d, None),
    "of DataParallel": (lambda d: begun(d, "module."), None),
    "of a model that holds it": (lambda d: begun(d, "netG."), None),
    "of both": (lambda d: begun(d, "model.module."), None),
    "the network alone": (lambda d: bare(d), None),
    "the network alone, in a module": (lambda d: begun(bare(d), "module."), None),
    "of Lightning": (
        lambda d: {"epoch": 3, "state_dict": begun(d, "model.netG."), "lr": [0.1]},
        None,
    ),
    "a trainer's file": (
        lambda d: {"model": begun(d, "module."), "optimizer": {"state": {0: zeros(d)}}},
        None,
    ),
    "two, the first": (lambda d: {"netG": d, "netG_ema": zeros(d)}, "netG"),
    "two, the second": (lambda d: {"netG": zeros(d), "netG_ema": d}, "netG_ema"),
    "two side by side": (lambda d: d | begun(zeros(d), "ema."), "denoise_fn"),
    "two side by side, the other": (
        lambda d: zeros(d) | begun(d, "ema.module."),
        "ema",
    ),
    "two in one": (
        lambda d: {"model": {"g": d, "ema": zeros(d)}},
        "model.g.denoise_fn",
    ),
    "one, and it is named": (lambda d: {"params": d}, "params"),
}


def begun(tensors: dict[str, Tensor], begin: str) -> dict[str, Tensor]:
    return {begin + name: tensor.clone() for name, tensor in tensors.items()}


def bare(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix("denoise_fn."): tensor
        for name, tensor in tensors.items()
        if name.startswith("denoise_fn.")
    }


def zeros(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: torch.zeros_like(tensor) for name, tensor in tensors.items()}


@pytest.mark.parametrize(("make", "key"), NETWORKS.values(), ids=NETWORKS)
def test_a_network_is_found_whatever_its_names_begin_with(
    make: Callable[[Any], object], key: str | None, tmp_path: Path
) -> None:
    """And its table of beta beside it, where there is one."""
    f = layout()
    config = export_checkpoint(f, tmp_path / "t_gen.pth")
    torch.save(make(read_pth(tmp_path / "t_gen.pth")), tmp_path / "other.pth")
    g, about = import_checkpoint(tmp_path / "other.pth", config, key)
    assert identical(g.state_dict(), f.state_dict())
    assert ("--key" in about["imported"]) == (key is not None)


@pytest.mark.parametrize(
    ("make", "key", "what"),
    [
        (
            lambda d: {"netG": d, "netG_ema": zeros(d)},
            None,
            "holds 2 networks: 'netG.denoise_fn', 'netG_ema.denoise_fn'; name one",
        ),
        (lambda d: d | begun(d, "ema."), None, "'denoise_fn', 'ema.denoise_fn'"),
        (lambda d: {"netG": d}, "netD", "holds 1 networks: 'netG.denoise_fn'"),
        (lambda d: {"a": d, "aa": zeros(d)}, "", "holds 2 networks"),
        (
            lambda d: {"m": {"g": d, "e": zeros(d)}},
            "m",
            "'m.g.denoise_fn', 'm.e.denoise_fn'",
        ),
        (
            lambda d: {"body.0.weight": torch.ones(3, 3)},
            None,
            r"no network of which_model_G = 'sr3', only tensors such as body\.0",
        ),
        (lambda d: {"optimizer": {"state": {0: d}}}, None, "no dictionary of tensors"),
    ],
)
def test_which_network_is_meant_is_asked_for_by_name(
    make: Callable[[Any], object], key: str | None, what: str, tmp_path: Path
) -> None:
    export_checkpoint(layout(), tmp_path / "t_gen.pth")
    torch.save(make(read_pth(tmp_path / "t_gen.pth")), tmp_path / "other.pth")
    with pytest.raises(ValueError, match=what) as error:
        import_checkpoint(tmp_path / "other.pth", None, key)
    assert "\n" not in str(error.value)


# Its configuration --------------------------------------------------------------------


def test_its_json_may_have_comments_and_addresses(tmp_path: Path) -> None:
    config = export_checkpoint(layout(), tmp_path / "t_gen.pth")
    text = config.read_text().replace(
        '"name": "tiny",', '"name": "http://example.org/a", // \\"not\\" a } name\n', 1
    )
    config.write_text(text.replace('"attn_res"', '// "x": 1\n"attn_res"'))
    f, _ = import_checkpoint(tmp_path / "t_gen.pth", config)
    assert f.preset.attention == (1,)


@pytest.mark.parametrize(
    ("section", "option", "value", "what"),
    [
        (
            "unet",
            "inner_channel",
            16,
            "it has channels = 16, and the tensors 8",
        ),
        (
            "unet",
            "channel_multiplier",
            [1, 4],
            (r"it has multipliers = \(1, 4\), and the tensors \(1, 2\)"),
        ),
        (
            "unet",
            "attn_res",
            [16],
            r"it has attention = \(0,\), and the tensors \(1,\)",
        ),
        ("unet", "res_blocks", 2, "it has blocks = 2, and the tensors 1"),
        ("unet", "out_channel", 1, "do not fit conditional"),
        (
            "unet",
            "norm_groups",
            3,
            "cannot be split into 3 groups",
        ),
        ("unet", "dropout", "much", "could not convert"),
        ("unet", "dropout", [0.2], "no configuration that can be used"),
        (
            "unet",
            "dropout",
            float("nan"),
            "dropout = nan, but it must be float between 0.0 and 1.0",
        ),
        ("unet", "res_blocks", "1", 'res_blocks = "1", but it must be a whole number'),
        (
            "unet",
            "res_blocks",
            True,
            "res_blocks = true, but it must be a whole number",
        ),
        (
            "unet",
            "in_channel",
            None,
            "in_channel = null, but it must be a whole number",
        ),
        (
            "unet",
            "inner_channel",
            8.0,
            "inner_channel = 8.0, but it must be a whole number",
        ),
        (
            "unet",
            "norm_groups",
            "4",
            'norm_groups = "4", but it must be a whole number',
        ),
        ("unet", "channel_multiplier", 3, "no configuration that can be used"),
        ("unet", "attn_res", 8, "no configuration that can be used"),
        (
            "diffusion",
            "image_size",
            16.5,
            "image_size = 16.5, but it must be a whole number",
        ),
        ("diffusion", "conditional", "yes", "no configuration that can be used"),
        (
            "diffusion",
            "conditional",
            False,
            "in_channel = 6 and out_channel = 3 do not fit conditional = false",
        ),
        ("diffusion", "image_size", "large", "no configuration that can be used"),
        (
            "beta_schedule",
            "train",
            {
                "schedule": "jsd",
                "n_timestep": 20,
                "linear_start": 1e-4,
                "linear_end": 0.3,
            },
            "'jsd' is none of linear, quad",
        ),
        (
            "model",
            "which_model_G",
            "ddpm",
            "which_model_G is 'ddpm', and only 'sr3' can be imported",
        ),
    ],
)
def test_a_configuration_of_another_network_is_refused(
    section: str, option: str, value: object, what: str, tmp_path: Path
) -> None:
    config = edited(
        tmp_path,
        lambda options: (
            options["model"] if section == "model" else options["model"][section]
        ).update({option: value}),
    )
    with pytest.raises(ValueError, match=what):
        import_checkpoint(tmp_path / "t_gen.pth", config)


@pytest.mark.parametrize("carried", [True, False], ids=["with betas", "without betas"])
@pytest.mark.parametrize(
    ("option", "value", "what"),
    [
        ("n_timestep", "x", 'n_timestep = "x", but it must be a whole number'),
        ("n_timestep", None, "n_timestep = null, but it must be a whole number"),
        ("n_timestep", 20.0, "n_timestep = 20.0, but it must be a whole number"),
        ("n_timestep", [20], "but it must be a whole number"),
        ("n_timestep", -20, r"describes a schedule of -20 steps|schedule_steps = -20"),
        ("linear_start", "x", "could not convert string to float"),
        ("linear_start", None, "no configuration that can be used"),
        ("linear_end", 10**400, "no configuration that can be used"),
        ("linear_end", float("nan"), "the 20 betas of|schedule_end = nan"),
        ("schedule", ["linear"], "no configuration that can be used"),
    ],
)
def test_a_schedule_of_no_numbers_is_refused_whether_or_not_there_is_a_table(
    option: str, value: object, what: str, carried: bool, tmp_path: Path
) -> None:
    config = edited(
        tmp_path,
        lambda options: [
            options["model"]["beta_schedule"][phase].update({option: value})
            for phase in ("train", "val")
        ],
    )
    tensors = read_pth(tmp_path / "t_gen.pth")
    torch.save(
        (
            tensors
            if carried
            else {name: tensor for name, tensor in tensors.items() if name != "betas"}
        ),
        tmp_path / "t_gen.pth",
    )
    with pytest.raises(ValueError, match=what) as error:
        import_checkpoint(tmp_path / "t_gen.pth", config)
    assert "\n" not in str(error.value)


def test_a_schedule_other_than_the_tables_is_refused_unless_it_is_for_sampling(
    tmp_path: Path,
) -> None:
    def another(phase: str) -> Callable[[dict[str, Any]], object]:
        return lambda options: options["model"]["beta_schedule"][phase].update(
            linear_end=0.2
        )

    import_checkpoint(tmp_path / "t_gen.pth", edited(tmp_path, another("val")))
    both = edited(
        tmp_path,
        lambda options: [another(phase)(options) for phase in ("train", "val")],
    )
    assert "describes a schedule of 20 steps, but the 20 betas" in refused(
        tmp_path / "t_gen.pth", both
    )


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[1]",
        '{"model": {}}',
        '{"model": {"unet": 3, "beta_schedule": 4}}',
        "[" * 100_000,
        "\xff\xfe",
    ],
)
def test_a_file_that_is_no_configuration_is_refused(
    content: str, tmp_path: Path
) -> None:
    export_checkpoint(layout(), tmp_path / "t_gen.pth")
    (tmp_path / "c.json").write_bytes(content.encode("latin-1"))
    assert "c.json" in refused(tmp_path / "t_gen.pth", tmp_path / "c.json")
    assert "missing.json does not exist" in refused(
        tmp_path / "t_gen.pth", tmp_path / "missing.json"
    )


# Tensors that are none of that code's -------------------------------------------------


def damaged(name: str, tensor: Tensor | None) -> Callable[[dict[str, Tensor]], object]:
    return lambda tensors: (
        tensors.pop(name) if tensor is None else tensors.__setitem__(name, tensor)
    )


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (
            damaged("denoise_fn.mid.0.attn.norm.bias", None),
            r"denoise_fn.mid.0.attn.norm.bias is missing, wanted \(16,\)",
        ),
        (
            damaged("denoise_fn.mid.0.attn.norm.bias", torch.zeros(8)),
            r"denoise_fn.mid.0.attn.norm.bias is \(8,\), wanted \(16,\)",
        ),
        (
            damaged("denoise_fn.extra.weight", torch.zeros(8)),
            r"denoise_fn.extra.weight is \(8,\), wanted no such tensor",
        ),
        (
            damaged("denoise_fn.downs.0.weight", torch.zeros(0)),
            "holds no network of which_model_G = 'sr3'|declares",
        ),
        (
            damaged("denoise_fn.downs.0.weight", torch.zeros(8, 5, 3, 3)),
            r"denoise_fn.downs.0.weight is \(8, 5, 3, 3\), wanted \(8, 6, 3, 3\)",
        ),
        (
            damaged("denoise_fn.downs.0.weight", torch.zeros(5, 6, 3, 3)),
            "it has channels = 8, and the tensors 5",
        ),
        (
            damaged("denoise_fn.ups.x.weight", torch.zeros(1)),
            "holds no network of which_model_G = 'sr3'",
        ),
        (
            damaged("denoise_fn.final_conv.block.3.weight", None),
            "holds no network of which_model_G = 'sr3'",
        ),
        (
            damaged("denoise_fn.time_mlp.1.weight", torch.zeros(1)),
            r"denoise_fn.time_mlp.1.weight is \(1,\), wanted no such tensor",
        ),
        (
            damaged("betas", torch.rand(20, generator=seeded(0))),
            "none of linear, quadratic",
        ),
        (
            lambda tensors: tensors.clear() or tensors.update(optimizer=torch.zeros(1)),
            "a file that ends in _gen.pth may",
        ),
    ],
)
def test_tensors_of_another_network_are_refused(
    damage: Callable[[dict[str, Tensor]], object], what: str, tmp_path: Path
) -> None:
    export_checkpoint(layout(), tmp_path / "t_gen.pth")
    tensors = read_pth(tmp_path / "t_gen.pth")
    damage(tensors)
    torch.save(tensors, tmp_path / "t_gen.pth")
    with pytest.raises(ValueError, match=what) as error:
        import_checkpoint(
            tmp_path / "t_gen.pth",
            None if "linear" in what else tmp_path / "t_gen.json",
        )
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("with_config", [True, False])
@pytest.mark.parametrize("shape", [(), (3, 4), (20, 1)])
def test_betas_that_are_no_table_are_refused(
    shape: tuple[int, ...], with_config: bool, tmp_path: Path
) -> None:
    config = export_checkpoint(layout(), tmp_path / "t_gen.pth")
    torch.save(
        read_pth(tmp_path / "t_gen.pth") | {"betas": torch.full(shape, 0.1)},
        tmp_path / "t_gen.pth",
    )
    assert f"holds betas of shape {shape}, not (T,)" in refused(
        tmp_path / "t_gen.pth", config if with_config else None
    )


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_finite_numbers_are_refused_by_name(
    number: float, tmp_path: Path
) -> None:
    config = export_checkpoint(layout(), tmp_path / "t_gen.pth")
    tensors = read_pth(tmp_path / "t_gen.pth")
    tensors["denoise_fn.mid.0.attn.norm.bias"][3] = number
    torch.save(tensors, tmp_path / "t_gen.pth")
    assert (
        "t_gen.pth holds weights that are no finite numbers, in"
        " denoise_fn.mid.0.attn.norm.bias" in refused(tmp_path / "t_gen.pth", config)
    )


def test_weights_too_large_for_float32_are_refused_too(tmp_path: Path) -> None:
    config = export_checkpoint(layout(), tmp_path / "t_gen.pth")
    large = {
        "denoise_fn.mid.0.attn.norm.bias": torch.full((16,), 1e300, dtype=torch.float64)
    }
    torch.save(read_pth(tmp_path / "t_gen.pth") | large, tmp_path / "t_gen.pth")
    assert "no finite numbers, in denoise_fn.mid.0.attn.norm.bias" in refused(
        tmp_path / "t_gen.pth", config
    )


# Checkpoints in fewer bits ------------------------------------------------------------


@pytest.mark.parametrize(
    "schedule", ["linear", "quadratic", "warmup10", "warmup50", "constant", "cosine"]
)
@pytest.mark.parametrize(
    ("steps", "start", "end"), [(20, 1e-4, 0.3), (2000, 1e-6, 1e-2)]
)  # float16 tells 1e-6 in steps of 6e-8
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_checkpoint_of_any_float_comes_in(
    dtype: torch.dtype,
    steps: int,
    start: float,
    end: float,
    schedule: str,
    tmp_path: Path,
) -> None:
    f = layout(
        channels=32,
        groups=32,
        schedule=schedule,
        schedule_steps=steps,
        schedule_start=start,
        schedule_end=end,
    )
    config = export_checkpoint(f, tmp_path / "t_gen.pth")
    torch.save(
        {
            name: tensor.to(dtype)
            for name, tensor in read_pth(tmp_path / "t_gen.pth").items()
        },
        tmp_path / "t_gen.pth",
    )
    g, _ = import_checkpoint(tmp_path / "t_gen.pth", config)
    assert identical(
        g.state_dict(),
        {name: tensor.to(dtype).float() for name, tensor in f.state_dict().items()},
    )
    assert (g.preset.schedule_start, g.preset.schedule_end) == (start, end)
    alone, _ = import_checkpoint(tmp_path / "t_gen.pth")
    assert torch.allclose(
        alone.preset.training_schedule().alphas,
        f.preset.training_schedule().alphas,
        rtol=0,
        atol=0.01 if dtype is torch.bfloat16 else 1e-3,
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_another_schedule_is_told_apart_in_fewer_bits_too(
    dtype: torch.dtype, tmp_path: Path
) -> None:
    config = edited(
        tmp_path,
        lambda options: [
            options["model"]["beta_schedule"][phase].update(linear_end=0.29)
            for phase in ("train", "val")
        ],
    )
    torch.save(
        {
            name: tensor.to(dtype)
            for name, tensor in read_pth(tmp_path / "t_gen.pth").items()
        },
        tmp_path / "t_gen.pth",
    )
    assert "the 20 betas of" in refused(tmp_path / "t_gen.pth", config)


# The verbs ----------------------------------------------------------------------------


def test_an_imported_model_is_a_folder_like_any_and_upscales(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    f = layout()
    export_checkpoint(f, tmp_path / "t_gen.pth")
    cli.main(
        [
            "import",
            str(tmp_path / "t_gen.pth"),
            "--config",
            str(tmp_path / "t_gen.json"),
            "--out",
            str(tmp_path / "model"),
        ]
    )
    assert (
        capsys.readouterr().out == f"wrote {tmp_path / 'model'}: 4 -> 16,"
        f" {sum(p.numel() for p in f.parameters()) / 1e6:.1f} million parameters\n"
    )
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == [
        "README.md",
        "config.json",
        "model.json",
        "model.safetensors",
    ]
    about = card(tmp_path / "model")
    assert about["imported"] == "sr3mini import t_gen.pth --config t_gen.json"
    assert (
        json.loads((tmp_path / "model" / "config.json").read_text()) == about["preset"]
    )
    Image.new("RGB", (5, 4), (200, 40, 0)).save(tmp_path / "p.png")
    cli.main(
        [
            "upscale",
            str(tmp_path / "p.png"),
            "--model",
            str(tmp_path / "model"),
            "--steps",
            "2",
            "--out",
            str(tmp_path / "large"),
        ]
    )
    with Image.open(tmp_path / "large" / "p_x4.png") as large:
        assert large.size == (20, 16)
    cli.main(
        ["export", str(tmp_path / "model"), "--out", str(tmp_path / "back_gen.pth")]
    )
    assert identical(
        read_pth(tmp_path / "back_gen.pth"), read_pth(tmp_path / "t_gen.pth")
    )


def test_what_was_assumed_is_said(
    public: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["import", str(public), "--out", str(tmp_path)])
    said = (
        "not in the checkpoint, so assumed: groups = 32, size = 128, factor = 8,"
        " dropout = 0.0"
    )
    assert f"{said}; pass --config to be sure" in capsys.readouterr().out
    assert said in (tmp_path / "README.md").read_text()


def test_a_mistake_is_one_sentence_with_status_2_and_leaves_nothing(
    public: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.pth").write_bytes(b"PK")
    (tmp_path / "file").touch()
    good = str(public)
    for arguments in (
        ("import", str(tmp_path / "bad.pth")),
        ("import", str(tmp_path / "none.pth")),
        ("import", str(tmp_path / "I10_E1_opt.pth")),
        ("import", good, "--config", str(tmp_path / "bad.pth")),
        ("import", good, "--out", str(tmp_path / "file" / "model")),
        ("export", "glyphs_8_32", "--out", str(tmp_path / "g_gen.pth")),
        ("export", "glyphs_8_32", "--out", str(tmp_path / "g.onnx")),
        ("export", "no_model", "--out", str(tmp_path / "g_gen.pth")),
        ("export", "glyphs_8_32", "--out", str(tmp_path / "file" / "g.pt2")),
    ):
        arguments = (
            (*arguments, "--out", str(tmp_path / "out"))
            if "--out" not in arguments
            else arguments
        )
        with pytest.raises(SystemExit) as stop:
            cli.main(list(arguments))
        said = capsys.readouterr().err.splitlines()
        assert (stop.value.code, len(said), said[0][:9]) == (2, 1, "sr3mini: "), said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.pth", "file"]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def run_refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as stop:
        cli.main([str(each) for each in arguments])
    said = capsys.readouterr().err.splitlines()
    assert (stop.value.code, len(said)) == (2, 1)
    return said[0]


@pytest.mark.parametrize(
    "there",
    [
        "model.safetensors",
        "config.json",
        "model.json",
        "README.md",
        "metrics.jsonl",
        "state/step_00000002/state.json",
    ],
)
def test_an_import_overwrites_a_model_or_a_training_only_when_asked_to(
    there: str, public: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / there).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / there).write_text("mine")
    command = ("import", public, "--out", tmp_path)
    said = run_refused(capsys, *command)
    assert (
        said == f"sr3mini: {tmp_path / Path(there).parts[0]} is there already: choose"
        " another --out, or pass --overwrite"
    )
    assert contents(tmp_path) == {there: b"mine"}
    cli.main([str(each) for each in (*command, "--overwrite")])
    assert load(tmp_path).preset.name == "I10_E1_gen"


@pytest.mark.parametrize(
    ("source", "goal", "last", "files"),
    [("t_gen.pth", "model", last, 4) for last in range(1, 5)]
    + [("tiny.safetensors", "again_gen.pth", 1, 2)],
)
def test_what_was_stopped_half_done_is_not_there_and_can_be_done_again(
    source: str,
    goal: str,
    last: int,
    files: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stopped at each of the files that the verb writes, as by Ctrl-C."""
    export_checkpoint(layout(channels=32, groups=32), tmp_path / "t_gen.pth")
    save(tmp_path / "tiny.safetensors", layout())
    out = tmp_path / "out"
    out.mkdir()
    verb = "import" if goal == "model" else "export"
    command = [verb, str(tmp_path / source), "--out", str(out / goal)]
    written, usual = [], Path.write_bytes

    def stop(path: Path, content: bytes) -> int:
        written.append(path)
        if len(written) == last:
            raise KeyboardInterrupt
        return usual(path, content)

    monkeypatch.setattr(Path, "write_bytes", stop)
    with pytest.raises(SystemExit, match="130"):
        cli.main(command)
    assert contents(out) == {}
    monkeypatch.undo()
    cli.main(command)
    assert len(contents(out)) == files


@pytest.mark.parametrize("there", ["t_gen.pth", "t_gen.json", "t.pt2"])
def test_an_export_overwrites_a_file_only_when_asked_to(
    there: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "tiny.safetensors", layout())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / there).write_text("mine")
    goal = tmp_path / "out" / there.replace("json", "pth")
    command = ("export", tmp_path / "tiny.safetensors", "--out", goal)
    assert (
        run_refused(capsys, *command)
        == f"sr3mini: {tmp_path / 'out' / there} is there already: choose another"
        " --out, or pass --overwrite"
    )
    assert contents(tmp_path / "out") == {there: b"mine"}
    cli.main([str(each) for each in (*command, "--overwrite")])
    assert sorted(contents(tmp_path / "out")) == (
        ["t.pt2"] if there == "t.pt2" else ["t_gen.json", "t_gen.pth"]
    )
    assert b"mine" not in contents(tmp_path / "out").values()


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    f = layout()
    export_checkpoint(f, tmp_path / "t_gen.pth")
    before = (tmp_path / "t_gen.pth").read_bytes()

    def full(_: object, beside: Path) -> None:
        beside.write_bytes(b"half")
        raise RuntimeError("PytorchStreamWriter failed writing file")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(
        OSError, match=r"t_gen.pth could not be written: PytorchStreamWriter"
    ):
        export_checkpoint(f, tmp_path / "t_gen.pth")
    assert (tmp_path / "t_gen.pth").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t_gen.json", "t_gen.pth"]


def test_a_full_16_to_128_checkpoint_imports_in_10_seconds_and_2_gigabytes(
    tmp_path: Path,
) -> None:
    """97.8 million random weights under that code's names, in a process of its own: its
    processor time and its peak memory.
    """
    with torch.device("meta"):
        f = layout(
            channels=64,
            multipliers=(1, 2, 4, 8, 8),
            blocks=2,
            attention=(3,),
            groups=32,
            size=128,
            factor=8,
        )
    weights = {
        f"denoise_fn.{their_name(name)}": torch.rand(tensor.shape)
        for name, tensor in f.state_dict().items()
    }
    assert sum(tensor.numel() for tensor in weights.values()) == 97_807_491
    torch.save(weights, tmp_path / "I640000_E37_gen.pth")
    del weights
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    program = (
        "import resource, sys; from sr3mini import cli; cli.main(sys.argv[1:]);"
        " print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    arguments = [
        sys.executable,
        "-c",
        program,
        "import",
        str(tmp_path / "I640000_E37_gen.pth"),
        "--out",
        str(tmp_path / "model"),
    ]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "16 -> 128, 97.8 million parameters" in done.stdout
    assert (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime) < 10
    assert int(done.stdout.splitlines()[-1]) * 1024 < 2e9
    (tmp_path / "I640000_E37_gen.pth").unlink()
    (tmp_path / "model" / "model.safetensors").unlink()
