"""One picture in, larger ones out: the right size and colours; a cascade has the law of
its data; pictures from noise alone have theirs.
"""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from checks import close, seeded
from tiny import TINY, Clairvoyant, network
from torch import Tensor

from sr3mini.degrade import degradation_matrix, upsample
from sr3mini.files.reading import luma
from sr3mini.files.sheet import framed
from sr3mini.model.checkpoint import load
from sr3mini.model.network import Network
from sr3mini.model.preset import Preset
from sr3mini.model.presets import PRESETS
from sr3mini.oracle import ConditionalGaussianOracle, GaussianOracle
from sr3mini.sampler import even_log_snr, sample
from sr3mini.schedule import NoiseSchedule
from sr3mini.training.train import train
from sr3mini.upscaling import draw as drawing
from sr3mini.upscaling import upscale as enlarging
from sr3mini.upscaling.draw import draw, generate, grid
from sr3mini.upscaling.upscale import stages, target_size, upscale

COLOUR = dataclasses.replace(TINY, image_channels=3)
UNCONDITIONAL = dataclasses.replace(TINY, conditional=False, factor=1, name="free")


def noise(*shape: int) -> Tensor:
    return torch.rand(shape, generator=seeded(0)) * 2 - 1


@pytest.fixture
def f() -> Network:
    return network()


# One picture --------------------------------------------------------------------------


@pytest.mark.parametrize("preset", [TINY, COLOUR], ids=["grey model", "colour model"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5, 9), (3, 1, 7), (3, 6, 4)])
def test_the_result_is_factor_times_as_large_with_the_channels_of_the_picture(
    preset: Preset, shape: tuple[int, int, int]
) -> None:
    channels, height, width = shape
    y = upscale(network(preset), noise(*shape), samples=2)
    assert y.shape == (2, channels, 4 * height, 4 * width)
    assert y.isfinite().all()
    assert y.abs().max() <= 1


def test_a_grey_model_draws_the_brightness_and_leaves_the_colours_as_they_are() -> None:
    x, brightness = noise(3, 4, 4) / 4, noise(1, 1, 16, 16) / 4
    y = upscale(Clairvoyant(TINY, brightness), x, steps=20)
    close(luma(y), brightness, 2e-3, "brightness against what the network knows")
    close(chroma(y), upsample(chroma(x[None]), 4), 1e-5, "colours against bicubic")


def test_a_colour_model_on_a_grey_picture_gives_the_mean_of_its_channels() -> None:
    drawn = noise(1, 3, 16, 16) / 4
    y = upscale(Clairvoyant(COLOUR, drawn), noise(1, 4, 4), steps=20)
    close(
        y,
        drawn.mean(1, keepdim=True),
        2e-3,
        "grey against the mean of what the network knows",
    )


