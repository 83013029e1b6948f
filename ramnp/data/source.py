"""A data set, its splits, and the batches that a model is fed."""

import copy
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np

from ramnp.backend import Array, Backend
from ramnp.data.batch import Batch
from ramnp.data.generate import DIGIT, Scene
from ramnp.data.prefetch import prefetch
from ramnp.errors import UsageError
from ramnp.network.sensor import Canvas, pad

SPLITS = ("train", "validation", "test")
SEED = 61406  # of generated images that stay the same; with the number of the split


@dataclass(frozen=True)
class Split:
    """Images (n, H, W, C), uint8 or floats in [0, 1], and labels (n,), integers 0..A-1, on the host."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice | np.ndarray) -> "Split":
        return Split(self.images[rows], self.labels[rows])


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

    def slot_layout(self, size: int) -> tuple[tuple[int, ...], np.dtype]:
        """Shape and type of the pixels of a batch of `size` images: what a slot must have room for."""
        return (size, *self.canvas.pixels.shape[1:]), self.canvas.pixels.dtype

    def batches(
        self, size: int, rng: np.random.Generator | None = None, slots: Sequence[Array] | None = None
    ) -> Iterator[Batch]:
        """Batches of `size` images, each image once.

        With `rng`: in random order and only whole batches, as training wants them. Without: in order, the last batch
        smaller if need be, as evaluation wants them.

        `slots` go with `rng`: two or more NumPy arrays (see `slot_layout`). The pixels of the batches are written into
        them in turn, and stay until the next batch is asked for.
        """
        order, starts = plan(len(self), size, rng)
        order = self.backend.asarray(order)
        for start, (slot, room) in zip(starts, in_turn(slots), strict=False):
            chosen = order[start : start + size]
            if room is None:
                pixels = self.canvas.pixels.take(chosen, axis=0)
            else:  # "clip": otherwise NumPy writes into a copy first, in case an index is out of bounds
                pixels = self.canvas.pixels.take(chosen, axis=0, out=room, mode="clip")
            yield Batch(Canvas(pixels, self.canvas.margin), self.labels.take(chosen), slot=slot)


class GeneratedSource(Source):
    """Batches of images that are composed, a batch at a time, from the digits of a split.

    Args:
        split: the digits, uint8, and their labels.
        scene: how an image is composed.
        stream: number of the sequence of random numbers that `batches` takes where it is given none.
        backend: where the batches are to be.
        margin: border the sensor needs, in pixels.
    """

    def __init__(self, split: Split, scene: Scene, stream: int, backend: Backend, margin: int) -> None:
        self.scene, self.stream, self.backend, self.margin = scene, stream, backend, margin
        self.digits: Array = backend.asarray(split.images)
        self.labels: Array = backend.asarray(split.labels)
        self.drawing = 0  # the usual one: seeds are filled up with zeros, so it is as if there was no such number

    def redrawn(self, number: int) -> "GeneratedSource":
        """The same digits, composed anew: without `rng` every number from 1 has other images, and 0 the usual ones."""
        other = copy.copy(self)
        other.drawing = number
        return other

    def slot_layout(self, size: int) -> tuple[tuple[int, ...], np.dtype]:
        side = self.scene.size + 2 * self.margin
        return (size, side, side, self.digits.shape[3]), self.digits.dtype

    def batches(
        self, size: int, rng: np.random.Generator | None = None, slots: Sequence[Array] | None = None
    ) -> Iterator[Batch]:
        """Batches of `size` images, each digit once.

        With `rng`: in random order, only whole batches, and images that were never seen before. Without: in order,
        the last batch smaller where it must be, and always the same images, whatever the size of the batches, the
        margin, the backend and the model.

        On the CPU the next batch is made while the last is used; on a GPU both wait in one queue of kernels.
        """
        made = self._made(size, rng, slots)
        return prefetch(made) if self.backend.xp is np else made

    def corners(self) -> np.ndarray:
        """(n, 2) rows and columns of the digits' top left corners, in the images that `batches` gives without `rng`."""
        # A recipe does not depend on the batch that it is drawn in.
        rng = np.random.default_rng([SEED, self.stream, self.drawing])
        return self.scene.draw(rng, np.arange(len(self)), self.digits.shape)[:, 1:DIGIT]

    def _made(self, size: int, rng: np.random.Generator | None, slots: Sequence[Array] | None) -> Iterator[Batch]:
        order, starts = plan(len(self), size, rng)
        rng = rng or np.random.default_rng([SEED, self.stream, self.drawing])
        for start, (slot, room) in zip(starts, in_turn(slots), strict=False):
            recipes = self.scene.draw(rng, order[start : start + size], self.digits.shape)
            recipes = self.backend.asarray(recipes)
            canvas = self.scene.render(self.digits, recipes, self.margin, self.backend.xp, out=room)
            yield Batch(canvas, self.labels.take(recipes[:, 0]), slot=slot)


def in_turn(slots: Sequence[Array] | None) -> Iterator[tuple[int | None, Array | None]]:
    """The slots with their numbers, again and again; without slots, (None, None) for ever."""
    return cycle(enumerate(slots) if slots else [(None, None)])


def plan(count: int, size: int, rng: np.random.Generator | None) -> tuple[np.ndarray, range]:
    """An order of `count` images, and where in it the batches start: shuffled and whole with `rng`, see `batches`."""
    if rng is None:
        return np.arange(count), range(0, count, size)
    return rng.permutation(count), range(0, count - count % size, size)


@dataclass(frozen=True)
class DataSet:
    """Three splits of one task.

    Attributes:
        name: its name in the registry.
        classes: A, the number of classes.
        train, validation, test: the splits; validation may be empty.
        class_names: what the labels 0..A-1 stand for; None: for digits.
        scene: how images are composed from those of the splits; None: they are taken as they are.
    """

    name: str
    classes: int
    train: Split
    validation: Split
    test: Split
    class_names: tuple[str, ...] | None = None
    scene: Scene | None = None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the images in the batches."""
        height, width, channels = self.train.images.shape[1:]
        return (self.scene.size, self.scene.size, channels) if self.scene else (height, width, channels)

    def sha256(self) -> str:
        """The SHA-256 of all images and labels, in their order: what tells these data from others."""
        digest = hashlib.sha256()
        for split in (self.train, self.validation, self.test):
            for array in (split.images, split.labels):
                digest.update(f"{array.dtype.str} {array.shape}".encode())
                digest.update(np.ascontiguousarray(array))
        return digest.hexdigest()

    def source(self, split: str, backend: Backend, margin: int) -> Source:
        """Batches of the split called "train", "validation" or "test", on a backend, with the sensor's border."""
        part = getattr(self, split)
        if self.scene:
            return GeneratedSource(part, self.scene, SPLITS.index(split), backend, margin)
        return Source(part, backend, margin)


def hold_out(train: Split, validation: int) -> tuple[Split, Split]:
    """`train` without its last `validation` images, and those images.

    Raises:
        UsageError: nothing would be left to train on.
    """
    if validation >= len(train):
        raise UsageError(f"--validation {validation} leaves none of {len(train)} images to train on")
    kept = len(train) - validation
    return train[:kept], train[kept:]
