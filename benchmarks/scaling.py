"""Section `scaling`: how a training step grows with image, glimpses, scales, batch and hidden units.

The paper's claim (section 1) is that the computation of recurrent attention does not depend on the size of the image.
A step is given its batch; making that, a copy of all pixels, grows with them and is timed beside it.
"""

from dataclasses import replace
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from benchmarks.contestants import BatchMaking, Ramnp
from benchmarks.section import COLOURS, WIDTH, Options, Section, table, task_of
from benchmarks.task import Task
from benchmarks.timing import measure as measure_times
from ramnp.config import Config


class Sweep(NamedTuple):
    """One quantity varied.

    Attributes:
        label: the quantity.
        fixed: all that stays as it is, for people.
        config, side: the same, for the model.
        field: what is varied, a field of the configuration; None: the side of the image.
        values: to measure.
    """

    label: str
    fixed: str
    config: Config
    side: int
    field: str | None
    values: tuple[int, ...]

    def task(self, value: int, backend: str) -> Task:
        """The task where the quantity has this value."""
        if self.field is None:
            return task_of(self.config, value, backend)
        return task_of(replace(self.config, **{self.field: value}), self.side, backend)


_MNIST = Config()
_WIDE = Config(patch=12, scales=3, batch_size=64)
SWEEPS = {
    "side": Sweep(
        "side of the image, pixels", "6 glimpses of 12x12 at 3 scales, 64 images a batch",
        _WIDE, 0, None, (28, 60, 100, 300, 1000, 2000),
    ),
    "glimpses": Sweep(
        "glimpses", "glimpses of 8x8 in 28x28 pixels, 256 images a batch", _MNIST, 28, "glimpses", (1, 2, 4, 6, 8, 12)
    ),
    "scales": Sweep(
        "scales", "6 glimpses of 12x12 in 100x100 pixels, 64 images a batch", _WIDE, 100, "scales", (1, 2, 3, 4, 5)
    ),
    "batch": Sweep(
        "images in a batch", "6 glimpses of 8x8 in 28x28 pixels", _MNIST, 28,
        "batch_size", (16, 32, 64, 128, 256, 512, 1024, 2048),
    ),
    "units": Sweep(
        "hidden units N", "6 glimpses of 8x8 in 28x28 pixels, 256 images a batch", _MNIST, 28,
        "units", (64, 128, 256, 512, 1024),
    ),
}  # fmt: skip


def measure(options: Options) -> dict[str, Any]:
    """The times of the steps; by the side of the image, those of making the batches, too."""
    result = {}
    for name, sweep in SWEEPS.items():
        values = sweep.values[:2] if options.quick else sweep.values
        options.say(f"{sweep.label}: {', '.join(map(str, values))}")
        tasks = {value: sweep.task(value, options.backend) for value in values}
        contestants = {f"step {value}": (Ramnp, task) for value, task in tasks.items()}
        if sweep.field is None:
            contestants |= {f"batch {value}": (BatchMaking, task) for value, task in tasks.items()}
        times, _ = measure_times(contestants, options.plan)
        kinds = ("step", "batch") if sweep.field is None else ("step",)
        result[name] = {"values": values, "workers": [task.config.workers for task in tasks.values()]}
        result[name] |= {f"{kind}_ms": [times[f"{kind} {value}"]._asdict() for value in values] for kind in kinds}
    return result


def text(result: dict[str, Any]) -> str:
    """A table a sweep, the quantity along its first row."""
    tables = []
    for name, found in result.items():
        steps = [ms["median"] for ms in found["step_ms"]]
        lines = [("step, ms", *(f"{ms:.2f}" for ms in steps))]
        if name == "batch":
            pairs = zip(found["values"], steps, strict=True)
            lines.append(("images/s", *(f"{1000 * value / ms:,.0f}" for value, ms in pairs)))
        else:
            lines.append(("ratio to the first", *(f"{ms / steps[0]:.2f}" for ms in steps)))
        if "batch_ms" in found:
            lines.append(("making the batch, ms", *(f"{ms['median']:.2f}" for ms in found["batch_ms"])))
        header = (SWEEPS[name].label, *map(str, found["values"]))
        tables += [f"{SWEEPS[name].fixed}; {max(found['workers'])} workers:", table(header, lines)]
    return "\n\n".join(tables)


def plot(result: dict[str, Any], figure: Figure) -> None:
    """A panel a sweep."""
    figure.set_size_inches(WIDTH, 8.4)
    panels = figure.subplots(3, 2).flat
    for axes, (name, found) in zip(panels, result.items(), strict=False):
        draw(axes, found["values"], found["step_ms"], "step", COLOURS[0], "o-")
        if "batch_ms" in found:
            draw(axes, found["values"], found["batch_ms"], "making the batch", COLOURS[1], "s--")
            axes.legend(fontsize=9)
        logarithmic = name in ("side", "batch", "units")
        axes.set(
            xlabel=SWEEPS[name].label, ylabel="ms a step", **({"xscale": "log", "yscale": "log"} if logarithmic else {})
        )
        if logarithmic:
            axes.set_xticks(found["values"], [str(value) for value in found["values"]], fontsize=8)
            axes.minorticks_off()
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter("{x:g}")
        else:
            axes.set_ylim(0, None)
        axes.grid(alpha=0.3)
    for axes in list(figure.axes)[len(result) :]:
        axes.remove()


def draw(axes: Any, values: list[int], times: list[dict[str, float]], label: str, colour: str, style: str) -> None:
    """Medians, and a band from quartile to quartile."""
    axes.plot(values, [ms["median"] for ms in times], style, color=colour, label=label)
    quartiles = ([ms[name] for ms in times] for name in ("q1", "q3"))
    axes.fill_between(values, *quartiles, color=colour, alpha=0.2, linewidth=0)


SCALING = Section("How a step grows", text, plot, measure)
