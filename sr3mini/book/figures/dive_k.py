"""Figures of deep dive K: shrinking looked at closely, and the network taken apart,
measured by running it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor, nn

from ...degrade import degradation_matrix, downsample, upsample
from ...loss import NoisePredictor
from ...unet import LevelEmbedding, ResBlock, UNet
from .base import BLUE, GREEN, GREY, ORANGE, RED, Picture, draw_image, image_rows
from .ch05 import Layer


def bicubic_kernel(s: Float[Tensor, "..."], a: float = -0.5) -> Float[Tensor, "..."]:
    """Weight of a pixel at the signed distance `s`, in pixels, same shape: Keys' cubic
    with the parameter `a`, 0 from |s| = 2 on (tag K.2).
    """
    s = s.abs()
    near = (a + 2) * s**3 - (a + 3) * s**2 + 1
    far = a * (s**3 - 5 * s**2 + 8 * s - 4)
    return torch.where(s <= 1, near, torch.where(s < 2, far, 0.0))


def bicubic_weights(size: int = 32, factor: int = 4) -> Picture:
    """Left: with which weights one pixel of x is made from a line of y, antialiased and
    not. Right: the same pixel's row of D as a picture.
    """
    figure = Figure(figsize=(7.2, 2.7), layout="constrained")
    left, right = figure.subplots(1, 2, gridspec_kw={"width_ratios": [1.7, 1]})
    at = size // factor // 2 - 1
    # one pixel of a line is 1, the others 0
    lines = torch.eye(size, dtype=torch.float64).reshape(size, 1, size, 1)
    smooth = downsample(lines, size=(size // factor, 1))[:, 0, at, 0]
    sparse = F.interpolate(
        lines, size=(size // factor, 1), mode="bicubic", align_corners=False
    )[:, 0, at, 0]
    for weights, colour, label in (
        (smooth, BLUE, "antialiased, a = −0.5"),
        (sparse, RED, "not antialiased, a = −0.75"),
    ):
        touched = weights.abs() > 1e-12
        left.plot(
            torch.arange(size)[touched],
            weights[touched],
            "o-",
            color=colour,
            markersize=4,
            linewidth=1,
            label=label,
        )
    left.axhline(0, color=GREY, linewidth=0.8)
    left.axvspan(
        at * factor - 0.5,
        (at + 1) * factor - 0.5,
        color=GREY,
        alpha=0.15,
        linewidth=0,
        label="the pixels it covers",
    )
    left.set(
        xlabel="pixel of y along a line",
        ylabel="weight",
        xlim=(at * factor - 9, at * factor + 12),
        ylim=(-0.15, 1.1),
    )
    left.set_xticks(range(at * factor - 8, at * factor + 12, 4))
    left.legend(fontsize=8, loc="upper right")
    row = degradation_matrix(size, factor)[at * size // factor + at].reshape(
        1, size, size
    )
    draw_image(right, row / row.abs().max())
    right.set_title(
        f"row of D: white adds,\nblack subtracts (at most {row.max().item():.2f})",
        fontsize=9,
    )
    counts = [int((weights.abs() > 1e-12).sum()) for weights in (smooth, sparse)]
    alt = (
        f"Weights of one pixel of x over a line of y. Antialiased, {counts[0]} pixels"
        f" count, in a bell of up to {smooth.max().item():.2f} with two faint negative"
        f" lobes; not antialiased, {counts[1]} pixels, the middle two with"
        f" {sparse.max().item():.2f}, the outer two negative. Right: the row of D as a"
        " picture, a soft white spot in a thin dark frame on grey."
    )
    return Picture(figure, alt)


def null_space_walk(
    y: Float[Tensor, "1 S S"],
    step: Float[Tensor, "1 S S"],
    other: Float[Tensor, "1 S S"],
    share: float,
    names: tuple[str, str],
) -> Picture:
    """Two ways from `y` towards `other`, a `share` of the way: along `step`, which x
    does not see, and straight. Each with its x and the change of x.
    """
    figure = Figure(figsize=(6.2, 4.2))
    axes = figure.subplots(2, 3)
    figure.subplots_adjust(0.16, 0.02, 0.98, 0.87, wspace=0.08, hspace=0.08)
    x, factor, changes = downsample(y[None].double(), 4), 4, []
    for row, (label, way) in enumerate(
        (("in the\nnull space", step), ("straight", other.double() - y.double()))
    ):
        picture = y.double() + share * way
        small = downsample(picture[None], factor)
        change = (small - x)[0]
        changes.append(change.abs().max().item())
        for ax, image in zip(axes[row], (picture, small[0], 4 * change), strict=True):
            draw_image(ax, image)
        axes[row][0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
    for ax, title in zip(
        axes[0], ("picture", "its x", "change of x, times 4\n(grey: none)"), strict=True
    ):
        ax.set_title(title, fontsize=9)
    figure.suptitle(
        f"{share:.0%} of the way from {names[0]} to {names[1]}",
        fontsize=10,
        x=0.02,
        ha="left",
    )
    alt = (
        f"Two pictures, each {share:.0%} of the way from {names[0]} to {names[1]}. In"
        f" the null space x changes by at most {changes[0]:.2f}; straight from picture"
        f" to picture it changes by up to {changes[1]:.2f}."
    )
    return Picture(figure, alt)


def between_letters(answers: Float[Tensor, "N 1 H W"]) -> Picture:
    """Samples for an x half-way between those of a and of schwa."""
    alt = (
        f"A row of {len(answers)} samples for an x half-way between those of a and"
        " schwa: some have the bar of a schwa, some the bowl of an a, and one or two"
        " are neither."
    )
    return image_rows([(f"{len(answers)} draws", answers)], alt, side=1.0)


def moving_line(
    lines: Float[Tensor, "N 1 H W"],
    smooth: Float[Tensor, "N 1 h w"],
    sparse: Float[Tensor, "N 1 h w"],
) -> Picture:
    """A thin line at neighbouring places, and its x with and without antialiasing."""
    darkest = [
        " ".join(f"{1 - each.min().item():.1f}" for each in x) for x in (smooth, sparse)
    ]
    alt = (
        f"A thin black line at {len(lines)} neighbouring places. How dark its x gets,"
        f" from 0 to 2: antialiased {darkest[0]}, otherwise {darkest[1]}."
    )
    rows = [("y", lines), ("antialiased", smooth), ("not", sparse)]
    return image_rows(rows, alt)


def shrunk_otherwise(
    results: Mapping[str, Float[Tensor, "_N 1 H W"]], decibels: Mapping[str, float]
) -> Picture:
    """Samples from x that were shrunk in several ways, a row a way."""
    crisp = [name for name, reached in decibels.items() if reached > 25]
    broken = [name for name in decibels if name not in crisp]
    alt = (
        f"Letters sampled from x shrunk in {len(results)} ways. Crisp:"
        f" {', '.join(crisp)}. Ragged, with doubled or broken strokes:"
        f" {', '.join(broken)}."
    )
    return image_rows(list(results.items()), alt)


def wrong_conditions(
    wanted: Float[Tensor, "N 1 H W"], answers: Mapping[str, Float[Tensor, "_N 1 H W"]]
) -> Picture:
    """What was wanted, and samples whose x is the right one, a wrong one, or none."""
    alt = (
        f"The {len(wanted)} letters that were wanted, and the answers to"
        f" {', '.join(answers)}: with their own x the model draws them; with another's,"
        " that other letter; with a white x, nothing; without x, some sharp letter."
    )
    return image_rows([("wanted", wanted), *answers.items()], alt)


def enlarged_portrait(
    x: Float[Tensor, "1 C h w"], y: Float[Tensor, "1 C H W"]
) -> Picture:
    """A photograph's x, as squares and enlarged bicubically, and itself."""
    height, width = y.shape[-2:]
    blocks = F.interpolate(x, size=(height, width), mode="nearest")
    sizes = [f"{each.shape[-1]}×{each.shape[-2]}" for each in (x, y)]
    alt = (
        f"A picture of {sizes[0].replace('×', 'x')} pixels, the same enlarged"
        f" bicubically, and the {sizes[1].replace('×', 'x')} original."
    )
    pictures = torch.cat([blocks, upsample(x, size=(height, width)), y])
    titles = [f"x, {sizes[0]}", "U x", f"y, {sizes[1]}"]
    return image_rows([("", pictures)], alt, titles, side=2.0)


