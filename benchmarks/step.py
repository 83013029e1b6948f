"""Sections `step` and `floor`: a training step against PyTorch's, and against its own matrix products."""

from collections.abc import Iterator
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator, ScalarFormatter

from benchmarks.contestants import STEPS
from benchmarks.floor import Floor, products_of_a_step
from benchmarks.section import COLOURS, MARKERS, WIDTH, Options, Section, label, preset_task, table
from benchmarks.task import Task
from benchmarks.timing import measure

BATCHES = {  # of each preset, on a CPU
    "mnist-6": (128, 256, 512, 1024),
    "translated60-6": (256, 1024),
    "cluttered100-6": (256, 1024),
    "mnist-6-lstm": (256, 1024),
}
# A GPU has hardly begun to work where cores are busy.
GPU_BATCHES = dict.fromkeys(BATCHES, (1024, 16384)) | {"mnist-6": (256, 1024, 4096, 16384)}
OURS = "ramnp"


def tasks(options: Options) -> Iterator[tuple[dict[str, Any], Task]]:
    """What is to be measured, and how it is told."""
    chosen = GPU_BATCHES if options.backend == "cupy" else BATCHES
    for preset, batches in list(chosen.items())[: 1 if options.quick else None]:
        for batch in batches[: 1 if options.quick else None]:
            task = preset_task(preset, options.backend, batch_size=batch)
            options.say(f"{preset}, batches of {batch}")
            yield {"preset": preset, "batch": batch, "workers": task.config.workers}, task


def measure_step(options: Options) -> dict[str, Any]:
    """The times of all contestants."""
    rows, missing = [], {}
    for row, task in tasks(options):
        contestants = {name: (make, task, *rest) for name, (make, *rest) in STEPS.items()}
        times, absent = measure(contestants, options.plan)
        rows.append(row | {"ms": {name: each._asdict() for name, each in times.items()}})
        missing |= absent
    return {"rows": rows, "missing": missing}


def step_text(result: dict[str, Any]) -> str:
    """Tables by batch, and at everybody's best batch."""
    rows = result["rows"]
    names = [name for name in STEPS if all(name in row["ms"] for row in rows)]
    others = [name for name in names if not name.startswith(OURS)]
    faster = [f"vs {name}" for name in others]
    versus = (
        " PyTorch, with as many threads, is eager; or compiled (`torch.compile`); or eager with a sensor that loops "
        "over patches. The last columns say how many times as fast ramnp is."
    )
    lines = [
        f"Milliseconds a training step, median (quartiles), with {rows[0]['workers']} workers."
        + (versus if others else ""),
        table(
            ("preset, batch", *names, *faster),
            (
                (
                    f"{row['preset']}, {row['batch']}",
                    *(spread(row["ms"][name]) for name in names),
                    *(f"{row['ms'][name]['median'] / row['ms'][OURS]['median']:.2f}" for name in others),
                )
                for row in rows
            ),
        ),
        "Images a second, each at the batch that suits it best.",
        table(("preset", *names, *faster), (best_batch(preset, rows, names, others) for preset in presets_in(rows))),
        *(f"Not measured: {name}. {reason}" for name, reason in result["missing"].items()),
    ]
    return "\n\n".join(lines)


def best_batch(preset: str, rows: list[dict[str, Any]], names: list[str], others: list[str]) -> list[str]:
    """A row: everybody's largest number of images a second, with its batch."""
    best = {
        name: max((throughput(row, name), row["batch"]) for row in rows if row["preset"] == preset) for name in names
    }
    return [
        preset,
        *(f"{best[name][0]:,.0f} ({best[name][1]})" for name in names),
        *(f"{best[OURS][0] / best[name][0]:.2f}" for name in others),
    ]


