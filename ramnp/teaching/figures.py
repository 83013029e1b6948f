"""The style of the notebooks' figures, and drawings that several notebooks use.

The colours are those of Okabe & Ito (2008), which people with any colour vision can tell apart. All drawings return a
closed figure; a notebook shows it when it is the value of a cell's last line.
"""

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.rcsetup import cycler

BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
    "#F0E442",
)
INK, PAPER = "#222222", "#F2F2F2"
FORWARD, BACKWARD = BLUE, RED  # in every drawing: values are blue, gradients red


def use_style() -> None:
    """Set matplotlib's defaults for a notebook."""
    plt.rcParams.update(
        {
            "axes.prop_cycle": cycler(color=[BLUE, ORANGE, GREEN, RED, PURPLE, SKY, INK]),
            "axes.grid": True,
            "axes.spines.right": False,
            "axes.spines.top": False,
            "figure.constrained_layout.use": True,
            "figure.dpi": 100,
            "figure.figsize": (6.5, 3.6),
            "font.size": 10,
            "grid.alpha": 0.3,
            "image.cmap": "gray",
            "legend.frameon": False,
            "lines.linewidth": 1.8,
        }
    )


def blank(width: float, height: float, figsize: tuple[float, float] | None = None) -> tuple[Figure, Axes]:
    """An empty figure to draw on: no frame, no ticks, the same scale on both axes."""
    figure, axes = plt.subplots(figsize=figsize or (width, height))
    axes.set(xlim=(0, width), ylim=(0, height), aspect="equal")
    axes.axis("off")
    plt.close(figure)
    return figure, axes


def node(axes: Axes, x: float, y: float, text: str, color: str = INK, size: float = 11) -> None:
    """Draw a named box centred at (x, y)."""
    box = {"boxstyle": "round,pad=0.4", "fc": PAPER, "ec": color, "lw": 1.4}
    axes.text(x, y, text, ha="center", va="center", fontsize=size, color=INK, bbox=box)


def arrow(
    axes: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    text: str = "",
    color: str = INK,
    above: bool = True,
) -> None:
    """Draw an arrow, with a text above or below its middle."""
    axes.annotate("", xy=end, xytext=start, arrowprops={"arrowstyle": "-|>", "color": color, "lw": 1.4})
    middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    axes.annotate(
        text,
        middle,
        xytext=(0, 3 if above else -3),
        textcoords="offset points",
        ha="center",
        va="bottom" if above else "top",
        fontsize=10,
        color=color,
    )


def stop(axes: Axes, x: float, y: float, size: float = 0.12) -> None:
    """Draw two strokes across an arrow at (x, y): no gradient passes here."""
    for shift in (-size / 3, size / 3):
        axes.plot([x + shift - size / 2, x + shift + size / 2], [y - size, y + size], color=INK, lw=2)


def draw_chain(layers: Sequence[str], values: Sequence[str]) -> Figure:
    """Draw layers in a row: values go forward along the top, gradients back along the bottom.

    Args:
        layers: names of the layers.
        values: names of the values between them, from the input to the loss; one more than layers.
    """
    step = 2.4
    width = step * (len(layers) + 1)
    figure, axes = blank(width, 1.5, (min(width, 9.5), min(width, 9.5) * 1.5 / width))
    centres = [step * (number + 1) for number in range(len(layers))]
    ends = [step / 2 - 0.75, *centres, width - step / 2 + 0.75]
    for number, value in enumerate(values):
        left = ends[number] + (0.55 if number else 0)
        right = ends[number + 1] - (0.55 if number < len(layers) else 0)
        arrow(axes, (left, 0.95), (right, 0.95), f"${value}$", FORWARD)
        arrow(axes, (right, 0.55), (left, 0.55), f"$d{value}$", BACKWARD, above=False)
    for centre, name in zip(centres, layers, strict=True):
        axes.add_patch(Rectangle((centre - 0.55, 0.35), 1.1, 0.8, fc=PAPER, ec=INK, lw=1.4))
        axes.text(centre, 0.75, name, ha="center", va="center", fontsize=11, color=INK)
    return figure


def draw_product(
    left: tuple[str, str, str],
    right: tuple[str, str, str],
    product: str,
    sizes: dict[str, float],
) -> Figure:
    """Draw a matrix product as rectangles to scale, to compare shapes by eye. Gradients ("$d...$") are red.

    Args:
        left, right: (name, rows, columns) of the two factors, such as ("$x^T$", "in", "rows").
        product: name of the product.
        sizes: the length in the drawing of each named size.
    """
    shapes = [(product, left[1], right[2]), left, right]
    gap = 1.3
    width = sum(sizes[columns] for _, _, columns in shapes) + gap * 3
    height = max(sizes[rows] for _, rows, _ in shapes) + 1.0
    figure, axes = blank(width, height, (0.5 * width, 0.5 * height))
    x, middle = gap / 2 + 0.3, height / 2 - 0.1
    for number, (name, rows, columns) in enumerate(shapes):
        w, h = sizes[columns], sizes[rows]
        edge = BACKWARD if name.startswith("$d") else FORWARD
        axes.add_patch(Rectangle((x, middle - h / 2), w, h, fc=PAPER, ec=edge, lw=1.8))
        axes.text(x + w / 2, middle, name, ha="center", va="center", fontsize=11, color=edge)
        axes.text(x + w / 2, middle + h / 2 + 0.08, columns, ha="center", va="bottom", fontsize=9, color=INK)
        axes.text(x - 0.08, middle, rows, ha="right", va="center", fontsize=9, color=INK, rotation=90)
        x += w
        if number < 2:
            axes.text(
                x + gap / 2 - 0.15, middle, "=" if number == 0 else r"$\cdot$", ha="center", va="center", fontsize=14
            )
        x += gap
    return figure
