"""A room of sr3mini, loaded once more from its source: as it stands, or with one thing
broken on purpose.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

Edit = tuple[str, str]


def room(name: str, *edits: Edit) -> ModuleType:
    """`sr3mini.<name>` as users have it, without the shape checks of the tests, after
    each edit (old text, new text) was made.

    The old text must occur exactly once, however its lines are broken: a mutant that
    has lost its target says so instead of passing for a dead one.
    """
    spec = find_spec(f"sr3mini.{name}")
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).read_text(encoding="utf-8")
    for old, new in edits:
        source, count = _anywhere(old).subn(lambda _, new=new: new, source)
        assert count == 1, (
            f"sr3mini.{name} holds {old!r} {count} times, not once: rewrite the mutant"
        )
    module = ModuleType(spec.name)
    module.__dict__.update(
        __package__=spec.name.rpartition(".")[0], __file__=spec.origin
    )
    exec(compile(source, spec.origin, "exec"), module.__dict__)
    return module


def _anywhere(code: str) -> re.Pattern[str]:
    """Matches `code` with any white space between its tokens, and a comma before a
    bracket that a formatter has put on a line of its own.
    """
    tokens = [re.escape(token) for token in re.findall(r"\w+|[^\w\s]", code)]
    return re.compile(
        r"\s*".join(
            (
                rf"(?:,\s*)?{token}"
                if token in (r"\)", r"\]", r"\}", ")", "]", "}")
                else token
            )
            for token in tokens
        )
    )
