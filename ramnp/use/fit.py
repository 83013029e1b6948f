"""Training from Python: arrays in, a trained model and its history out.

    model, history = ramnp.fit(images, labels, epochs=20, validation=1000)

It is the training of `python -m ramnp.train`, epoch by epoch (`training/run.py`), on images that are in memory.
"""

import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from ramnp.backend import Backend, get_backend, limit_threads
from ramnp.config import Config
from ramnp.data.arrays import check_images
from ramnp.data.content import digests
from ramnp.data.source import DataSet, Split, hold_out
from ramnp.errors import DivergenceError, UsageError
from ramnp.files import expand
from ramnp.presets import DEFAULT, OWN, PHOTOS, PRESETS
from ramnp.training import checkpoint
from ramnp.training.run import Run
from ramnp.training.suited import suited
from ramnp.use.model import TrainedModel, load

SEED = 0  # seeds the order into which images in memory are shuffled
Metrics: TypeAlias = dict[str, float]
OnEpoch: TypeAlias = Callable[[Metrics, TrainedModel], bool | None]


class Fitted(NamedTuple):
    """A trained model, and the metrics of each epoch."""

    model: TrainedModel
    history: list[Metrics]


def fit(
    images: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    preset: str | Config | None = None,
    epochs: int | None = None,
    validation: int | tuple[npt.ArrayLike, npt.ArrayLike] = 0,
    init: TrainedModel | str | os.PathLike[str] | None = None,
    class_names: Sequence[str] | None = None,
    on_epoch: OnEpoch | None = None,
    backend: Backend | str = "auto",
    out: str | os.PathLike[str] | None = None,
    quiet: bool = False,
    **changes: Any,
) -> Fitted:
    """Train a model on images in memory.

    Args:
        images: (n, H, W) or (n, H, W, C) with C from 1 to 4, uint8 or floats in [0, 1].
        labels: (n,) integers 0..A-1, or names of classes.
        preset: the name of a preset, or a configuration; "photos" suits itself to the images. Default: that of `init`,
            or else "mnist-6".
        epochs: how many; the learning rate decays over them. Default: the preset's.
        validation: images and labels by which the best epoch is chosen; or how many of the given ones to hold out for
            that, drawn at random but always the same. With 0, the model is that of the last epoch.
        init: a trained model to start from, or its path or name. The configuration is its own unless `preset` is given.
        class_names: what the integers stand for. Default: "0", "1", ...; for labels that are names, these, sorted.
        on_epoch: called after each epoch with its metrics and the model so far. If it returns True, training stops.
        backend: a backend, or its name: "numpy", "cupy" or "auto".
        out: a new folder that keeps config.json, metrics.jsonl and the checkpoints of the run. Default: nothing is
            kept.
        quiet: print nothing.
        changes: fields of the configuration to change, such as `glimpses=8` or `lr=3e-4`. With `workers` above 1, a
            script must train below `if __name__ == "__main__":`.

    Returns:
        The model of the best epoch, and the history: for each epoch its metrics, the numbers of metrics.jsonl by their
        path in it: "epoch", "lr", "loss/action", "reward", "validation_error/averaged", ...

    Raises:
        DataError: images or labels have another shape, type or range.
        UsageError: a field is unknown, or values do not fit together.
        CheckpointError: `init` is missing or damaged, or nothing of it fits.
        DivergenceError: a loss or gradient became infinite or NaN.
        OutputError: a file cannot be written.
    """
    start = init if isinstance(init, TrainedModel) or init is None else load(init, "numpy")
    dataset = as_data_set(images, labels, validation, class_names)
    config = chosen(preset, start, epochs, dataset, changes)
    backend = get_backend(backend) if isinstance(backend, str) else backend
    with ExitStack() as stack:
        folder = expand(out) if out else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        run = stack.enter_context(Run(config, dataset, backend, folder, quiet=quiet))
        run.start(start.checkpoint() if start else None)
        live = TrainedModel(run.trainer.model, dataset.class_names or (), 0)
        history: list[Metrics] = []

        def after(line: dict[str, Any]) -> bool:
            history.append(flat(line))
            live.epoch = run.epoch
            return bool(on_epoch and on_epoch(history[-1], live))

        stack.enter_context(limit_threads(run.trainer.threads))
        try:
            run.fit(after)
        except DivergenceError as error:
            if out is None:  # nothing is kept of it
                raise DivergenceError(str(error).partition(";")[0]) from error
            raise
        best = checkpoint.load(folder / "best.npz")
    return Fitted(TrainedModel(best.model(backend), live.class_names, best.epoch, best.data), history)


