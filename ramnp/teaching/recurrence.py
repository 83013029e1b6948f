"""Drawings of recurrent networks: unrolled in time, the backward pass through time, time as rows, and the LSTM cell."""

from IPython.core.display import HTML
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

from ramnp.teaching.animations import film
from ramnp.teaching.figures import BACKWARD, BLUE, FORWARD, GREEN, INK, PAPER, arrow, blank, node, stop

PALE = "#CCCCCC"  # colour of steps still to come
STEP, TOP = 2.6, 4.1  # distance between time steps; height of the loss
CAPTION = 0.8  # room for the caption above the loss
H_Y, G_Y = 2.4, 0.7  # heights of the states and of the inputs
GAP = 0.4  # from the middle of a node to the start of its arrows


def draw_unrolled(steps: int = 4, backward: bool = False) -> Figure:
    """Draw a recurrent attention model unrolled in time; with `backward`, its gradients as well."""
    width, height = extent(steps)
    figure, axes = blank(width, height, (9.5, 9.5 * height / width))
    show_pass(axes, steps, steps, steps if backward else 0)
    return figure


def animate_unrolled(steps: int = 4, seconds: float = 1.5) -> HTML:
    """A film of both passes, with the equations: a frame for each step forward, then one for each step back."""
    width, height = extent(steps)
    height += CAPTION
    figure, axes = blank(width, height, (9.5, 9.5 * height / width))

    def draw(frame: int) -> None:
        axes.clear()
        axes.axis("off")
        show_pass(axes, steps, min(frame + 1, steps), max(frame + 1 - steps, 0))
        text, color = caption(frame, steps)
        axes.text(width / 2, TOP + 0.85, text, ha="center", va="center", fontsize=12, color=color)
        axes.set(xlim=(0, width), ylim=(0, height), aspect="equal")

    return film(figure, draw, range(2 * steps), seconds)


def caption(frame: int, steps: int) -> tuple[str, str]:
    """The equations that belong to a frame of the film, and their colour."""
    if frame < steps:
        t = frame + 1
        return f"$z_{t} = h_{t - 1}\\,W_{{hh}} + g_{t}\\,W_{{gh}} + b,\\quad h_{t} = \\mathrm{{relu}}(z_{t})$", FORWARD
    t = 2 * steps - frame
    later = f" + dz_{t + 1}\\,W_{{hh}}^T" if t < steps else ""
    dh = f"$dh_{t} = \\mathrm{{above}}_{t}{later}$"
    return f"{dh},   $dz_{t} = dh_{t}$ where $h_{t} > 0$, else 0,   $dg_{t} = dz_{t}\\,W_{{gh}}^T$", BACKWARD


def extent(steps: int) -> tuple[float, float]:
    """Width and height of the drawing."""
    return STEP * (steps + 0.75), TOP + 0.4


def show_pass(axes: Axes, steps: int, forward: int, backward: int) -> None:
    """Draw `steps` time steps: the first `forward` in colour, the rest pale, and gradients of the last `backward`."""
    node(axes, 0.6, H_Y, "$h_0$")
    done = forward == steps
    axes.add_patch(
        Rectangle((STEP - 0.7, TOP - 0.25), STEP * (steps - 1) + 1.4, 0.5, fc=PAPER, ec=INK if done else PALE)
    )
    axes.text(STEP * (steps + 1) / 2, TOP, "loss $L$", ha="center", va="center", fontsize=11, color=INK)
    for t in range(1, steps + 1):
        x, before = STEP * t, STEP * (t - 1) if t > 1 else 0.6
        color = FORWARD if t <= forward else PALE
        node(axes, x, H_Y, f"$h_{t}$", INK if t <= forward else PALE)
        node(axes, x, G_Y, f"$g_{t}$", INK if t <= forward else PALE)
        arrow(axes, (before + GAP, H_Y + 0.1), (x - GAP, H_Y + 0.1), "$W_{hh}$", color)
        arrow(axes, (x - 0.12, G_Y + GAP), (x - 0.12, H_Y - GAP), color=color)
        axes.text(x - 0.2, 1.42, "$W_{gh}$", ha="right", va="center", fontsize=10, color=color)
        arrow(axes, (x - 0.12, H_Y + GAP), (x - 0.12, TOP - 0.27), color=color)
        if t < steps:
            show_location(axes, t, forward)
        if t > steps - backward:
            show_gradients(axes, t, steps, before)


def show_location(axes: Axes, t: int, forward: int) -> None:
    """Draw the path from h_t through a sampled location to g_{t+1}, along which no gradient flows back."""
    x, y = STEP * t + 1.3, 1.25
    style = {"arrowstyle": "-|>", "lw": 1, "ls": "--", "color": INK if t < forward else PALE}
    for start, end in (
        ((STEP * t + 0.35, H_Y - 0.42), (x - 0.2, y + 0.14)),
        ((x + 0.24, y - 0.1), (x + 0.97, G_Y + 0.15)),
    ):
        axes.annotate("", xy=end, xytext=start, arrowprops=style)
    axes.text(x, y, f"$l_{t + 1}$", ha="center", va="center", fontsize=11, color=INK if t < forward else PALE)
    if t < forward:
        stop(axes, x - 0.53, y + 0.43)


