"""What all tests share. The shapes in the annotations of sr3mini are checked by
beartype while the tests run, and only then.
"""

from __future__ import annotations

import signal

import pytest
from jaxtyping import install_import_hook

# has to come before the first import of sr3mini
install_import_hook("sr3mini", "beartype.beartype")
pytest.register_assert_rewrite("checks")
# a shell that puts its job in the background has it ignore Ctrl-C, and what the tests
# start would ignore it too: the tests that stop something need it heard
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# likewise nohup and the end of the terminal, which the tests themselves still survive
hang_up = getattr(signal, "SIGHUP", None)
if hang_up is not None and signal.getsignal(hang_up) is signal.SIG_IGN:
    signal.signal(hang_up, lambda number, frame: None)

import torch  # noqa: E402
from checks import seeded  # noqa: E402


@pytest.fixture
def generator() -> torch.Generator:
    """Random numbers of the test's own: nothing global is seeded, so no test leans on
    another.
    """
    return seeded(0)
