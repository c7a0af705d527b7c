"""Files and folders in, larger files out: the right names, bits and colours; all
results of a picture or none; what is there stays.
"""

from __future__ import annotations

import copy
import dataclasses
import errno
import math
import os
import platform
from pathlib import Path

import numpy as np
import pytest
import torch
from checks import close, seeded
from PIL import Image, ImageCms
from tiny import TINY, network, numbers, png
from torch import Tensor

from sr3mini.degrade import downsample, upsample
from sr3mini.files.reading import PictureFile, from_bytes, read, read_picture, to_bytes
from sr3mini.files.sheet import sheet
from sr3mini.model.network import Network
from sr3mini.upscaling import upscale_files as album
from sr3mini.upscaling.draw import generate
from sr3mini.upscaling.upscale_files import (
    Spread,
    Wish,
    bleed,
    find_pictures,
    results,
    upscale_file,
    upscale_files,
    write_generated,
)

COLOUR = dataclasses.replace(TINY, image_channels=3)


class Enlarger(Network):
    """Knows the bicubic enlargement of x, and nothing else: what it makes can be
    computed.
    """

    def __init__(self, channels: int = 3, factor: int = 4) -> None:
        super().__init__()
        self.preset = dataclasses.replace(
            TINY, image_channels=channels, factor=factor, name="enlarger"
        )

    def forward(self, x: Tensor, y_t: Tensor, gamma: Tensor) -> Tensor:
        level = gamma.to(y_t).reshape(-1, 1, 1, 1)
        return (
            y_t - level.sqrt() * upsample(x, size=(y_t.shape[-2], y_t.shape[-1]))
        ) / (1 - level).sqrt()


def image(*shape: int) -> Tensor:
    return torch.rand(shape, generator=seeded(0)) * 2 - 1


def smooth(size: tuple[int, int], channels: int = 3) -> Tensor:
    """Soft colours far from black and white, where nothing clips."""
    return upsample(image(1, channels, 3, 3), size=size)[0] / 2


def save(image: Tensor, path: Path) -> Path:
    array = to_bytes(image).permute(1, 2, 0).numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array[..., 0] if array.shape[2] == 1 else array).save(path)
    return path


@pytest.fixture
def f() -> Network:
    return network()


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    return [
        save(image(1, 2, 3), tmp_path / "a.png"),
        save(image(3, 3, 2), tmp_path / "b.png"),
    ]


def names(folder: Path) -> list[str]:
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()
    )


# What comes out -----------------------------------------------------------------------


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_depth_and_channels_stay_and_the_pixels_are_right(
    channels: int, depth: int, tmp_path: Path
) -> None:
    """Against bicubic in floats of the very integers in the file: one step of the last
    bit at most.
    """
    top, small = 2**depth - 1, smooth((6, 7), channels)
    small[channels - 1] = (
        small[channels - 1].clamp(min=-0.9)
        if channels in (2, 4)
        else small[channels - 1]
    )
    array = (
        ((small.permute(1, 2, 0).numpy() + 1) * (top / 2))
        .round()
        .astype(np.uint16 if depth == 16 else np.uint8)
    )
    (tmp_path / "a.png").write_bytes(png(array))
    (written,) = upscale_files([tmp_path / "a.png"], [Enlarger()], tmp_path / "out")
    result = read(written)
    got = (
        result.colour
        if result.alpha is None
        else np.concatenate([result.colour, result.alpha[..., None]], axis=2)
    )
    assert got.dtype == array.dtype
    wanted = upsample(
        torch.from_numpy(array.astype(np.float32)).permute(2, 0, 1)[None], 4
    )[0].permute(1, 2, 0)
    close(
        torch.from_numpy(got.astype(np.float32)),
        wanted,
        1 if depth == 8 else 8,
        "result against bicubic",
    )


def test_profile_exif_and_size_on_paper_come_along(tmp_path: Path) -> None:
    profile, exif = (
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        Image.Exif(),
    )
    exif[0x0112], exif[0x010F] = 6, "a camera"
    Image.fromarray(numbers(3, 8, (4, 6))).save(
        tmp_path / "a.jpg", icc_profile=profile, exif=exif, dpi=(100, 100)
    )
    for kind in ("png", "jpg", "webp"):
        (written,) = upscale_files(
            [tmp_path / "a.jpg"], [Enlarger()], tmp_path / "out", Wish(format=kind)
        )  # type: ignore[arg-type]
        assert written.name == f"a_x4.{kind}"
        with Image.open(written) as result:
            result.load()
            assert result.size == (
                16,
                24,
            ), "the picture was not turned upright, or twice"
            assert result.info["icc_profile"] == profile
            assert dict(result.getexif()) == {0x010F: "a camera"}
            assert kind == "webp" or result.info["dpi"] == pytest.approx(
                (400, 400), abs=1
            )


