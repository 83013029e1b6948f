"""Training for a moment: seconds, to see that something learns."""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ramnp.backend import NUMPY, Array, Backend
from ramnp.classifier import Classifier
from ramnp.config import Config
from ramnp.data.source import DataSet, Source
from ramnp.optim import learning_rate
from ramnp.sensor import Canvas
from ramnp.train import LOCATIONS, ORDER, Trainer


class Moment(NamedTuple):
    """What came of a short training.

    Attributes:
        model: the model.
        steps: (n,) the step at which each of the following means over the last few steps was taken.
        losses: name of a term -> (n,).
        error: (n,) training error in percent.
    """

    model: Classifier
    steps: np.ndarray
    losses: dict[str, np.ndarray]
    error: np.ndarray


def train_briefly(config: Config, dataset: DataSet, steps: int, backend: Backend = NUMPY, every: int = 10) -> Moment:
    """Train a new model for so many steps, the first that `python -m ramnp.train` takes with this configuration."""
    trainer = Trainer(config, dataset.image_shape, dataset.classes, backend)
    source = dataset.source("train", backend, trainer.model.margin)
    means = []
    for step, (canvas, labels, randomness) in zip(range(steps), batches(trainer, source), strict=False):
        lr = learning_rate(config, step, len(source) // config.batch_size)
        trainer.step(canvas, labels, randomness, lr)
        if (step + 1) % every == 0:
            means.append(trainer.means())
            trainer.reset()
    return Moment(
        model=trainer.model,
        steps=every * np.arange(1, len(means) + 1),
        losses={term: np.array([each["loss"][term] for each in means]) for term in trainer.model.terms},
        error=np.array([100 - 100 * each["reward"] for each in means]),
    )


def batches(trainer: Trainer, source: Source) -> Iterator[tuple[Canvas, Array, Array]]:
    """Canvases, labels and the randomness of their rollouts, epoch after epoch."""
    for epoch in itertools.count(1):
        order, locations = (np.random.default_rng([trainer.config.seed, each, epoch]) for each in (ORDER, LOCATIONS))
        for canvas, labels in source.batches(trainer.config.batch_size, order):
            yield canvas, labels, trainer.model.draw(locations, len(labels) * trainer.rollouts)
