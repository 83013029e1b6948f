"""Section `gpu` of the document: what `python -m benchmarks.gpu` found, in text and drawn."""

from collections.abc import Callable, Iterator
from typing import Any

from matplotlib.figure import Figure

from benchmarks.gpu.speed import COMPILE, EAGER, GRAPH, ONE_BY_ONE, OURS, TOGETHER
from benchmarks.section import COLOURS, MARKERS, WIDTH, Section, label, table
from benchmarks.step import curve, presets_in, throughput
from ramnp.training.measure import FIGURES

NOT_RUN = (
    "Not run: no record of `python -m benchmarks.gpu --out FILE.json` on a GPU is among the files of this document."
)
CONTESTANTS = (OURS, EAGER, GRAPH, COMPILE)


def text(result: dict[str, Any]) -> str:
    """Everything that was found, part by part."""
    return "\n\n".join(paragraphs(result))


def paragraphs(result: dict[str, Any]) -> Iterator[str]:
    """The card, a table of all parts, then what each measured."""
    parts = result["parts"]
    if result["backend"] != "cupy":
        yield f"**A rehearsal on {result['backend']}: no figure here is a GPU's.**"
    if result["short"]:
        yield "The short form: it shows that all parts run, and its figures are of little."
    card = parts.get("versions", {})
    if "card" in card:
        yield (
            f"{card['card']}: {card['memory_gib']} GiB, compute capability {card['compute_capability']}, "
            f"{card['multiprocessors']} multiprocessors; driver {card.get('driver') or 'unknown'}, which knows CUDA "
            f"{card['driver_knows_cuda']}; CuPy {card['cupy']} for CUDA {card['cupy_made_for_cuda']}; {pytorch(card)}."
        )
    yield table(
        ("part", "outcome", "found", "s"),
        ((name, outcome(found), remark(found), f"{found.get('seconds', 0):.0f}") for name, found in parts.items()),
        numbers_from=3,
    )
    for name, write in WRITERS.items():
        if name in parts:
            yield from write(parts[name])


def pytorch(card: dict[str, Any]) -> str:
    """Which PyTorch took part."""
    found = card.get("torch", {})
    return f"PyTorch {found['version']} for CUDA {found['cuda']}" if "version" in found else "no PyTorch"


def outcome(found: dict[str, Any]) -> str:
    """How a part ended."""
    if found["status"] == "done" and not found.get("right", True):
        return "**wrong**"
    return found["status"] if found["status"] in ("done", "left out", "not run") else f"**{found['status']}**"


def remark(found: dict[str, Any]) -> str:
    """What a part found, or why it failed, fit for a table's cell."""
    return "; until then: ".join(filter(None, (found.get("why"), found.get("summary")))).replace("|", "\\|")


def tests(found: dict[str, Any]) -> Iterator[str]:
    yield from listed("Failed tests", found.get("failed", []))
    yield from listed("Not collected", [f"{path}: {why}" for path, why in found.get("uncollected", {}).items()])
    yield from listed("Warnings", [f"{count} x {what}" for what, count in found.get("warnings", {}).items()])


def gradcheck(found: dict[str, Any]) -> Iterator[str]:
    yield from listed("Wrong gradients", found.get("wrong", []))


def listed(head: str, lines: list[str]) -> Iterator[str]:
    """A list with a head, if there is something in it."""
    if lines:
        yield "\n".join([f"{head}:", "", *(f"- `{line}`" for line in lines)])


def agreement(found: dict[str, Any]) -> Iterator[str]:
    if "cores" in found:
        yield (
            "Training in float64, beside the same steps on NumPy. Largest differences of what the losses, the reward "
            "and the gradients' norms add up to, and of the parameters, which moved by so much."
        )
        yield table(
            ("core", "steps", "sums apart", "parameters apart", "parameters moved"),
            (
                (core, str(each["steps"]), *(f"{each[key]:.1e}" for key in
                 ("sums_apart", "parameters_apart", "parameters_moved")))
                for core, each in found["cores"].items()
            ),
        )  # fmt: skip