def test_a_seed_repeats_to_the_bit_and_a_file_becomes_the_same_alone_and_beside_others(
    f: Network, two: list[Path], tmp_path: Path
) -> None:
    together = list(
        upscale_files(two, [f], tmp_path / "together", Wish(samples=2, seed=5))
    )
    alone = list(
        upscale_files(two[1:], [f], tmp_path / "alone", Wish(samples=2, seed=5))
    )
    assert [path.read_bytes() for path in together[3:]] == [
        path.read_bytes() for path in alone
    ]
    (second,) = upscale_files(two[1:], [f], tmp_path / "second", Wish(seed=6))
    assert second.read_bytes() == alone[1].read_bytes() != alone[0].read_bytes()


@pytest.mark.filterwarnings("ignore:a.png is stretched")
@pytest.mark.parametrize(
    ("wish", "ending", "size"),
    [
        (Wish(), "x4", (24, 28)),
        (Wish(factor=2.0), "x2", (12, 14)),
        (Wish(factor=1.5), "x1.5", (9, 10)),
        (Wish(factor=6.0), "x6", (36, 42)),
        (Wish(size=(50, 20)), "20x50", (50, 20)),
        (Wish(size=(3, 2)), "2x3", (3, 2)),
    ],
)
def test_a_factor_or_a_size_is_met(
    wish: Wish, ending: str, size: tuple[int, int], tmp_path: Path
) -> None:
    """By repeating the model and shrinking: x6 is x4, x4 again, and down from x16."""
    x = smooth((6, 7))
    (written,) = upscale_files(
        [save(x, tmp_path / "a.png")], [Enlarger()], tmp_path / "out", wish
    )
    assert written.name == f"a_{ending}.png"
    large = upsample(from_bytes(to_bytes(x))[None], 4)
    while large.shape[2] < size[0] or large.shape[3] < size[1]:
        large = upsample(large, 4)
    close(
        read_picture(written),
        downsample(large, size=size)[0].clamp(-1, 1),
        1.1 / 255,
        "result against bicubic, up and down",
    )


# Samples that disagree ----------------------------------------------------------------


def test_the_spread_is_the_standard_deviation_of_the_samples() -> None:
    samples, spread = torch.randn(5, 3, 90, 11, generator=seeded(0)), Spread()
    for y in samples:
        spread.add(y)
    wanted = samples.var(0).sum(0)
    close(spread.squares / 4, wanted, 1e-5, "variance, summed over channels")
    heat = spread.heat()
    assert heat.shape == (90, 11, 3)
    brightness = heat.astype(int).sum(2).flatten()
    order = wanted.sqrt().flatten().argsort().numpy()
    assert (np.diff(brightness[order]) >= 0).all(), (
        "a pixel that disagrees more is darker"
    )
    assert brightness.max() == 765


def test_samples_that_agree_make_a_black_map_and_one_guess_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(smooth((4, 4)), tmp_path / "a.png")
    written = list(
        upscale_files([path], [Enlarger()], tmp_path / "same", Wish(samples=3))
    )
    assert [p.name for p in written] == [
        "a_x4_1.png",
        "a_x4_2.png",
        "a_x4_3.png",
        "a_x4_disagreement.png",
    ]
    assert written[0].read_bytes() == written[1].read_bytes()
    drawn = [torch.zeros(3, 16, 16) for _ in range(3)]
    drawn[1][:, 3, 8] = 0.5

    def known(_: object, __: object, ___: object, seed: int, **how: object) -> Tensor:
        return drawn[seed][None]

    monkeypatch.setattr(album, "cascade", known)
    heat = np.asarray(
        Image.open(
            list(
                upscale_files([path], [Enlarger()], tmp_path / "other", Wish(samples=3))
            )[-1]
        )
    )
    assert heat[3, 8].tolist() == [255, 255, 255]
    assert heat.sum() == 765


# Transparency -------------------------------------------------------------------------


