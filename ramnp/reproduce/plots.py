"""Plots of all results: error by number of glimpses, by task, and by glimpse within a rollout."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ramnp.analysis.plots import COLORS
from ramnp.pictures.axes import STYLE, count_along, save_figure, scale_log
from ramnp.presets import PRESETS, ROWS
from ramnp.reproduce.results import Curves, Results, learned, median_over_seeds, tasks

CAPTIONS = {
    "curves": "Test error by number of glimpses. These networks differ in nothing else, and are trained more briefly "
    "than the rows above. `python -m ramnp.reproduce --glimpses 1-8` trains them.",
    "glimpses": "Test error by number of glimpses per rollout. Bars span the smallest and the largest of several "
    "seeds.",
    "clutter": "Recurrent attention (averaged over ten rollouts) and networks that see the whole image at once, as "
    "images become larger and more cluttered. Dashed: version B of the paper. The compared networks have the paper's "
    "sizes. On generated images they train longer than RAM, on more images.",
    "by_glimpse": "Error if the same network answers after fewer glimpses (averaged over rollouts). Dashed: with "
    "random locations. On MNIST only the last answer was trained.",
}
TASKS = ("MNIST", "translated 60x60", "cluttered 60x60, 4 pieces", "cluttered 100x100, 8 pieces")
PUBLISHED = {
    "paper_a": ("paper A", "s", "tab:blue"),
    "paper_b": ("paper B", "D", "tab:cyan"),
    "tensorflow": ("TensorFlow", "^", "tab:orange"),
    "best": ("best known", "*", "black"),
}
# How our two figures are drawn.
AVERAGED: dict[str, Any] = {"color": COLORS["policy"], "marker": "o", "label": "ramnp, averaged over ten rollouts"}
ONE: dict[str, Any] = {
    "color": COLORS["policy"],
    "marker": "o",
    "label": "ramnp, one deterministic rollout",
    "mfc": "none",
    "markersize": 4,
    "lw": 0.9,
    "ls": "--",
}


def rows_by_task() -> dict[str, list[str]]:
    """The rows of each task in `TASKS`."""
    return {task: names for task, names in tasks() if task in TASKS}


def error_bar(results: list[dict[str, Any]]) -> tuple[float, float, float]:
    """The median averaged error, and the distances from it to the smallest and to the largest."""
    errors = [result["test_error"]["averaged"] for result in results]
    at = median_over_seeds(results, "averaged")
    return at, at - min(errors), max(errors) - at


def plot_published(axes: Axes, names: list[str], fields: Iterable[str]) -> None:
    """Plot the published errors of the rows of a task by number of glimpses: `fields` of `Row`."""
    for field in fields:
        label, marker, color = PUBLISHED[field]
        errors = {PRESETS[name].glimpses: getattr(ROWS[name], field) for name in learned(names)}
        points = [(glimpses, error) for glimpses, error in errors.items() if error is not None]
        if points:
            axes.plot(*zip(*points, strict=True), marker, ls=":", lw=0.8, markersize=5, label=label, color=color)


def label_glimpses(axes: Axes, title: str) -> None:
    """Label the axes of errors by number of glimpses."""
    axes.set(xlabel="glimpses", ylabel="test error (%)", title=title)
    scale_log(axes)
    axes.grid(alpha=0.3)
    count_along(axes)


def add_legend(figure: Figure) -> None:
    """One legend for all panels, below them."""
    kinds = {label: line for axes in figure.axes for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(kinds.values(), kinds.keys(), fontsize=8, loc="outside lower center", ncols=len(kinds))


def plot_by_glimpses(counted: Results, path: Path) -> Path | None:
    """Plot the error by number of glimpses, one panel per task; return the path, or None if there is no result."""
    figure = Figure(figsize=(14, 3.8), layout="constrained")
    drawn = False
    for axes, (task, names) in zip(figure.subplots(1, len(TASKS)), rows_by_task().items(), strict=True):
        plot_published(axes, names, PUBLISHED)
        rows = [name for name in learned(names) if name in counted]
        if rows:
            drawn = True
            at, below, above = zip(*(error_bar(counted[name]) for name in rows), strict=True)
            glimpses = [PRESETS[name].glimpses for name in rows]
            deterministic = [median_over_seeds(counted[name], "deterministic") for name in rows]
            axes.errorbar(glimpses, at, yerr=(below, above), capsize=3, **AVERAGED)
            axes.plot(glimpses, deterministic, **ONE)
        label_glimpses(axes, task)
    add_legend(figure)
    return save(figure, path) if drawn else None


def plot_curves(curves: Curves, path: Path) -> Path | None:
    """Plot the error by number of glimpses of networks that were trained equally long, one panel per row."""
    if not curves:
        return None
    figure = Figure(figsize=(1 + 4.5 * len(curves), 3.8), layout="constrained")
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    for axes, ((name, epochs), points) in zip(panels, curves.items(), strict=True):
        task = ROWS[name].task
        plot_published(axes, dict(tasks())[task], ("paper_a", "paper_b"))
        for kind, style in (("averaged", AVERAGED), ("deterministic", ONE)):
            axes.plot(sorted(points), [median_over_seeds(points[T], kind) for T in sorted(points)], **style)
        label_glimpses(axes, f"{task}, {epochs} epochs")
    add_legend(figure)
    return save(figure, path)


def plot_by_task(counted: Results, path: Path) -> Path | None:
    """Plot the error of each kind of model by task; return the path, or None if there is no result."""
    kinds: dict[tuple[str, str], Callable[[list[str]], str | None]] = {
        ("recurrent attention, most glimpses", "tab:red"): lambda names: learned(names)[-1],
        ("its control: random locations", "tab:gray"): lambda names: find_row(names, policy="random"),
        ("fully connected, 2 x 64", "tab:cyan"): lambda names: find_row(names, model="fc", fc_units=64),
        ("fully connected, 2 x 256", "tab:blue"): lambda names: find_row(names, model="fc", fc_units=256),
        ("convolutional, 2 layers", "tab:green"): lambda names: find_row(names, model="cnn"),
    }
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axes, drawn = figure.subplots(), False
    for (label, color), choose in kinds.items():
        rows = {x: name for x, names in enumerate(rows_by_task().values()) if (name := choose(names))}
        published = [(x, error) for x, name in rows.items() if (error := ROWS[name].paper_b) is not None]
        axes.plot(*np.reshape(published, (-1, 2)).T, "s", ls="--", lw=0.9, markersize=4, mfc="none", color=color)
        drawn |= any(name in counted for name in rows.values())
        # A row without a result leaves a gap.
        ours = [error_bar(counted[name]) if name in counted else (np.nan,) * 3 for name in rows.values()]
        at, below, above = zip(*ours, strict=True)
        axes.errorbar(list(rows), at, yerr=(below, above), color=color, marker="o", capsize=3, label=label)
    axes.plot([], [], "s", ls="--", lw=0.9, markersize=4, mfc="none", color="black", label="paper B")
    axes.set_xticks(range(len(TASKS)), [task.replace(", ", "\n") for task in TASKS], fontsize=8)
    axes.set(ylabel="averaged test error (%)")
    scale_log(axes)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, loc="upper left")
    return save(figure, path) if drawn else None


def find_row(names: list[str], **fields: Any) -> str | None:
    """The first of the rows `names` whose preset has these fields; None if there is none."""
    return next((name for name in names if fields.items() <= PRESETS[name].to_json().items()), None)


def plot_within_rollouts(counted: Results, path: Path) -> Path | None:
    """Plot the error after each glimpse of the same rollouts, one panel per task; None if there is no result."""
    figure = Figure(figsize=(14, 3.8), layout="constrained")
    drawn = False
    for axes, (task, names) in zip(figure.subplots(1, len(TASKS)), rows_by_task().items(), strict=True):
        rows = learned(names)
        for color, name in zip(colormaps["plasma"](np.linspace(0.8, 0, len(rows))), rows, strict=True):
            if name not in counted:
                continue
            drawn = True
            for chooser, style in (("policy", {"label": f"T = {PRESETS[name].glimpses}"}), ("random", {"ls": "--"})):
                errors = [result["analysis"]["errors"][chooser]["averaged"] for result in counted[name]]
                by_glimpse = np.median(errors, axis=0)
                axes.plot(range(1, len(by_glimpse) + 1), by_glimpse, color=color, lw=1.2, **STYLE, **style)
        axes.set(xlabel="glimpses taken", ylabel="averaged test error (%)", title=task)
        scale_log(axes)
        axes.grid(alpha=0.3)
        count_along(axes)
        if axes.has_data():
            axes.legend(fontsize=7)
    return save(figure, path) if drawn else None


def save(figure: Figure, path: Path) -> Path:
    """Write a figure, and return its path."""
    save_figure(figure, path)
    return path
