"""LPIPS and FID: where they are missing, a sentence says what to do; the distance
itself on features of our own.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.linalg
import torch
from checks import seeded
from torch import Tensor

from sr3mini.evaluation import perceptual
from sr3mini.evaluation.perceptual import FID, lpips

MISSING = {"torchvision": lpips, "torch_fidelity": FID}


@pytest.mark.parametrize("package", MISSING)
@pytest.mark.parametrize(
    "error", [ModuleNotFoundError("No module"), RuntimeError("operator nms is missing")]
)
def test_a_package_that_is_missing_or_broken_is_one_sentence_with_both_commands(
    error: Exception, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(name: str) -> None:
        raise error

    monkeypatch.setattr(perceptual, "importlib", SimpleNamespace(import_module=broken))
    with pytest.raises(
        ValueError,
        match=(
            rf"^{package} cannot be imported \({error}\): run `pip install"
            rf" {package.replace('_', '-')}` for your torch .*, then `python -c .*`$"
        ),
    ):
        MISSING[package]()


class Payload:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("executed",)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torchvision and torch-fidelity as far as they are asked where their weights come
    from, and a place for these.
    """
    url = "https://example.org/weights.pth"
    packages = {
        "torchvision": SimpleNamespace(
            models=SimpleNamespace(
                AlexNet_Weights=SimpleNamespace(DEFAULT=SimpleNamespace(url=url))
            )
        ),
        "torch_fidelity": SimpleNamespace(
            feature_extractor_inceptionv3=SimpleNamespace(URL_INCEPTION_V3=url)
        ),
    }
    importing = SimpleNamespace(import_module=packages.__getitem__)
    monkeypatch.setattr(perceptual, "importlib", importing)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints" / "weights.pth"


@pytest.mark.parametrize("package", MISSING)
def test_missing_weights_are_not_fetched(package: str, hub: Path) -> None:
    with pytest.raises(
        ValueError,
        match=(r"checkpoints/weights.pth is missing: `python -c .*` downloads it$"),
    ):
        MISSING[package]()
    assert not hub.exists()


@pytest.mark.parametrize("package", MISSING)
def test_weights_that_carry_code_are_refused_and_nothing_runs(
    package: str, hub: Path
) -> None:
    torch.save(Payload(), hub)
    with pytest.raises(
        ValueError, match="holds no weights that can be read without running code"
    ):
        MISSING[package]()
    assert not Path("executed").exists()


class Means(torch.nn.Module):
    """Two numbers of a picture: the mean of its left and of its right half."""

    num_features = 2

    def forward(self, image: Tensor) -> Tensor:
        assert image.dtype == torch.uint8
        assert image.shape[1] == 3
        return torch.stack(
            [half.float().flatten(1).mean(1) for half in image.chunk(2, dim=-1)], dim=1
        )


def test_fid_is_frechets_distance_of_the_features() -> None:
    """|m - m'|^2 + tr(S + S' - 2 sqrt(S S')), written out with scipy."""
    a = torch.rand(40, 1, 8, 8, generator=seeded(0)) * 2 - 1
    b = torch.rand(50, 1, 8, 8, generator=seeded(1)) * 1.5 - 1
    fid = FID(Means())
    for image in a:
        fid.distance.update(
            ((image + 1) * 127.5).round().to(torch.uint8)[None].expand(-1, 3, -1, -1),
            real=False,
        )
    for image in b:
        fid.distance.update(
            ((image + 1) * 127.5).round().to(torch.uint8)[None].expand(-1, 3, -1, -1),
            real=True,
        )
    of_a, of_b = (
        Means()(((y + 1) * 127.5).round().to(torch.uint8).expand(-1, 3, -1, -1))
        .double()
        .numpy()
        for y in (a, b)
    )
    s_a, s_b = np.cov(of_a.T), np.cov(of_b.T)
    wanted = ((of_a.mean(0) - of_b.mean(0)) ** 2).sum() + np.trace(
        s_a + s_b - 2 * scipy.linalg.sqrtm(s_a @ s_b).real
    )
    assert fid.value() == pytest.approx(wanted, rel=1e-3)


def test_fid_is_fed_pairs_of_the_two_sets() -> None:
    """Equal sets are at 0; a set that is one grey level brighter is at 1 + 1."""
    images = torch.rand(10, 3, 8, 8, generator=seeded(0)).sub(0.5)
    same, brighter = FID(Means()), FID(Means())
    for image in images:
        same.add(image[None], image[None])
        brighter.add(image[None] + 1 / 127.5, image[None])
    assert same.value() == pytest.approx(0, abs=1e-3)
    assert brighter.value() == pytest.approx(2, abs=1e-2)


def test_fid_of_one_picture_is_refused() -> None:
    fid = FID(Means())
    fid.add(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8))
    with pytest.raises(ValueError, match="it wants two pictures at least"):
        fid.value()


@pytest.mark.skipif(find_spec("torchvision") is None, reason="LPIPS needs torchvision")
def test_lpips_of_a_picture_and_itself_is_0() -> None:
    try:
        distance = lpips()
    except ValueError as error:
        pytest.skip(str(error))
    y = torch.rand(2, 1, 40, 48, generator=seeded(0)) * 2 - 1
    assert distance(y, y).tolist() == [0, 0]
    assert (distance(y, -y) > 0.01).all()
    with pytest.raises(ValueError, match="needs 32x32 pixels, and a picture has 31x40"):
        distance(y[..., :31], y[..., :31])
