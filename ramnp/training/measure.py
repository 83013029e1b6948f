"""Measure the error of a network on a split, in three ways.

| figure        | meaning                                                                  |
|---------------|--------------------------------------------------------------------------|
| deterministic | one rollout, each location the mean of the policy                        |
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

BATCH = 200  # images per batch; with ten rollouts each, enough rows for efficient matrix products

# First locations and noise are seeded by (SEED, purpose, batch), so models with the same T and M get the same ones.
SEED, DETERMINISTIC, SAMPLED = 20141, 0, 1

_MIDDLES = (-2 / 3, 0, 2 / 3)  # the middles of three equal parts of an axis from -1 to 1
GRID = np.array([(x, y) for y in _MIDDLES for x in _MIDDLES])  # first locations (9, 2), row by row from the top


def evaluate(
    model: Classifier, source: Source, rollouts: int = 10, limit_batches: int | None = None
) -> dict[str, float]:
    """The error of a model in percent: {"deterministic", "stochastic", "averaged"}.

    Args:
        rollouts: M, the number of rollouts that `averaged` averages over; `stochastic` is the first of them.
        limit_batches: evaluate only this many batches; None for all.
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
        # Row m B + b is rollout m of image b, so the first B rows are the first rollout of each image.
        for figure, scores in enumerate((mean, sampled.log_p[:size], model.average(sampled, size))):
            wrong[figure] += (scores.argmax(axis=1) != labels).sum()
        images += size
    percent = 100 * model.backend.to_host(wrong) / max(images, 1)
    return dict(zip(("deterministic", "stochastic", "averaged"), percent.round(4).tolist(), strict=True))


def numbered(source: Source, limit_batches: int | None) -> Iterator[tuple[int, Canvas, Array]]:
    """Yield (number, images, labels) of the batches to measure on; the number seeds the rollouts of its batch."""
    for number, batch in enumerate(islice(source.batches(BATCH), limit_batches)):
        yield number, batch.canvas, batch.labels


def evaluate_redrawn(
    model: Classifier, source: Source, drawings: int, rollouts: int = 10, limit_batches: int | None = None
) -> list[dict[str, float]]:
    """Run `evaluate` on `drawings` other compositions of the digits of a source.

    Raises:
        UsageError: the images are not generated.
    """
    if not isinstance(source, GeneratedSource):
        raise UsageError("--redrawn needs generated images: those of translated-mnist or cluttered-mnist")
    others = (source.redrawn(number) for number in range(1, drawings + 1))
    return [evaluate(model, other, rollouts, limit_batches) for other in others]


def by_first_location(model: Classifier, source: Source) -> dict[str, Any]:
    """The deterministic error from each of nine first locations.

    Returns:
        {"error": 3 x 3, in percent, laid out like the image (rows from the top); "same_answer": the share of images, in
        percent, that get the same answer from all nine}.

    Raises:
        UsageError: the model has no learned policy, or learns its first location.
    """
    if not isinstance(model, RecurrentAttentionModel) or model.config.control or model.blind:
        raise UsageError("--first-locations needs a network with a learned policy whose first location is not learned")
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
    """Deterministic rollouts from each of `places` (M, 2): row m B + b looks at image b, first at place m."""
    images = len(canvas.pixels)
    # The first row of a rollout's randomness is its first location; zero noise makes the later ones the policy's means.
    randomness = np.zeros((model.config.glimpses, len(places) * images, 2), dtype=model.dtype)
    randomness[0] = places.repeat(images, axis=0)
    return model.forward(canvas, model.backend.asarray(randomness))


def standard_error(error: float, images: int) -> float:
    """Standard error, in percentage points, of an error rate in percent on n = `images` images.

    sqrt(e (1 - e) / n), the standard deviation of the share of failures in n independent trials that each fail with
    probability e.
    """
    return math.sqrt(error * (100 - error) / images)
