"""What a section of the benchmarks is: something measured, told in text and drawn."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from benchmarks.task import Task
from benchmarks.timing import Plan
from ramnp.config import Config
from ramnp.presets import PRESETS
from ramnp.training.workers import default_workers

# Okabe & Ito's colours, which differ for colour-blind eyes, too.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
MARKERS = "osD^vPX*"
WIDTH = 8  # inches, at 100 dots each: a page's width


class Options(NamedTuple):
    """What the command was asked for.

    Attributes:
        backend: "numpy" or "cupy".
        quick: measure little: to see that all works, not to quote.
        plan: how often and how long times are taken.
        say: tells what is under way.
    """

    backend: str
    quick: bool
    plan: Plan
    say: Callable[[str], None]


class Section(NamedTuple):
    """A section.

    Attributes:
        title: its heading.
        text: from what was measured, as it stands in the JSON file, to Markdown.
        plot: draws it on an empty figure; None: there is nothing to draw.
        measure: from the options to what was measured; None: a command of its own does that.
    """

    title: str
    text: Callable[[dict[str, Any]], str]
    plot: Callable[[dict[str, Any], Figure], None] | None = None
    measure: Callable[[Options], dict[str, Any]] | None = None


def preset_task(name: str, backend: str, **changes: Any) -> Task:
    """The task of a preset, with what is changed of it."""
    config = replace(PRESETS[name], **changes)
    return task_of(config, 28 if config.dataset == "mnist" else config.size, backend)


def task_of(config: Config, side: int, backend: str) -> Task:
    """The task of a configuration, with as many workers as a training takes."""
    return Task(replace(config, workers=default_workers(config)), side, backend)


def one_worker(task: Task) -> Task:
    """The task, with one worker."""
    return replace(task, config=replace(task.config, workers=1))


def label(name: str) -> str:
    """A contestant's name where no heading says that it is PyTorch's."""
    return name if name.startswith(("ramnp", "PyTorch")) else f"PyTorch, {name}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], numbers_from: int = 1) -> str:
    """A Markdown table that can be read as it is, numbers, which begin with that column, to the right."""
    lines = [list(header), *map(list, rows)]
    widths = [max(3, *map(len, column)) for column in zip(*lines, strict=True)]
    rule = [("-" * width)[:-1] + (":" if place >= numbers_from else "-") for place, width in enumerate(widths)]
    cells = [
        [
            c.rjust(w) if place >= numbers_from else c.ljust(w)
            for place, (c, w) in enumerate(zip(line, widths, strict=True))
        ]
        for line in lines
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in (cells[0], rule, *cells[1:]))