def training(found: dict[str, Any]) -> Iterator[str]:
    if "epochs" in found:
        last = found["epochs"][-1]
        line = f"mnist-6, {last['epoch']} epochs: {found['images_per_second']:,.0f} images/s in training (the median)"
        if "test_error" in found:
            errors = ", ".join(f"{figure} {found['test_error'][figure]:.2f}" for figure in FIGURES)
            line += f"; test errors in percent: {errors}; {found['training_s']:.0f} s with validation"
        yield line + "."
        yield table(
            ("epoch", "training error, %", "validation error, %", "images/s"),
            (
                (str(each["epoch"]), f"{100 - 100 * each['reward']:.2f}",
                 f"{each['validation_error']['averaged']:.2f}", f"{each['images_per_second']:,.0f}")
                for each in found["epochs"]
            ),
        )  # fmt: skip


def shipped(found: dict[str, Any]) -> Iterator[str]:
    rows = [row for row in found.get("rows", []) if "found" in row]
    if rows:
        yield "Test errors of the shipped weights in percent, here (on their card)."
        yield table(
            ("weights", *FIGURES, "images apart"),
            (
                (row["weights"], *(f"{row['found'][figure]:.2f} ({row['card'][figure]:.2f})" for figure in FIGURES),
                 str(row["images_apart"]))
                for row in rows
            ),
        )  # fmt: skip
    yield from listed(
        "Without their data",
        [f"{row['weights']}: {row['missing']}" for row in found.get("rows", []) if "missing" in row],
    )


def steps(found: dict[str, Any]) -> Iterator[str]:
    rows = found.get("rows", [])
    if rows:
        yield (
            f"Milliseconds a training step, median (quartiles). PyTorch is eager; {GRAPH}, the same step recorded once "
            f"and replayed; {COMPILE}, by `torch.compile`. Last columns: how many times as fast ramnp is."
        )
        names = [name for name in CONTESTANTS if any(name in row["ms"] for row in rows)]
        others = [name for name in names if name != OURS]
        yield table(
            ("preset, batch", *names, "images/s", *(f"vs {name}" for name in others)),
            (
                (f"{row['preset']}, {row['batch']}", *(cell(row, name) for name in names),
                 f"{throughput(row, OURS):,.0f}" if OURS in row["ms"] else "",
                 *(faster(row, name) for name in others))
                for row in rows
            ),
        )  # fmt: skip
        yield from missing(rows)


def cell(row: dict[str, Any], name: str) -> str:
    """A time with its quartiles, if there is one."""
    ms = row["ms"].get(name)
    return f"{ms['median']:.2f} ({ms['q1']:.2f}-{ms['q3']:.2f})" if ms else ""


def faster(row: dict[str, Any], name: str) -> str:
    """How many times as fast ramnp is."""
    ms = row["ms"]
    return f"{ms[name]['median'] / ms[OURS]['median']:.2f}" if {name, OURS} <= ms.keys() else ""


