"""The models by name. A new one is a `Classifier`, and a line here."""

from ramnp.backend import NUMPY, Backend
from ramnp.config import Config
from ramnp.network.classifier import Classifier
from ramnp.network.model import RecurrentAttentionModel
from ramnp.network.whole_image import Convolutional, FullyConnected

MODELS: dict[str, type[Classifier]] = {
    "ram": RecurrentAttentionModel,
    "fc": FullyConnected,
    "cnn": Convolutional,
}


def build(
    config: Config, image_shape: tuple[int, int, int], classes: int, backend: Backend = NUMPY, seed: int = 0
) -> Classifier:
    """The model that `config.model` names, with new weights.

    Raises:
        UsageError: it cannot be built for such images.
    """
    return MODELS[config.model](config, image_shape, classes, backend, seed)
