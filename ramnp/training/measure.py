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
from typing import Any, NamedTuple

import numpy as np

from ramnp.backend import Array
from ramnp.data.source import GeneratedSource, Source
from ramnp.errors import UsageError
from ramnp.network.classifier import Classifier
from ramnp.network.layers import one_hot
from ramnp.network.model import RecurrentAttentionModel, Rollout
from ramnp.network.sensor import Canvas

FIGURES = ("deterministic", "stochastic", "averaged")
SMALLEST = 1e-30  # probability: one that was rounded to 0 has no logarithm
BATCH = 200  # images per batch; with ten rollouts each, enough rows for efficient matrix products

# First locations and noise are seeded by (SEED, purpose, batch), so models with the same T and M get the same ones.
SEED, DETERMINISTIC, SAMPLED = 20141, 0, 1

_MIDDLES = (-2 / 3, 0, 2 / 3)  # the middles of three equal parts of an axis from -1 to 1
GRID = np.array([(x, y) for y in _MIDDLES for x in _MIDDLES])  # first locations (9, 2), row by row from the top


class Answers(NamedTuple):
    """What a model answers on n images, on the host.

    Attributes:
        likeliest: the likeliest class (n,) of each image, for each of `FIGURES`.
        labels: (n,) the right answers.
        loss: mean of -log p(label), with p averaged over the rollouts.
        classes: A.
    """

    likeliest: dict[str, np.ndarray]
    labels: np.ndarray
    loss: float
    classes: int

    def errors(self) -> dict[str, float]:
        """Of each figure, the share of wrong answers, in percent."""
        wrong = {figure: (answers != self.labels).sum() for figure, answers in self.likeliest.items()}
        return {figure: round(float(100 * count / max(len(self.labels), 1)), 4) for figure, count in wrong.items()}

    def balanced_errors(self) -> dict[str, float]:
        """Of each figure, the mean over the classes that occur of the error on the images of that class, in percent.

        Each class counts the same, however many images it has: who always names the largest of A classes is wrong in
        100 (A - 1) / A %.
        """
        by_class = ([e for e in self.errors_by_class(figure) if e is not None] for figure in self.likeliest)
        return {
            figure: round(sum(errors) / max(len(errors), 1), 4)
            for figure, errors in zip(self.likeliest, by_class, strict=True)
        }

    def confusion(self, figure: str = "averaged") -> np.ndarray:
        """(A, A) how many images of class i got the answer j."""
        pairs = self.labels * self.classes + self.likeliest[figure]
        return np.bincount(pairs, minlength=self.classes**2).reshape(self.classes, self.classes)

    def errors_by_class(self, figure: str = "averaged") -> list[float | None]:
        """Of each class, the share of its images that got a wrong answer, in percent; None for a class without any."""
        counts = self.confusion(figure)
        return [
            round(float(100 * (total - right) / total), 4) if total else None
            for right, total in zip(counts.diagonal(), counts.sum(axis=1), strict=True)
        ]


def answers(model: Classifier, source: Source, rollouts: int = 10, limit_batches: int | None = None) -> Answers:
    """What a model answers on the images of a source.

    Args:
        rollouts: M, the number of rollouts that `averaged` averages over; `stochastic` is the first of them.
        limit_batches: ask about only this many batches; None for all.
    """
    xp, rollouts = model.xp, model.rollouts(rollouts)
    likeliest, truth, right = [], [], []
    storage = functools.cache(model.storage)
    for number, canvas, labels in numbered(source, limit_batches):
        size = len(labels)
        rng = np.random.default_rng([SEED, DETERMINISTIC, number])
        mean = model.forward(canvas, model.draw(rng, size, deterministic=True), out=storage(size)).log_p
        mean = mean.argmax(axis=1)
        rng = np.random.default_rng([SEED, SAMPLED, number])
        sampled = model.forward(canvas, model.draw(rng, rollouts * size), out=storage(rollouts * size))
        # Row m B + b is rollout m of image b, so the first B rows are the first rollout of each image.
        average = model.average(sampled, size)
        likeliest.append(xp.stack([mean, sampled.log_p[:size].argmax(axis=1), average.argmax(axis=1)]))
        truth.append(labels)
        right.append((average * one_hot(labels, model.classes, xp)).sum(axis=1))
    if not truth:
        none = np.empty(0, dtype=np.int64)
        return Answers(dict.fromkeys(FIGURES, none), none, 0.0, model.classes)
    host = model.backend.to_host
    p = host(xp.concatenate(right)).astype(np.float64)
    return Answers(
        dict(zip(FIGURES, host(xp.concatenate(likeliest, axis=1)), strict=True)),
        host(xp.concatenate(truth)).astype(np.int64),
        float(-np.log(np.maximum(p, SMALLEST)).mean()),
        model.classes,
    )


def evaluate(
    model: Classifier, source: Source, rollouts: int = 10, limit_batches: int | None = None
) -> dict[str, float]:
    """The error of a model in percent: {"deterministic", "stochastic", "averaged"}. For the arguments see `answers`."""
    return answers(model, source, rollouts, limit_batches).errors()


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
