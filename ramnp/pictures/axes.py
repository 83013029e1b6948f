"""Shared by all pictures: styles of axes, showing an image, and saving a figure."""

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from ramnp.files import write_atomically

STYLE = {"marker": "o", "markersize": 2.5}  # markers, because a line through a single epoch would be invisible


def scale_log(axes: Any) -> None:
    """Make the y axis logarithmic, with plain numbers as labels. Call it after plotting.

    A wide range gets fewer labels per decade. If no value is above 0, the axis stays linear.
    """
    if axes.dataLim.ymax <= 0:
        return
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high > 30 * low else (1, 1.5, 2, 3, 4, 5, 6, 8)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(NullLocator())


def count_along(axes: Any) -> None:
    """Label the x axis with whole numbers only, even if there is just one."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def readable(text: str) -> str:
    """Text that a font can be asked for: what is left of a file name's bytes that are not UTF-8 becomes "?"."""
    return text.encode(errors="replace").decode()


def png(figure: Figure) -> bytes:
    """The figure as PNG, drawn by Agg whatever MPLBACKEND says. A box stands for a character that the font lacks."""
    for text in figure.findobj(Text):
        text.set_text(readable(text.get_text()))
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from")
        figure.savefig(file, dpi=100, format="png", backend="agg")
    return file.getvalue()


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG.

    Raises:
        OutputError: the file cannot be written.
    """
    content = png(figure)
    write_atomically(path, lambda file: file.write(content))


def show(axes: Any, image: np.ndarray, top: float | None = None) -> None:
    """Show one image (H, W, C), gray or colour, without ticks; `top` is the value of white.

    Of 2 or 4 channels, the last one is not shown.
    """
    top = (255 if image.dtype == np.uint8 else 1.0) if top is None else top
    image = image[..., 0] if image.shape[-1] < 3 else image[..., :3]
    axes.imshow(image / top, cmap="gray", vmin=0, vmax=1, interpolation="antialiased")
    axes.set(xticks=[], yticks=[])
