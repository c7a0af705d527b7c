"""Which result belongs to which reference: names as other programs give them, methods
kept apart, and what nobody can tell refused by name.
"""

from __future__ import annotations

from pathlib import Path
from unicodedata import normalize

import pytest
from tiny import save

from sr3mini.evaluation.pairing import pairs

Methods = dict[str, list[str]]


def paired(root: Path, references: str, results: str, suffix: str | None = None):  # type: ignore[no-untyped-def]
    """{reference: {method: names}} of pictures with these names, without endings."""
    hr = save(root / "hr", *(f"{name}.png" for name in references.split()))
    sr = save(root / "sr", *(f"{name}.png" for name in results.split()))
    return {
        pair.reference.stem: {
            how: [str(file.relative_to(sr))[:-4] for file in files]
            for how, files in pair.results.items()
        }
        for pair in pairs(sr, hr, suffix)
    }


@pytest.mark.filterwarnings("ignore:left out")
@pytest.mark.parametrize(
    ("results", "methods"),
    [
        # only what upscale numbers are samples, in the order of their numbers
        (
            "a_x4_1 a_x4_2 a_x4_10",
            {"results": ["a_x4_1", "a_x4_2", "a_x4_10"]},
        ),
        ("a_64x48_1 a_64x48_2", {"results": ["a_64x48_1", "a_64x48_2"]}),
        ("a_x1.5_1 a_x1.5_2", {"results": ["a_x1.5_1", "a_x1.5_2"]}),
        # other marks are methods of their own
        ("a_x2 a_x4", {"results _x2": ["a_x2"], "results _x4": ["a_x4"]}),
        ("a_pred a_out", {"results _out": ["a_out"], "results _pred": ["a_pred"]}),
        ("a a_sr", {"results": ["a"], "results _sr": ["a_sr"]}),
        ("a-sr a_sr", {"results -sr": ["a-sr"], "results _sr": ["a_sr"]}),
        (
            "a_x4_1 a_x4_2 a_x4",
            {"results _x4": ["a_x4"], "results _x4_N": ["a_x4_1", "a_x4_2"]},
        ),
        (
            "a_x2_1 a_x2_2 a_x4_1",
            {"results _x2_N": ["a_x2_1", "a_x2_2"], "results _x4_N": ["a_x4_1"]},
        ),
        # a reference is never a result
        ("a_gt a_sr", {"results": ["a_sr"]}),
        ("a-HR a_out", {"results": ["a_out"]}),
        # any word of another program, where there is one
        ("a_HAT_SRx4", {"results": ["a_HAT_SRx4"]}),
        ("a-realesr-general", {"results": ["a-realesr-general"]}),
        ("a_EDSR_Lx4_f64b16_G1", {"results": ["a_EDSR_Lx4_f64b16_G1"]}),
    ],
)
def test_methods_stay_apart(results: str, methods: Methods, tmp_path: Path) -> None:
    assert paired(tmp_path, "a", results) == {"a": methods}


@pytest.mark.parametrize(
    ("references", "results", "word"),
    [
        ("a b", "a_HAT a_SwinIR b_HAT b_SwinIR", "end in _hat, _swinir: name what"),
        ("a", "a_first a_second", "--suffix=_first"),
        ("a", "a_hr", "what ends in _hr or _gt is a reference"),
        ("a_GT", "a_GT", "what ends in _hr or _gt is a reference"),
        ("a", "a_2", "has the name of one"),
        ("a", "ax4z", "has the name of one"),
    ],
)
def test_what_cannot_be_told_is_refused(
    references: str, results: str, word: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=word):
        paired(tmp_path, references, results)


@pytest.mark.filterwarnings("ignore:left out")
def test_a_suffix_chooses_one_program(tmp_path: Path) -> None:
    names = "a_HAT a_SwinIR b_HAT b_SwinIR a b a_x4_HAT"
    assert paired(tmp_path, "a b", names, "_HAT") == {
        "a": {"results": ["a_HAT"]},
        "b": {"results": ["b_HAT"]},
    }
    assert paired(tmp_path, "a b", names, "") == {
        "a": {"results": ["a"]},
        "b": {"results": ["b"]},
    }


def test_marks_that_never_meet_are_one_method(tmp_path: Path) -> None:
    assert paired(tmp_path, "a b", "a_x4 b") == {
        "a": {"results": ["a_x4"]},
        "b": {"results": ["b"]},
    }


def test_a_method_that_lacks_pictures_is_named(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="only 1 of 2 references have results _sr"):
        found = paired(tmp_path, "a b", "a_x4 b_x4 a_sr")
    assert set(found["a"]) == {"results _sr", "results _x4"}


@pytest.mark.parametrize(
    ("reference", "result"),
    [
        (normalize("NFC", "é"), normalize("NFD", "é_x4")),
        (normalize("NFD", "Ünï"), normalize("NFC", "Ünï")),
        ("IMG_01", "img_01_x4"),
        ("img_01", "IMG_01_SR"),
        ("Straße", "STRASSE_x4"),
        ("ガ", normalize("NFD", "ガ_sr")),
    ],
)
def test_names_are_the_same_in_another_form(
    reference: str, result: str, tmp_path: Path
) -> None:
    assert paired(tmp_path, reference, result) == {reference: {"results": [result]}}


def test_case_tells_pictures_apart_where_it_is_all_that_does(tmp_path: Path) -> None:
    assert paired(tmp_path, "a A", "a_x4 A_x4") == {
        "A": {"results": ["A_x4"]},
        "a": {"results": ["a_x4"]},
    }