def level_features(
    embeddings: Mapping[str, Float[Tensor, "_N _features"]], steps: int = 20
) -> Picture:
    """Every feature (down) at every step t (across), for each embedding; below, the
    first `steps` of them.
    """
    figure = Figure(figsize=(7.2, 3.9), layout="constrained")
    axes = figure.subplots(2, len(embeddings), squeeze=False)
    for column, (name, features) in enumerate(embeddings.items()):
        for row, last in enumerate((len(features) - 1, steps)):
            ax = axes[row][column]
            shown = ax.imshow(
                features[: last + 1].T.numpy(),
                cmap="RdBu",
                vmin=-1,
                vmax=1,
                aspect="auto",
                interpolation="nearest",
                rasterized=True,
            )
            ax.set(xticks=[0, last], yticks=[])
        axes[0][column].set_title(name, fontsize=9)
        axes[1][column].set_xlabel("step t", labelpad=-6)
    axes[0][0].set_ylabel("64 features\nall steps", fontsize=9)
    axes[1][0].set_ylabel(f"64 features\nthe first {steps} steps", fontsize=9)
    figure.colorbar(shown, ax=axes, ticks=[-1, 0, 1], shrink=0.6)
    least = "; ".join(
        f"{name}: {features.diff(dim=0).abs().amax(1).min().item():.0e}"
        for name, features in embeddings.items()
    )
    alt = (
        "Features of the level against the step, as stripes of colour. Least change,"
        f" from one step to the next, of the feature that changes most: {least}."
    )
    return Picture(figure, alt.replace("\n", " "))


