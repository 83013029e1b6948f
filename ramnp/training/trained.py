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


def open_trained(
    path: Path, split: str, backend: Backend, glimpses: int | None = None, size: int | None = None
) -> tuple[Checkpoint, Classifier, Source]:
    """Open a trained network: the checkpoint, the model, and a split of the data that it was trained on.

    Args:
        glimpses, size: number of glimpses and side of composed images, if not those that it was trained with.

    Raises:
        CheckpointError: the checkpoint is missing or damaged.
        DataError: the data are missing or damaged, or no longer have the same image shape and number of classes.
        UsageError: the split is empty; or the model has no glimpses, or its images no size, to change.
    """
    path = find_weights(path)
    saved = checkpoint.load(path)
    if glimpses or size:
        saved = saved.adapted(glimpses, size)
    model = saved.model(backend)
    dataset = data.load(saved.config)
    if size and not dataset.scene:
        raise UsageError(f"--size {size}: the images of {saved.config.dataset} are not composed, and have one size")
    if (dataset.image_shape, dataset.classes) != (saved.image_shape, saved.classes):
        raise DataError(
            f"{path} was trained on images of {saved.image_shape} in {saved.classes} classes; "
            f"{saved.config.dataset} now has {dataset.image_shape} in {dataset.classes} classes"
        )
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
