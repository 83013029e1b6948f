"""Where the network looked, what it answered, and a sheet of images."""

from collections.abc import Sequence
from pathlib import Path

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
    canvas, labels, *_ = next(source.batches(images))
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
    """Write a picture of the first `images` images: the path of the glimpses, and what the sensor saw.

    Locations are the policy's means, but for the first, unless it is learned, and those of a control. Patches of K
    scales stand one below another.
    """
    canvas, labels, *_ = next(source.batches(images))
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
        show(axes, pixels[b, border, border])
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
                show(grid[k, t], patches[t, k], 1.0)
                for spine in grid[k, t].spines.values():
                    spine.set(visible=True, color=colors[t], lw=2)
            grid[0, t].set_title(str(t + 1), fontsize=8, pad=2)
    figure.suptitle("where it looked (1, 2, ...: order of the glimpses), and what the sensor saw")
    save_figure(figure, path)


def _verdict(log_p: np.ndarray, label: int, names: Sequence[str] | None) -> str:
    """What was answered, how surely, and whether it is right."""
    guess = int(log_p.argmax())
    said, right = (names[each] if names else each for each in (guess, label))
    verdict = "right" if guess == label else f"wrong: it is {right}"
    return f"says {said} ({100 * np.exp(log_p[guess]):.0f}%), {verdict}"