def fit_shifts(
    gains: Float[Tensor, " L"], n: Float[Tensor, " N"], features: int
) -> Float[Tensor, "L N"]:
    """The best fit to gain * n, one gain a level, by sum_k w_k SiLU(n + b_k) + c, where
    only the shifts b may differ from level to level.

    Fitted for n ~ N(0, 1), from a fixed start, by L-BFGS.
    """
    start = torch.Generator().manual_seed(0)
    w, b = (
        torch.randn(features, dtype=torch.float64, generator=start),
        torch.randn(len(gains), features, dtype=torch.float64, generator=start),
    )
    c = torch.zeros((), dtype=torch.float64)
    optimizer = torch.optim.LBFGS(
        [p.requires_grad_() for p in (w, b, c)],
        max_iter=300,
        line_search_fn="strong_wolfe",
    )

    def outputs() -> Tensor:
        return (F.silu(n + b[..., None]) * w[:, None]).sum(1) + c

    def loss() -> Tensor:
        optimizer.zero_grad()
        error = gain_error(gains, n, outputs()).square()
        error.backward()
        return error

    optimizer.step(loss)
    return outputs().detach()


def gain_error(
    gains: Float[Tensor, " L"], n: Float[Tensor, " N"], outputs: Float[Tensor, "L N"]
) -> Float[Tensor, ""]:
    """Root mean square distance of the outputs from gain * n, over the levels and over
    n ~ N(0, 1).
    """
    return (
        ((outputs - gains[:, None] * n).square() * torch.softmax(-n.square() / 2, 0))
        .sum(1)
        .mean()
        .sqrt()
    )


def gain_fits(
    gains: Float[Tensor, " L"],
    n: Float[Tensor, " N"],
    fits: Mapping[str, Float[Tensor, "_L _N"]],
) -> Picture:
    """What is wanted, gain * n at each level, dashed, and what each way of telling the
    level can do, solid.
    """
    figure = Figure(figsize=(7.2, 2.7), layout="constrained")
    axes = figure.subplots(1, len(fits), sharey=True)
    for ax, (name, fit) in zip(axes, fits.items(), strict=True):
        for gain, line, colour in zip(
            gains, fit, (RED, ORANGE, GREY, GREEN, BLUE), strict=False
        ):
            ax.plot(n, line, color=colour, linewidth=1.4, label=f"{gain.item():g}")
            ax.plot(n, gain * n, color=colour, linewidth=0.9, linestyle="--")
        ax.set_title(name, fontsize=9)
        ax.set(xlabel="normalised feature n", xlim=(-2.5, 2.5), ylim=(-4.5, 4.5))
    axes[0].set_ylabel("output")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        title="wanted gain",
        title_fontsize=8,
        fontsize=8,
        loc="outside right center",
    )
    near = [name for name, fit in fits.items() if gain_error(gains, n, fit) < 0.01]
    alt = (
        f"Straight lines of {len(gains)} slopes that are wanted, dashed, and the curves"
        f" that can be had, in {len(fits)} panels. The curves lie on the lines for:"
        f" {', '.join(near).replace(chr(10), ' ')}. In the other panels they bend, and"
        " most of them miss their line."
    )
    return Picture(figure, alt)


def block_gains(
    embedding: LevelEmbedding, block: ResBlock, level: Float[Tensor, " N"]
) -> Float[Tensor, "N channels"]:
    """1 + scale of every channel of a block at the given log-SNRs."""
    with torch.no_grad():
        return (
            1
            + block.scale_shift(F.silu(embedding(torch.sigmoid(level)))).chunk(
                2, dim=1
            )[0]
        )