def missing(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Who could not be measured, and why."""
    lines = [f"{row['preset']}, {row['batch']}, {name}: {why}" for row in rows for name, why in row["missing"].items()]
    yield from listed("Not measured", lines)


def products(found: dict[str, Any]) -> Iterator[str]:
    rows = found.get("rows", [])
    if rows:
        yield (
            "The matrix products of a step alone, in float32, milliseconds: one by one, as ramnp calls them; by "
            "PyTorch, on a GPU as one CUDA graph, in which no time goes into launching them."
        )
        names = [name for name in (ONE_BY_ONE, TOGETHER) if any(name in row["ms"] for row in rows)]
        yield table(
            ("preset, batch", "GFLOP", *names, *(f"TFLOP/s, {name}" for name in names)),
            (
                (f"{row['preset']}, {row['batch']}", f"{row['operations'] / 1e9:.2f}",
                 *(cell(row, name) for name in names),
                 *(f"{row['operations'] / row['ms'][name]['median'] / 1e9:.2f}" if name in row["ms"] else ""
                   for name in names))
                for row in rows
            ),
        )  # fmt: skip
        yield from missing(rows)


def kernels(found: dict[str, Any]) -> Iterator[str]:
    for row in found.get("rows", []):
        time = f", {row['us'] / 1000:.3f} ms on the GPU" if row["us"] else ""
        yield f"A step of {row['preset']}, batches of {row['batch']}: {row['launches']:.0f} launches{time}."
        yield table(
            ("kernel", "launches", "us"),
            ((f"`{name[:80]}`", f"{launches:.0f}", f"{us:.1f}" if us else "") for name, launches, us in row["kernels"]),
        )


def host(found: dict[str, Any]) -> Iterator[str]:
    if found.get("rows"):
        yield (
            "Milliseconds on the host: drawing and sending the noise, enqueuing a step with its noise, a whole step, "
            "and making its batch."
        )
        yield table(
            ("preset, batch", "noise", "enqueuing", "step", "batch"),
            (
                (f"{row['preset']}, {row['batch']}", *(f"{row[key]:.2f}" for key in
                 ("noise_ms", "enqueue_ms", "step_ms", "batch_ms")))
                for row in found["rows"]
            ),
        )  # fmt: skip


def memory(found: dict[str, Any]) -> Iterator[str]:
    rows = found.get("rows", [])
    keys = [f"{OURS}: peak", f"{EAGER}: peak", "arrays"]
    if rows:
        yield (
            "MB (10^6 bytes) at the peak of a training of mnist-6, of the GPU's memory; without a GPU, of the "
            "process. Last column: parameters, gradients, optimizer and activations, by the sizes of ramnp's arrays."
        )
        yield table(
            ("images in a batch", OURS, EAGER, "ramnp's arrays"),
            ((str(row["batch"]), *(f"{row[key]:,.0f}" if row.get(key) else "" for key in keys)) for row in rows),
        )
        yield from listed(
            "Not measured",
            [f"{row['batch']}, {key}: {row[key]}" for row in rows for key in row if key.endswith("missing")],
        )
    if "out_of_memory" in found:
        out = found["out_of_memory"]
        yield (
            f"With {out['limit_mb']:,.0f} MB and batches of {out['batch']:,}, `python -m ramnp.train` ends with exit "
            f"code {out['exit_code']}, and says:\n\n    {out['said']}"
        )


WRITERS: dict[str, Callable[[dict[str, Any]], Iterator[str]]] = {
    "tests": tests,
    "gradcheck": gradcheck,
    "agreement": agreement,
    "training": training,
    "shipped": shipped,
    "steps": steps,
    "products": products,
    "kernels": kernels,
    "host": host,
    "memory": memory,
}


def plot(result: dict[str, Any], figure: Figure) -> None:
    """Images a second by batch of the preset that was measured with several."""
    rows = result["parts"].get("steps", {}).get("rows", [])
    preset = next(iter(presets_in(rows)), None)
    here = [row for row in rows if row["preset"] == preset]
    names = [name for name in CONTESTANTS if sum(name in row["ms"] for row in here) > 1]
    if not names:
        return
    figure.set_size_inches(WIDTH, 3.8)
    axes = figure.subplots()
    for name, colour, marker in zip(names, COLOURS, MARKERS, strict=False):
        measured = [row for row in here if name in row["ms"]]
        curve(axes, measured, [throughput(row, name) / 1000 for row in measured], label(name), colour, marker)
    axes.set(title=preset, xlabel="images in a batch", ylabel="thousand images/s", ylim=(0, None))
    axes.legend(fontsize=9)


GPU = Section("On a GPU", text, plot)