def plot_step(result: dict[str, Any], figure: Figure) -> None:
    """Images a second by batch, a panel a preset."""
    rows = result["rows"]
    presets = presets_in(rows)
    figure.set_size_inches(WIDTH, 3.2 * -(-len(presets) // 2) + 0.6)
    panels = figure.subplots(-(-len(presets) // 2), min(2, len(presets)), squeeze=False).flat
    for preset, axes in zip(presets, panels, strict=False):
        here = [row for row in rows if row["preset"] == preset]
        for name, colour, marker in zip(STEPS, COLOURS, MARKERS, strict=False):
            if all(name in row["ms"] for row in here):
                curve(axes, here, [throughput(row, name) / 1000 for row in here], label(name), colour, marker)
        axes.set(title=preset, xlabel="images in a batch", ylabel="thousand images/s", ylim=(0, None))
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)


def measure_floor(options: Options) -> dict[str, Any]:
    """The times of the step and of its matrix products."""
    rows = []
    for row, task in tasks(options):
        times, _ = measure({OURS: (STEPS[OURS][0], task), "floor": (Floor, task)}, options.plan)
        operations = sum(product.operations for product in products_of_a_step(task)) * task.config.workers
        rows.append(row | {"ms": {name: each._asdict() for name, each in times.items()}, "operations": operations})
    return {"rows": rows}


def floor_text(result: dict[str, Any]) -> str:
    """A table."""
    rows = result["rows"]
    return "\n\n".join(
        [
            f"Milliseconds, median (quartiles), with {rows[0]['workers']} workers.",
            table(
                ("preset, batch", "step", "its matrix products", "step / products", "GFLOP", "GFLOP/s of products"),
                (
                    (
                        f"{row['preset']}, {row['batch']}",
                        spread(row["ms"][OURS]),
                        spread(row["ms"]["floor"]),
                        f"{row['ms'][OURS]['median'] / row['ms']['floor']['median']:.2f}",
                        f"{row['operations'] / 1e9:.2f}",
                        f"{row['operations'] / row['ms']['floor']['median'] / 1e6:.0f}",
                    )
                    for row in rows
                ),
            ),
        ]
    )


def plot_floor(result: dict[str, Any], figure: Figure) -> None:
    """Step / products by batch."""
    figure.set_size_inches(WIDTH, 3.6)
    axes = figure.subplots()
    for preset, colour, marker in zip(presets_in(result["rows"]), COLOURS, MARKERS, strict=False):
        here = [row for row in result["rows"] if row["preset"] == preset]
        ratios = [row["ms"][OURS]["median"] / row["ms"]["floor"]["median"] for row in here]
        curve(axes, here, ratios, preset, colour, marker)
    axes.set_xticks(sorted({row["batch"] for row in result["rows"]}))  # not every preset has all
    axes.axhline(1, color="black", linewidth=1)
    axes.set(xlabel="images in a batch", ylabel="time of step / time of its products", ylim=(0, None))
    axes.legend(fontsize=9)


def curve(axes: Any, rows: list[dict[str, Any]], y: list[float], name: str, colour: str, marker: str) -> None:
    """A line over the batch sizes of `rows`."""
    axes.plot([row["batch"] for row in rows], y, color=colour, marker=marker, label=name)
    axes.set_xscale("log", base=2)
    axes.set_xticks([row["batch"] for row in rows])
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.3)


def throughput(row: dict[str, Any], name: str) -> float:
    """Images a second."""
    return 1000 * row["batch"] / row["ms"][name]["median"]


def spread(ms: dict[str, float]) -> str:
    """Median and quartiles."""
    return f"{ms['median']:.1f} ({ms['q1']:.1f}-{ms['q3']:.1f})"


def presets_in(rows: list[dict[str, Any]]) -> list[str]:
    """The presets that were measured, in order."""
    return list(dict.fromkeys(row["preset"] for row in rows))


STEP = Section("A training step, and PyTorch's", step_text, plot_step, measure_step)
FLOOR = Section("A training step, and its matrix products", floor_text, plot_floor, measure_floor)