def gains_by_level(
    level: Float[Tensor, " N"], gains: Float[Tensor, "N channels"]
) -> Picture:
    """How a trained block scales each of its channels, from pure noise at the left to a
    clean picture at the right.
    """
    figure = Figure(figsize=(6.4, 2.8), layout="constrained")
    ax = figure.subplots()
    for channel in gains.T:
        ax.plot(level, channel, linewidth=1)
    ax.axhline(0, color=GREY, linewidth=0.8)
    ax.set(
        xlabel="log-SNR: noise to the left, signal to the right",
        ylabel="gain, 1 + scale",
        xlim=(level[0].item(), level[-1].item()),
    )
    ax.set_yscale("symlog", linthresh=1, linscale=1.5)
    ax.set_yticks([-1, 0, 1, 2, 5, 10], ["−1", "0", "1", "2", "5", "10"])
    ax.minorticks_off()
    off = int(((gains.amin(0) < 0.1) & (gains.amax(0) > 1)).sum())
    largest = gains.amax(1)
    alt = (
        f"Gain of the {gains.shape[1]} channels of one trained block against the"
        f" log-SNR. Most rise with it; {off} of them are near 0, or below, at some"
        f" levels and above 1 at others; the largest is {largest[0].item():.1f} in pure"
        f" noise and {largest[-1].item():.1f} at the clean end."
    )
    return Picture(figure, alt)


def power_after(blocks: int, start: float, branch: float, scaled: bool = True) -> float:
    """Mean square after so many residual blocks whose branches have the mean square
    `branch` and are not correlated with the skip (tag K.4).
    """
    return branch + (start - branch) / 2**blocks if scaled else start + blocks * branch


def block_powers(
    blocks: Sequence[ResBlock],
    h: Float[Tensor, "B C H W"],
    e: Float[Tensor, "B E"],
    scaled: bool = True,
) -> tuple[list[float], float]:
    """The measured mean square of h before the first block and after each, and that of
    a branch, on average. Not `scaled`: the 1/sqrt(2) taken back.
    """
    powers, branches = [h.square().mean().item()], []
    with torch.no_grad():
        for block in blocks:
            total = math.sqrt(2) * block(h, e)  # h + B(h, e)
            branches.append((total - h).square().mean().item())
            h = total / math.sqrt(2) if scaled else total
            powers.append(h.square().mean().item())
    return powers, sum(branches) / len(branches)


def powers_of_blocks(
    runs: Mapping[str, tuple[Sequence[float], float, bool]],
) -> Picture:
    """Each run: its name -> the measured powers, the power of a branch, and whether
    skips are scaled. Dots are measured, lines are (K.4).
    """
    figure = Figure(figsize=(6.4, 2.8), layout="constrained")
    ax = figure.subplots()
    ends = []
    for (name, (powers, branch, scaled)), colour in zip(
        runs.items(), (BLUE, RED, GREEN, ORANGE), strict=False
    ):
        ax.plot(
            [power_after(k, powers[0], branch, scaled) for k in range(len(powers))],
            color=colour,
            linewidth=1,
        )
        ax.plot(powers, "o", color=colour, markersize=4, label=name)
        ends.append(f"{name}: from {powers[0]:.0f} to {powers[-1]:.1f}")
    ax.set(xlabel="residual blocks", ylabel="mean square of h", ylim=(0, None))
    ax.legend(fontsize=8)
    alt = (
        f"Mean square of h after each of {len(powers) - 1} blocks, dots on the curves"
        " of the formula. " + "; ".join(ends) + "."
    )
    return Picture(figure, alt)


def influence(
    f: NoisePredictor,
    x: Float[Tensor, "1 c h w"],
    y_t: Float[Tensor, "1 C H W"],
    gamma: Float[Tensor, " 1"],
    at: tuple[int, int],
) -> Float[Tensor, "H W"]:
    """|d output at pixel `at` / d y_t|, summed over channels: how much every pixel of
    y_t matters for one pixel of the answer.
    """
    y_t = y_t.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(f(x, y_t, gamma)[0, :, at[0], at[1]].sum(), y_t)
    return gradient[0].abs().sum(0)


def without_norms(f: UNet) -> UNet:
    """A copy in which only convolutions connect pixels: GroupNorm, which sees the whole
    picture, lets everything pass; the head is not 0.
    """
    f = copy.deepcopy(f)
    for module in list(f.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.GroupNorm):
                setattr(module, name, nn.Identity())
    nn.init.normal_(f.head.weight)
    return f


