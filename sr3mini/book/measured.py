r"""What a benchmark measured once: the figures that the book tells."""

from __future__ import annotations

import json
from typing import Any

from ..model.checkpoint import WEIGHTS


def measured(name: str) -> dict[str, Any]:
    """What a benchmark measured once and stored as data/runs/NAME.json: the figures,
    with the command and the machine that gave them.
    """
    path = WEIGHTS.parent / "runs" / f"{name}.json"
    if not path.is_file():
        stored = ", ".join(sorted(p.stem for p in path.parent.glob("*.json")))
        raise ValueError(
            f"no measurement {name!r} is stored; there are: {stored or 'none'}"
        )
    return json.loads(path.read_text(encoding="utf-8"))
