"""Figures of chapter 5: the network taken apart, measured by running it."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Patch, Rectangle
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ...loss import NoisePredictor
from ...unet import LevelEmbedding, ResBlock, UNet
from .base import BLUE, GREEN, GREY, ORANGE, RED, Picture, draw_image

# The level ----------------------------------------------------------------------------


def root_sinusoids(
    gamma: Float[Tensor, " N"], factor: float = 1.0, features: int = 64
) -> Float[Tensor, "N features"]:
    """sin and cos of `factor` sqrt(gamma) at frequencies from 1 down to almost 1e-4:
    factor 1 in the best-known SR3 code, 5000 in WaveGrad's.
    """
    frequencies = torch.exp(
        -math.log(1e4) * torch.arange(features // 2) / (features // 2)
    )
    angles = factor * gamma.sqrt()[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


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


# Scale and shift ----------------------------------------------------------------------


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


# Power --------------------------------------------------------------------------------


def power_after(blocks: int, start: float, branch: float, scaled: bool = True) -> float:
    """Mean square after so many residual blocks whose branches have the mean square
    `branch` and are not correlated with the skip (tag 5.4).
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
    skips are scaled. Dots are measured, lines are (5.4).
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


# How far it sees ----------------------------------------------------------------------


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
    convolutions, of the distance of the pixels they join (tag 5.5).
    """
    depths = len(multipliers)
    blocks = [blocks] * depths if isinstance(blocks, int) else blocks
    # two convolutions in each block
    down_and_up = sum(2 * (2 * blocks[depth] + 1) * 2**depth for depth in range(depths))
    between = sum(2 * 2**depth for depth in range(depths - 1))  # one in Down, one in Up
    # stem, ..., two blocks in the middle, head
    return 1 + down_and_up + between + 4 * 2 ** (depths - 1) + 1


def influence_maps(
    maps: Mapping[str, Float[Tensor, "_H _W"]], alt: str, decades: int = 5
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
    return Picture(figure, alt)


# The whole ----------------------------------------------------------------------------


class Layer(NamedTuple):
    """One part of the network in one call: where it hangs, what it is, what came out,
    and what it cost.
    """

    name: str
    kind: str
    output: Tensor
    parameters: int
    flops: int


def walk(
    f: UNet,
    x: Float[Tensor, "B c h w"],
    y_t: Float[Tensor, "B C H W"],
    gamma: Float[Tensor, " B"],
) -> list[Layer]:
    """One call of f, watched: its layers in the order in which they are called."""
    lists = {"downs": f.downs, "middle": f.middle, "ups": f.ups}
    inner = {
        f"{name}.{i}": part
        for name, parts in lists.items()
        for i, part in enumerate(parts)
    }
    parts: dict[str, nn.Module] = {
        "level": f.level,
        "stem": f.stem,
        **inner,
        "norm": f.norm,
        "head": f.head,
    }
    outputs: dict[str, Tensor] = {}

    def watch(name: str) -> torch.utils.hooks.RemovableHandle:
        return parts[name].register_forward_hook(
            lambda part, given, output: outputs.update({name: output.detach()})
        )

    handles = {name: watch(name) for name in parts}
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        f(x, y_t, gamma)
    for handle in handles.values():
        handle.remove()
    counts = {
        name.partition(".")[2]: sum(by_kind.values())
        for name, by_kind in counter.get_flop_counts().items()
    }
    called = sorted(parts, key=list(outputs).index)
    return [
        Layer(
            n,
            type(parts[n]).__name__,
            outputs[n],
            sum(p.numel() for p in parts[n].parameters()),
            counts.get(n, 0),
        )
        for n in called
    ]


def conv_cost(
    inputs: int, outputs: int, height: int, width: int, side: int = 3
) -> tuple[int, int]:
    """Parameters and FLOPs of a convolution with bias and a side x side kernel that
    makes height x width pixels, a multiply-add being two FLOPs (tag 5.7).
    """
    weights = side * side * inputs * outputs
    return weights + outputs, 2 * weights * height * width


_COLOURS = {"Conv2d": GREY, "Stage": BLUE, "Down": GREEN, "Up": ORANGE}
_NAMES = {"Conv2d": "stem and head", "Stage": "Stage", "Down": "Down", "Up": "Up"}


def network_map(layers: Sequence[Layer]) -> Picture:
    """The layers from left to right, each as low as it is deep, with its channels, and
    the skips above them.
    """
    boxes = [layer for layer in layers if layer.kind in _COLOURS]
    top = boxes[0].output.shape[-1]
    depths = [round(math.log2(top / layer.output.shape[-1])) for layer in boxes]
    lowest = max(depths)
    figure = Figure(figsize=(7.4, 0.9 + 0.85 * (lowest + 1)), layout="constrained")
    ax = figure.subplots()
    for place, (layer, depth) in enumerate(zip(boxes, depths, strict=True)):
        _box(ax, layer, place, depth)
    for source, target in _skips(boxes):
        _arrow(
            ax,
            (source + 0.1, 0.25 - depths[source]),
            (target - 0.1, 0.25 - depths[target]),
        )
    ax.set(
        xlim=(-0.7, len(boxes) - 0.3),
        ylim=(-lowest - 0.45, 1.15),
        xticks=[],
        yticks=[-depth for depth in range(lowest + 1)],
        yticklabels=[f"{top // 2**d}×{top // 2**d}" for d in range(lowest + 1)],
    )
    ax.spines[["top", "right", "bottom"]].set_visible(False)
    _legend_of_kinds(ax)
    listed = ", ".join(
        f"{'convolution' if layer.kind == 'Conv2d' else _NAMES[layer.kind]}"
        f" {layer.output.shape[1]}"
        for layer in boxes
    )
    alt = (
        "The layers in the order they are called, lower where the picture is smaller,"
        f" with their channels: {listed}. Arrows lead from the way down to the way up."
    )
    return Picture(figure, alt)


def _box(ax: Axes, layer: Layer, place: int, depth: int) -> None:
    """A layer as a box in the colour of its kind, its number of channels in it."""
    ax.add_patch(
        Rectangle(
            (place - 0.4, -depth - 0.22),
            0.8,
            0.44,
            color=_COLOURS[layer.kind],
            alpha=0.35,
            linewidth=0,
        )
    )
    channels = str(layer.output.shape[1])
    ax.text(place, -depth, channels, ha="center", va="center", fontsize=9)


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    """A skip: a thin arrow, curved upwards."""
    ax.add_patch(
        FancyArrowPatch(
            start,
            end,
            connectionstyle="arc3,rad=-0.12",
            arrowstyle="-|>",
            mutation_scale=8,
            color=GREY,
            linewidth=0.8,
        )
    )


def _legend_of_kinds(ax: Axes) -> None:
    ax.legend(
        handles=[
            Patch(color=_COLOURS[kind], alpha=0.35, label=name)
            for kind, name in _NAMES.items()
        ],
        fontsize=8,
        ncols=4,
        loc="upper center",
        frameon=False,
    )


def _skips(boxes: Sequence[Layer]) -> list[tuple[int, int]]:
    """Which box hands its output to which on the way up: last in, first out."""
    sources = [
        i
        for i, layer in enumerate(boxes)
        if layer.name == "stem" or layer.name.startswith("downs.")
    ]
    targets = [
        i
        for i, layer in enumerate(boxes)
        if layer.name.startswith("ups.") and layer.kind == "Stage"
    ]
    return list(zip(reversed(sources), targets, strict=True))


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


def feature_maps(
    layer: Layer, y_t: Float[Tensor, "1 C H W"], number: int, count: int, gamma: float
) -> Picture:
    """What is given, and the eight channels of a layer that vary most, each in its own
    range: grey is 0.
    """
    figure = Figure(figsize=(5.6, 2.15))
    grid = figure.add_gridspec(
        2, 6, left=0.01, right=0.99, bottom=0.02, top=0.84, wspace=0.08, hspace=0.08
    )
    given = figure.add_subplot(grid[:, :2])
    draw_image(given, y_t[0])
    given.set_title(rf"$y_t$ at $\gamma$ = {gamma:g}", fontsize=9)
    channels = layer.output[0]
    chosen = channels.flatten(1).std(1).topk(min(8, len(channels))).indices
    for place, channel in enumerate(chosen.tolist()):
        ax = figure.add_subplot(grid[place // 4, 2 + place % 4])
        draw_image(
            ax,
            (channels[channel] / channels[channel].abs().max().clamp(min=1e-9))[None],
        )
    shape = f"{channels.shape[0]} channels of {channels.shape[1]}×{channels.shape[2]}"
    figure.text(
        0.665,
        0.93,
        f"layer {number} of {count}, {layer.name} ({layer.kind}): {shape}",
        ha="center",
        va="center",
        fontsize=9,
    )
    alt = (
        f"Layer {number} of {count}, {layer.name}, {layer.kind}:"
        f" {shape.replace('×', 'x')}, at gamma = {gamma:g}. The noisy picture beside"
        " the channels that vary most."
    )
    return Picture(figure, alt)


def told_apart(features: Float[Tensor, "T_plus_1 features"]) -> float:
    """The least, over neighbouring levels, of the change of the feature that changes
    most.
    """
    return features.diff(dim=0).abs().amax(1).min().item()
