"""A room of sr3mini, loaded once more from its source: as it stands, or with one thing broken on purpose."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

Edit = tuple[str, str]


def room(name: str, *edits: Edit) -> ModuleType:
    """`sr3mini.<name>` as users have it, without the shape checks of the tests, after each edit (old text, new text) was made.

    The old text must occur exactly once: a mutant that has lost its target says so instead of passing for a dead one.
    """
    spec = find_spec(f"sr3mini.{name}")
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).read_text(encoding="utf-8")
    for old, new in edits:
        assert source.count(old) == 1, f"sr3mini/{name}.py holds {old!r} {source.count(old)} times, not once: rewrite the mutant"
        source = source.replace(old, new)
    module = ModuleType(f"sr3mini.{name}")
    module.__dict__.update(__package__="sr3mini", __file__=spec.origin)
    exec(compile(source, spec.origin, "exec"), module.__dict__)
    return module
