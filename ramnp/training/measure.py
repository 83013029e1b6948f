"""The three figures of a network: its errors on a split.

| figure        | meaning                                                                  |
|---------------|--------------------------------------------------------------------------|
| deterministic | one rollout, every location the policy's mean                            |
| stochastic    | one rollout, locations sampled                                           |
| averaged      | class probabilities averaged over M sampled rollouts                     |
"""

import functools
import math
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

from ramnp.backend import Array
from ramnp.data.source import GeneratedSource, Source
from ramnp.errors import UsageError
from ramnp.network.classifier import Classifier
from ramnp.network.model import RecurrentAttentionModel, Rollout
from ramnp.network.sensor import Canvas

BATCH = 200  # images; times the rollouts, enough rows to keep the matrix products efficient


# First locations and noise come from (SEED, purpose, batch): the same for every model, T and M aside.
SEED, DETERMINISTIC, SAMPLED = 20141, 0, 1


_MIDDLES = (-2 / 3, 0, 2 / 3)  # of three equal parts of an axis


GRID = np.array([(x, y) for y in _MIDDLES for x in _MIDDLES])  # first locations (9, 2), row by row from the top


def evaluate(
    model: Classifier, source: Source, rollouts: int = 10, limit_batches: int | None = None
) -> dict[str, float]:
    """Errors in percent: {"deterministic", "stochastic", "averaged"}.

    Args:
        rollouts: M, over which `averaged` averages; `stochastic` is the first of them.
        limit_batches: evaluate only so many batches.
    """
    xp, rollouts = model.xp, model.rollouts(rollouts)
    wrong = xp.zeros(3, dtype=np.int64)
    images, storage = 0, functools.cache(model.storage)
    for number, canvas, labels in numbered(source, limit_batches):
        size = len(labels)
        rng = np.random.default_rng([SEED, DETERMINISTIC, number])
        mean = model.forward(canvas, model.draw(rng, size, deterministic=True), out=storage(size)).log_p
        rng = np.random.default_rng([SEED, SAMPLED, number])
        sampled = model.forward(canvas, model.draw(rng, rollouts * size), out=storage(rollouts * size))
        # Row m B + b is rollout m of image b, so the first B rows are one rollout of each image.
        for figure, scores in enumerate((mean, sampled.log_p[:size], model.average(sampled, size))):
            wrong[figure] += (scores.argmax(axis=1) != labels).sum()
        images += size
    percent = 100 * model.backend.to_host(wrong) / max(images, 1)
    return dict(zip(("deterministic", "stochastic", "averaged"), percent.round(4).tolist(), strict=True))


def numbered(source: Source, limit_batches: int | None) -> Iterator[tuple[int, Canvas, Array]]:
    """The batches of images that figures are of, with their numbers, which seed the rollouts."""
    for number, batch in enumerate(islice(source.batches(BATCH), limit_batches)):
        yield number, batch.canvas, batch.labels


def evaluate_redrawn(
    model: Classifier, source: Source, drawings: int, rollouts: int = 10, limit_batches: int | None = None
) -> list[dict[str, float]]:
    """`evaluate` on the digits of a source, composed anew `drawings` times.

    Raises:
        UsageError: its images are not generated.
    """
    if not isinstance(source, GeneratedSource):
        raise UsageError("only images that are composed, translated and cluttered MNIST's, can be drawn anew")
    others = (source.redrawn(number) for number in range(1, drawings + 1))
    return [evaluate(model, other, rollouts, limit_batches) for other in others]


def by_first_location(model: Classifier, source: Source) -> dict[str, Any]:
    """The deterministic error in percent from nine first locations, and the images whose answer does not change.

    Returns:
        {"error": 3 x 3, rows from the top of the image, in each from left to right; "same_answer": percent}.

    Raises:
        UsageError: the model has no learned policy, or learns its first location.
    """
    if not isinstance(model, RecurrentAttentionModel) or model.config.policy != "learned" or model.blind:
        raise UsageError("--first-locations is for a learned policy whose first location is not learned")
    xp = model.xp
    wrong, same = xp.zeros(len(GRID), dtype=np.int64), xp.zeros((), dtype=np.int64)
    for canvas, labels, *_ in source.batches(BATCH):
        rollout = from_places(model, canvas, GRID)
        answers = rollout.log_p.argmax(axis=1).reshape(len(GRID), -1)
        wrong += (answers != labels).sum(axis=1)
        same += (answers == answers[0]).all(axis=0).sum()
    percent = 100 * model.backend.to_host(xp.concatenate([wrong, same[None]])) / len(source)
    return {"error": percent[:-1].reshape(3, 3).round(4).tolist(), "same_answer": round(float(percent[-1]), 4)}


def from_places(model: RecurrentAttentionModel, canvas: Canvas, places: np.ndarray) -> Rollout:
    """Deterministic rollouts: row m B + b looks at image b, first from place m of (M, 2)."""
    images = len(canvas.pixels)
    randomness = np.zeros((model.config.glimpses, len(places) * images, 2), dtype=model.dtype)
    randomness[0] = places.repeat(images, axis=0)
    return model.forward(canvas, model.backend.asarray(randomness))


def standard_error(error: float, images: int) -> float:
    """Of an error in percent on so many images, in points."""
    return math.sqrt(error * (100 - error) / images)
