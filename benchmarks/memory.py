"""Section `memory`: resident memory of a training, at its peak by batch, and over thousands of steps.

Every figure is of a fresh process, read from Linux' /proc; elsewhere the section is left out.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.contestants import STEPS
from benchmarks.resident import STATUS, STEPS_TO_PEAK, flatness, idle, peak
from benchmarks.section import COLOURS, MARKERS, WIDTH, Options, Section, label, preset_task, table
from benchmarks.timing import child

PRESET, BATCHES = "mnist-6", (128, 256, 512, 1024)
NAMES = ("ramnp", "PyTorch", "compiled")
FLAT_BATCH, MARKS = 64, (1_000, 10_000)


def answer(target: Callable[..., None], *arguments: Any) -> Any:
    """What a fresh process sends."""
    with child(target, *arguments) as pipe:
        return pipe.recv()


def measure(options: Options) -> dict[str, Any]:
    """Peaks by batch; resident memory after many steps."""
    if not Path(STATUS.format("self")).exists():
        return {"missing": "resident memory is read from /proc, which this system has not"}
    rows, missing = [], {}
    for batch in BATCHES[:1] if options.quick else BATCHES:
        options.say(f"batches of {batch}")
        task = preset_task(PRESET, options.backend, batch_size=batch)
        row: dict[str, Any] = {"batch": batch, "peak": {}}
        for name in NAMES:
            make, *rest = STEPS[name]
            found = answer(peak, make, (task, *rest))
            if "missing" in found:
                missing[name] = found["missing"]
            else:
                row["peak"][name] = found["peak"]
                row["arrays"] = found.get("arrays", row.get("arrays"))
        rows.append(row)
    marks = (20, 200) if options.quick else MARKS
    options.say(f"{marks[-1]:,} steps")
    task = preset_task(PRESET, options.backend, batch_size=FLAT_BATCH)
    with child(flatness, task, marks) as pipe:
        flat = [pipe.recv() for _ in marks]
    before = {name: answer(idle, name) for name in NAMES if name not in missing}
    return {"preset": PRESET, "rows": rows, "before": before, "missing": missing, "marks": marks, "resident": flat}


def text(result: dict[str, Any]) -> str:
    """A table, and a line on the steps."""
    if "rows" not in result:
        return f"Not measured: {result['missing']}."
    names = list(result["before"])
    lines = [
        f"MB (10^6 bytes) resident at the peak of a training of {result['preset']}, {STEPS_TO_PEAK} steps. The first "
        "line is a process that has imported everything and trains nothing. Last column: parameters, gradients, "
        "optimizer and activations, by the sizes of ramnp's arrays.",
        table(
            ("images in a batch", *map(label, names), "ramnp's arrays"),
            [
                ("none", *(f"{result['before'][name]:.0f}" for name in names), ""),
                *(
                    (str(row["batch"]), *(f"{row['peak'][name]:.0f}" for name in names), f"{row['arrays']:.1f}")
                    for row in result["rows"]
                ),
            ],
        ),
        "Resident after "
        + " and ".join(
            f"{mark:,} steps: {mb:.1f} MB" for mark, mb in zip(result["marks"], result["resident"], strict=True)
        )
        + f" (batches of {FLAT_BATCH}, shuffled).",
        *(f"Not measured: {name}. {reason}" for name, reason in result["missing"].items()),
    ]
    return "\n\n".join(lines)


def plot(result: dict[str, Any], figure: Figure) -> None:
    """Peaks by batch, where they could be measured."""
    if "rows" not in result:
        return
    figure.set_size_inches(WIDTH, 3.6)
    axes = figure.subplots()
    rows = result["rows"]
    batches = [row["batch"] for row in rows]
    for name, colour, marker in zip(result["before"], COLOURS, MARKERS, strict=False):
        axes.plot(batches, [row["peak"][name] for row in rows], color=colour, marker=marker, label=label(name))
    axes.plot(batches, [row["arrays"] for row in rows], "k--", label="ramnp's arrays")
    axes.set(xlabel="images in a batch", ylabel="MB resident at the peak", xlim=(0, None), ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)


MEMORY = Section("Memory", text, plot, measure)
