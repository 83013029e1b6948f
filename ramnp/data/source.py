"""A data set, its splits, and the batches that a model is fed."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ramnp.backend import Array, Backend
from ramnp.errors import UsageError
from ramnp.sensor import Canvas, pad


@dataclass(frozen=True)
class Split:
    """Images (n, H, W, C), uint8 or floats in [0, 1], and labels (n,), integers 0..A-1, on the host."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice) -> "Split":
        return Split(self.images[rows], self.labels[rows])


@dataclass(frozen=True)
class DataSet:
    """Three splits of one task.

    Attributes:
        name: its name in the registry.
        classes: A, the number of classes.
        train, validation, test: the splits; validation may be empty.
    """

    name: str
    classes: int
    train: Split
    validation: Split
    test: Split

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        return self.train.images.shape[1:]


def hold_out(train: Split, validation: int) -> tuple[Split, Split]:
    """`train` without its last `validation` images, and those images.

    Raises:
        UsageError: nothing would be left to train on.
    """
    if validation >= len(train):
        raise UsageError(f"--validation {validation} leaves none of {len(train)} images to train on")
    kept = len(train) - validation
    return train[:kept], train[kept:]


class Source:
    """Batches of a split: padded once for the sensor, kept on the backend, then only gathered.

    Args:
        split: the images and labels.
        backend: where the batches are to be.
        margin: border the sensor needs, in pixels.
    """

    def __init__(self, split: Split, backend: Backend, margin: int) -> None:
        self.backend = backend
        self.canvas = pad(backend.asarray(split.images), margin, backend.xp)
        self.labels: Array = backend.asarray(split.labels)

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, size: int, rng: np.random.Generator | None = None) -> Iterator[tuple[Canvas, Array]]:
        """Canvases and labels (B,), each image once.

        With `rng`: in random order and only whole batches, as training wants them. Without: in order,
        the last batch smaller where it must be, as evaluation wants them.
        """
        if rng is None:
            order, stop = np.arange(len(self)), len(self)
        else:
            order, stop = rng.permutation(len(self)), len(self) - len(self) % size
        order = self.backend.asarray(order)
        for start in range(0, stop, size):
            chosen = order[start : start + size]
            yield Canvas(self.canvas.pixels.take(chosen, axis=0), self.canvas.margin), self.labels.take(chosen)
