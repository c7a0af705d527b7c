"""From y to x and back: linear, antialiased, and the same bicubic as Pillow's."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from checks import (
    check_as_file_is_what_8_bits_keep,
    check_blur_is_a_gaussian,
    check_downsample_is_linear,
    check_downsample_is_pillows,
    close,
    randn,
    seeded,
)
from jaxtyping import UInt8
from matplotlib.cbook import get_sample_data
from PIL import Image
from rooms import room
from torch import Tensor

from sr3mini import degrade
from sr3mini.data import from_bytes, to_bytes
from sr3mini.degrade import (
    as_file,
    blur,
    camera,
    cut,
    degradation_matrix,
    downsample,
    jpeg,
    unseen,
    upsample,
)


def test_check_9_downsample_is_linear() -> None:
    """Check 9: D(a y + b y') = a D y + b D y', outside [-1, 1] too."""
    check_downsample_is_linear(downsample)


@pytest.mark.parametrize("size", [(4, 4), (5, 7), (30, 20)])
def test_check_9_the_gradient_is_the_adjoint(size: tuple[int, int]) -> None:
    """Check 9: <D y, x> = <y, D^T x>, where D^T x is what backpropagation computes."""
    y = randn(1, 2, 12, 15).requires_grad_()
    x = randn(1, 2, *size, seed=1)
    (adjoint,) = torch.autograd.grad(downsample(y, size=size), y, x)
    other = randn(1, 2, 12, 15, seed=2)
    close(
        (downsample(other, size=size) * x).sum(),
        (other * adjoint).sum(),
        1e-12,
        "<D y, x> against <y, D^T x>",
    )


def test_check_9_downsample_is_pillows_bicubic() -> None:
    """Check 9: equal to Pillow's float mode, mode "F", with BICUBIC, for whole factors
    and for other ratios.
    """
    check_downsample_is_pillows(downsample)


def test_check_9_shrinking_by_a_whole_factor_meets_pillow_to_3e_7() -> None:
    """Check 9: 32 x 32 to 8 x 8, the book's case; both kernels."""
    y = randn(1, 1, 32, 32).float()
    for mode, kernel in (
        ("bicubic", Image.Resampling.BICUBIC),
        ("bilinear", Image.Resampling.BILINEAR),
    ):
        pillow = np.array(Image.fromarray(y[0, 0].numpy()).resize((8, 8), kernel))
        close(downsample(y, 4, mode=mode)[0, 0], torch.from_numpy(pillow), 3e-7, mode)


@pytest.mark.parametrize("size", [(32, 32), (33, 41)])
def test_check_9_upsample_is_pillows_bicubic(size: tuple[int, int]) -> None:
    """Check 9: the same kernel the other way. Torch keeps its float32 coordinates,
    hence 1e-5.
    """
    x = randn(1, 1, 8, 8).float()
    pillow = np.array(
        Image.fromarray(x[0, 0].numpy()).resize(size[::-1], Image.Resampling.BICUBIC)
    )
    close(
        upsample(x, size=size)[0, 0], torch.from_numpy(pillow), 1e-5, f"8x8 to {size}"
    )


def test_the_matrix_does_what_downsample_does() -> None:
    y = randn(3, 1, 8, 8)
    D = degradation_matrix(8, 4)
    assert D.shape == (4, 64)
    close(y.flatten(1) @ D.T, downsample(y, 4).flatten(1), 1e-14, "D y")


def test_the_unseen_part_has_no_x_and_what_is_taken_away_is_orthogonal_to_it() -> None:
    """(4.4): D n = 0, <y - n, n> = 0, and nothing of n is seen in n."""
    y = randn(2, 3, 12, 12)
    n = unseen(y, 3)
    close(downsample(n, 3), torch.zeros(2, 3, 4, 4).double(), 1e-14, "D n")
    close(((y - n) * n).sum((2, 3)), torch.zeros(2, 3).double(), 1e-12, "<y - n, n>")
    close(unseen(n, 3), n, 1e-13, "the unseen part of the unseen part")
    assert unseen(y.float(), 3).dtype == torch.float64


def test_x_leaves_all_but_one_number_in_16_open() -> None:
    """No row of D is a mix of others: its rank is the number of pixels of x, and y with
    one x form a space of what is left.
    """
    singular = torch.linalg.svdvals(degradation_matrix(32, 4))
    assert len(singular) == 64
    assert singular.min() > 0.12
    assert unseen(torch.eye(256).reshape(256, 1, 16, 16), 4).flatten(
        1
    ).trace().item() == pytest.approx(256 * 15 / 16, abs=1e-10)  # trace = rank


@pytest.mark.parametrize(
    ("size", "target"),
    [
        ((32, 1), (8, 1)),
        ((8, 1), (32, 4)),
        ((5, 1), (1, 7)),
        ((1, 1), (7, 3)),
        ((1, 32), (1, 8)),
    ],
)
def test_a_picture_one_pixel_wide_is_resized_like_any_other(
    size: tuple[int, int], target: tuple[int, int]
) -> None:
    """Torch by itself gets these wrong; Pillow does not."""
    y = randn(1, 1, *size).float()
    pillow = np.array(
        Image.fromarray(y[0, 0].numpy()).resize(target[::-1], Image.Resampling.BICUBIC)
    )
    close(
        downsample(y, size=target)[0, 0],
        torch.from_numpy(pillow),
        3e-7,
        f"{size} to {target}",
    )


SIDES = (1, 2, 3, 5, 8, 17)


@pytest.mark.parametrize("size", list(itertools.product(SIDES, SIDES)), ids=str)
def test_every_small_size_is_resized_to_every_other_as_pillow_does(
    size: tuple[int, int],
) -> None:
    """Torch by itself reads wrong pixels where a result is one pixel wide."""
    y = randn(1, 1, *size).float()
    picture = Image.fromarray(y[0, 0].numpy())
    for target in itertools.product(SIDES, SIDES):
        pillow = np.array(picture.resize(target[::-1], Image.Resampling.BICUBIC))
        ours = downsample(y, size=target)[0, 0]
        close(ours, torch.from_numpy(pillow), 1e-5, f"{size} to {target}")


@pytest.mark.parametrize(("low", "high"), [((8, 8), (32, 32)), ((5, 7), (10, 21))])
def test_upsample_is_linear_and_does_not_undo_downsample(
    low: tuple[int, int], high: tuple[int, int]
) -> None:
    """(4.6): U(a x + b x') = a U x + b U x'; shrinking U x again does not give x."""
    x, other = randn(2, 1, *low), 5 * randn(2, 1, *low, seed=1)
    close(
        upsample(2 * x - 3 * other, size=high),
        2 * upsample(x, size=high) - 3 * upsample(other, size=high),
        1e-13,
        "U(2 x - 3 x')",
    )
    assert (downsample(upsample(x, size=high), size=low) - x).abs().max() > 0.1


def test_a_flat_image_stays_flat_both_ways() -> None:
    """Every row of weights sums to 1: no brightness is gained or lost, at the border
    neither.
    """
    flat = torch.full((1, 1, 16, 16), 0.3, dtype=torch.float64)
    close(downsample(flat, 4), torch.full((1, 1, 4, 4), 0.3).double(), 1e-7, "down")
    close(degradation_matrix(16, 4).sum(1), torch.ones(16).double(), 1e-14, "rows of D")
    close(upsample(flat, 2), torch.full((1, 1, 32, 32), 0.3).double(), 1e-7, "up")


def test_channels_and_images_do_not_mix() -> None:
    y = randn(2, 3, 8, 8)
    alone = torch.stack(
        [
            torch.cat([downsample(channel[None, None], 2)[0] for channel in image])
            for image in y
        ]
    )
    close(downsample(y, 2), alone, 1e-15, "each channel alone")


def test_a_factor_and_a_size_are_two_ways_to_say_the_same() -> None:
    y = randn(1, 1, 12, 20)
    assert torch.equal(downsample(y, 4), downsample(y, size=(3, 5)))
    assert torch.equal(upsample(y, 3), upsample(y, size=(36, 60)))
    assert torch.equal(downsample(y, size=(12, 20)), y)


def test_blur_is_a_gaussian_of_each_images_own_width() -> None:
    check_blur_is_a_gaussian(degrade)


def test_blur_by_nothing_changes_nothing_and_no_image_depends_on_its_neighbour() -> (
    None
):
    x = randn(3, 2, 6, 9).float()
    sigma = torch.tensor([0.0, 0.7, 2.0])
    together = blur(x, sigma)
    assert torch.equal(together[0], x[0])
    for k in (1, 2):
        torch.testing.assert_close(
            together[k : k + 1], blur(x[k : k + 1], sigma[k : k + 1]), rtol=0, atol=1e-6
        )


def test_a_file_keeps_8_bits_of_x() -> None:
    check_as_file_is_what_8_bits_keep(degrade)
    x = randn(2, 3, 5, 7).float()
    assert torch.equal(as_file(x), from_bytes(to_bytes(x)))
    assert torch.equal(as_file(as_file(x)), as_file(x))


REFUSED: list[tuple[Callable[[], object], str]] = [
    (
        lambda: downsample(torch.zeros(1, 1, 10, 12), 4),
        (
            r"^a 10x12 image cannot be shrunk by a factor of 4; crop it first, or pass"
            r" size=\(h, w\)$"
        ),
    ),
    (
        lambda: downsample(torch.zeros(1, 1, 8, 8)),
        r"^pass either a factor or size=\(height, width\), and not both$",
    ),
    (lambda: downsample(torch.zeros(1, 1, 8, 8), 2, size=(4, 4)), r"and not both$"),
    (lambda: upsample(torch.zeros(1, 1, 8, 8)), r"and not both$"),
]


@pytest.mark.parametrize(("call", "sentence"), REFUSED)
def test_what_cannot_be_resized_is_refused_in_one_sentence(
    call: Callable[[], object], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()


def test_the_noise_of_a_camera_has_the_deviation_and_depends_on_the_seed_alone() -> (
    None
):
    x = torch.zeros(3, 1, 64, 64)
    noisy = camera(x, 0.25, seeds=[7, 8, 7])
    assert noisy.std().item() == pytest.approx(0.25, rel=0.03)
    assert torch.equal(noisy[0], noisy[2])
    assert not torch.equal(noisy[0], noisy[1])
    assert torch.equal(noisy[1:2], camera(x[:1], 0.25, seeds=[8]))


def test_a_camera_may_have_another_noise_for_each_picture() -> None:
    x, sigma = torch.zeros(3, 1, 64, 64), torch.tensor([0.0, 0.1, 0.4])
    noisy = camera(x, sigma, seeds=[7, 7, 7])
    assert torch.equal(noisy[0], x[0])
    torch.testing.assert_close(noisy[2], 4 * noisy[1])
    assert torch.equal(noisy[1:2], camera(x[:1], 0.1, seeds=[7]))


def _photograph() -> UInt8[Tensor, "3 120 96"]:
    with Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)) as opened:
        small = opened.convert("RGB").resize((96, 120), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(small)).permute(2, 0, 1)


