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
from operator import attrgetter
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from ..files.reading import to_bytes
from ..shapes import High, Numbers

Distance = Callable[[Tensor, Tensor], Tensor]
"""distance(y, reference): one number an image, (B,), of pictures (B, C, H, W) in [-1,
1].
"""


def lpips() -> Distance:
    """LPIPS with AlexNet (Zhang et al. 2018; torchmetrics), of pictures of at least
    32x32 pixels.

    ValueError, with the command that helps, without torchvision or AlexNet's weights.
    """
    _demand(
        "torchvision",
        "models.alexnet(weights='DEFAULT')",
        "models.AlexNet_Weights.DEFAULT.url",
    )
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    net = LearnedPerceptualImagePatchSimilarity(net_type="alex").net

    @torch.no_grad()
    def distance(y: High, reference: High) -> Numbers:
        height, width = y.shape[-2:]
        if min(height, width) < 32:
            raise ValueError(
                f"LPIPS needs 32x32 pixels, and a picture has {width}x{height}"
            )
        colours = (
            it.float().clamp(-1, 1).expand(-1, 3, -1, -1) for it in (y, reference)
        )
        return net(*colours).flatten()

    return distance


class FID:
    """The Fréchet distance between two sets of pictures (Heusel et al. 2017;
    torchmetrics), fed picture by picture.

    `features`: what turns 8-bit pictures (B, 3, H, W) into numbers (B, D); 2048 stands
    for Inception's, which want torch-fidelity and its weights (ValueError, with the
    command that helps). With fewer than some thousand pictures it says little.
    """

    def __init__(self, features: int | torch.nn.Module = 2048) -> None:
        if features == 2048:
            _demand(
                "torch_fidelity",
                "FeatureExtractorInceptionV3('', ['2048'])",
                "feature_extractor_inceptionv3.URL_INCEPTION_V3",
            )
        from torchmetrics.image.fid import FrechetInceptionDistance

        self.distance: Any = FrechetInceptionDistance(feature=features)

    def add(self, y: High, reference: High) -> None:
        """Pictures in [-1, 1] of the one set and of the other."""
        for image, real in ((y, False), (reference, True)):
            self.distance.update(to_bytes(image).expand(-1, 3, -1, -1), real=real)

    def value(self) -> float:
        """The distance. ValueError when a set has fewer than two pictures: there is no
        spread to compare.
        """
        try:
            return float(self.distance.compute())
        except RuntimeError as error:
            raise ValueError(
                "FID compares how two sets of pictures spread: it wants two pictures at"
                " least, and some thousand to mean anything"
            ) from error


def _demand(package: str, call: str, url: str) -> None:
    """ValueError unless there is the package, and, where torch.hub keeps them, the
    weights that its `call` fetches from its `url`. They have to hold numbers only: the
    package would run whatever else a pickle says.
    """
    fetch = f'python -c "import {package}; {package}.{call}"'
    try:
        found = importlib.import_module(package)
    except (ImportError, RuntimeError) as error:  # missing, or built for another torch
        raise ValueError(
            f"{package} cannot be imported ({error}): run `pip install"
            f" {package.replace('_', '-')}` for your torch {torch.__version__}, then"
            f" `{fetch}`"
        ) from error
    name = attrgetter(url)(found).rsplit("/", 1)[-1]
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not path.is_file():
        raise ValueError(f"{path} is missing: `{fetch}` downloads it")
    try:
        torch.load(path, map_location="meta", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise ValueError(
            f"{path} holds no weights that can be read without running code; delete it"
            f" and run `{fetch}`"
        ) from error
