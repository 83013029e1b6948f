"""The equations. `build` makes the model that a configuration names; `docs/extending.md` says how to add yours."""

from ramnp.backend import NUMPY, Backend
from ramnp.config import Config
from ramnp.network.classifier import Classifier
from ramnp.registry import get


def build(
    config: Config, image_shape: tuple[int, int, int], classes: int, backend: Backend = NUMPY, seed: int = 0
) -> Classifier:
    """The model that `config.model` names, with new weights.

    Raises:
        UsageError: it cannot be built for such images.
        ValueError: a part of the configuration is not registered.
    """
    return get("model", config.model)(config, image_shape, classes, backend, seed)
