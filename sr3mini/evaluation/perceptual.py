r"""LPIPS and FID: distances measured by networks that were trained to recognise what
pictures show.

    LPIPS  how differently AlexNet sees a picture and its original
            0 for equal pictures, lower is better
    FID  how far apart two sets of pictures lie in Inception's features
            0 for equal sets, lower is better

Both need packages and weights that this project does not bring. Nothing is downloaded
here: where something is missing, one sentence says which command fetches it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..files.reading import to_bytes

Distance = Callable[[Tensor, Tensor], Tensor]
"""distance(y, reference): one number an image, (B,), of pictures (B, C, H, W) in [-1,
1].
"""

FETCH_ALEXNET = (
    "python -c \"import torchvision; torchvision.models.alexnet(weights='DEFAULT')\""
)
FETCH_INCEPTION = (
    "python -c \"import torch_fidelity; torch_fidelity.FeatureExtractorInceptionV3('',"
    " ['2048'])\""
)


def lpips() -> Distance:
    """LPIPS with AlexNet (Zhang et al. 2018; torchmetrics), of pictures of at least
    32x32 pixels.

    ValueError, with the command that helps, without torchvision or AlexNet's weights.
    """
    torchvision = _package(
        "LPIPS", "torchvision", FETCH_ALEXNET, "AlexNet's weights, 233 MB"
    )
    _need_weights(
        "LPIPS", torchvision.models.AlexNet_Weights.DEFAULT.url, FETCH_ALEXNET
    )
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    net = LearnedPerceptualImagePatchSimilarity(net_type="alex").net

    def colour(image: Tensor) -> Tensor:
        return image.float().clamp(-1, 1).expand(-1, 3, -1, -1)

    def distance(
        y: Float[Tensor, "B C H W"], reference: Float[Tensor, "B C H W"]
    ) -> Float[Tensor, " B"]:
        if min(y.shape[-2:]) < 32:
            raise ValueError(
                "LPIPS looks at pictures of at least 32x32 pixels, not at"
                f" {y.shape[-1]}x{y.shape[-2]}"
            )
        with torch.no_grad():
            return net(colour(y), colour(reference)).flatten()

    return distance


class FID:
    """The Fréchet distance between two sets of pictures (Heusel et al. 2017;
    torchmetrics), fed picture by picture.

    `features`: what turns 8-bit pictures (B, 3, H, W) into numbers (B, D); Inception's
    2,048 if it is None, which wants torch-fidelity and its weights (ValueError, with
    the command that helps). With fewer than some thousand pictures it says little.
    """

    def __init__(self, features: torch.nn.Module | None = None) -> None:
        if features is None:
            torch_fidelity = _package(
                "FID", "torch_fidelity", FETCH_INCEPTION, "Inception's weights, 96 MB"
            )
            _need_weights(
                "FID",
                torch_fidelity.feature_extractor_inceptionv3.URL_INCEPTION_V3,
                FETCH_INCEPTION,
            )
        from torchmetrics.image.fid import FrechetInceptionDistance

        self.distance: Any = FrechetInceptionDistance(
            feature=2048 if features is None else features
        )

    def add(
        self, y: Float[Tensor, "B C H W"], reference: Float[Tensor, "B C H W"]
    ) -> None:
        """Pictures in [-1, 1] of the one set and of the other."""
        for image, real in ((y, False), (reference, True)):
            self.distance.update(to_bytes(image).expand(-1, 3, -1, -1), real=real)

    def value(self) -> float:
        """The distance. ValueError when a set has fewer than two pictures: there is no
        spread to compare.
        """
        real = self.distance.real_features_num_samples
        fake = self.distance.fake_features_num_samples
        if min(real, fake) < 2:
            raise ValueError(
                "FID compares how two sets of pictures spread: it wants two pictures at"
                " least, and some thousand to mean anything"
            )
        return float(self.distance.compute())


def _package(what: str, package: str, fetch: str, weights: str) -> Any:
    name = package.replace("_", "-")
    if find_spec(package) is None:
        raise ValueError(
            f"{what} needs {name}, which is not installed: run `pip install {name}`,"
            f" then `{fetch}`, which downloads {weights}"
        )
    try:
        return importlib.import_module(package)
    except (ImportError, RuntimeError) as error:  # built for another torch, mostly
        raise ValueError(
            f"{what} needs {name}, which cannot be imported ({error}): install the"
            f" build that belongs to your torch {torch.__version__}"
        ) from error


def _need_weights(what: str, url: str, fetch: str) -> None:
    """The weights lie where torch.hub keeps them, and hold numbers only: the packages
    would run whatever else a pickle says.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    if not path.is_file():
        raise ValueError(
            f"{what} needs the weights {path.name}, which are not in {path.parent}:"
            f" `{fetch}` downloads them"
        )
    try:
        torch.load(path, map_location="meta", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise ValueError(
            f"{path} holds no weights that can be read without running code; delete it"
            f" and fetch it again with `{fetch}`"
        ) from error
