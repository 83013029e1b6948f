"""Pictures: the learning curves of a run, where the network looked, what it answered, and a sheet of images."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from ramnp.analysis import CHOOSERS
from ramnp.checkpoint import write_atomically
from ramnp.classifier import Classifier
from ramnp.data.source import Source
from ramnp.model import RecurrentAttentionModel
from ramnp.sensor import corner, ruler

STYLE = {"marker": "o", "markersize": 2.5}  # one epoch makes no line


def plot_curves(epochs: list[dict[str, Any]], path: Path) -> None:
    """Write the losses, the error and the gradient norms over the epochs of a run (`metrics.jsonl`)."""
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    losses, errors, norms = figure.subplots(1, 3)
    x = [line["epoch"] for line in epochs]
    for term in epochs[0]["loss"]:
        losses.plot(x, [line["loss"][term] for line in epochs], label=term, **STYLE)
    losses.set(xlabel="epoch", ylabel="loss", title="training loss by term")
    errors.plot(x, [100 * (1 - line["reward"]) for line in epochs], label="training, stochastic", **STYLE)
    for kind in ("deterministic", "averaged"):
        if epochs[0]["validation_error"]:
            errors.plot(x, [line["validation_error"][kind] for line in epochs], label=f"validation, {kind}", **STYLE)
    errors.set(xlabel="epoch", ylabel="error (%)", title="error")
    for part in epochs[0]["gradient_norm"]:
        norms.plot(x, [line["gradient_norm"][part] for line in epochs], label=part, **STYLE)
    norms.set(xlabel="epoch", ylabel="mean norm over steps", title="gradients by part")
    for axes in (errors, norms):
        scale_log(axes)
    for axes in (losses, errors, norms):
        count_along(axes)
        axes.grid(alpha=0.3, which="both")
        axes.legend(fontsize=8)
    save_figure(figure, path)


def plot_images(model: Classifier, source: Source, folder: Path, names: Sequence[str] | None = None) -> Path:
    """Write glimpses.png, or answers.png of a model that sees the whole image; return its path.

    Args:
        names: of the classes; None: they are digits.
    """
    if isinstance(model, RecurrentAttentionModel):
        path = folder / "glimpses.png"
        plot_glimpses(model, source, path, names)
    else:
        path = folder / "answers.png"
        plot_answers(model, source, path, names)
    return path


def plot_answers(
    model: Classifier, source: Source, path: Path, names: Sequence[str] | None = None, images: int = 24
) -> None:
    """Write a picture of the first `images` images with their answers."""
    canvas, labels = next(source.batches(images))
    outcome = model.forward(canvas, model.draw(np.random.default_rng(0), len(labels)))
    host = model.backend.to_host
    pixels, labels, log_p = host(canvas.pixels), host(labels), host(outcome.log_p)
    height, width, _ = canvas.image_shape
    pixels = pixels[:, canvas.margin : canvas.margin + height, canvas.margin : canvas.margin + width]
    plot_sheet(pixels, [_verdict(*answer, names) for answer in zip(log_p, labels, strict=True)], path)


def plot_sheet(pixels: np.ndarray, titles: list[str], path: Path) -> None:
    """Write a contact sheet of images (n, H, W, C), each under its title."""
    columns = min(len(titles), 8)
    rows = -(-len(titles) // columns)
    figure = Figure(figsize=(1.6 * columns, 1.85 * rows), layout="constrained")
    for cell, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        if cell >= len(titles):
            axes.set_visible(False)
            continue
        _show(axes, pixels[cell])
        axes.set_title(titles[cell], fontsize=6, pad=3, parse_math=False)
    save_figure(figure, path)


def plot_glimpses(
    model: RecurrentAttentionModel,
    source: Source,
    path: Path,
    names: Sequence[str] | None = None,
    images: int = 8,
    seed: int = 0,
) -> None:
    """Write a picture of the first `images` images: the path of the glimpses, and what the sensor saw.

    Locations are the policy's means, but for the first, unless it is learned, and those of a control. Patches of K
    scales stand one below another.
    """
    canvas, labels = next(source.batches(images))
    rollout = model.forward(canvas, model.draw(np.random.default_rng(seed), len(labels), deterministic=True))
    host = model.backend.to_host
    pixels, labels, log_p = host(canvas.pixels), host(labels), host(rollout.log_p)
    seen, locations = model.sensor.pixels(host(rollout.rho)), host(rollout.locations)
    border = slice(canvas.margin, -canvas.margin)
    height, width, channels = canvas.image_shape
    steps, scales, side = len(locations), model.sensor.scales, model.sensor.patch
    colors = colormaps["viridis"](np.linspace(0, 0.95, steps))

    columns = min(len(labels), 4)
    figure = Figure(figsize=(3.6 * columns, 4.6 * -(-len(labels) // columns)), layout="constrained")
    for b, cell in enumerate(figure.subfigures(-(-len(labels) // columns), columns, squeeze=False).flat):
        if b >= len(labels):
            continue
        top, bottom = cell.subfigures(2, 1, height_ratios=(3, 0.25 + 0.6 * scales))
        axes = top.subplots()
        _show(axes, pixels[b, border, border])
        for t, (x, y) in enumerate(locations[:, b]):
            for k, patch in enumerate(model.sensor.sides):
                left, upper = corner(x, width, patch), corner(y, height, patch)
                # imshow centres pixel 0 on 0, so its left edge lies at -1/2.
                box = Rectangle(
                    (left - 0.5, upper - 0.5), patch, patch, fill=False, color=colors[t], lw=1.6 if k == 0 else 0.5
                )
                axes.add_patch(box)
        path_x, path_y = ruler(locations[:, b, 0], width) - 0.5, ruler(locations[:, b, 1], height) - 0.5
        axes.plot(path_x, path_y, color="white", lw=2.2)
        axes.plot(path_x, path_y, color="tab:red", lw=1.2)
        for t in range(steps):
            axes.annotate(
                str(t + 1), (path_x[t], path_y[t]), color="white", fontsize=8, ha="center", va="center",
                bbox={"boxstyle": "circle,pad=0.15", "fc": colors[t], "ec": "white", "lw": 0.6},
            )  # fmt: skip
        axes.set_title(_verdict(log_p[b], labels[b], names), fontsize=9, parse_math=False)
        axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
        patches = seen[:, b].reshape(steps, scales, side, side, channels)
        grid = bottom.subplots(scales, steps, squeeze=False)
        for t in range(steps):
            for k in range(scales):
                _show(grid[k, t], patches[t, k], 1.0)
                for spine in grid[k, t].spines.values():
                    spine.set(visible=True, color=colors[t], lw=2)
            grid[0, t].set_title(str(t + 1), fontsize=8, pad=2)
    figure.suptitle("where it looked (1, 2, ...: order of the glimpses), and what the sensor saw")
    save_figure(figure, path)


LOOKS = {"policy": "tab:red", "another": "tab:purple", "random": "tab:gray", "centre": "tab:blue"}


def plot_analysis(analysis: dict[str, Any], title: str, path: Path) -> None:
    """Write a picture of what `analysis.analyse` found: errors, spread of the paths, and where the glimpses look."""
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
    """Errors after 1..T glimpses, by who chooses the locations: averaged, and of one rollout, thin."""
    for chooser, kinds in errors.items():
        x = range(1, len(kinds["one"]) + 1)
        axes.plot(x, kinds["averaged"], color=LOOKS[chooser], label=CHOOSERS[chooser], **STYLE)
        axes.plot(x, kinds["one"], color=LOOKS[chooser], lw=0.7, ls="--")
    axes.set(xlabel="glimpses", ylabel="error (%)", title="error, by who chooses the locations")
    scale_log(axes)
    axes.plot([], [], color="black", lw=0.7, ls="--", label="one rollout, not averaged")
    _finish_steps(axes, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)


def plot_spread(axes: Any, paths: dict[str, Any]) -> None:
    """Standard deviations of the locations by glimpse, in pixels."""
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
    """The mean distance from glimpse to digit."""
    distance = digit["distance"]
    axes.plot(range(1, len(distance["policy"]) + 1), distance["policy"], color=LOOKS["policy"], label="policy", **STYLE)
    for name in ("random", "centre"):
        axes.axhline(distance[name], color=LOOKS[name], ls="--", label=f"place {CHOOSERS[name]}")
    axes.set(xlabel="glimpse", ylabel="pixels", title="distance to the digit's centre", ylim=(0, None))
    _finish_steps(axes)


def plot_information(axes: Any, digit: dict[str, Any]) -> None:
    """Mutual information between location and position of the digit."""
    for name, text in (("bits", "location and digit"), ("shuffled", "digits shuffled: bias")):
        bits = digit["information"][name]
        color = LOOKS["policy" if name == "bits" else "random"]
        axes.plot(range(1, len(bits) + 1), bits, color=color, label=text, **STYLE)
    axes.set(xlabel="glimpse", ylabel="bits", title="mutual information", ylim=(0, None))
    _finish_steps(axes)


def plot_maps(figure: Any, looks: dict[str, Any], images: int, side: list[int] | None = None) -> None:
    """Where the glimpses of so many images look, a map each: on the image or, with the digit's `side`, around it."""
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
        f"where the glimpses of all images look, in pixels, {place}; each map's colours its own", fontsize=10
    )


