"""Pictures of images: contact sheets, answers, and where the network looked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ramnp.data.source import Source
from ramnp.network.classifier import Classifier
from ramnp.network.model import RecurrentAttentionModel
from ramnp.network.sensor import corner, ruler
from ramnp.pictures.axes import save_figure, show


def plot_images(model: Classifier, source: Source, folder: Path, names: Sequence[str] | None = None) -> Path:
    """Write glimpses.png, or answers.png for a model that sees the whole image. Return the path.

    Args:
        names: names of the classes; None for digits.
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
    """Plot the first `images` images of a source, each under the model's answer."""
    canvas, labels, *_ = next(source.batches(images))
    outcome = model.forward(canvas, model.draw(np.random.default_rng(0), len(labels)))
    host = model.backend.to_host
    pixels, labels, log_p = host(canvas.pixels), host(labels), host(outcome.log_p)
    height, width, _ = canvas.image_shape
    pixels = pixels[:, canvas.margin : canvas.margin + height, canvas.margin : canvas.margin + width]
    plot_sheet(pixels, [_describe_answer(*answer, names) for answer in zip(log_p, labels, strict=True)], path)


def plot_sheet(pixels: np.ndarray, titles: list[str], path: Path) -> None:
    """Plot a contact sheet of images (n, H, W, C), each under its title."""
    columns = min(len(titles), 8)
    rows = -(-len(titles) // columns)  # rounded up
    figure = Figure(figsize=(1.6 * columns, 1.85 * rows), layout="constrained")
    for cell, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        if cell >= len(titles):
            axes.set_visible(False)
            continue
        show(axes, pixels[cell])
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
    """Plot where the model looked in the first `images` images of a source, and what the sensor saw there.

    The rollouts are deterministic: each location is the mean of the policy. The locations that the policy does not
    choose (the first one, unless it is learned, and all of a control) are drawn with `seed`, or lie at the centre.
    """
    canvas, labels, *_ = next(source.batches(images))
    rollout = model.forward(canvas, model.draw(np.random.default_rng(seed), len(labels), deterministic=True))
    host = model.backend.to_host
    pixels, labels, log_p = host(canvas.pixels), host(labels), host(rollout.log_p)
    seen, locations = model.sensor.pixels(host(rollout.rho)), host(rollout.locations)
    border = slice(canvas.margin, -canvas.margin)
    steps, scales, side = len(locations), model.sensor.scales, model.sensor.patch
    colors = colormaps["viridis"](np.linspace(0, 0.95, steps))

    columns = min(len(labels), 4)
    rows = -(-len(labels) // columns)  # rounded up
    figure = Figure(figsize=(3.6 * columns, 4.6 * rows), layout="constrained")
    for b, cell in enumerate(figure.subfigures(rows, columns, squeeze=False).flat):
        if b >= len(labels):
            continue
        top, bottom = cell.subfigures(2, 1, height_ratios=(3, 0.25 + 0.6 * scales))
        axes = top.subplots()
        _draw_path(axes, pixels[b, border, border], locations[:, b], model.sensor.sides, colors)
        axes.set_title(_describe_answer(log_p[b], labels[b], names), fontsize=9, parse_math=False)
        patches = seen[:, b].reshape(steps, scales, side, side, -1)
        _draw_patches(bottom.subplots(scales, steps, squeeze=False), patches, colors)
    figure.suptitle("where it looked (1, 2, ...: order of the glimpses), and what the sensor saw")
    save_figure(figure, path)


def _draw_path(axes: Any, image: np.ndarray, locations: np.ndarray, sides: Sequence[int], colors: np.ndarray) -> None:
    """Draw an image (H, W, C), the squares that the sensor saw at `locations` (T, 2), and the path through them."""
    height, width, _ = image.shape
    show(axes, image)
    for t, (x, y) in enumerate(locations):
        for k, patch in enumerate(sides):
            left, top = corner(x, width, patch), corner(y, height, patch)
            # imshow centres pixel 0 on 0, so its left edge lies at -1/2.
            box = Rectangle(
                (left - 0.5, top - 0.5), patch, patch, fill=False, color=colors[t], lw=1.6 if k == 0 else 0.5
            )
            axes.add_patch(box)
    path_x, path_y = ruler(locations[:, 0], width) - 0.5, ruler(locations[:, 1], height) - 0.5
    axes.plot(path_x, path_y, color="white", lw=2.2)
    axes.plot(path_x, path_y, color="tab:red", lw=1.2)
    for t in range(len(locations)):
        axes.annotate(
            str(t + 1),
            (path_x[t], path_y[t]),
            color="white",
            fontsize=8,
            ha="center",
            va="center",
            bbox={"boxstyle": "circle,pad=0.15", "fc": colors[t], "ec": "white", "lw": 0.6},
        )
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))


def _draw_patches(grid: np.ndarray, patches: np.ndarray, colors: np.ndarray) -> None:
    """Draw patches (T, K, g, g, C) on a K x T grid of axes: a column per glimpse, a row per scale."""
    for t, of_scales in enumerate(patches):
        for k, patch in enumerate(of_scales):
            show(grid[k, t], patch, 1.0)
            for spine in grid[k, t].spines.values():
                spine.set(visible=True, color=colors[t], lw=2)
        grid[0, t].set_title(str(t + 1), fontsize=8, pad=2)


def _describe_answer(log_p: np.ndarray, label: int, names: Sequence[str] | None) -> str:
    """The answer, its probability, and whether it is right."""
    answer = int(log_p.argmax())
    answer_name, label_name = (names[each] if names else each for each in (answer, label))
    verdict = "right" if answer == label else f"wrong: it is {label_name}"
    return f"says {answer_name} ({100 * np.exp(log_p[answer]):.0f}%), {verdict}"
