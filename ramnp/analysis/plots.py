"""Plots of an analysis: errors, spread of the paths, and where the glimpses look."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ramnp.analysis.policy import CHOOSERS
from ramnp.pictures.axes import STYLE, count_along, save_figure, scale_log

COLORS = {"policy": "tab:red", "another": "tab:purple", "random": "tab:gray", "centre": "tab:blue"}


def plot_analysis(analysis: dict[str, Any], title: str, path: Path) -> None:
    """Plot the results of `analyse`: errors, spread of the paths, and where the glimpses look."""
    steps = len(analysis["errors"]["policy"]["one"])
    maps = [part for part in ("looks", "digit") if part in analysis]
    figure = Figure(figsize=(14, 3.8 + 14 / max(steps, 6) * len(maps)), layout="constrained")
    heights = (3.8, *[14 / max(steps, 6)] * len(maps))
    top, *below = figure.subfigures(1 + len(maps), 1, height_ratios=heights, squeeze=False)[:, 0]
    panels: list[tuple[Callable[[Any, Any], None], str]] = [(plot_errors_by_glimpse, "errors")]
    panels += [(plot_spread, "paths"), (plot_distance, "digit"), (plot_information, "digit")]
    panels = [(plot, part) for plot, part in panels if part in analysis]
    for axes, (plot, part) in zip(top.subplots(1, max(len(panels), 2))[: len(panels)], panels, strict=True):
        plot(axes, analysis[part])
    for part, cell in zip(maps, below, strict=True):
        images = np.sum(analysis["looks"]["counts"][0])
        plot_maps(cell, analysis[part], images, analysis["digit"]["side"] if part == "digit" else None)
    figure.suptitle(title)
    save_figure(figure, path)


def plot_errors_by_glimpse(axes: Any, errors: dict[str, dict[str, list[float]]]) -> None:
    """Plot the error after 1..T glimpses for each choice of locations; thin: one rollout, not averaged."""
    for chooser, kinds in errors.items():
        x = range(1, len(kinds["one"]) + 1)
        axes.plot(x, kinds["averaged"], color=COLORS[chooser], label=CHOOSERS[chooser], **STYLE)
        axes.plot(x, kinds["one"], color=COLORS[chooser], lw=0.7, ls="--")
    axes.set(xlabel="glimpses", ylabel="error (%)", title="error by choice of locations")
    scale_log(axes)
    axes.plot([], [], color="black", lw=0.7, ls="--", label="one rollout, not averaged")
    _finish_steps(axes, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)


def plot_spread(axes: Any, paths: dict[str, Any]) -> None:
    """Plot the standard deviation of the locations by glimpse, in pixels."""
    for name, text, color in (
        ("between_images", "between images", "tab:red"),
        ("between_starts", "between starts", "tab:gray"),
    ):
        for axis, line in enumerate(("-", ":")):
            pixels = [spread[axis] * paths["pixels"][axis] for spread in paths[name]]
            axes.plot(range(2, len(pixels) + 2), pixels, line, color=color, label=f"{text}, {'xy'[axis]}", **STYLE)
    axes.set(xlabel="glimpse", ylabel="standard deviation (pixels)", title="how the paths differ", ylim=(0, None))
    _finish_steps(axes)


def plot_distance(axes: Any, digit: dict[str, Any]) -> None:
    """Plot the mean distance from glimpse to digit."""
    distance = digit["distance"]
    axes.plot(
        range(1, len(distance["policy"]) + 1), distance["policy"], color=COLORS["policy"], label="policy", **STYLE
    )
    for name in ("random", "centre"):
        axes.axhline(distance[name], color=COLORS[name], ls="--", label=f"locations {CHOOSERS[name]}")
    axes.set(xlabel="glimpse", ylabel="pixels", title="distance to the digit's centre", ylim=(0, None))
    _finish_steps(axes)


def plot_information(axes: Any, digit: dict[str, Any]) -> None:
    """Plot the mutual information between the location and the position of the digit."""
    for name, text in (("bits", "location and digit"), ("shuffled", "digits shuffled: bias")):
        bits = digit["information"][name]
        color = COLORS["policy" if name == "bits" else "random"]
        axes.plot(range(1, len(bits) + 1), bits, color=color, label=text, **STYLE)
    axes.set(xlabel="glimpse", ylabel="bits", title="mutual information", ylim=(0, None))
    _finish_steps(axes)


def plot_maps(figure: Any, looks: dict[str, Any], images: int, side: list[int] | None = None) -> None:
    """Plot a map for each glimpse of where it looks in all images.

    Args:
        looks: {"extent", "counts"} of the histograms.
        images: number of images; their glimpses outside the map are counted in its corner.
        side: (width, height) of the digit, if the maps are relative to its centre; None if they are on the image.
    """
    left, right, top, bottom = looks["extent"]
    maps = zip(figure.subplots(1, len(looks["counts"]), squeeze=False)[0], looks["counts"], strict=True)
    for t, (axes, counts) in enumerate(maps, 1):
        axes.imshow(counts, extent=(left, right, bottom, top), cmap="magma", interpolation="nearest")
        axes.set(xticks=[left, (left + right) / 2, right], yticks=[top, (top + bottom) / 2, bottom])
        axes.tick_params(labelsize=7)
        outside = 100 * (1 - np.sum(counts) / images)
        axes.set_title(f"glimpse {t}", fontsize=9)
        if outside >= 0.05:
            axes.text(
                0.5, 0.03, f"{outside:.1f} % outside", transform=axes.transAxes, color="white", fontsize=6, ha="center"
            )
        if side:
            width, height = side
            box = Rectangle((-width / 2, -height / 2), width, height, fill=False, color="white", ls="--", lw=0.8)
            axes.add_patch(box)
    place = "relative to the digit's centre (dashed: its square)" if side else "on the image"
    figure.suptitle(
        f"where the glimpses of all images look, in pixels, {place}; each map has its own colour scale", fontsize=10
    )


def _finish_steps(axes: Any, **legend: Any) -> None:
    """Label whole glimpses only; add a grid and a legend."""
    count_along(axes)
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=7, **legend)
