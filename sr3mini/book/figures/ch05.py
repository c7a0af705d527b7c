"""Figures of chapter 5: the network, watched while it runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, Patch, Rectangle
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ...unet import Attention, UNet
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


# The whole ----------------------------------------------------------------------------


class Layer(NamedTuple):
    """One part of the network in one call: where it hangs, what it is, what came out,
    what it cost, and whether its pixels attend to each other.
    """

    name: str
    kind: str
    output: Tensor
    parameters: int
    flops: int
    attends: bool


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
            isinstance(getattr(parts[n], "attention", None), Attention),
        )
        for n in called
    ]


_COLOURS = {"Conv2d": GREY, "Stage": BLUE, "Down": GREEN, "Up": ORANGE}
_NAMES = {"Conv2d": "stem, head", "Stage": "Stage", "Down": "Down", "Up": "Up"}


def network_map(layers: Sequence[Layer]) -> Picture:
    """The network as a U: a box a layer, with its channels, a row a size of picture;
    arrows follow the features, thin ones the skips.
    """
    boxes = [layer for layer in layers if layer.kind in _COLOURS]
    top = boxes[0].output.shape[-1]
    depths = [round(math.log2(top / layer.output.shape[-1])) for layer in boxes]
    # a change of size leads straight down or up, everything else to the right
    columns = [
        float(place) - sum(box.kind in ("Down", "Up") for box in boxes[: place + 1])
        for place in range(len(boxes))
    ]
    places = [
        (column, -1.35 * depth) for column, depth in zip(columns, depths, strict=True)
    ]
    figure = Figure(figsize=(6.6, 1.1 + 0.85 * (max(depths) + 1)), layout="constrained")
    ax = figure.subplots()
    for layer, place in zip(boxes, places, strict=True):
        _box(ax, layer, place)
    for one, other in pairwise(places):
        _flow(ax, one, other)
    for source, target in _skips(boxes):
        _skip(ax, places[source], places[target])
    _ends(ax, places[0], places[-1])
    ax.set(
        xlim=(-2.6, columns[-1] + 1.7),
        ylim=(places[depths.index(max(depths))][1] - 0.55, 1.5),
        xticks=[],
        yticks=[-1.35 * depth for depth in range(max(depths) + 1)],
        yticklabels=[f"{top // 2**d}×{top // 2**d}" for d in range(max(depths) + 1)],
    )
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    _legend_of_kinds(ax)
    listed = ", ".join(
        f"{'convolution' if layer.kind == 'Conv2d' else layer.kind}"
        f" {layer.output.shape[1]}"
        for layer in boxes
    )
    attending = sum(layer.attends for layer in boxes)
    alt = (
        "The network as a U, a row for each size of the picture. The layers in the"
        f" order they are called, with their channels: {listed}. Of the Stages,"
        f" {attending} attend. Arrows lead across from the way down to the way up."
    )
    return Picture(figure, alt)


def _box(ax: Axes, layer: Layer, place: tuple[float, float]) -> None:
    """A layer in the colour of its kind, its number of channels in it; a dot where the
    level enters, an A where pixels attend.
    """
    column, row = place
    corner, colour = (column - 0.38, row - 0.3), _COLOURS[layer.kind]
    ax.add_patch(Rectangle(corner, 0.76, 0.6, color=colour, alpha=0.35, linewidth=0))
    text = f"{layer.output.shape[1]}{'A' if layer.attends else ''}"
    ax.text(column, row, text, ha="center", va="center", fontsize=8.5)
    if layer.kind == "Stage":
        ax.plot(column, row - 0.3, "o", color=RED, markersize=3.5)


def _flow(ax: Axes, one: tuple[float, float], other: tuple[float, float]) -> None:
    """From one layer to the next: to the right, down or up."""
    level = one[1] == other[1]
    gap = (0.38, 0.0) if level else (0.0, math.copysign(0.3, other[1] - one[1]))
    start = (one[0] + gap[0], one[1] + gap[1])
    end = (other[0] - gap[0], other[1] - gap[1])
    _arrow(ax, start, end, color="black", linewidth=1.1)


def _skip(ax: Axes, one: tuple[float, float], other: tuple[float, float]) -> None:
    """From the way down to the way up, above the boxes between."""
    foot, roof = one[1] + 0.3, one[1] + 0.4 + 0.035 * (other[0] - one[0])
    left, right = one[0] + 0.18, other[0] - 0.18  # beside the arrows of the flow
    corners = [(left, foot), (left, roof), (right, roof), (right, foot)]
    for start, end in pairwise(corners[:3]):
        ax.plot(*zip(start, end, strict=True), color=GREY, linewidth=0.8)
    _arrow(ax, corners[2], corners[3], color=GREY, linewidth=0.8)


def _arrow(
    ax: Axes, start: tuple[float, float], end: tuple[float, float], **style: Any
) -> None:
    ax.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=7,
            shrinkA=0,
            shrinkB=0,
            **style,
        )
    )


def _ends(ax: Axes, first: tuple[float, float], last: tuple[float, float]) -> None:
    """What goes in at the left and comes out at the right, and the level."""
    ax.text(first[0] - 1.0, first[1], "$U x$\n$y_t$", ha="right", va="center")
    _arrow(ax, (-0.95, first[1]), (-0.38, first[1]), color="black", linewidth=1.1)
    ax.text(last[0] + 0.95, last[1], "$f$", ha="left", va="center")
    end = (last[0] + 0.9, last[1])
    _arrow(ax, (last[0] + 0.38, last[1]), end, color="black", linewidth=1.1)


def _legend_of_kinds(ax: Axes) -> None:
    kinds: list[Any] = [
        Patch(color=_COLOURS[kind], alpha=0.35, label=name)
        for kind, name in _NAMES.items()
    ]
    marks: dict[str, Any] = {"color": "black", "linewidth": 0, "markersize": 5}
    ax.legend(
        handles=[
            *kinds,
            Line2D([], [], color=GREY, linewidth=0.8, label="skip"),
            Line2D([], [], **{**marks, "color": RED}, marker="o", label="told e"),
            Line2D([], [], **marks, marker="$A$", label="attends"),
        ],
        fontsize=8.5,
        ncols=7,
        loc="upper center",
        frameon=False,
        columnspacing=1.1,
        handlelength=1.3,
        handletextpad=0.5,
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
