"""What pictures share: axes, one image on them, and the file."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from ramnp.files import write_atomically

STYLE = {"marker": "o", "markersize": 2.5}  # one epoch makes no line


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


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG.

    Raises:
        OutputError: that failed.
    """
    write_atomically(path, lambda file: figure.savefig(file, dpi=100, format="png"))


def show(axes: Any, image: np.ndarray, top: float | None = None) -> None:
    """One image, gray or colour, without ticks."""
    top = (255 if image.dtype == np.uint8 else 1.0) if top is None else top
    image = image[..., 0] if image.shape[-1] == 1 else image
    axes.imshow(image / top, cmap="gray", vmin=0, vmax=1, interpolation="antialiased")
    axes.set(xticks=[], yticks=[])
