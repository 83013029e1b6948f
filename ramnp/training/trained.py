"""Find a trained network by path or name, and load it with its data."""

from pathlib import Path

from ramnp import data, pretrained
from ramnp.backend import Backend, get_backend
from ramnp.data.source import Source
from ramnp.errors import CheckpointError, DataError, UsageError
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


def open_trained(path: Path, split: str, backend: Backend) -> tuple[Checkpoint, Classifier, Source]:
    """Open a trained network: the checkpoint, the model, and a split of the data that it was trained on.

    Raises:
        CheckpointError: the checkpoint is missing or damaged.
        DataError: the data are missing or damaged, or no longer have the same image shape and number of classes.
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
        raise UsageError(f"there are no {split} images: this run did not hold any out")
    return saved, model, source


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
