"""Films of a network at work, which play in a notebook."""

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np
from IPython.core.display import HTML
from matplotlib import colormaps
from matplotlib.animation import FuncAnimation
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ramnp.analysis.policy import look_along
from ramnp.network.layers import log_softmax
from ramnp.network.model import RecurrentAttentionModel
from ramnp.network.sensor import corner, ruler
from ramnp.teaching.figures import BLUE, GREEN, INK, ORANGE


def film(figure: Figure, draw: Callable[[int], None], frames: Sequence[int], seconds: float) -> HTML:
    """A looping film. `draw(number)` makes the figure show a frame; each frame stays for `seconds`.

    The layout of the first frame is kept for all: computing it for each would take most of the time, and the pictures
    would jump. The figure is closed.
    """
    draw(frames[0])
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    with plt.rc_context({"figure.constrained_layout.use": False}):
        html = FuncAnimation(figure, draw, frames=frames, interval=1000 * seconds).to_jshtml(default_mode="loop")
    plt.close(figure)
    return HTML(html)


def animate_glimpses(
    model: RecurrentAttentionModel,
    images: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str] | None = None,
    seed: int = 0,
    seconds: float = 1.0,
    locations: np.ndarray | None = None,
) -> HTML:
    """A film of where a network looks: one frame per glimpse.

    Each column is an image. It shows the path so far, the finest patch of the current glimpse, and the answer that the
    network would give if it stopped here. The parts of the image that it has not looked at are dimmed. Locations are
    the means of the policy.

    Args:
        images, labels: (n, H, W, C) and (n,), on the host; four to six images look best.
        names: names of the classes; None for digits.
        seed: seed of the first locations.
        seconds: how long each frame stays.
        locations: (T, n, 2) to look at instead of those that the policy would choose.
    """
    shown = Glimpses(model, images, labels, names, seed, locations)
    return film(shown.figure, shown.draw, range(model.config.glimpses), seconds)


class Glimpses:
    """The frames of `animate_glimpses`: `draw(t)` makes `figure` show glimpse t, counted from 0."""

    figure: Figure

    def __init__(
        self,
        model: RecurrentAttentionModel,
        images: np.ndarray,
        labels: np.ndarray,
        names: Sequence[str] | None,
        seed: int,
        locations: np.ndarray | None = None,
    ) -> None:
        self.model, self.images, self.labels = model, images, labels
        self.names = names or [str(number) for number in range(model.classes)]
        canvas = model.canvas(images)
        if locations is None:
            rollout = model.forward(canvas, model.draw(np.random.default_rng(seed), len(images), deterministic=True))
        else:
            rollout = look_along(model, canvas, model.backend.asarray(locations.astype(model.dtype)))
        host = model.backend.to_host
        self.locations, self.seen = host(rollout.locations), model.sensor.pixels(host(rollout.rho))
        # The answer after each glimpse: the action network applied to every state. Under the paper's rule it is trained
        # on the last state only.
        self.p = np.stack([np.exp(host(log_softmax(model.action.forward(h)[0], model.xp))) for h in rollout.h])
        self.crowded = sum(map(len, self.names)) > 25  # more letters than fit side by side: turn the names upright
        bottom = 0.17 if self.crowded else 0.06
        self.figure, self.axes = plt.subplots(
            3,
            len(images),
            figsize=(1.75 * len(images) + 0.4, 4.9),
            height_ratios=(3, 1.3, 1.5),
            squeeze=False,
            layout="none",
            dpi=80,
            gridspec_kw={"left": 0.06, "right": 0.99, "bottom": bottom, "top": 0.88, "hspace": 0.3},
        )

    def draw(self, t: int) -> None:
        """Show glimpse t."""
        for column, (scene, patch, bars) in enumerate(self.axes.T):
            for axes in (scene, patch, bars):
                axes.clear()
            self.draw_path(scene, column, t)
            self.draw_patch(patch, column, t)
            self.draw_answer(bars, column, t)
        self.figure.suptitle(f"glimpse {t + 1} of {self.model.config.glimpses}", fontsize=11)

    def draw_path(self, axes: Axes, column: int, t: int) -> None:
        """The image, dimmed where no glimpse has looked yet, and the path up to glimpse t."""
        image = self.images[column] / (255 if self.images.dtype == np.uint8 else 1)
        height, width, _ = image.shape
        sides, seen = self.model.sensor.sides, np.full((height, width, 1), 0.35)
        colors = colormaps["viridis"](np.linspace(0.3, 0.95, self.model.config.glimpses))
        for past, (x, y) in enumerate(self.locations[: t + 1, column]):
            for number, side in enumerate(sides if past == t else sides[:1]):
                left, top = int(corner(x, width, side)), int(corner(y, height, side))
                if number == 0:
                    seen[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)] = 1
                box = Rectangle(
                    (left - 0.5, top - 0.5), side, side, fill=False, color=colors[past], lw=2 if past == t else 0.8
                )
                axes.add_patch(box)
        axes.imshow((image * seen).squeeze(), vmin=0, vmax=1)
        x, y = (
            ruler(self.locations[: t + 1, column, axis], extent) - 0.5 for axis, extent in enumerate((width, height))
        )
        axes.plot(x, y, color=ORANGE, lw=1.5, marker="o", markersize=3)
        axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
        frame(axes, f"it is {self.names[self.labels[column]]}")

    def draw_patch(self, axes: Axes, column: int, t: int) -> None:
        """The finest patch of glimpse t, as the sensor saw it."""
        shape = self.model.sensor.shape(self.images.shape[3])
        axes.imshow(self.seen[t, column].reshape(shape)[0].squeeze(), vmin=0, vmax=1)
        frame(axes, "the sensor sees" if column == 0 else "")

    def draw_answer(self, axes: Axes, column: int, t: int) -> None:
        """The probabilities of the classes after glimpse t; the label's is green."""
        label = self.labels[column]
        colors = [GREEN if number == label else BLUE for number in range(len(self.names))]
        axes.bar(range(len(self.names)), self.p[t, column], color=colors)
        axes.axhline(1 / len(self.names), color=INK, lw=0.6, ls=":")
        axes.set(ylim=(0, 1), yticks=(0, 1))
        axes.set_xticks(range(len(self.names)), self.names, fontsize=7, rotation=90 if self.crowded else 0)
        axes.grid(False)
        if column == 0:
            axes.set_ylabel("p(class)", fontsize=8)


def frame(axes: Axes, title: str) -> None:
    """Style axes as a picture: a title and a border, but no ticks."""
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    axes.set_title(title, fontsize=9)
