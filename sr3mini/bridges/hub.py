r"""Models on the Hugging Face Hub, by its own mixin.

    f = Model.from_pretrained("model/")  a folder of ours, or the name of a repository
                                         on the Hub
    f.save_pretrained("copy/")           model.safetensors, model.json, config.json,
                                         README.md
    f.push_to_hub("you/name")

A `Model` is a callable f(x, y_t, gamma) with `f.preset`, like what `checkpoint.load`
returns, which it holds as `f.network`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from huggingface_hub import ModelHubMixin, snapshot_download
from torch import Tensor

from ..files.writing import write_text
from ..model.card import describe
from ..model.checkpoint import card, load, save
from ..model.network import Network

FILES = ["model.safetensors", "model.json", "config.json", "README.md"]


class Model(Network, ModelHubMixin):
    """A network with `from_pretrained`, `save_pretrained` and `push_to_hub`; `about` is
    what model.json holds.
    """

    def __init__(self, network: Network, about: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.network, self.preset, self.about = network, network.preset, about or {}

    def forward(self, x: Tensor, y_t: Tensor, gamma: Tensor) -> Tensor:
        return self.network(x, y_t, gamma)

    def _save_pretrained(self, save_directory: Path) -> None:
        save(save_directory / "model.safetensors", self.network)
        if self.about:
            text = json.dumps(self.about, indent=2) + "\n"
            write_text(text, save_directory / "model.json")
        describe(save_directory, self.preset)

    @classmethod
    def _from_pretrained(
        cls, *, model_id: str, device: str = "cpu", **download: Any
    ) -> Model:
        """The model of a local folder, or of a repository of which only the four files
        above are fetched.
        """
        folder = Path(model_id)
        if not folder.is_dir():
            folder = Path(snapshot_download(model_id, allow_patterns=FILES, **download))
        return cls(load(folder, device), card(folder))