def show_gradients(axes: Axes, t: int, steps: int, before: float) -> None:
    """Draw, in red, the gradient that h_t receives from the loss and those that it passes on to g_t and h_{t-1}."""
    x = STEP * t
    arrow(axes, (x + 0.12, TOP - 0.27), (x + 0.12, H_Y + GAP), color=BACKWARD)
    axes.text(x + 0.2, 3.3, f"above$_{t}$", ha="left", va="center", fontsize=10, color=BACKWARD)
    arrow(axes, (x + 0.12, H_Y - GAP), (x + 0.12, G_Y + GAP), color=BACKWARD)
    axes.text(x + 0.2, 1.1, f"$dg_{t}$", ha="left", va="center", fontsize=10, color=BACKWARD)
    if t > 1:
        text = f"$dz_{t}\\,W_{{hh}}^T$"
        arrow(axes, (x - GAP, H_Y - 0.1), (before + GAP, H_Y - 0.1), text, BACKWARD, above=False)


def draw_time_as_rows(steps: int = 3) -> Figure:
    """Draw the sum over time of h_{t-1}^T dz_t, once as T products and once as one. Each time step has its colour."""
    rows, units, gap = 0.55, 1.1, 0.35
    colors = [colormaps["viridis"](0.25 + 0.6 * t / max(steps - 1, 1)) for t in range(steps)]
    pair = rows + 0.2 + units  # h^T beside dz
    width, height = steps * (pair + gap) + 1.6 + steps * rows + units + 0.2, max(steps * rows, units) + 1.1
    figure, axes = blank(width, height, (9.5, 9.5 * height / width))
    middle = height / 2

    def block(x: float, y: float, w: float, h: float, color: object, text: str) -> None:
        axes.add_patch(Rectangle((x, y), w, h, fc=color, ec="white", lw=1.5, alpha=0.55))
        axes.text(x + w / 2, y + h / 2, text, ha="center", va="center", fontsize=10, color=INK)

    x = 0.2
    for t, color in enumerate(colors):
        block(x, middle - units / 2, rows, units, color, f"$h_{t}^T$")
        block(x + rows + 0.2, middle - rows / 2, units, rows, color, f"$dz_{t + 1}$")
        axes.text(x + rows + 0.1, middle, r"$\cdot$", ha="center", va="center", fontsize=14)
        x += pair + gap
        axes.text(x - gap / 2, middle, "+" if t < steps - 1 else "=", ha="center", va="center", fontsize=14)
    axes.text(x + 0.02, middle, "N", ha="left", va="center", fontsize=9, rotation=90)
    x += 0.3
    for t, color in enumerate(colors):
        block(x + t * rows, middle - units / 2, rows, units, color, f"$h_{t}^T$")
        block(x + steps * rows + 0.3, middle + (steps / 2 - 1 - t) * rows, units, rows, color, f"$dz_{t + 1}$")
    axes.text(x + steps * rows + 0.15, middle, r"$\cdot$", ha="center", va="center", fontsize=14)
    axes.text(x + steps * rows / 2, middle + units / 2 + 0.08, "T R", ha="center", va="bottom", fontsize=9)
    right = x + steps * rows + 0.3
    axes.text(right + units / 2, middle + steps * rows / 2 + 0.08, "N", ha="center", va="bottom", fontsize=9)
    axes.text(right + units + 0.08, middle, "T R", ha="left", va="center", fontsize=9, rotation=90)
    return figure


def draw_lstm() -> Figure:
    """Draw one step of an LSTM: the cell runs along the top; gates multiply what goes into it and out of it."""
    figure, axes = blank(9.4, 3.4, (8.5, 3.1))

    def operation(x: float, y: float, text: str) -> None:
        axes.add_patch(Circle((x, y), 0.22, fc="white", ec=INK, lw=1.4))
        axes.text(x, y, text, ha="center", va="center", fontsize=12)

    top, low = 2.9, 1.7
    node(axes, 0.6, top, "$c_{t-1}$", GREEN)
    node(axes, 8.8, top, "$c_t$", GREEN)
    node(axes, 8.8, low, "$h_t$")
    for start, end in ((1.05, 1.68), (2.12, 3.98), (4.42, 8.38)):
        arrow(axes, (start, top), (end, top), color=GREEN)
    operation(1.9, top, r"$\times$")
    operation(4.2, top, "+")
    operation(4.2, low, r"$\times$")
    operation(7.2, low, r"$\times$")
    arrow(axes, (4.2, low + 0.22), (4.2, top - 0.22), color=BLUE)
    arrow(axes, (7.2, top), (7.2, low + 0.22), color=BLUE)
    axes.text(7.3, 2.35, "tanh", ha="left", va="center", fontsize=10, color=BLUE)
    arrow(axes, (7.42, low), (8.38, low), color=BLUE)
    gates = (
        ("f", 1.9, "whether to keep"),
        ("i", 3.5, "whether to write"),
        ("u", 4.9, "what to write"),
        ("o", 7.2, "whether to show"),
    )
    for name, x, text in gates:
        node(axes, x, 0.75, f"${name}$")
        axes.text(x, 0.22, text, ha="center", va="center", fontsize=10, color=INK)
    arrow(axes, (1.9, 1.1), (1.9, top - 0.22), color=BLUE)
    arrow(axes, (3.5, 1.1), (4.06, low - 0.18), color=BLUE)
    arrow(axes, (4.9, 1.1), (4.34, low - 0.18), color=BLUE)
    arrow(axes, (7.2, 1.1), (7.2, low - 0.22), color=BLUE)
    axes.text(0.5, 0.75, "from $z_t$:", ha="center", va="center", fontsize=10, color=INK)
    return figure
