"""The interface of a model for the commands: recurrent attention, or a network it is compared with.

Training, in the commands' words:

    randomness = model.draw(rng, rows)                        all that is random
    outcome = model.forward(canvas, randomness, out=storage)  log p and what `backward` needs
    loss = model.backward(outcome, labels, rule)              into model.parameters.gradients

Using it is `model.predict(images)`. A new model is a subclass that is registered
(`docs/extending.md`).
"""

import functools
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np

from ramnp.backend import NUMPY, Array, Backend, limit_threads, note_no_threads
from ramnp.config import Config
from ramnp.errors import UsageError
from ramnp.network.parameters import Parameters, Part
from ramnp.network.reinforce import LearningRule
from ramnp.network.sensor import Canvas, pad


class Outcome(Protocol):
    """What a forward pass computed. `log_p` is (R, A), and `arrays` gives all storage by part."""

    log_p: Array

    def arrays(self) -> dict[str, tuple[Array, ...]]: ...


class Loss(Protocol):
    """The terms of a loss by name, and the share of right answers: 0-d arrays."""

    @property
    def terms(self) -> dict[str, Array]: ...

    @property
    def reward(self) -> Array: ...


def check_bytes(images: np.ndarray) -> None:
    """Check that uint8 images go from 0 to 255. From 0 to 1 they would be nearly black.

    Raises:
        UsageError: their largest value is 1.
    """
    if images.size and images.max() == 1:
        raise UsageError(
            "uint8 images go from 0 to 255, and no pixel here is above 1: multiply them by 255, "
            "or convert them to floats from 0 to 1"
        )