def chosen(
    preset: str | Config | None,
    start: TrainedModel | None,
    epochs: int | None,
    dataset: DataSet,
    changes: dict[str, Any],
) -> Config:
    """The configuration: that of the preset or the start, what suits images in memory, and the user's changes of it.

    Raises:
        UsageError: there is no such preset or field, or values do not fit together.
    """
    if preset is None:
        base = replace(start.config, seed=0) if start else PRESETS[DEFAULT]
    elif preset == OWN:
        base = suited(PHOTOS, dataset)
    elif isinstance(preset, Config):
        base = preset
    elif preset in PRESETS:
        base = PRESETS[preset]
    else:
        raise UsageError(f"there is no preset {preset!r}; there are: {', '.join([*PRESETS, OWN])}")
    mine: dict[str, Any] = {"dataset": "arrays", "data_path": "", "validation": len(dataset.validation), "workers": 1}
    mine["batch_size"] = min(base.batch_size, len(dataset.train))
    if epochs is not None:
        mine |= {"epochs": epochs, "decay_epochs": epochs}
    return Config.from_json(mine | changes, base)


def as_data_set(
    images: npt.ArrayLike,
    labels: npt.ArrayLike,
    validation: int | tuple[npt.ArrayLike, npt.ArrayLike],
    class_names: Sequence[str] | None,
) -> DataSet:
    """Images in memory as a data set without test images."""
    names = names_in(labels, class_names)
    train = as_split(images, labels, names, "images")
    if isinstance(validation, tuple):
        held_out = as_split(*validation, names, "validation")
        if (held_out.images.shape[1:], held_out.images.dtype) != (train.images.shape[1:], train.images.dtype):
            raise UsageError("the validation images are not of the shape and type of the others")
    else:
        train = train[np.random.default_rng(SEED).permutation(len(train))]
        train, held_out = hold_out(train, validation)
    return DataSet("arrays", len(names), train, held_out, train[:0], names)


def names_in(labels: npt.ArrayLike, class_names: Sequence[str] | None) -> tuple[str, ...]:
    """The names of the classes.

    Raises:
        UsageError: the labels are neither integers nor names, or there are less than two classes.
    """
    present = np.unique(np.asarray(labels))
    if present.dtype.kind not in "uiU":
        raise UsageError(f"labels must be integers or names, got {present.dtype}")
    if class_names is not None:
        names = tuple(class_names)
    else:
        names = tuple(map(str, range(int(present.max(initial=0)) + 1) if present.dtype.kind in "ui" else present))
    if len(names) < 2:
        raise UsageError(f"there must be at least two classes, got {', '.join(names) or 'none'}")
    return names


def as_split(images: npt.ArrayLike, labels: npt.ArrayLike, names: tuple[str, ...], what: str) -> Split:
    """Images and labels, checked, the labels as integers.

    Raises:
        DataError: the images have another shape, type or range.
        UsageError: the labels are not one for each image, or not among the classes.
    """
    pixels, given = check_images(np.asarray(images), what), np.asarray(labels)
    if given.shape != pixels.shape[:1]:
        raise UsageError(f"labels must be one for each of {len(pixels)} {what}, got shape {given.shape}")
    if given.dtype.kind not in "ui":
        numbers = {name: number for number, name in enumerate(names)}
        if unknown := sorted({str(label) for label in given} - set(numbers)):
            raise UsageError(f"label {unknown[0]!r} is not among the classes {', '.join(names)}")
        given = np.array([numbers[str(label)] for label in given], dtype=np.int64)
    if len(given) and not (given.min() >= 0 and given.max() < len(names)):
        raise UsageError(f"labels must be from 0 to {len(names) - 1}, got {given.min()} to {given.max()}")
    return Split(pixels, given.astype(np.int64), digests(pixels))


def flat(line: dict[str, Any]) -> Metrics:
    """The numbers of a line of metrics.jsonl by their path in it: {"loss": {"action": 1.0}} gives "loss/action"."""
    found: Metrics = {}
    for name, value in line.items():
        if isinstance(value, dict):
            found |= {f"{name}/{below}": number for below, number in flat(value).items()}
        elif value is not None:
            found[name] = value
    return found