def scale_log(axes: Any) -> None:
    """A logarithmic y axis of what is drawn so far, its values written out; the wider, the fewer labels a decade."""
    if axes.dataLim.ymax <= 0:  # what is nowhere above 0, as no error at all, has no place on it
        return
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high > 30 * low else (1, 1.5, 2, 3, 4, 5, 6, 8)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(NullLocator())


def count_along(axes: Any) -> None:
    """An x axis of whole numbers, if it is of one alone."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _finish_steps(axes: Any, **legend: Any) -> None:
    """Whole glimpses, a grid, a legend."""
    count_along(axes)
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=7, **legend)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG.

    Raises:
        OutputError: that failed.
    """
    write_atomically(path, lambda file: figure.savefig(file, dpi=100, format="png"))


def _verdict(log_p: np.ndarray, label: int, names: Sequence[str] | None) -> str:
    """What was answered, how surely, and whether it is right."""
    guess = int(log_p.argmax())
    said, right = (names[each] if names else each for each in (guess, label))
    verdict = "right" if guess == label else f"wrong: it is {right}"
    return f"says {said} ({100 * np.exp(log_p[guess]):.0f}%), {verdict}"


def _show(axes: Any, image: np.ndarray, top: float | None = None) -> None:
    """One image, gray or colour, without ticks."""
    top = (255 if image.dtype == np.uint8 else 1.0) if top is None else top
    image = image[..., 0] if image.shape[-1] == 1 else image
    axes.imshow(image / top, cmap="gray", vmin=0, vmax=1, interpolation="antialiased")
    axes.set(xticks=[], yticks=[])