@pytest.mark.parametrize("quality", [20, 50, 75, 90, 100])
@pytest.mark.parametrize("colour", [True, False])
def test_a_jpeg_is_what_pillow_makes_of_it(quality: int, colour: bool) -> None:
    y = _photograph()
    y = y if colour else y[1:2]
    stored = io.BytesIO()
    picture = Image.fromarray(y.permute(1, 2, 0).squeeze(2).numpy())
    picture.save(stored, "JPEG", quality=quality, subsampling=0)
    theirs = np.array(Image.open(stored)).reshape(120, 96, -1)
    ours = to_bytes(jpeg(from_bytes(y)[None], torch.tensor([float(quality)])))[0]
    apart = np.abs(ours.permute(1, 2, 0).numpy().astype(int) - theirs)
    lost = np.abs(theirs - y.permute(1, 2, 0).numpy().astype(int)).mean()
    # Pillow turns colours into whole levels on the way
    assert apart.mean() < (2 if colour else 1)
    if quality <= 75:
        assert apart.mean() < lost / 3


def test_each_picture_has_its_own_quality_and_a_file_keeps_it() -> None:
    y = from_bytes(_photograph())[None].expand(3, -1, -1, -1)
    made = jpeg(y, torch.tensor([20.0, 50.0, 95.0]))
    for k, quality in enumerate((20.0, 50.0, 95.0)):
        alone = jpeg(y[:1], torch.tensor([quality]))
        torch.testing.assert_close(made[k : k + 1], alone)
    lost = (made - y).square().mean((1, 2, 3))
    assert lost[0] > 1.5 * lost[1] > 1.5 * lost[2]
    assert torch.equal(made, as_file(made))
    odd = jpeg(y[..., :13, :7], torch.tensor([90.0] * 3))
    assert odd.shape == (3, 3, 13, 7)


