"""Train for some seconds, to see that a network learns."""

from itertools import chain, count
from typing import NamedTuple

import numpy as np

from ramnp.backend import NUMPY, Backend
from ramnp.config import Config
from ramnp.data.source import DataSet
from ramnp.network.classifier import Classifier
from ramnp.training.optim import learning_rate
from ramnp.training.trainer import Trainer


class ShortTraining(NamedTuple):
    """The result of a short training.

    Attributes:
        model: the trained model.
        steps: (n,) steps at which the figures below were taken; each is a mean over the `every` steps before.
        losses: (n,) for each term of the loss, by name.
        error: (n,) training error in percent.
    """

    model: Classifier
    steps: np.ndarray
    losses: dict[str, np.ndarray]
    error: np.ndarray


def train_briefly(
    config: Config, dataset: DataSet, steps: int, backend: Backend = NUMPY, every: int = 10
) -> ShortTraining:
    """Train a new model for `steps` steps, the first ones of `python -m ramnp.train` with this configuration.

    Raises:
        UsageError: the training images do not fill one batch.
    """
    trainer = Trainer(config, dataset.image_shape, dataset.classes, backend)
    source = dataset.source("train", backend, trainer.model.margin)
    means, steps_per_epoch = [], trainer.steps_per_epoch(source)
    batches = chain.from_iterable(trainer.batches(source, epoch) for epoch in count(1))
    for step, batch in zip(range(steps), batches, strict=False):
        trainer.step(batch, learning_rate(config, step, steps_per_epoch))
        if (step + 1) % every == 0:
            means.append(trainer.means())
            trainer.reset()
    return ShortTraining(
        model=trainer.model,
        steps=every * np.arange(1, len(means) + 1),
        losses={term: np.array([each["loss"][term] for each in means]) for term in trainer.model.terms},
        error=np.array([100 - 100 * each["reward"] for each in means]),
    )
