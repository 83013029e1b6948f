"""Pictures of images: contact sheets, answers, and where the network looked."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ramnp.data.source import Source
from ramnp.network.classifier import Classifier
from ramnp.network.look import looks
from ramnp.network.model import RecurrentAttentionModel
from ramnp.pictures.axes import save_figure, show
from ramnp.pictures.looks import plot_looks


def plot_images(model: Classifier, source: Source, folder: Path, names: Sequence[str] | None = None) -> Path:
    """Write glimpses.png, or answers.png for a model that sees the whole image. Return the path.

    Args:
        names: names of the classes; None for digits.
    """
    if isinstance(model, RecurrentAttentionModel):
        path = folder / "glimpses.png"
        plot_glimpses(model, source, path, names)
    else:
        path = folder / "answers.png"
        plot_answers(model, source, path, names)
    return path


def plot_answers(
    model: Classifier, source: Source, path: Path, names: Sequence[str] | None = None, images: int = 24
) -> None:
    """Plot the first `images` images of a source, each under the model's answer."""
    canvas, labels, *_ = next(source.batches(images))
    outcome = model.forward(canvas, model.draw(np.random.default_rng(0), len(labels)))
    host = model.backend.to_host
    pixels, labels, log_p = host(canvas.images), host(labels), host(outcome.log_p)
    plot_sheet(pixels, [_describe_answer(*answer, names) for answer in zip(log_p, labels, strict=True)], path)


def plot_sheet(pixels: np.ndarray, titles: list[str], path: Path) -> None:
    """Plot a contact sheet of images (n, H, W, C), each under its title."""
    columns = min(len(titles), 8)
    rows = -(-len(titles) // columns)  # rounded up
    figure = Figure(figsize=(1.6 * columns, 1.85 * rows), layout="constrained")
    for cell, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        if cell >= len(titles):
            axes.set_visible(False)
            continue
        show(axes, pixels[cell])
        axes.set_title(titles[cell], fontsize=6, pad=3, parse_math=False)
    save_figure(figure, path)


def plot_glimpses(
    model: RecurrentAttentionModel,
    source: Source,
    path: Path,
    names: Sequence[str] | None = None,
    images: int = 8,
    seed: int = 0,
) -> None:
    """Plot where the model looked in the first `images` images of a source, and what the sensor saw there.

    The rollouts are deterministic: each location is the mean of the policy. The locations that the policy does not
    choose (the first one, unless it is learned, and all of a control) are drawn with `seed`, or lie at the centre.
    """
    canvas, labels, *_ = next(source.batches(images))
    rollout = model.forward(canvas, model.draw(np.random.default_rng(seed), len(labels), deterministic=True))
    host = model.backend.to_host
    labels, log_p = host(labels), host(rollout.log_p)
    found = looks(model, host(canvas.images), rollout, tuple(names or ()))
    plot_looks(found, [_describe_answer(*answer, names) for answer in zip(log_p, labels, strict=True)], path)


def _describe_answer(log_p: np.ndarray, label: int, names: Sequence[str] | None) -> str:
    """The answer, its probability, and whether it is right."""
    answer = int(log_p.argmax())
    answer_name, label_name = (names[each] if names else each for each in (answer, label))
    verdict = "right" if answer == label else f"wrong: it is {label_name}"
    return f"says {answer_name} ({100 * np.exp(log_p[answer]):.0f}%), {verdict}"