def test_a_cut_is_the_book_s_bicubic_of_a_part() -> None:
    y = randn(5, 3, 32, 32).float().clamp(-1, 1)
    whole, corner = (0.999999, 0.5, 0.5), (0.0, 0.0, 0.999999)
    u = torch.tensor([(*whole, 0.7), (*whole, 0.2), (*corner, 0.5)]).T
    made = cut(y[:3], 16, u)
    small = downsample(y, 2).clamp(-1, 1)
    torch.testing.assert_close(made[0], small[0], rtol=0, atol=1e-4)
    torch.testing.assert_close(made[1], small[1].flip(-1), rtol=0, atol=1e-4)
    torch.testing.assert_close(made[2], y[2, :, :16, 16:], rtol=0, atol=1e-3)
    # inside, a part looks beyond its edge: it is a part of the whole made smaller
    between = torch.tensor([[0.5], [0.0], [0.0], [0.9]])
    side = round(16 * 2**0.5)
    part = downsample(y[3:4, :, :side, :side], size=(16, 16)).clamp(-1, 1)
    inner = cut(y[3:4], 16, between)[..., :12, :12]
    assert (inner - part[..., :12, :12]).square().mean() < 0.02


def test_cuts_come_from_everywhere_at_every_scale() -> None:
    line = torch.linspace(-1, 1, 64)
    ramps = torch.stack([line[:, None].expand(64, 64), line.expand(64, 64)])
    u = torch.rand(4, 500, generator=seeded(0))
    made = cut(ramps.expand(500, -1, -1, -1), 16, u)
    spans = made[:, 0, -1, 8] - made[:, 0, 0, 8]  # of what 64 pixels show
    across = made[:, 1, 8, -1] - made[:, 1, 8, 0]
    torch.testing.assert_close(spans, across.abs(), rtol=0, atol=0.02)
    sides = spans * 63 / 2 / 15 * 16
    assert 15.5 < sides.min() < 17
    assert 60 < sides.max() < 64.5
    assert sides.log2().mean().item() == pytest.approx(5, abs=0.12)
    assert (across < 0).float().mean().item() == pytest.approx(0.5, abs=0.09)
    tops = (made[:, 0, 0, 8] + 1) * 63 / 2
    small = sides < 20
    assert tops[small].min() < 4
    assert tops[small].max() > 40


@pytest.mark.parametrize(
    "sigma",
    [[-0.1, 0.0], [1.0, float("nan")], [1.0, float("inf")], [1.0], [0.0] * 3, []],
)
def test_a_blur_without_a_sense_is_refused(sigma: list[float]) -> None:
    with pytest.raises(ValueError, match="one finite number >= 0 for each"):
        # without the tests' check of shapes
        room("degrade").blur(torch.zeros(2, 1, 8, 8), torch.tensor(sigma))