def chroma(rgb: Tensor) -> Tensor:
    """The two colour differences of JPEG (ITU-R BT.601)."""
    rows = [[-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
    return torch.einsum("ij,bjhw->bihw", torch.tensor(rows), rgb)


def test_the_brightness_of_grey_is_grey() -> None:
    grey = noise(2, 1, 4, 4)
    close(luma(grey.expand(-1, 3, -1, -1)), grey, 1e-6, "brightness of grey")
    close(luma(grey[0].expand(3, -1, -1)), grey[0], 1e-6, "of one picture")


def test_samples_differ_and_the_seed_names_each_of_them(f: Network) -> None:
    x = noise(1, 4, 4)
    three = upscale(f, x, seed=7, samples=3)
    assert not torch.equal(three[0], three[1])
    assert torch.equal(three[2], upscale(f, x, seed=9)[0])


def test_a_picture_of_one_window_is_what_draw_draws(f: Network) -> None:
    """One Algorithm 2, one noise: to the last bit."""
    x = noise(1, 5, 7)
    drawn = draw(f, x[None], seeds=[3, 4])
    assert torch.equal(upscale(f, x, seed=3, samples=2), drawn[:, 0])


def test_a_result_too_large_for_memory_is_refused_before_anything_is_computed(
    f: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """7 copies of the largest picture on the way, and the samples, 4 bytes a number."""
    monkeypatch.setattr(enlarging, "free_memory", lambda: 4 * (7 * 256 + 2 * 256) - 1.0)
    monkeypatch.setattr(
        enlarging, "cascade", lambda *_, **__: pytest.fail("something was computed")
    )
    with pytest.raises(
        ValueError,
        match=r"would become 16x16 on the way, which takes 0.0 GB of memory, and 0.0 GB"
        r" are free: ask for a smaller --factor or --size, or cut the picture",
    ):
        upscale(f, noise(1, 4, 4), samples=2)
    monkeypatch.setattr(enlarging, "free_memory", lambda: 4.0 * (7 * 256 + 2 * 256))
    with pytest.raises(pytest.fail.Exception):
        upscale(f, noise(1, 4, 4), samples=2)


def test_the_memory_that_is_free_is_known() -> None:
    assert 1e8 < enlarging.free_memory() < 1e14


# Several networks ---------------------------------------------------------------------


def test_networks_are_chained_and_the_last_is_repeated_until_the_size_is_reached(
    f: Network,
) -> None:
    g = network(dataclasses.replace(TINY, factor=2, name="g"))
    assert stages([f], (5, 5), (20, 20)) == [f]
    assert stages([f], (5, 5), (21, 5)) == [f, f]
    assert stages([f, g], (5, 5), (40, 40)) == [f, g]
    assert stages([f, g], (5, 5), (5, 100)) == [f, g, g, g]
    assert stages([f], (5, 5), (2, 2)) == [f], (
        "a smaller picture is upscaled all the same, and then shrunk"
    )
    assert target_size([f, g], (5, 3)) == (40, 24)
    assert target_size([f, g], (5, 3), 0.1) == (1, 1)
    assert upscale([f, g], noise(1, 2, 3)).shape == (1, 1, 16, 24)
    assert upscale(f, noise(1, 2, 3), size=(9, 5)).shape == (1, 1, 9, 5)


def test_every_network_of_a_cascade_draws_its_own_noise() -> None:
    """Were it the same noise in both, twice the same network that ignores x would draw
    the same corner twice.
    """

    class Idle(Network):
        def __init__(self) -> None:
            super().__init__()
            self.preset = dataclasses.replace(TINY, factor=2)

        def forward(self, x: Tensor, y_t: Tensor, gamma: Tensor) -> Tensor:
            return torch.zeros_like(y_t)

    x = noise(1, 4, 4)
    once, twice = (
        upscale(Idle(), x, steps=1)[0],
        upscale([Idle(), Idle()], x, steps=1)[0],
    )
    assert not torch.equal(once, twice[:, :8, :8])


@pytest.mark.parametrize(
    ("preset", "word"),
    [
        (UNCONDITIONAL, "^free enlarges nothing: .* `sr3mini generate`"),
        (
            dataclasses.replace(TINY, factor=1),
            "^tiny enlarges nothing: .*with x and a factor",
        ),
    ],
)
def test_a_network_that_enlarges_nothing_is_told(preset: Preset, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        upscale(network(preset), noise(1, 4, 4))


class Even(Preset):
    """A preset whose levels have equal distances of log-SNR, which suits Gaussians that
    are narrow.
    """

    def sampling_schedule(self, steps: int | None = None) -> NoiseSchedule:
        return even_log_snr(
            self.sampling_steps if steps is None else steps, 0.9999, 1e-4
        )


def even(preset: Preset, **changes: object) -> Even:
    return Even(**{**dataclasses.asdict(preset), "sampling_steps": 160, **changes})  # type: ignore[arg-type]


class Blocks(Network):
    """A Gaussian oracle on every block of `side` x `side` pixels: a picture of a
    thousand blocks is a thousand samples.
    """

    def __init__(self, preset: Preset, oracle: object, side: int) -> None:
        super().__init__()
        self.preset, self.oracle, self.side = preset, oracle, side

    def forward(self, x: Tensor, y_t: Tensor, gamma: Tensor) -> Tensor:
        blocks = split(y_t, self.side)
        answer = self.oracle(
            split(x, self.side // self.preset.factor), blocks, gamma.expand(len(blocks))
        )  # type: ignore[operator]
        rows, columns = y_t.shape[2] // self.side, y_t.shape[3] // self.side
        return (
            answer.reshape(rows, columns, self.side, self.side)
            .transpose(1, 2)
            .reshape(y_t.shape)
        )


def split(image: Tensor, side: int) -> Tensor:
    """(1, 1, H, W) -> (blocks, 1, side, side)."""
    return (
        image[0, 0]
        .unfold(0, side, side)
        .unfold(1, side, side)
        .reshape(-1, 1, side, side)
    )


def gaussian(side: int) -> tuple[Tensor, Tensor]:
    """A mean and a covariance of small smooth pictures, so close to grey that nothing
    is clipped.
    """
    places = torch.cartesian_prod(torch.arange(side), torch.arange(side)).double()
    return places.sum(1) / 100 - 0.1, 0.01 * torch.exp(-torch.cdist(places, places) / 3)


def test_a_cascade_of_oracles_has_the_law_of_y_given_x() -> None:
    """2 -> 4 -> 8 pixels. y is Gaussian; the first oracle knows p(D y | x), the second
    p(y | D y). Their chain has to be p(y | x).

    Checked on 900 samples: the mean, the variance that x leaves to D y and that D y
    leaves to y (320 steps fall short of it by 7 %, 160 by 10), and that y shrinks back
    to x.
    """
    mean, covariance = gaussian(8)
    D, below = degradation_matrix(8, 2), degradation_matrix(4, 2)
    preset = even(TINY, factor=2, sampling_steps=320)
    first = Blocks(
        preset, ConditionalGaussianOracle(D @ mean, D @ covariance @ D.T, below), 4
    )
    second = Blocks(preset, ConditionalGaussianOracle(mean, covariance, D), 8)
    x = torch.tensor([[0.1, -0.1], [0.0, 0.15]])
    y = upscale([first, second], x.repeat(30, 30)[None], tile=240)[0]
    drawn, exact = (
        split(y[None], 8).flatten(1).double(),
        ConditionalGaussianOracle(mean, covariance, below @ D),
    )
    wanted = exact.posterior_covariance()
    error = (wanted.diagonal() / len(drawn)).sqrt()
    assert (
        (drawn.mean(0) - exact.posterior_mean(x[None, None])[0]).abs()
        < 5 * error + 2e-4
    ).all()
    got = torch.cov(drawn.T)
    for name, part in {
        "of D y": D,
        "of y beside D y": torch.eye(64).double() - torch.linalg.pinv(D) @ D,
    }.items():
        ratio = (part @ got @ part.T).trace() / (part @ wanted @ part.T).trace()
        assert 0.9 < ratio < 1.03, f"variance {name}: {ratio:.3f} of what it should be"
    close(
        drawn @ (below @ D).T,
        x.double().flatten().expand(len(drawn), 4),
        1e-6,
        "y shrunk to x",
    )


# From noise alone ---------------------------------------------------------------------


class Free(Network):
    """The oracle of Gaussian pictures without x, as a network that was trained without
    one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.preset, self.oracle = (
            even(UNCONDITIONAL, size=3),
            GaussianOracle(*gaussian(3)),
        )

    def forward(self, x: Tensor, y_t: Tensor, gamma: Tensor) -> Tensor:
        return self.oracle(x, y_t, gamma)


def test_pictures_from_noise_alone_have_the_law_of_their_data(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """800 pictures of 3 x 3 pixels from the exact predictor: mean, and covariance
    within its statistical error and the 10 % that few steps cost.
    """
    mean, covariance = gaussian(3)
    monkeypatch.setattr(drawing, "BATCH", 800)
    drawn = generate(Free(), 800).flatten(1).double()
    assert (
        (drawn.mean(0) - mean).abs() < 5 * (covariance.diagonal() / 800).sqrt()
    ).all()
    # of each entry of a sample covariance
    error = (
        (covariance.square() + covariance.diagonal().outer(covariance.diagonal()))
        .div(800)
        .sqrt()
    )
    assert (
        (torch.cov(drawn.T) - covariance).abs() < 4 * error + 0.1 * covariance
    ).all()
    assert 0.85 < torch.cov(drawn.T).trace() / covariance.trace() < 1.1


def test_a_generated_picture_is_named_by_its_seed_whatever_the_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    f = network(UNCONDITIONAL)
    pictures = generate(f, 5, seed=3)
    assert pictures.shape == (5, 1, 16, 16)
    assert pictures.abs().max() <= 1
    assert not torch.equal(pictures[0], pictures[1])
    close(generate(f, 1, seed=7), pictures[4:], 1e-5, "the fifth by its own seed")
    monkeypatch.setattr(drawing, "BATCH", 2)
    close(generate(f, 5, seed=3), pictures, 1e-5, "in batches of 2")


def test_a_network_that_needs_a_picture_generates_none(f: Network) -> None:
    with pytest.raises(
        ValueError, match="tiny enlarges pictures and makes none from noise alone"
    ):
        generate(f, 1)


def test_a_preset_without_x_trains_by_the_same_loop_loads_and_generates(
    tmp_path: Path,
) -> None:
    """The shipped preset on glyphs, for a moment and with a smaller network: it begins
    to learn.
    """
    small = {"channels": 8, "multipliers": (1, 2), "blocks": (0, 1)}
    small |= {
        "warmup_steps": 10,
        "ema_decay": 0.9,
        "train_steps": 120,
        "sampling_steps": 5,
        "batch_size": 8,
    }
    preset = dataclasses.replace(PRESETS["glyphs_32_unconditional"], **small)  # type: ignore[arg-type]
    try:
        train(preset, tmp_path, progress=False)
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
    assert (
        json.loads((tmp_path / "model.json").read_text())["last_losses_mean"] < 0.7
    ), "as good as predicting no noise at all"
    f = load(tmp_path)
    assert (f.preset, f.condition_channels) == (preset, 0)
    assert generate(f, 2).shape == (2, 1, 32, 32)


# Side by side -------------------------------------------------------------------------


def test_the_grid_has_a_row_a_method_and_a_column_a_picture(f: Network) -> None:
    y = noise(3, 1, 16, 16)
    picture = grid(f, y, samples=2)
    # 16 pixels and a white margin of 2 on every side
    assert picture.shape == (
        1,
        5 * 20,
        3 * 20,
    )
    assert (picture[:, :2] == 1).all()
    close(picture[:, -18:-2, 22:38], y[1], 1e-6, "the original, in the last row")


def test_the_grid_of_a_regression_shows_its_one_answer_once() -> None:
    y = noise(3, 1, 16, 16)
    assert grid(
        network(dataclasses.replace(TINY, objective="regression")), y, samples=3
    ).shape == (1, 4 * 20, 3 * 20)


def test_the_grid_of_a_network_without_x_shows_its_own_above_the_originals() -> None:
    f, y = network(UNCONDITIONAL), noise(3, 1, 16, 16)
    picture = grid(f, y, samples=2)
    assert picture.shape == (1, 3 * 20, 3 * 20)
    close(
        picture,
        framed(torch.cat([generate(f, 6).unflatten(0, (2, 3)), y[None]])),
        1e-6,
        "two rows of its own, one of originals",
    )


# What callers hand in -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "word"),
    [
        (torch.zeros(1, 3, 4, 4), "of a batch, call it for each"),
        (torch.zeros(4, 4), r"takes one picture \(C, h, w\)"),
        (torch.zeros(2, 4, 4), "of 1 or 3 channels"),
        (torch.zeros(4, 4, 3), "of 1 or 3 channels"),
        (torch.zeros(3, 0, 4), "has the shape"),
        (torch.zeros(1, 4, 4, dtype=torch.uint8), "holds torch.uint8: pass floats"),
        (torch.zeros(1, 4, 4, dtype=torch.int64), "holds torch.int64"),
        (torch.zeros(1, 4, 4, dtype=torch.bool), "holds torch.bool"),
        (torch.full((1, 4, 4), 255.0), "goes from 255 to 255"),
        (torch.full((1, 4, 4), -1000.0), r"\(x - LOW\) / \(HIGH - LOW\)"),
        (torch.full((1, 4, 4), math.nan), "holds NaN"),
        (torch.full((1, 4, 4), -math.inf), "or infinite numbers"),
    ],
)
def test_what_is_no_picture_is_refused_with_what_to_do(
    x: Tensor, word: str, f: Network
) -> None:
    with pytest.raises(ValueError, match=word):
        upscale(f, x, steps=1)
    batch = x if x.ndim == 4 else x[None]
    if x.ndim == 3 and x.shape[0] == 1:
        with pytest.raises(ValueError, match=word):
            sample(f, batch, f.preset.sampling_schedule(1), (1, 1, 16, 16))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_floats_and_a_little_overshoot_are_pictures(
    dtype: torch.dtype, f: Network
) -> None:
    x = torch.tensor([[[-1.3, 1.3], [0, 1]]], dtype=dtype)
    assert upscale(f, x, steps=1).shape == (1, 1, 8, 8)


@pytest.mark.parametrize("shape", [(2, 1, 4, 4), (1, 3, 4, 4), (1, 4, 4), (1, 16)])
def test_a_network_is_sampled_with_the_x_that_it_was_shown(
    shape: tuple[int, ...], f: Network
) -> None:
    with pytest.raises(ValueError, match=r"tiny is shown \(1, 1, h, w\)"):
        sample(f, torch.zeros(shape), f.preset.sampling_schedule(1), (1, 1, 16, 16))


def test_an_absurd_size_is_refused_before_its_windows_are_counted(f: Network) -> None:
    with pytest.raises(ValueError, match="GB of memory"):
        upscale(f, torch.zeros(1, 2, 2), size=(1, 9_999_999))