def test_what_lies_hidden_under_transparent_pixels_does_not_show_at_the_edge(
    tmp_path: Path,
) -> None:
    """A red disc whose transparent surroundings are stored as black, or as green: the
    same result, and red up to the rim.
    """
    rows, columns = np.mgrid[:24, :24]
    share = np.clip(9 - np.hypot(rows - 11.5, columns - 11.5), 0, 1)
    made = []
    for hidden in ((0, 0, 0), (0, 255, 0)):
        array = np.where(
            share[..., None] > 0, np.array([200, 30, 40]), np.array(hidden)
        )
        (tmp_path / "a.png").write_bytes(
            png(np.dstack([array, share * 255]).round().astype(np.uint8))
        )
        (written,) = upscale_files(
            [tmp_path / "a.png"], [Enlarger()], tmp_path / "out", overwrite=True
        )
        made.append(np.asarray(Image.open(written)).astype(int))
    assert np.array_equal(*made)
    visible = made[0][made[0][..., 3] > 0][:, :3]
    assert abs(visible - [200, 30, 40]).max() <= 1
    assert set(np.unique(made[0][..., 3])) > {0, 255}


def test_bleeding_fills_only_what_is_transparent_with_a_weighted_mean_nearby() -> None:
    colour, alpha = image(3, 8, 8), torch.zeros(1, 8, 8)
    alpha[0, 0, 0], alpha[0, 0, 1], alpha[0, 7, 7] = 1.0, 0.25, 0.5
    filled = bleed(colour, alpha)
    assert torch.equal(filled[:, 0, :2], colour[:, 0, :2])
    close(
        filled[:, 1, 1],
        (colour[:, 0, 0] + 0.25 * colour[:, 0, 1]) / 1.25,
        1e-6,
        "beside two visible pixels",
    )
    close(filled[:, 6, 5], colour[:, 7, 7], 1e-6, "near one visible pixel")
    close(
        filled[:, 0, 7],
        (colour[:, 0, 0] + 0.25 * colour[:, 0, 1] + 0.5 * colour[:, 7, 7]) / 1.75,
        1e-6,
        "far from all",
    )
    assert bleed(image(1, 5, 3), torch.zeros(1, 5, 3)).isfinite().all()


# Which files --------------------------------------------------------------------------


