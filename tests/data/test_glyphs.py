"""Glyphs: how they are split, coloured and cached."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rooms import room

from sr3mini.data import ALPHABET, from_bytes, glyphs, letters
from sr3mini.data.glyphs import STYLES, Glyphs

# the module: the package offers the function under this name
fonts = importlib.import_module("sr3mini.data.glyphs")
SIZE = 16


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Glyphs, Glyphs]]:
    """Train and test, rendered once for this file, in a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield glyphs.__wrapped__("train", SIZE), glyphs.__wrapped__("test", SIZE)


def pictures(split: Glyphs) -> set[bytes]:
    return {image.tobytes() for image in split.images.numpy()}


def test_no_character_is_in_both_splits(splits: tuple[Glyphs, Glyphs]) -> None:
    train, test = splits
    assert set(train.characters).isdisjoint(test.characters)


def test_no_picture_of_the_test_split_was_seen_in_training(
    splits: tuple[Glyphs, Glyphs],
) -> None:
    """Latin A and Greek Alpha are two code points and one picture: they have to be on
    one side.
    """
    train, test = splits
    assert pictures(train).isdisjoint(pictures(test))
    assert {"A", "Α", "А"} <= set(test.characters)


def test_the_62_letters_and_digits_are_tested_in_all_12_styles(
    splits: tuple[Glyphs, Glyphs],
) -> None:
    test = splits[1]
    shown = set(zip(test.characters, test.styles, strict=True))
    assert len(ALPHABET) == 62
    assert len(STYLES) == 12
    assert {
        (character, style) for character in ALPHABET for style in range(12)
    } <= shown


def test_the_test_split_is_about_a_seventh_of_46_000(
    splits: tuple[Glyphs, Glyphs],
) -> None:
    """A tenth of the other code points, the alphabet, and what looks like it."""
    train, test = map(len, splits)
    assert 45_000 < train + test < 49_000
    assert 0.1 < test / (train + test) < 0.18


def test_glyphs_are_black_on_white_in_range_and_fill_their_square(
    splits: tuple[Glyphs, Glyphs],
) -> None:
    test = splits[1]
    index = test.find("A")
    picture = test[index]
    assert picture.shape == (1, SIZE, SIZE)
    assert picture.dtype == torch.float32
    assert picture[0, 0, 0] == 1
    assert picture.min() < -0.8
    assert all(from_bytes(split.images).aminmax() == (-1, 1) for split in splits)
    assert not any((split.images == 255).all(-1).all(-1).any() for split in splits), (
        "a picture is empty"
    )


def test_images_characters_and_styles_lie_beside_each_other(
    splits: tuple[Glyphs, Glyphs],
) -> None:
    test = splits[1]
    assert len(test) == len(test.images) == len(test.characters) == len(test.styles)
    index = test.find("Q", "DejaVuSerif-Bold")
    assert (test.characters[index], STYLES[test.styles[index]]) == (
        "Q",
        "DejaVuSerif-Bold",
    )
    assert torch.equal(test.batch([index, 0]), torch.stack([test[index], test[0]]))
    assert torch.equal(test.batch(torch.tensor([index]))[0], test[index])


def test_coloured_glyphs_are_the_same_shapes_in_an_ink_and_on_a_paper_of_their_own(
    splits: tuple[Glyphs, Glyphs],
) -> None:
    """Each channel is a straight line of the grey picture; the colours are the same at
    every rendering, and all different.
    """
    grey = splits[1]
    coloured = glyphs.__wrapped__("test", SIZE, 3)
    assert coloured.characters == grey.characters
    some = [grey.find(c) for c in "AbQ7"]
    white, black = (grey.batch(some) + 1).div(2), (1 - grey.batch(some)).div(2)
    ink, paper = coloured.colours[some][..., None, None].unbind(1)
    torch.testing.assert_close(coloured.batch(some), paper * white + ink * black)
    assert torch.equal(coloured[some[2]], coloured.batch(some)[2])
    assert (coloured.colours.amax(1) - coloured.colours.amin(1)).min() >= 0.2, (
        "ink and paper must differ in every channel"
    )
    assert 0.4 < (coloured.colours[:, 0] < 0).all(1).float().mean() < 0.6, (
        "half are dark on light, half light on dark"
    )
    assert torch.equal(coloured.colours, glyphs.__wrapped__("test", SIZE, 3).colours)
    assert len(coloured.colours[:100].flatten(1).unique(dim=0)) == 100


