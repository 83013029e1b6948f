"""Where a model looked in an image: on axes of yours, as a film, and as a sheet of several images."""

import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from ramnp.errors import UsageError
from ramnp.files import expand, write_atomically
from ramnp.network.look import Look, Step
from ramnp.pictures.axes import count_along, png, readable, save_figure, show

LIKELIEST = 10  # classes whose probabilities are shown


def plot_path(axes: Axes, image: npt.ArrayLike, look: Look) -> None:
    """Draw an image, the squares that the sensor saw, and the path through them, numbered in its order.

    Args:
        axes: any axes of matplotlib.
        image: (H, W) or (H, W, C), usually `look.image`.
        look: one of `model.look(images)`.
    """
    pixels = np.asarray(image)
    _draw_path(axes, pixels if pixels.ndim == 3 else pixels[..., None], look.steps, colours(len(look.steps)))


def plot_probabilities(axes: Axes, look: Look) -> None:
    """Draw the class probabilities after each glimpse, a column per glimpse, for the classes that were likeliest once.

    Args:
        axes: any axes of matplotlib.
        look: one of `model.look(images)`.
    """
    _draw_probabilities(axes, look, len(look.steps))


def film(look: Look, file: str | os.PathLike[str], seconds: float = 0.8) -> None:
    """Write an animated GIF, a frame per glimpse: the path so far, what the sensor saw, and the probabilities.

    Args:
        look: one of `model.look(images)`.
        file: where; its name ends in .gif.
        seconds: how long a frame stays.

    Raises:
        UsageError: the name does not end in .gif.
        OutputError: the file cannot be written.
    """
    path = expand(file)
    if path.suffix.lower() != ".gif":
        raise UsageError(f"a film is a GIF: choose a name that ends in .gif, not {path}")
    frames = [_frame(look, t) for t in range(len(look.steps))]
    milliseconds = round(1000 * seconds)
    write_atomically(
        path,
        lambda out: frames[0].save(
            out, format="GIF", save_all=True, append_images=frames[1:], duration=milliseconds, loop=0
        ),
    )


def plot_looks(looks: Sequence[Look], titles: Sequence[str], path: Path) -> None:
    """Write a picture of several looks: the path on each image, and below it what the sensor saw.

    Raises:
        OutputError: the file cannot be written.
    """
    scales, steps = len(looks[0].steps[0].patches), len(looks[0].steps)
    columns = min(len(looks), 4)
    rows = -(-len(looks) // columns)  # rounded up
    figure = Figure(figsize=(3.6 * columns, 4.6 * rows), layout="constrained")
    cells = figure.subfigures(rows, columns, squeeze=False).flat
    for look, title, cell in zip(looks, titles, cells, strict=False):  # the last row may have cells to spare
        top, bottom = cell.subfigures(2, 1, height_ratios=(3, 0.25 + 0.6 * scales))
        axes = top.subplots()
        plot_path(axes, look.image, look)
        axes.set_title(title, fontsize=9, parse_math=False)
        _draw_patches(bottom.subplots(scales, steps, squeeze=False), look.steps, colours(steps))
    figure.suptitle("where it looked (1, 2, ...: order of the glimpses), and what the sensor saw")
    save_figure(figure, path)


def colours(steps: int) -> npt.NDArray[np.float64]:
    """(T, 4) a colour for each glimpse."""
    return colormaps["viridis"](np.linspace(0, 0.95, steps))


def _frame(look: Look, t: int) -> Image.Image:
    """The film's frame of glimpse t, counted from 0."""
    step = look.steps[t]
    scales = len(step.patches)
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    grid = figure.add_gridspec(scales, 3, width_ratios=(2.2, 2.2 / (scales + 0.5), 2))
    path = figure.add_subplot(grid[:, 0])
    _draw_path(path, look.image, look.steps[: t + 1], colours(len(look.steps)))
    path.set_title(f"glimpse {t + 1} of {len(look.steps)}")
    patches = np.array([[figure.add_subplot(grid[k, 1])] for k in range(scales)])
    _draw_patches(patches, (step,), colours(len(look.steps))[t:])
    patches[0, 0].set_title("seen")
    _draw_probabilities(figure.add_subplot(grid[:, 2]), look, t + 1)
    return Image.open(io.BytesIO(png(figure))).convert("RGB")


def _draw_path(
    axes: Axes, image: npt.NDArray[np.generic], steps: Sequence[Step], colors: npt.NDArray[np.float64]
) -> None:
    """Draw an image (H, W, C), the squares that the sensor saw, and the path through them."""
    height, width, _ = image.shape
    show(axes, image)
    for step, color in zip(steps, colors, strict=False):
        for k, (left, top, right, bottom) in enumerate(step.boxes):
            # imshow centres pixel 0 on 0, so its left edge lies at -1/2.
            corner, lw = (left - 0.5, top - 0.5), 1.6 if k == 0 else 0.5
            axes.add_patch(Rectangle(corner, right - left, bottom - top, fill=False, color=color, lw=lw))
    path_x, path_y = np.stack([step.pixel for step in steps], axis=1)
    axes.plot(path_x, path_y, color="white", lw=2.2)
    axes.plot(path_x, path_y, color="tab:red", lw=1.2)
    for t, step in enumerate(steps):
        axes.annotate(
            str(t + 1),
            (step.pixel[0], step.pixel[1]),
            color="white",
            fontsize=8,
            ha="center",
            va="center",
            bbox={"boxstyle": "circle,pad=0.15", "fc": colors[t], "ec": "white", "lw": 0.6},
        )
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))


def _draw_probabilities(axes: Axes, look: Look, steps: int) -> None:
    """Draw the probabilities after the first `steps` glimpses; the columns of the others stay blank."""
    table = np.stack([step.probabilities for step in look.steps], axis=1)  # (A, T)
    shown = np.sort(np.argsort(table.max(axis=1))[-LIKELIEST:])
    table = table[shown]
    table[:, steps:] = 0
    bottom, right = len(shown) - 0.5, len(look.steps) + 0.5
    axes.imshow(table, cmap="Blues", vmin=0, vmax=1, aspect="auto", extent=(0.5, right, bottom, -0.5))
    for row, t in np.argwhere(table >= 0.005):
        p = table[row, t]
        axes.text(t + 1, row, f"{100 * p:.0f}", ha="center", va="center", color="white" if p > 0.5 else "black")
    count_along(axes)
    axes.set_yticks(range(len(shown)), [readable(look.class_names[label]) for label in shown])
    axes.set(xlabel="glimpse", title="probability of the classes (%)")


def _draw_patches(grid: np.ndarray, steps: Sequence[Step], colors: npt.NDArray[np.float64]) -> None:
    """Draw the patches of glimpses on a K x T grid of axes: a column per glimpse, a row per scale."""
    for t, step in enumerate(steps):
        for k, patch in enumerate(step.patches):
            show(grid[k, t], patch, 1.0)
            for spine in grid[k, t].spines.values():
                spine.set(visible=True, color=colors[t], lw=2)
        grid[0, t].set_title(str(t + 1), fontsize=8, pad=2)
