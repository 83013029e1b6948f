"""Find a trained network by path or name, and load it with its data."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

from ramnp import data, pretrained
from ramnp.backend import Backend, get_backend
from ramnp.config import Config
from ramnp.data.content import changes, relabelled, remembered
from ramnp.data.prepare import channels_of
from ramnp.data.source import DataSet, Source
from ramnp.data.task import OwnTask
from ramnp.errors import CheckpointError, DataError, UsageError, some
from ramnp.files import expand
from ramnp.network.classifier import Classifier
from ramnp.pretrained import find_pretrained
from ramnp.training import checkpoint
from ramnp.training.checkpoint import Checkpoint

# The help text of a command's PATH.
TRAINED = "a run folder, a checkpoint (.npz), or the name of weights that come with the package, such as mnist-6"


def find_weights(path: Path) -> Path:
    """The checkpoint that `path` stands for: the file itself, the best epoch of a run folder, or shipped weights.

    Raises:
        CheckpointError: there is no such checkpoint.
    """
    if not path.exists():
        try:
            return pretrained.find_pretrained(str(path))
        except CheckpointError as error:
            raise CheckpointError(f"there is no checkpoint {path}, and {error}") from error
    if not path.is_dir():
        return path
    for name in ("best.npz", "checkpoint.npz"):
        if (path / name).exists():
            return path / name
    raise CheckpointError(f"{path} holds neither best.npz nor checkpoint.npz")


def is_own(config: Config) -> bool:
    """Whether the images are the user's own, at --data-path."""
    return isinstance(data.find_task(config.dataset), OwnTask)


def moved(config: Config, data_path: Path | str) -> Config:
    """The configuration, for the user's own images at another place.

    Raises:
        UsageError: it is not about the user's own images.
    """
    if not is_own(config):
        raise UsageError(f"--data-path is for your own images, and this network was trained on {config.dataset}")
    return dataclasses.replace(config, data_path=os.path.realpath(expand(data_path)))


def recognized(saved: Checkpoint, allow_changed: bool = False, say: Callable[[str], object] = str) -> DataSet:
    """Load the data that a network was trained on, and compare them with what its checkpoint says of them.

    Args:
        allow_changed: accept data that have changed. An image that the run trained on stays a training image.
        say: called with each note for people.

    Raises:
        DataError: the data are missing or damaged, or are not those of the checkpoint.
    """
    config, path = saved.config, saved.path or "the network"
    own = is_own(config)
    dataset = data.load(channels_of(config, saved.image_shape[2]) if config.dataset == "folder" else config)
    where, advice = (config.data_path if own else config.dataset), "restore them, or add --allow-changed-data"
    if dataset.class_names and saved.class_names and dataset.class_names != saved.class_names:
        now, then = set(dataset.class_names), set(saved.class_names)
        if new := sorted(now - then):
            raise DataError(
                f"{where} has classes that {path} does not know, {some(new)}; it knows {some(sorted(then))}: "
                "give the classes their old names, or leave them out"
            )
        if not allow_changed:
            raise DataError(
                f"{path} was started with different data: {where} lacks {some(sorted(then - now))}: {advice}"
            )
        dataset = relabelled(dataset, saved.class_names)
    fewer = allow_changed and dataset.classes < saved.classes
    if dataset.image_shape != saved.image_shape or (dataset.classes != saved.classes and not fewer):
        raise DataError(
            f"{path} was trained on images of {saved.image_shape} in {saved.classes} classes; "
            f"{where} now has {dataset.image_shape} in {dataset.classes} classes"
        )
    dataset = dataclasses.replace(dataset, classes=saved.classes)
    if saved.data is None:
        if own:
            say(f"{path} does not say on which images it was trained: some of those in {where} may be among them")
        return dataset
    dataset = remembered(dataset, saved.data)
    if dataset.sha256() != saved.data.sha256:
        how = changes(dataset, saved.data)
        if not allow_changed:
            raise DataError(f"{path} was started with different data than {where} holds now{how}: {advice}")
        for note in dataset.notes:
            say(note)
        say(f"{where} has changed since the training{how}; images that were trained on stay training images")
    return dataset


def open_trained(
    path: Path,
    split: str,
    backend: Backend,
    glimpses: int | None = None,
    size: int | None = None,
    data_path: Path | None = None,
    allow_changed: bool = False,
    say: Callable[[str], object] = str,
) -> tuple[Checkpoint, Classifier, Source]:
    """Open a trained network: the checkpoint, the model, and a split of the data that it was trained on.

    Args:
        glimpses, size: number of glimpses and side of composed images, if not those that it was trained with.
        data_path: where its images are now, if they are the user's own and were moved.
        allow_changed, say: see `recognized`.

    Raises:
        CheckpointError: the checkpoint is missing or damaged.
        DataError: the data are missing or damaged, or are not those of the checkpoint.
        UsageError: the split is empty; or the model has no glimpses, or its images no size, to change.
    """
    path = find_weights(path)
    saved = checkpoint.load(path)
    if data_path:
        saved = dataclasses.replace(saved, config=moved(saved.config, data_path))
    adapted = saved.adapted(glimpses, size) if glimpses or size else saved
    dataset = recognized(saved, allow_changed, say)
    if size and not dataset.scene:
        raise UsageError(f"--size {size}: the images of {saved.config.dataset} are not composed, and have one size")
    if size:
        dataset = data.load(adapted.config)
    saved, model = adapted, adapted.model(backend)
    source = dataset.source(split, backend, model.margin)
    if not len(source):
        raise UsageError(f"there are no {split} images: this run did not hold any out")
    return saved, model, source


def names_of(saved: Checkpoint) -> tuple[str, ...]:
    """The names of the classes of a checkpoint: those it holds, or those of its data set, or else numbers."""
    known = saved.class_names or data.find_task(saved.config.dataset).class_names
    return known if known and len(known) == saved.classes else tuple(map(str, range(saved.classes)))


def transfer(saved: Checkpoint, model: Classifier, class_names: tuple[str, ...]) -> list[str]:
    """Copy all weights of a checkpoint that fit a new model into it. Return the names of the others, which stay new.

    Weights fit if name and shape are the same; the last layer, `action`, only if the classes are the same, too.

    Raises:
        UsageError: nothing below the last layer fits.
    """
    same_classes = names_of(saved) == class_names
    fitting = {
        name: value
        for name, value in saved.parameters.items()
        if name in model.parameters
        and value.shape == model.parameters[name].shape
        and (same_classes or not name.startswith("action."))
    }
    if all(name.startswith("action.") for name in fitting):
        raise UsageError(f"no weights of {saved.path or 'the given model'} fit this network")
    for name, value in fitting.items():
        model.parameters[name][...] = model.backend.asarray(value.astype(model.dtype))
    return [name for name in model.parameters if name not in fitting]


def load_pretrained(name: str, backend: Backend | str = "auto") -> Classifier:
    """Load a trained model that comes with the package, by the name of its row in the tables, such as "cluttered60-8".

    Args:
        backend: a backend, or its name: "numpy", "cupy" or "auto".

    Raises:
        CheckpointError: there are no weights of that name; the message lists the names.
        BackendError: the backend cannot be used.
    """
    saved = checkpoint.load(find_pretrained(name))
    return saved.model(get_backend(backend) if isinstance(backend, str) else backend)
