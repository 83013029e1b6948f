"""What was measured, as text, as plots, and as the document `docs/performance.md`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks import targets
from benchmarks.gpu.section import GPU, NOT_RUN
from benchmarks.memory import MEMORY
from benchmarks.optimizers import OPTIMIZERS
from benchmarks.predict import PREDICT
from benchmarks.record import origin
from benchmarks.scaling import SCALING
from benchmarks.section import Section
from benchmarks.shares import SHARES
from benchmarks.step import FLOOR, STEP
from benchmarks.time_to_accuracy import ACCURACY
from ramnp.errors import UsageError
from ramnp.files import read_json, write_atomically
from ramnp.pictures.axes import save_figure

SECTIONS: dict[str, Section] = {
    "step": STEP,
    "floor": FLOOR,
    "shares": SHARES,
    "optimizers": OPTIMIZERS,
    "scaling": SCALING,
    "memory": MEMORY,
    "predict": PREDICT,
    "accuracy": ACCURACY,
    "gpu": GPU,
}
DOCUMENT = Path("docs/performance.md")
HEAD = """\
# Performance

Written by `{command}`. How each figure is measured is said in
[benchmarks/README.md](../benchmarks/README.md); it was measured by

{origins}
"""


def texts(found: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(name, title, Markdown) of the sections of a record, in order."""
    for name, section in SECTIONS.items():
        if name in found["sections"]:
            yield name, section.title, section.text(found["sections"][name])


def write_plots(found: dict[str, Any], folder: Path) -> list[str]:
    """Write a PNG for every section of a record that has something to draw; return their names.

    Raises:
        OutputError: that failed.
    """
    drawn = []
    for name, section in SECTIONS.items():
        if section.plot and name in found["sections"]:
            figure = Figure(layout="constrained", dpi=100)
            section.plot(found["sections"][name], figure)
            if figure.axes:  # something was measured
                save_figure(figure, folder / f"{name}.png")
                drawn.append(name)
    return drawn


def write_document(paths: list[Path], document: Path = DOCUMENT) -> None:
    """Render records into a document, with their plots in a folder beside it.

    Raises:
        UsageError: a file is no record, or two hold the same section.
        OutputError: something cannot be written.
    """
    records = read_records(paths)
    command = " ".join(["python -m benchmarks --report", *(path.as_posix() for path in paths)])
    if document != DOCUMENT:
        command += f" --document {document.as_posix()}"
    parts = [HEAD.format(command=command, origins="\n".join(f"- {origin(found)}" for found in records))]
    on_cpu = {
        name: each
        for found in records
        if found["backend"] == "numpy"
        for name, each in found["sections"].items()
        if name in targets.BY_SECTION
    }
    if on_cpu:
        parts.append(f"## Targets\n\n{targets.text(on_cpu)}\n")
    for found in records:
        drawn = write_plots(found, document.parent / document.stem)
        for name, title, text in texts(found):
            picture = f"\n![{title}]({document.stem}/{name}.png)\n" if name in drawn else ""
            parts.append(f"## {title}\n\n{text}\n{picture}")
    if document.name == DOCUMENT.name and not any("gpu" in found["sections"] for found in records):
        parts.append(f"## {GPU.title}\n\n{NOT_RUN}\n")
    write_atomically(document, lambda file: file.write("\n".join(parts).encode()))


def read_records(paths: list[Path]) -> list[dict[str, Any]]:
    """The records in files.

    Raises:
        UsageError: a file holds none, or two hold the same section.
    """
    records, where = [], {}
    for path in paths:
        found = read_json(path)
        if not isinstance(found.get("sections"), dict) or not set(found["sections"]) <= set(SECTIONS):
            raise UsageError(f"{path} was not written by `python -m benchmarks --json`")
        for name in found["sections"]:
            if name in where:
                raise UsageError(f"{where[name]} and {path} both hold the section '{name}': leave one of them out")
            where[name] = path
        records.append(found)
    return records