class Classifier(Part):
    """A model that tells which of A classes each image shows.

    Args:
        config: sizes and kinds of the parts; the rest of the configuration does not matter here.
        image_shape: (H, W, C).
        classes: A.
        backend: where the arrays live.
        seed: of the initial weights, which a subclass draws.

    Attributes:
        parameters: all weights and their gradients, by name and as one vector each.
        terms: names of the terms of its loss.
        margin: width in pixels of the border of zeros that its canvases need.
    """

    parameters: Parameters
    terms: tuple[str, ...]
    margin: int

    def __init__(
        self,
        config: Config,
        image_shape: tuple[int, int, int],
        classes: int,
        backend: Backend = NUMPY,
        seed: int = 0,
    ) -> None:
        super().__init__(backend.xp, np.dtype(config.dtype))
        self.config, self.image_shape, self.classes, self.backend = config, image_shape, classes, backend

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.image_shape))
        return f"{type(self).__name__}({shape} pixels, {self.classes} classes, {self.parameters.size:,} parameters)"

    def replica(self) -> "Classifier":
        """A model with these very weights, and gradients of its own: another thread can use it at the same time."""
        twin = type(self)(self.config, self.image_shape, self.classes, self.backend)
        twin.parameters.use(twin, self.parameters.values, twin.parameters.gradients)
        return twin

    def canvas(self, images: np.ndarray) -> Canvas:
        """Host images (B, H, W, C) on the backend, with the border they need."""
        return pad(self.backend.asarray(images), self.margin, self.xp)

    def rollouts(self, wanted: int) -> int:
        """M, the rollouts per image if `wanted` are asked for. A model without randomness has one."""
        return wanted

    def draw(self, rng: np.random.Generator, rows: int, deterministic: bool = False) -> Array:
        """The randomness of R rollouts, drawn on the host."""
        raise NotImplementedError

    def storage(self, rows: int) -> Outcome:
        """Room for what `forward` computes for R rollouts. Its method `arrays` gives it by part."""
        raise NotImplementedError

    def forward(self, canvas: Canvas, randomness: Array, *, out: Any = None) -> Outcome:
        """The outcome for B images and R rollouts, row r about image r mod B; its `log_p` is (R, A)."""
        raise NotImplementedError

    def backward(self, outcome: Any, /, labels: Array, rule: LearningRule) -> Loss:
        """Accumulate the gradient of the loss for labels (B,). Its `terms` and `reward` are 0-d arrays."""
        raise NotImplementedError

    def average(self, outcome: Outcome, images: int) -> Array:
        """(B, A) class probabilities of an outcome, averaged over each image's M rollouts."""
        return self.xp.exp(outcome.log_p).reshape(-1, images, self.classes).mean(axis=0)

    def checked(self, images: np.ndarray) -> np.ndarray:
        """The images as an array.

        Raises:
            UsageError: they are not of the shape, the type or the range that the model is for.
        """
        images = np.asarray(images)
        if images.shape[1:] != self.image_shape:
            height, width, channels = self.image_shape
            raise UsageError(f"the model is for images (n, {height}, {width}, {channels}), got {images.shape}")
        if images.dtype != np.uint8 and images.dtype.kind != "f":
            raise UsageError(f"images must be uint8, or floats in [0, 1], got {images.dtype}")
        if images.dtype != np.uint8 and images.size and not (images.min() >= 0 and images.max() <= 1):
            raise UsageError(
                f"images must be uint8, or floats in [0, 1], got floats from {images.min()} to {images.max()}"
            )
        if images.dtype == np.uint8:
            check_bytes(images)
        return images

    def randomness(self, images: int, rollouts: int, seed: int, start: int) -> Array:
        """The randomness of a batch of answers, of which image number `start` is the first: see `probabilities`."""
        rng = np.random.default_rng([seed, start])
        return self.draw(rng, self.rollouts(rollouts) * images, deterministic=rollouts == 1)

    def probabilities(
        self, images: np.ndarray, rollouts: int = 1, seed: int = 0, batch_size: int = 256, workers: int = 1
    ) -> np.ndarray:
        """(n, A) class probabilities, on the host.

        Args:
            images: (n, H, W, C) on the host, uint8 from 0 to 255, or floats from 0 to 1.
            rollouts: M. With one, every chosen location is the policy's mean. With more, locations are sampled and
                the probabilities averaged.
            seed: seed of first locations and samples. An image gets them by its position in `images`, so a single
                image always gets the same ones. With few glimpses, the predicted class may depend on them.
            batch_size: images at a time. Another batch size gives them other first locations and samples.
            workers: threads that share the batches on the CPU, at most one for each batch. Several threads may
                also call this at the same time.

        Raises:
            UsageError: the images are not of the shape, the type or the range that the model is for, or a number is
                below 1.
        """
        images = self.checked(images)
        for name, value in (("rollouts", rollouts), ("batch_size", batch_size), ("workers", workers)):
            if value < 1:
                raise UsageError(f"{name} must be at least 1, got {value}")
        p = np.empty((len(images), self.classes), dtype=self.dtype)
        starts = range(0, len(images), batch_size)

        def answer(model: Classifier, starts: range) -> None:
            """Answer the batches that start at `starts`. All but the last share one storage."""
            storage = functools.cache(model.storage)
            for start in starts:
                batch = images[start : start + batch_size]
                randomness = model.randomness(len(batch), rollouts, seed, start)
                outcome = model.forward(model.canvas(batch), randomness, out=storage(randomness.shape[1]))
                p[start : start + batch_size] = self.backend.to_host(model.average(outcome, len(batch)))

        workers = min(workers, len(starts))
        if workers <= 1 or self.xp is not np:
            answer(self, starts)
            return p
        with limit_threads(1), ThreadPoolExecutor(workers) as pool:
            try:
                shares = [starts[worker::workers] for worker in range(workers)]
                answers = [pool.submit(answer, self.replica(), share) for share in shares]
            except RuntimeError as error:
                note_no_threads(error)
                answer(self, starts)
                return p
            for each in answers:
                each.result()
        return p

    def predict(
        self, images: np.ndarray, rollouts: int = 1, seed: int = 0, batch_size: int = 256, workers: int = 1
    ) -> np.ndarray:
        """(n,) the likeliest class of each image, by `probabilities`."""
        return self.probabilities(images, rollouts, seed, batch_size, workers).argmax(axis=1)

    def describe(self) -> list[str]:
        """Lines for people: what the model sees of an image."""
        raise NotImplementedError
