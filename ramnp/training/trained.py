"""Trained networks: found by a path or a name, and loaded with their data."""

from pathlib import Path

from ramnp import data, pretrained
from ramnp.backend import Backend, get_backend
from ramnp.data.source import Source
from ramnp.errors import CheckpointError, DataError, UsageError
from ramnp.network.classifier import Classifier
from ramnp.pretrained import find_pretrained
from ramnp.training import checkpoint
from ramnp.training.checkpoint import Checkpoint

TRAINED = "a run folder, a checkpoint (.npz), or the name of weights that come with the package"  # help on PATH


def find_weights(path: Path) -> Path:
    """The file to evaluate: `path` itself, the best epoch of the run folder `path`, or shipped weights of that name.

    Raises:
        CheckpointError: there is none.
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


def open_trained(path: Path, split: str, backend: Backend) -> tuple[Checkpoint, Classifier, Source]:
    """What was saved in a run folder or file, the model, and the split of its data.

    Raises:
        CheckpointError: it is missing or damaged.
        DataError: its data are, or have no longer the image shape and the classes that it was trained on.
        UsageError: the split is empty.
    """
    path = find_weights(path)
    saved = checkpoint.load(path)
    model = saved.model(backend)
    dataset = data.load(saved.config)
    if (dataset.image_shape, dataset.classes) != (saved.image_shape, saved.classes):
        raise DataError(
            f"{path} was trained on images of {saved.image_shape} in {saved.classes} classes; "
            f"{saved.config.dataset} now has {dataset.image_shape} in {dataset.classes} classes"
        )
    source = dataset.source(split, backend, model.margin)
    if not len(source):
        raise UsageError(f"this run held out no {split} images")
    return saved, model, source


def load_pretrained(name: str, backend: Backend | str = "auto") -> Classifier:
    """The trained model of a row of the tables, such as "cluttered60-8".

    Args:
        backend: where it is to live, or the name of that: "numpy", "cupy" or "auto".

    Raises:
        CheckpointError: there are no such weights; the message names those there are.
        BackendError: the backend cannot be used.
    """
    saved = checkpoint.load(find_pretrained(name))
    return saved.model(get_backend(backend) if isinstance(backend, str) else backend)
