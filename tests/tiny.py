"""A small model in use, with weights that make it look about."""

import numpy as np

from ramnp.backend import NUMPY
from ramnp.config import Config
from ramnp.network import build
from ramnp.use.model import TrainedModel

TINY = {"units": 12, "what_units": 8, "where_units": 8, "glimpse_units": 12, "policy_hidden": 6, "glimpses": 3}
SHAPE = (12, 10, 1)


def tiny_model(image_shape=SHAPE, classes=4, names=None, backend=NUMPY, **changes):
    """A model of random weights, on images that are not square."""
    config = Config(**{**TINY, "patch": 4, "fc_units": 8, **changes})
    network = build(config, image_shape, classes, backend, seed=1)
    rng = np.random.default_rng(2)
    for name in network.parameters:
        noise = rng.normal(0, 0.2, network.parameters[name].shape).astype(network.dtype)
        network.parameters[name][...] += backend.asarray(noise)
    return TrainedModel(network, names or tuple(map(str, range(classes))))
