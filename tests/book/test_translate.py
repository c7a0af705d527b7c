"""DDPM code in SR3's letters: it says the same, computes the same, and what cannot be
translated is refused in one sentence.
"""

from __future__ import annotations

import pytest
import torch
from checks import check_translated_code_computes_the_same, close, posterior_deviations

from sr3mini.book.translate import to_sr3

PAIRS = [
    ("betas[t - 1]", "1 - alphas[t]"),
    ("alphas[t - 1]", "alphas[t]"),
    ("alpha_bars[t - 1]", "gammas[t]"),
    ("alpha_bars[t - 2]", "gammas[t - 1]"),
    ("alpha_bars[t]", "gammas[t + 1]"),
    ("alpha_bars[t_idx - 1]", "gammas[t_idx]"),
    ("alpha_bars[(t - 1) - 1]", "gammas[t - 1]"),
    ("alpha_bars[2 * t]", "gammas[2 * t + 1]"),
    ("alphas[0] * alphas[-1]", "alphas[1] * alphas[-1]"),  # -1 is step T in both tables
    ("self.alpha_bars[t - 1]", "self.gammas[t]"),
    ("x * self.betas[t - 1]", "y * (1 - self.alphas[t])"),
    ("2 / betas[t - 1] - betas[t - 2]", "2 / (1 - alphas[t]) - (1 - alphas[t - 1])"),
    ("x_0 + x_t + x + exp(t)", "y_0 + y_t + y + exp(t)"),
    ("eps_theta(x_t, t)", "f(x, y_t, gammas[t])"),
    ("model(x, t - 1)", "f(x, y, gammas[t - 1])"),
    ("model.eval()", "f.eval()"),
    ("images[t - 1] + alphabet", "images[t - 1] + alphabet"),
    ("alpha_bar_prev = alpha_bars[t - 2]", "gamma_prev = gammas[t - 1]"),
    ("  # a remark\n  x = 1  # another", "y = 1"),
]


@pytest.mark.parametrize(("ddpm", "sr3"), PAIRS)
def test_a_line_and_its_translation(ddpm: str, sr3: str) -> None:
    assert to_sr3(ddpm) == sr3


def test_where_t_begins_at_0_the_network_is_told_the_level_of_the_step_meant() -> None:
    assert (
        to_sr3("model(x, t) + alpha_bars[t]", first_step=0)
        == "f(x, y, gammas[t + 1]) + gammas[t + 1]"
    )


FUNCTION = """
def denoise(self, model, x, t):
    i = t - 1
    before = self.alpha_bars[i - 1]
    return model(x, t) + before * self.alphas[i]
"""


def test_a_name_for_the_index_is_replaced_by_the_index() -> None:
    assert to_sr3(FUNCTION).splitlines() == [
        "def denoise(self, f, y, t):",
        "    before = self.gammas[t - 1]",
        "    return f(x, y, gammas[t]) + before * self.alphas[t]",
    ]


@pytest.mark.parametrize(
    "changes",
    ["    t = t + 0\n", "    i = i + 1\n", "    for t in range(3):\n        pass\n"],
)
def test_a_name_that_is_changed_later_keeps_its_line(changes: str) -> None:
    source = "def g(t):\n    i = t - 1\n" + changes + "    return alphas[i]\n"
    assert to_sr3(source) == source.replace("alphas[i]", "alphas[i + 1]").rstrip()


def test_two_functions_have_names_of_their_own() -> None:
    source = (
        "def g(t):\n    i = t - 1\n    return betas[i]\n\ndef h(t):\n    i = t - 2\n   "
        " return betas[i]"
    )
    assert (
        to_sr3(source)
        == "def g(t):\n    return 1 - alphas[t]\n\ndef h(t):\n    return 1 - alphas[t"
        " - 1]"
    )
    assert to_sr3("def g(t):\n    i = t - 1") == "def g(t):\n    pass"


def test_translated_code_computes_what_the_original_computes() -> None:
    """(G.1) and its neighbours on numbers, for every step but the first, where the
    original reads the wrong entry.
    """
    check_translated_code_computes_the_same(to_sr3)


def test_the_first_steps_deviation_is_1_if_the_index_wraps_around_and_else_0() -> None:
    """(G.1) at t = 1: DDPM's table reads its last entry, the table with T + 1 entries
    holds gamma_0 = 1.
    """
    wrapped, right = posterior_deviations(to_sr3, 1)
    close(wrapped, torch.ones(()).double(), 1e-4, "sigma_1 with the slip")
    assert right == 0


REFUSED = [
    (
        "s = 0\nb = betas",
        (
            r"^line 2 uses the table betas whole; make the tables with"
            r" NoiseSchedule\.from_betas, and translate the rest$"
        ),
    ),
    ("len(self.alphas)", r"^line 1 uses the table alphas whole"),
    ("alphas = 1 - betas", r"^line 1 uses the table alphas whole"),
    (
        "alpha_bars[:t]",
        (
            r"^line 1 cuts or writes the table alpha_bars; only the reading of single"
            r" entries, alpha_bars\[\.\.\.\], can be translated$"
        ),
    ),
    ("betas[0] = 1", r"^line 1 cuts or writes the table betas"),
    ("model(x, t, labels)", r"^line 1 does not call model as model\(picture, t\)$"),
    ("eps_theta(x, t=t)", r"^line 1 does not call eps_theta as"),
    ("y = x", r"^line 1 uses the name y, which SR3's letters need; rename it first$"),
    ("def g(f, model):\n    pass", r"^line 1 uses the name f,"),
    ("alpha_bar = 1\ngamma = 7.5", r"^line 2 uses the name gamma,"),
    ("gammas[t]", r"^line 1 uses the name gammas,"),
]


@pytest.mark.parametrize(("source", "sentence"), REFUSED)
def test_what_cannot_be_translated_is_refused_in_one_sentence(
    source: str, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        to_sr3(source)


def test_a_first_step_other_than_0_and_1_is_refused() -> None:
    with pytest.raises(
        ValueError,
        match=r"^first_step = 2, but DDPM code counts its steps from 0 or from 1$",
    ):
        to_sr3("betas[t]", first_step=2)
