"""The trainer: a model, its optimizer, and one training step after the other.

    for batch in trainer.batches(source, epoch):
        trainer.step(batch, lr)

`run.py` trains with it up to the last epoch and keeps the results in a folder.
"""

from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np

from ramnp.backend import Array, Backend
from ramnp.config import Config
from ramnp.data.augment import Augmentation
from ramnp.data.batch import Batch
from ramnp.data.source import Source
from ramnp.errors import CheckpointError, UsageError
from ramnp.network import build
from ramnp.network.reinforce import LearningRule
from ramnp.registry import get
from ramnp.training.checkpoint import Checkpoint
from ramnp.training.optim import clip_gradients
from ramnp.training.workers import Layout, Slots, Worker, arrays_in, quiet_overflow, shared, work

# Every stream of training is made from (seed, purpose, epoch), so a resumed run draws the same numbers.
ORDER, LOCATIONS, AUGMENTATION = 1, 2, 3
LARGEST = 2**53  # of what an optimizer counts; doubles can count no further


class Trainer:
    """The model and the optimizer, and one training step.

    On the CPU several processes can share a batch, this one and its `workers` (see `workers.py`). Two with a matrix
    product each keep two cores busier than one product on both.

    Args:
        config: what to train, and how.
        image_shape: (H, W, C).
        classes: A.
        backend: where to train.
        labels: (n,) of all training images, on the host; balanced class weights are made of them.

    Attributes:
        totals: running sums over the steps since `reset`: losses by term, reward, gradient norms by part and
            in total. They stay on the backend until `means` fetches them.

    Raises:
        UsageError: the workers cannot share a batch evenly, or there are no labels to balance the classes by.
    """

    def __init__(
        self,
        config: Config,
        image_shape: tuple[int, int, int],
        classes: int,
        backend: Backend,
        labels: np.ndarray | None = None,
    ) -> None:
        self.config, self.backend, self.xp = config, backend, backend.xp
        self.model = build(config, image_shape, classes, backend, config.seed)
        self.rule = LearningRule.of(config)
        if config.class_weights == "balanced":
            if labels is None:
                raise UsageError("--class-weights balanced needs the labels of the training images")
            weights = balanced_weights(labels, classes).astype(self.model.dtype)
            self.rule = self.rule._replace(class_weights=backend.asarray(weights))
        self.augmentation = Augmentation.of(config)
        self.rollouts = self.model.rollouts(config.rollouts)
        self.workers = config.workers if backend.xp is np else 1
        if config.batch_size % self.workers:
            raise UsageError(f"--workers {self.workers} cannot share --batch-size {config.batch_size} evenly")
        self.storage = self.model.storage(config.batch_size // self.workers * self.rollouts)
        self.others: list[Worker] = []  # beside this process; the first step starts them
        self.slots: Slots | None = None
        if self.workers > 1:
            parameters = self.model.parameters
            layout: Layout = {"values": (parameters.values.shape, parameters.values.dtype)}
            self.memory = shared(layout)
            values = arrays_in(self.memory, layout)["values"]
            values[...] = parameters.values
            parameters.use(self.model, values, parameters.gradients)
        self.optimizer = get("optimizer", config.optimizer)(self.model.parameters, config, self.xp)
        self.spans = self.model.parameters.spans()
        self.reset()

    def reset(self) -> None:
        """Set the running sums to zero."""
        self.steps = 0
        self.totals: Array = self.xp.zeros(len(self.model.terms) + 1 + len(self.spans) + 1, dtype=np.float64)

    @quiet_overflow
    def step(self, batch: Batch, lr: float) -> None:
        """Forward, backward, update on one batch. Nothing is brought to the host.

        Raises:
            UsageError: the batch is not of `batch_size` images.
            BackendError: a worker process has failed.
        """
        config, parameters = self.config, self.model.parameters
        if len(batch.labels) != config.batch_size:
            raise UsageError(f"a step takes {config.batch_size} images, got {len(batch.labels)}")
        first, *rest = (batch.share(images) for images in self.shares)
        if rest:
            self.start(batch, rest)
        losses = work(self.model, self.rule, first, self.storage).astype(np.float64)
        for worker in self.others:
            gradients, its_losses = worker.finish()
            parameters.gradients += gradients
            losses += its_losses
        if self.workers > 1:  # losses are means over the batch
            parameters.gradients /= self.workers
            losses /= self.workers
        squares = [self.xp.dot(parameters.gradients[span], parameters.gradients[span]) for span in self.spans.values()]
        norms = self.xp.sqrt(self.xp.stack([*squares, sum(squares)]))
        if config.clip:
            clip_gradients(parameters, norms[-1], config.clip, self.xp)
        self.optimizer.step(lr)
        self.totals += self.xp.concatenate([losses, norms])
        self.steps += 1

    def start(self, batch: Batch, rest: list[Batch]) -> None:
        """Have the other workers start on their shares of a batch."""
        pixels = batch.canvas.pixels
        slots = self.slots_for(pixels.shape, pixels.dtype)
        slot = slots.place(batch)
        if not self.others:
            self.others = [
                Worker(self.model, self.config, self.rule, self.memory, slots, images, share)
                for images, share in zip(self.shares[1:], rest, strict=True)
            ]
        for worker, share in zip(self.others, rest, strict=True):
            worker.start(slot, share)

    def slots_for(self, shape: tuple[int, ...], dtype: Any) -> Slots:
        """Shared memory for the pixels of batches, made once."""
        if self.slots is None:
            self.slots = Slots(shape, dtype)
        return self.slots

    def batches(self, source: Source, epoch: int) -> Iterator[Batch]:
        """The batches of epoch number `epoch`, for `step`. Each stays until the next is asked for."""
        size, seed = self.config.batch_size, self.config.seed
        order, locations, changes = (
            np.random.default_rng([seed, purpose, epoch]) for purpose in (ORDER, LOCATIONS, AUGMENTATION)
        )
        # Where workers share the batch, it is made in memory that they see. One process needs no such place.
        slots = self.slots_for(*source.slot_layout(size)).pixels if self.workers > 1 else None
        for batch in source.batches(size, order, slots):
            batch = batch._replace(randomness=self.model.draw(locations, size * self.rollouts))
            if self.augmentation:
                batch = batch._replace(maps=self.backend.asarray(self.augmentation.draw(changes, size)))
            yield batch

    def steps_per_epoch(self, source: Source) -> int:
        """How many batches an epoch has.

        Raises:
            UsageError: there is no batch of images.
        """
        size = self.config.batch_size
        if size > len(source):
            raise UsageError(f"--batch-size {size} is more than the {len(source)} training images")
        return len(source) // size

    @property
    def threads(self) -> int | None:
        """Threads for a matrix product, see `limit_threads`: one if workers share the batch."""
        return 1 if self.workers > 1 else None

    @property
    def shares(self) -> list[slice]:
        """The images of a batch that each process takes: first this process's, then the other workers'."""
        images = self.config.batch_size // self.workers
        return [slice(start, start + images) for start in range(0, self.config.batch_size, images)]

    @property
    def nbytes(self) -> int:
        """Bytes of the parameters, their gradients, the optimizer's state and the activations."""
        arrays = [self.model.parameters.values, *(getattr(self.optimizer, name) for name in self.optimizer.state)]
        of_each = [self.model.parameters.gradients, *chain(*self.storage.arrays().values())]
        return sum(array.nbytes for array in arrays) + self.workers * sum(array.nbytes for array in of_each)

    def means(self) -> dict[str, Any]:
        """The running sums as means over the steps: {"loss": {...}, "reward", "gradient_norm": {...}}."""
        means = (self.backend.to_host(self.totals) / max(self.steps, 1)).tolist()
        return {
            "loss": {term: means.pop(0) for term in self.model.terms},
            "reward": means.pop(0),
            "gradient_norm": dict(zip((*self.spans, "total"), means, strict=True)),
        }

    def finite(self) -> bool:
        """Whether all losses and gradients so far, and all parameters, are finite."""
        healthy = self.xp.isfinite(self.totals).all() & self.xp.isfinite(self.model.parameters.values).all()
        return bool(self.backend.to_host(healthy))

    def checkpoint(self, epoch: int, best: dict[str, Any] | None, seconds: float) -> Checkpoint:
        """All that is needed to resume from here. On NumPy these are views: save them before the next step."""
        host = self.backend.to_host
        return Checkpoint(
            config=self.config,
            image_shape=self.model.image_shape,
            classes=self.model.classes,
            epoch=epoch,
            best=best,
            seconds=seconds,
            parameters={name: host(self.model.parameters[name]) for name in self.model.parameters},
            optimizer={name: host(getattr(self.optimizer, name)) for name in self.optimizer.state},
        )

    def restore(self, saved: Checkpoint) -> None:
        """Continue from a checkpoint.

        Raises:
            CheckpointError: it does not fit.
        """
        saved.restore(self.model)
        for name in self.optimizer.state:
            mine, theirs = getattr(self.optimizer, name), saved.optimizer.get(name)
            counted = name in self.optimizer.counted
            if theirs is None or not fits(theirs, mine, counted):
                raise CheckpointError(f"{saved.path} holds no {name} that fits the {self.config.optimizer} optimizer")
            # Adam's step count stays on the host.
            mine[...] = theirs if isinstance(mine, np.ndarray) else self.backend.asarray(theirs)


def balanced_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """(A,) w_c = n / (A n_c), for n images of which n_c are of class c: together, each class then weighs n / A.

    The mean weight of an image is 1. A class without images counts neither as one of the A nor otherwise.
    """
    counts = np.bincount(labels, minlength=classes)
    return len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1)) * (counts > 0)


def fits(saved: np.ndarray, place: Array, counted: bool) -> bool:
    """Whether a saved array can be the state of an optimizer that `place` is for; one that counts is not negative."""
    if (saved.shape, saved.dtype.kind) != (place.shape, place.dtype.kind):
        return False
    return not counted or bool((saved >= 0).all() and (saved < LARGEST).all())
