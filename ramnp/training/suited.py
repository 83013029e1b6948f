"""The preset `photos`, suited to the images that it is to train on."""

import dataclasses
from collections.abc import Container

import numpy as np

from ramnp.config import Config
from ramnp.data.source import DataSet
from ramnp.presets import CHOSEN, photos

MOST = 1000  # images whose pixels tell the mean and the spread


def suited(config: Config, dataset: DataSet, given: Container[str] = ()) -> Config:
    """A configuration of the preset `photos`, with what `photos` chooses for these images.

    Args:
        config: of the preset, with where the images are and what else the user set.
        dataset: the images.
        given: the fields that stay as they are in `config`, because the user set them. The learning rate decays over
            the epochs that the user set.
    """
    images = dataset.train.images
    some = images[:: max(1, len(images) // MOST)]
    pixels = some / np.float32(255) if some.dtype == np.uint8 else some
    chosen = photos(dataset.image_shape, len(images), dataset.classes, float(pixels.mean()), float(pixels.std()))
    fields = {name: getattr(chosen, name) for name in CHOSEN if name not in given}
    if "epochs" in given and "decay_epochs" not in given:
        fields["decay_epochs"] = config.epochs
    return dataclasses.replace(config, **fields)
