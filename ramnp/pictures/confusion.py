"""The confusion matrix: which classes are taken for which."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ramnp.pictures.axes import save_figure

MOST_NAMED = 60  # classes whose names still fit along the axes
MOST_COUNTED = 20  # classes whose counts still fit into the cells


def plot_confusion(counts: np.ndarray, names: tuple[str, ...], path: Path) -> None:
    """Plot how many images of class i (row) got the answer j (column), as shares of the row.

    Args:
        counts: (A, A).
        names: of the classes.
        path: of the PNG.

    Raises:
        OutputError: the file cannot be written.
    """
    classes = len(names)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(max(4.5, 2.5 + 0.3 * classes), 16)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(100 * shares, cmap="Blues", vmin=0, vmax=100, interpolation="nearest")
    figure.colorbar(image, ax=axes, label="% of the images of a class")
    axes.set(xlabel="answer", ylabel="class")
    if classes <= MOST_NAMED:
        axes.set_xticks(range(classes), names, rotation=90)
        axes.set_yticks(range(classes), names)
    if classes <= MOST_COUNTED:
        for row, column in np.argwhere(counts):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour, fontsize=8)
    save_figure(figure, path)