def test_two_files_of_one_stem_both_survive_and_of_one_name_are_refused(
    f: Network, two: list[Path], tmp_path: Path
) -> None:
    other = save(image(1, 2, 2), tmp_path / "a.bmp")
    assert [p.name for p in upscale_files([*two, other], [f], tmp_path / "out")] == [
        "a_png_x4.png",
        "b_x4.png",
        "a_bmp_x4.png",
    ]
    with pytest.raises(
        ValueError, match=r"results of .*a\.png and .*a\.png would have one name"
    ):
        list(upscale_files([two[0], two[0]], [f], tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_a_folder_keeps_its_order_and_its_results_are_not_upscaled_again(
    f: Network, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    save(image(1, 2, 2), folder / "one.png")
    save(image(1, 2, 2), folder / "trip.2026" / "one.two.png")
    (folder / "notes.txt").write_text("no picture")
    out = folder / "large"
    with pytest.warns(UserWarning, match=r"left out below .*, no pictures: 1 \.txt$"):
        list(upscale_files([folder], [f], out))
    (folder / "notes.txt").unlink()
    assert len(find_pictures([folder], out, [f], Wish())) == 2
    assert names(out) == ["one_x4.png", "trip.2026/one.two_x4.png"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no picture below"):
        list(upscale_files([tmp_path / "empty"], [f], out))


def test_results_may_lie_above_the_pictures_but_not_among_them(
    f: Network, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    save(image(1, 2, 2), folder / "one.png")
    with pytest.raises(
        ValueError,
        match=r"photos holds the pictures: choose another --out$",
    ):
        list(upscale_files([folder], [f], folder))
    assert names(folder) == ["one.png"]
    assert [path.name for path in upscale_files([folder], [f], tmp_path)] == [
        "one_x4.png"
    ]
    assert names(tmp_path) == ["one_x4.png", "photos/one.png"]


def test_a_folder_is_walked_as_everywhere_links_followed_and_hidden_names_passed_over(
    f: Network, tmp_path: Path
) -> None:
    for place in (
        "photos/cat.png",
        "photos/._cat.png",
        "photos/.thumbs/cat.png",
        "elsewhere/dog.png",
    ):
        save(image(1, 2, 2), tmp_path / place)
    (tmp_path / "photos" / "link").symlink_to(
        tmp_path / "elsewhere", target_is_directory=True
    )
    (tmp_path / "photos" / "loop").symlink_to(
        tmp_path / "photos", target_is_directory=True
    )
    list(upscale_files([tmp_path / "photos"], [f], tmp_path / "out"))
    assert names(tmp_path / "out") == ["cat_x4.png", "link/dog_x4.png"]


def test_an_answer_that_is_no_number_is_an_error_and_no_black_picture(
    f: Network, two: list[Path], tmp_path: Path
) -> None:
    spoilt = copy.deepcopy(f)
    next(spoilt.parameters()).data.fill_(math.nan)
    said = "the network's answer is no number in places"
    with (
        pytest.warns(UserWarning, match=said),
        pytest.raises(ValueError, match="2 of 2 pictures could not be upscaled"),
    ):
        list(upscale_files(two, [spoilt], tmp_path / "out"))
    with pytest.raises(ValueError, match=said):
        list(upscale_files(two[:1], [spoilt], tmp_path / "out"))
    assert names(tmp_path / "out") == []


def test_below_a_folder_what_cannot_be_read_is_passed_over_and_counted_at_the_end(
    f: Network, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    save(image(1, 2, 2), folder / "c.png")
    (folder / "a.png").write_text("no picture")
    (folder / "b.jpg").write_bytes(b"\xff\xd8 cut")
    run = upscale_files([folder], [f], tmp_path / "out")
    with pytest.warns(UserWarning, match="skipped: .*could not be read") as warned:
        assert next(run).name == "c_x4.png"
    with pytest.raises(ValueError, match="2 of 3 pictures could not be upscaled"):
        next(run)
    assert names(tmp_path / "out") == ["c_x4.png"]
    assert len(warned) == 2


def test_a_second_run_on_a_folder_goes_on_where_the_first_stopped(
    f: Network, tmp_path: Path
) -> None:
    folder, out = tmp_path / "photos", tmp_path / "out"
    for name in "abc":
        save(image(1, 2, 2), folder / f"{name}.png")
    run = upscale_files([folder], [f], out)
    first = next(run)
    run.close()
    before = first.read_bytes()
    first.write_bytes(b"touched by somebody")
    with pytest.warns(UserWarning, match=r"a\.png was upscaled already") as warned:
        assert [path.name for path in upscale_files([folder], [f], out)] == [
            "b_x4.png",
            "c_x4.png",
        ]
    assert len(warned) == 1
    assert first.read_bytes() == b"touched by somebody"
    assert len(list(upscale_files([folder], [f], out, overwrite=True))) == 3
    assert first.read_bytes() == before


def test_a_named_picture_whose_result_is_there_stops_everything(
    f: Network, two: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    list(upscale_files(two[1:], [f], out))
    before = (out / "b_x4.png").read_bytes()
    with pytest.raises(
        ValueError,
        match=r"b_x4\.png is there already: choose another --out, or pass --overwrite",
    ):
        list(upscale_files(two, [f], out, Wish(seed=1)))
    assert names(out) == ["b_x4.png"]
    list(upscale_files(two, [f], out, Wish(seed=1), overwrite=True))
    assert (out / "b_x4.png").read_bytes() != before


def test_what_a_kind_of_file_cannot_hold_is_told_before_anything_is_computed(
    f: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        album, "cascade", lambda *_, **__: pytest.fail("something was computed")
    )
    clear, plain = tmp_path / "clear.png", save(image(1, 2, 2), tmp_path / "plain.png")
    clear.write_bytes(png(numbers(4, 8, (6, 3))))
    for path, wish, word in [
        (clear, Wish(format="jpg"), "is transparent, which jpg cannot hold"),
        (
            plain,
            Wish(format="webp", size=(5, 16_384)),
            "a webp ends at 16383 pixels a side",
        ),
        (plain, Wish(format="jpg", factor=40_000.0), "a jpg ends at 65535"),
    ]:
        with pytest.raises(ValueError, match=word):
            list(upscale_files([path], [f], tmp_path / "out", wish))
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("ignore:skipped")
@pytest.mark.parametrize(
    ("what", "ends"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), ValueError),
        (MemoryError(), ValueError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
    ids=["full disk", "full memory", "Ctrl-C"],
)
def test_what_goes_wrong_half_way_leaves_all_of_a_picture_or_nothing(
    what: BaseException,
    ends: type[BaseException],
    f: Network,
    two: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second sample of the second picture is written half: the first picture is
    there whole, the second not at all.
    """
    out, write, calls = tmp_path / "out", album.write, []

    def fails(picture: PictureFile, file: Path) -> None:
        calls.append(file)
        if len(calls) == 5:
            file.write_bytes(b"half")
            raise what
        write(picture, file)

    monkeypatch.setattr(album, "write", fails)
    with pytest.raises(ends):
        list(upscale_files(two, [f], out, Wish(samples=2)))
    assert sorted(path.name for path in out.iterdir()) == [
        "a_x4_1.png",
        "a_x4_2.png",
        "a_x4_disagreement.png",
    ]


def test_progress_counts_every_window_of_every_sample(
    f: Network, two: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wish = Wish(samples=2, factor=8.0, tile=16, steps=3)
    upscale_file(read(two[0]), [f], tmp_path / "a", wish, "name")
    total = album.windows(read(two[0]), [f], wish)
    assert f"name: 100%|██████████| {total}/{total} [" in capsys.readouterr().err


def test_results_name_what_is_written() -> None:
    wishes = [
        Wish(),
        Wish(samples=2, format="jpg"),
        Wish(sheet=True),
        Wish(samples=2, sheet=True),
    ]
    assert [
        [path.name for path in results(Path("out/a.b_x4"), wish)] for wish in wishes
    ] == [
        ["a.b_x4.png"],
        ["a.b_x4_1.jpg", "a.b_x4_2.jpg", "a.b_x4_disagreement.png"],
        ["a.b_x4.png", "a.b_x4_sheet.png"],
        ["a.b_x4_1.png", "a.b_x4_2.png", "a.b_x4_disagreement.png", "a.b_x4_sheet.png"],
    ]


# From noise alone ---------------------------------------------------------------------


def test_generated_pictures_are_written_with_all_of_them_side_by_side(
    tmp_path: Path,
) -> None:
    f = network(dataclasses.replace(TINY, conditional=False, factor=1))
    written = write_generated(f, tmp_path / "out", 5, steps=3, seed=2)
    assert [path.name for path in written] == [
        "0001.png",
        "0002.png",
        "0003.png",
        "0004.png",
        "0005.png",
        "all.png",
    ]
    for path, y in zip(written, generate(f, 5, steps=3, seed=2), strict=False):
        assert torch.equal(to_bytes(read_picture(path)), to_bytes(y))
    everything = read_picture(written[-1])
    assert everything.shape == (1, 2 * 20, 3 * 20)
    assert torch.equal(everything[:, 22:38, 22:38], read_picture(written[4]))
    assert (everything[:, 20:, 40:] == 1).all()
    written[0].unlink()
    written[1].unlink()
    with pytest.raises(ValueError, match=r"0003\.png is there already"):
        write_generated(f, tmp_path / "out", 5, steps=3)
    write_generated(f, tmp_path / "out", 5, steps=3, overwrite=True)


# Side by side -------------------------------------------------------------------------


@pytest.fixture
def on_a_sheet(tmp_path: Path) -> np.ndarray:
    path = save(smooth((8, 8)), tmp_path / "a.png")
    return np.asarray(
        Image.open(
            list(
                upscale_files([path], [Enlarger()], tmp_path / "out", Wish(sheet=True))
            )[-1]
        )
    )


def test_a_sheet_beside_the_results_shows_input_bicubic_and_sample(
    on_a_sheet: np.ndarray, tmp_path: Path
) -> None:
    panel = 8 + 128
    shown = [
        on_a_sheet[22 : 22 + 128, 8 + k * panel : 8 + k * panel + 128] for k in range(3)
    ]
    assert np.array_equal(
        shown[0][::16, ::16], np.asarray(Image.open(tmp_path / "a.png"))
    )
    assert abs(shown[1].astype(int) - shown[2]).max() <= 1, (
        "the sample of a bicubic network is not the bicubic"
    )


def test_a_large_result_is_shrunk_on_its_sheet_and_transparency_is_white(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(album, "SIDE", 200)
    array = np.dstack([np.full((100, 60, 3), 90), np.zeros((100, 60))]).astype(np.uint8)
    (tmp_path / "a.png").write_bytes(png(array))
    shown = np.asarray(
        Image.open(
            list(
                upscale_files(
                    [tmp_path / "a.png"],
                    [Enlarger()],
                    tmp_path / "out",
                    Wish(sheet=True),
                )
            )[-1]
        )
    )
    assert shown.shape == (200 + 28, 3 * (120 + 8) + 8, 3)
    assert (shown[22:] == 255).all()


@pytest.mark.parametrize(
    "size", [(1, 1), (8, 40), (40, 8), (16, 16), (1, 60), (70, 50)]
)
def test_captions_stay_in_their_columns_and_panels_do_not_touch(
    size: tuple[int, int],
) -> None:
    x, height, width = -torch.ones(1, *size), 4 * size[0], 4 * size[1]
    canvas = np.asarray(sheet(x, -torch.ones(10, 1, height, width)).convert("L"))
    captions, panels = canvas[:22], canvas[22:]
    # columns of the canvas that no panel covers
    gaps = np.flatnonzero((panels == 255).all(axis=0))
    starts = [
        int(c) for c in np.flatnonzero((panels[0] == 0) & (np.roll(panels[0], 1) != 0))
    ]
    assert len(starts) == 12
    assert (captions[:, [start - 1 for start in starts]] == 255).all(), (
        "a caption runs into the next column"
    )
    assert all((captions[:, start : start + 40] < 255).any() for start in starts), (
        "a panel has no caption"
    )
    assert (captions[[0, -1]] == 255).all()
    assert (captions[:, -1] == 255).all(), "the last caption is clipped"
    assert len(gaps) >= 13 * 8


def test_a_sheet_shows_the_input_with_its_pixels_and_every_sample() -> None:
    x, drawn = (
        image(3, 8, 8),
        torch.stack([torch.full((3, 32, 32), -1.0), torch.full((3, 32, 32), 1.0)]),
    )
    canvas = np.asarray(sheet(x, drawn))
    side = 32 * 4  # results below 128 pixels are shown with larger pixels
    assert (canvas[22 + side // 2, 8 + 2 * (side + 8) + 5] == 0).all()
    assert (canvas[22 + side // 2, 8 + 3 * (side + 8) + 5] == 255).all()
    assert (canvas[22 : 22 + 16, 8 : 8 + 16] == to_bytes(x)[:, 0, 0].numpy()).all()


def test_a_sheet_names_the_method() -> None:
    """The caption is written with the method's name: the same sheet under another name
    looks different.
    """
    x, drawn = image(1, 8, 8), image(1, 1, 32, 32)
    assert np.array_equal(
        np.asarray(sheet(x, drawn)), np.asarray(sheet(x, drawn, "SR3"))
    )
    assert not np.array_equal(
        np.asarray(sheet(x, drawn)), np.asarray(sheet(x, drawn, "regression"))
    )


# What is there already, and what goes wrong -------------------------------------------


@pytest.mark.parametrize(
    "wish",
    [
        Wish(sheet=True),
        Wish(samples=3),
        Wish(samples=2, sheet=True),
        Wish(format="jpg", sheet=True),
        Wish(samples=3, seed=7),
        Wish(samples=3, steps=2),
    ],
)
def test_a_second_run_with_another_wish_replaces_nothing(
    wish: Wish, f: Network, tmp_path: Path
) -> None:
    folder, out = tmp_path / "photos", tmp_path / "out"
    save(image(1, 2, 2), folder / "a.png")
    save(image(1, 2, 2), folder / "b.png")
    first = Wish(format=wish.format, samples=2 if wish.samples > 1 else 1)
    if wish == Wish(samples=2, sheet=True):
        first = Wish(samples=2)
    list(upscale_files([folder], [f], out, first))
    before = {path: path.read_bytes() for path in out.iterdir()}
    with (
        pytest.warns(UserWarning, match="has results of another run in .*out, such as"),
        pytest.raises(ValueError, match="2 of 2 pictures could not be upscaled"),
    ):
        list(upscale_files([folder], [f], out, wish))
    assert {path: path.read_bytes() for path in out.iterdir()} == before


def test_one_bad_picture_below_a_folder_costs_only_itself(
    f: Network, tmp_path: Path
) -> None:
    folder, out = tmp_path / "photos", tmp_path / "out"
    save(image(1, 2, 2), folder / "z.png")
    save(image(1, 2, 2), folder / f"{'l' * 251}.png")  # its result's name is too long
    save(image(1, 2, 2), folder / f"{'ü' * 125}.png")
    (folder / "empty.png").touch()
    (folder / "text.jpg").write_text("text")
    clear = folder / "clear.png"
    clear.write_bytes(png(numbers(4, 8, (6, 3))))
    run = upscale_files([folder], [f], out, Wish(format="jpg"))
    with (
        pytest.raises(ValueError, match="5 of 6 pictures could not be upscaled"),
        pytest.warns(UserWarning, match="skipped: ") as said,
    ):
        list(run)
    told = [str(each.message) for each in said]
    assert names(out) == ["z_x4.jpg"]
    for name in ("l" * 251, "ü" * 125, "empty", "text", "clear"):
        assert any(str(folder / name) in each for each in told), name


def test_earlier_results_are_not_enlarged_again(f: Network, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    for name in ("cat.png", "dog.png", "dog.jpg", "wide_x2.png", "deep/owl.png"):
        save(image(3, 2, 2), folder / name)
    list(upscale_files([folder], [f], folder / "a", Wish(samples=2, sheet=True)))
    with pytest.warns(UserWarning, match="left out: 20 results of earlier runs below"):
        found = find_pictures([folder], folder / "b", [f], Wish())
    # a name that only looks like a result's stays
    assert {file.name for file, _ in found.values()} == {
        *("cat.png", "dog.png", "dog.jpg", "wide_x2.png", "owl.png")
    }


@pytest.mark.parametrize(
    ("small", "size", "fits"),
    [
        ((6, 7), (50, 20), "20x17"),
        ((30, 40), (1080, 1920), "1920x1440"),
        ((10, 10), (20, 23), "23x23"),
        ((100, 1), (100, 4), "4x400"),
        ((40, 30), (30, 40), "40x53"),
        ((5, 5), (9, 12), "12x12"),
    ],
)
def test_a_size_that_distorts_is_told(
    small: tuple[int, int], size: tuple[int, int], fits: str
) -> None:
    with pytest.warns(UserWarning, match=f"is stretched.*; {fits} would not be"):
        album._say_stretched(small, size, "a.png")


@pytest.mark.parametrize(
    ("small", "size"),
    [
        ((6, 7), (24, 28)),
        ((75, 98), (300, 392)),
        ((75, 98), (301, 392)),
        ((480, 641), (720, 961)),
        ((1, 1), (64, 64)),
        ((3, 4), (2, 2)),
    ],
)
def test_rounding_distorts_nothing(
    small: tuple[int, int], size: tuple[int, int]
) -> None:
    album._say_stretched(small, size, "a.png")


def test_what_a_kill_left_is_finished_or_forgotten_at_the_next_start(
    f: Network, tmp_path: Path
) -> None:
    """Two folders of a process that is gone, one of one that runs, one of elsewhere."""
    folder, out = tmp_path / "photos", tmp_path / "out"
    save(image(1, 2, 2), folder / "a.png")
    gone, here = 2**22 + 1, platform.node()  # no process has such a number
    for name, files in {
        f".sr3mini-{here}-{gone}-half": ["b_x4_1.png"],
        f".sr3mini-{here}-{gone}-whole": [".whole", "c_x4_2.png"],
        f".sr3mini-{here}-{os.getppid()}-busy": ["d_x4.png"],
        f".sr3mini-{here}.elsewhere-{gone}-half": ["e_x4.png"],
    }.items():
        (out / name).mkdir(parents=True)
        for file in files:
            (out / name / file).write_text("left")
    list(upscale_files([folder], [f], out))
    assert names(out) == [
        f".sr3mini-{here}-{os.getppid()}-busy/d_x4.png",
        f".sr3mini-{here}.elsewhere-{gone}-half/e_x4.png",
        "a_x4.png",
        "c_x4_2.png",
    ]


def test_generated_pictures_of_no_numbers_are_refused(tmp_path: Path) -> None:
    spoilt = network(dataclasses.replace(TINY, conditional=False, factor=1))
    next(spoilt.parameters()).data.fill_(math.nan)
    with pytest.raises(ValueError, match="the network's answer is no number"):
        write_generated(spoilt, tmp_path / "out", 2)
    assert not (tmp_path / "out").exists()
