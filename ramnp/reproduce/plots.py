"""Plots of all results: error by number of glimpses, by task, and within rollouts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from ramnp.analysis.plots import LOOKS
from ramnp.pictures.axes import STYLE, count_along, save_figure, scale_log
from ramnp.presets import PRESETS, ROWS
from ramnp.reproduce.results import Results, learned, middle, tasks

CAPTIONS = {
    "glimpses": "Test error against the number of glimpses of a rollout; bars: the smallest and the largest of the "
    "seeds, where there are several.",
    "clutter": "Recurrent attention (averaged over ten rollouts) against networks that see the whole image once, as "
    "clutter and size grow. Dashed: the paper's version B. These networks have the paper's sizes, and where images are "
    "generated they see more of them in training than RAM.",
    "by_glimpse": "What the same network would answer after fewer glimpses (averaged over rollouts). Dashed: its "
    "locations at random. On MNIST no answer but the last was trained.",
}
TASKS = ("MNIST", "translated 60x60", "cluttered 60x60, 4 pieces", "cluttered 100x100, 8 pieces")
PUBLISHED = {
    "paper_a": ("paper A", "s", "tab:blue"),
    "paper_b": ("paper B", "D", "tab:cyan"),
    "tensorflow": ("TensorFlow", "^", "tab:orange"),
    "best": ("best known", "*", "black"),
}


def of_tasks() -> dict[str, list[str]]:
    """The rows of `TASKS`."""
    return {task: names for task, names in tasks() if task in TASKS}


def errors_of(results: list[dict[str, Any]]) -> tuple[float, float, float]:
    """Median, and how far the smallest and the largest averaged error lie from it."""
    errors = [result["test_error"]["averaged"] for result in results]
    at = middle(results, "averaged")
    return at, at - min(errors), max(errors) - at


def plot_by_glimpses(counted: Results, path: Path) -> Path | None:
    """Write the error against the number of glimpses, a panel a task; None where there is no result."""
    figure = Figure(figsize=(14, 3.8), layout="constrained")
    drawn = False
    for axes, (task, names) in zip(figure.subplots(1, len(TASKS)), of_tasks().items(), strict=True):
        rows = learned(names)
        for field, (label, marker, color) in PUBLISHED.items():
            points = [(PRESETS[name].glimpses, getattr(ROWS[name], field)) for name in rows]
            points = [point for point in points if point[1] is not None]
            if points:
                axes.plot(*zip(*points, strict=True), marker, ls=":", lw=0.8, markersize=5, label=label, color=color)
        rows = [name for name in rows if name in counted]
        if rows:
            drawn = True
            at, below, above = zip(*(errors_of(counted[name]) for name in rows), strict=True)
            axes.errorbar(
                [PRESETS[name].glimpses for name in rows], at, yerr=(below, above),
                color=LOOKS["policy"], marker="o", capsize=3, label="ramnp, averaged over ten rollouts",
            )  # fmt: skip
            axes.plot(
                [PRESETS[name].glimpses for name in rows], [middle(counted[name], "deterministic") for name in rows],
                color=LOOKS["policy"], marker="o", mfc="none", markersize=4, lw=0.9, ls="--",
                label="ramnp, one deterministic rollout",
            )  # fmt: skip
        axes.set(xlabel="glimpses", ylabel="test error (%)", title=task)
        scale_log(axes)
        axes.grid(alpha=0.3)
        count_along(axes)
    kinds = {label: line for axes in figure.axes for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(kinds.values(), kinds.keys(), fontsize=8, loc="outside lower center", ncols=len(kinds))
    return saved(figure, path) if drawn else None


def plot_by_task(counted: Results, path: Path) -> Path | None:
    """Write the errors of all kinds of models from task to task; None where there is no result."""
    kinds: dict[tuple[str, str], Callable[[list[str]], str | None]] = {
        ("recurrent attention, most glimpses", "tab:red"): lambda names: learned(names)[-1],
        ("its control: random locations", "tab:gray"): lambda names: first(names, policy="random"),
        ("fully connected, 2 x 64", "tab:cyan"): lambda names: first(names, model="fc", fc_units=64),
        ("fully connected, 2 x 256", "tab:blue"): lambda names: first(names, model="fc", fc_units=256),
        ("convolutional, 2 layers", "tab:green"): lambda names: first(names, model="cnn"),
    }
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axes, drawn = figure.subplots(), False
    for (label, color), choose in kinds.items():
        rows = {x: name for x, names in enumerate(of_tasks().values()) if (name := choose(names))}
        published = {x: ROWS[name].paper_b for x, name in rows.items() if ROWS[name].paper_b is not None}
        axes.plot(published.keys(), published.values(), "s", ls="--", lw=0.9, markersize=4, mfc="none", color=color)
        drawn |= any(name in counted for name in rows.values())
        # A row without a result leaves a gap.
        ours = [errors_of(counted[name]) if name in counted else (np.nan,) * 3 for name in rows.values()]
        at, below, above = zip(*ours, strict=True)
        axes.errorbar(rows.keys(), at, yerr=(below, above), color=color, marker="o", capsize=3, label=label)
    axes.plot([], [], "s", ls="--", lw=0.9, markersize=4, mfc="none", color="black", label="paper B")
    axes.set_xticks(range(len(TASKS)), [task.replace(", ", "\n") for task in TASKS], fontsize=8)
    axes.set(ylabel="averaged test error (%)")
    scale_log(axes)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, loc="upper left")
    return saved(figure, path) if drawn else None


def first(names: list[str], **fields: Any) -> str | None:
    """The first row whose preset has these fields."""
    return next((name for name in names if fields.items() <= PRESETS[name].to_json().items()), None)


def plot_within_rollouts(counted: Results, path: Path) -> Path | None:
    """Write the error from each state of the same rollouts, a panel a task; None where there is no result."""
    figure = Figure(figsize=(14, 3.8), layout="constrained")
    drawn = False
    for axes, (task, names) in zip(figure.subplots(1, len(TASKS)), of_tasks().items(), strict=True):
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
    return saved(figure, path) if drawn else None


def saved(figure: Figure, path: Path) -> Path:
    """Write a figure; return its path."""
    save_figure(figure, path)
    return path