def test_glyphs_are_grey_or_coloured() -> None:
    with pytest.raises(
        ValueError,
        match=r"^split = 'test' and channels = 2, but glyphs have .* 1 channel or 3$",
    ):
        room("data.glyphs").glyphs("test", SIZE, 2)


def test_a_character_of_the_other_split_is_named(splits: tuple[Glyphs, Glyphs]) -> None:
    with pytest.raises(
        KeyError,
        match="no 'A' in DejaVuSans in this split; try the other one",
    ):
        splits[0].find("A")


def test_another_split_is_refused() -> None:
    """In the room as users have it: in the tests, the type checks would speak first."""
    with pytest.raises(
        ValueError,
        match=r"^split = 'val' and channels = 1, but glyphs have 'train' and 'test', ",
    ):
        room("data.glyphs").glyphs("val")


def test_rendering_is_deterministic(
    splits: tuple[Glyphs, Glyphs], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One style rendered a second time: byte for byte the pictures of before."""
    monkeypatch.setattr(fonts, "STYLES", STYLES[:1])
    images, code_points, _ = fonts._render_all(SIZE)
    again = {
        chr(c): image.tobytes() for image, c in zip(images, code_points, strict=True)
    }
    before = {
        c: i.numpy().tobytes()
        for split in splits
        for i, c, style in zip(
            split.images, split.characters, split.styles, strict=True
        )
        if style == 0
    }
    assert again == before


# The cache: what is rendered is no matter here, so a stand-in renders a few hundred pic

RENDERED = "rendered once more"


def noise(size: int) -> np.ndarray:
    """One picture for each of the code points 33..499."""
    return np.random.default_rng(size).integers(0, 256, (467, size, size), np.uint8)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, and a stand-in for the rendering that says when
    it was called.
    """

    def render(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        print(RENDERED)
        return noise(size), np.arange(33, 500), np.zeros(467, int)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(fonts, "_render_all", render)
    return tmp_path / "sr3mini"


def characters_and_renderings(
    capsys: pytest.CaptureFixture[str], size: int = 8
) -> tuple[list[str], int]:
    """What the test split holds, and how often it was rendered for that."""
    split = glyphs.__wrapped__("test", size)
    code_points = [ord(c) - 33 for c in split.characters]
    assert np.array_equal(split.images.numpy(), noise(size)[code_points]), (
        "the pictures are not the rendered ones"
    )
    return split.characters, capsys.readouterr().out.count(RENDERED)


def test_glyphs_are_rendered_once_a_size_and_then_read_from_the_cache(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, renderings = characters_and_renderings(capsys)
    assert renderings == 1
    assert len(list(cache.iterdir())) == 1
    assert characters_and_renderings(capsys) == (first, 0)
    assert characters_and_renderings(capsys, 9)[1] == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b"",
        lambda b: b"not a cache",
        lambda b: b[: len(b) // 2],
        lambda b: b[:-1],
        lambda b: b.replace(b"npy", b"abc"),
    ],
)
def test_a_damaged_cache_is_rendered_again_and_mended(
    cache: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[bytes], bytes]
) -> None:
    """Empty, foreign, cut in half, cut by a byte, with other entries."""
    first, _ = characters_and_renderings(capsys)
    (file,) = cache.iterdir()
    file.write_bytes(damage(file.read_bytes()))
    assert characters_and_renderings(capsys) == (first, 1)
    assert characters_and_renderings(capsys) == (first, 0)


def test_a_full_disk_costs_the_cache_and_leaves_no_part_of_it(
    cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: Path, **_: Any) -> None:
        Path(file).write_bytes(b"PK")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    assert characters_and_renderings(capsys)[1] == 1
    assert list(cache.iterdir()) == []


def test_a_cache_folder_that_cannot_be_made_costs_nothing_but_time(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache.write_text("a file where the folder should be")
    assert characters_and_renderings(capsys)[1] == 1


def test_the_letters_are_those_of_the_alphabet_in_every_style() -> None:
    world = letters()
    assert len(world) == 62 * 12
    assert set(world.characters) == set(ALPHABET)
    a = glyphs("test")
    assert torch.equal(world[world.find("g")], a[a.find("g")])