def reach(multipliers: Sequence[int], blocks: int | Sequence[int]) -> int:
    """How many pixels the network sees to each side: the sum, over its 3x3
    convolutions, of the distance of the pixels they join (tag K.5).
    """
    depths = len(multipliers)
    blocks = [blocks] * depths if isinstance(blocks, int) else blocks
    # two convolutions in each block
    down_and_up = sum(2 * (2 * blocks[depth] + 1) * 2**depth for depth in range(depths))
    between = sum(2 * 2**depth for depth in range(depths - 1))  # one in Down, one in Up
    # stem, ..., two blocks in the middle, head
    return 1 + down_and_up + between + 4 * 2 ** (depths - 1) + 1


def influence_maps(
    maps: Mapping[str, Float[Tensor, "_H _W"]], decades: int = 5
) -> Picture:
    """Influence of every pixel, in powers of ten of the largest, white where it is
    below 10^-decades.
    """
    figure = Figure(figsize=(7.2, 2.2), layout="constrained")
    axes = figure.subplots(1, len(maps), squeeze=False)[0]
    for ax, (name, each) in zip(axes, maps.items(), strict=True):
        shown = ax.imshow(
            (each / each.max()).clamp(min=1e-30).log10().numpy(),
            cmap="Blues",
            vmin=-decades,
            vmax=0,
            interpolation="nearest",
        )
        ax.set(xticks=[], yticks=[])
        ax.set_title(name, fontsize=9)
    bar = figure.colorbar(shown, ax=axes, ticks=range(-decades, 1), shrink=0.85)
    bar.ax.set_yticklabels(
        [f"$10^{{-{decades}}}$", *[""] * (decades - 1), "1"], fontsize=8
    )
    wide = ", ".join(
        f"{name} {(each > each.max() / 10**decades).double().mean():.0%}"
        for name, each in maps.items()
    )
    alt = (
        "How much every pixel matters for one pixel of the answer, strongest near that"
        f" pixel. Share of the pixels with more than 1/10^{decades} of the largest"
        f" influence: {wide}."
    )
    return Picture(figure, alt)


def conv_cost(
    inputs: int, outputs: int, height: int, width: int, side: int = 3
) -> tuple[int, int]:
    """Parameters and FLOPs of a convolution with bias and a side x side kernel that
    makes height x width pixels, a multiply-add being two FLOPs (tag K.6).
    """
    weights = side * side * inputs * outputs
    return weights + outputs, 2 * weights * height * width


def cost_by_layer(layers: Sequence[Layer]) -> Picture:
    """Share of the parameters and of the FLOPs of every layer, coloured by the side of
    its picture.
    """
    figure = Figure(figsize=(7.2, 3.0), layout="constrained")
    axes = figure.subplots(2, 1, sharex=True)
    boxes = [layer for layer in layers if layer.output.ndim == 4]
    sides = sorted({layer.output.shape[-1] for layer in boxes}, reverse=True)
    colours = dict(zip(sides, (ORANGE, GREEN, BLUE, RED, GREY), strict=False))
    shares: list[list[str]] = []
    for ax, what, values in zip(
        axes,
        ("parameters", "FLOPs"),
        ([b.parameters for b in boxes], [b.flops for b in boxes]),
        strict=True,
    ):
        ax.bar(
            range(len(boxes)),
            [v / sum(values) for v in values],
            color=[colours[b.output.shape[-1]] for b in boxes],
        )
        ax.set(
            ylabel=f"share of\n{what}",
            ylim=(0, 0.27),
            yticks=[0, 0.1, 0.2],
            yticklabels=["0", "10%", "20%"],
        )
        by_side = {
            side: (
                sum(
                    v
                    for v, b in zip(values, boxes, strict=True)
                    if b.output.shape[-1] == side
                )
                / sum(values)
            )
            for side in sides
        }
        shares.append(
            [f"{share:.0%} at {side}x{side}" for side, share in by_side.items()]
        )
    axes[1].set_xticks(
        range(len(boxes)), [b.name for b in boxes], rotation=45, ha="right", fontsize=8
    )
    axes[0].legend(
        handles=[Patch(color=colours[side], label=f"{side}×{side}") for side in sides],
        fontsize=8,
        loc="upper left",
    )
    alt = (
        f"Where parameters and work lie. Parameters: {', '.join(shares[0])}. FLOPs:"
        f" {', '.join(shares[1])}."
    )
    return Picture(figure, alt)
