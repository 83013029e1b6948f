"""The learning curves of a run."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ramnp.pictures.axes import STYLE, count_along, save_figure, scale_log


def plot_curves(epochs: list[dict[str, Any]], path: Path) -> None:
    """Plot the losses, the errors and the gradient norms over the epochs of a run (the lines of `metrics.jsonl`)."""
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    losses, errors, norms = figure.subplots(1, 3)
    x = [line["epoch"] for line in epochs]
    for term in epochs[0]["loss"]:
        losses.plot(x, [line["loss"][term] for line in epochs], label=term, **STYLE)
    losses.set(xlabel="epoch", ylabel="loss", title="training loss by term")
    errors.plot(x, [100 * (1 - line["reward"]) for line in epochs], label="training, stochastic", **STYLE)
    for kind in ("deterministic", "averaged"):
        if epochs[0]["validation_error"]:
            errors.plot(x, [line["validation_error"][kind] for line in epochs], label=f"validation, {kind}", **STYLE)
    errors.set(xlabel="epoch", ylabel="error (%)", title="error")
    for part in epochs[0]["gradient_norm"]:
        norms.plot(x, [line["gradient_norm"][part] for line in epochs], label=part, **STYLE)
    norms.set(xlabel="epoch", ylabel="mean norm over steps", title="gradients by part")
    for axes in (errors, norms):
        scale_log(axes)
    for axes in (losses, errors, norms):
        count_along(axes)
        axes.grid(alpha=0.3, which="both")
        axes.legend(fontsize=8)
    save_figure(figure, path)
