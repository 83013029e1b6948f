"""A data set, its splits, and the batches that go into a model."""

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
MOST_COUNTED = 40  # classes in a table of counts
SEED = 61406  # seeds, with the number of the split, the generated images of evaluation, which never change


@dataclass(frozen=True)
class Split:
    """Images (n, H, W, C), uint8 or floats in [0, 1], and labels (n,), integers 0..A-1, on the host.

    The user's own images also have digests (n,), by which they are recognized: see `content.py`.
    """

    images: np.ndarray
    labels: np.ndarray
    digests: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice | np.ndarray) -> "Split":
        return Split(self.images[rows], self.labels[rows], None if self.digests is None else self.digests[rows])


class Source:
    """Batches of a split. The images are padded for the sensor and put on the backend once; a batch only gathers them.

    Args:
        split: the images and labels.
        backend: where the batches are made.
        margin: width of the border that the sensor needs, in pixels.
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
        """Yield batches of `size` images, each image once.

        With `rng`, for training: in random order, full batches only. Without, for evaluation: in order, and the last
        batch may be smaller.

        With `slots` (two or more NumPy arrays, see `slot_layout`; they require `rng`) the pixels are written into these
        arrays in turn, and stay valid until the next batch is requested.
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
    """Batches of images that are composed from the digits of a split, one batch at a time.

    Args:
        split: the digits, uint8, and their labels.
        scene: how an image is composed.
        stream: number of the split; seeds the images that `batches` composes without `rng`.
        backend: where the batches are made.
        margin: width of the border that the sensor needs, in pixels.
    """

    def __init__(self, split: Split, scene: Scene, stream: int, backend: Backend, margin: int) -> None:
        self.scene, self.stream, self.backend, self.margin = scene, stream, backend, margin
        self.digits: Array = backend.asarray(split.images)
        self.labels: Array = backend.asarray(split.labels)
        self.drawing = 0  # the usual images; NumPy pads seeds with zeros, so [SEED, stream, 0] is [SEED, stream]

    def redrawn(self, number: int) -> "GeneratedSource":
        """The same digits in new compositions: `batches` without `rng` gives other images for each number from 1 on."""
        other = copy.copy(self)
        other.drawing = number
        return other

    def slot_layout(self, size: int) -> tuple[tuple[int, ...], np.dtype]:
        side = self.scene.size + 2 * self.margin
        return (size, side, side, self.digits.shape[3]), self.digits.dtype

    def batches(
        self, size: int, rng: np.random.Generator | None = None, slots: Sequence[Array] | None = None
    ) -> Iterator[Batch]:
        """Yield batches of `size` images, each digit once.

        With `rng`, for training: in random order, full batches only, newly composed images each time. Without, for
        evaluation: in order, the last batch may be smaller, and the images are always the same, independent of batch
        size, margin, backend and model.

        On the CPU a thread makes the next batch while the current one is used. On a GPU that would not help: all
        kernels run in one queue.
        """
        made = self._made(size, rng, slots)
        return prefetch(made) if self.backend.xp is np else made

    def corners(self) -> np.ndarray:
        """Row and column (n, 2) of each digit's top left corner, in the images that `batches` gives without `rng`."""
        # Drawing all recipes at once is fine: they do not depend on the batch size.
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
    """The order of `count` images and the starts of the batches in it: with `rng` shuffled, full batches only."""
    if rng is None:
        return np.arange(count), range(0, count, size)
    return rng.permutation(count), range(0, count - count % size, size)


@dataclass(frozen=True)
class Record:
    """What a checkpoint keeps of the data of its run, so that later commands recognize them.

    Attributes:
        sha256: of all images and labels, see `DataSet.sha256`.
        images: the digests of the images by split, if they have any: an entry for each of `SPLITS`, or none.
    """

    sha256: str
    images: dict[str, np.ndarray]

    def joined(self, earlier: "Record") -> "Record":
        """This record, with the images of an earlier one as well. Images that were ever trained on stay known."""
        images = {split: np.union1d(own, earlier.images.get(split, own[:0])) for split, own in self.images.items()}
        return Record(self.sha256, images)


@dataclass(frozen=True)
class DataSet:
    """The three splits of a task.

    Attributes:
        name: name of the task in the registry.
        classes: A, the number of classes.
        train, validation, test: the splits; validation may be empty.
        class_names: names of the labels 0..A-1; None for digits.
        scene: how to compose images from those of the splits; None to use these as they are.
        notes: lines about files that are not known to be the published ones, or that were left out.
        warnings: lines about what is odd about the images.
    """

    name: str
    classes: int
    train: Split
    validation: Split
    test: Split
    class_names: tuple[str, ...] | None = None
    scene: Scene | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the images in the batches."""
        height, width, channels = self.train.images.shape[1:]
        return (self.scene.size, self.scene.size, channels) if self.scene else (height, width, channels)

    def sha256(self) -> str:
        """The SHA-256 of all images and labels, in order, by which a resumed run recognizes its data."""
        digest = hashlib.sha256()
        for split in (self.train, self.validation, self.test):
            for array in (split.images, split.labels):
                digest.update(f"{array.dtype.str} {array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def record(self) -> Record:
        """What a checkpoint keeps of these data."""
        known = {split: digests for split in SPLITS if (digests := getattr(self, split).digests) is not None}
        return Record(self.sha256(), known if len(known) == len(SPLITS) else {})

    def names(self) -> tuple[str, ...]:
        """The names of the classes 0..A-1; numbers, if they have no others."""
        return self.class_names or tuple(map(str, range(self.classes)))

    def counts(self) -> list[str]:
        """The lines of a table of the images by class and split; of many classes, of the smallest and the largest."""
        counts = np.array([np.bincount(getattr(self, split).labels, minlength=self.classes) for split in SPLITS])
        chosen: Sequence[int] = range(self.classes)
        more: list[str] = []
        if self.classes > MOST_COUNTED:
            in_order = counts.sum(axis=0).argsort(kind="stable")
            chosen, more = (
                [int(in_order[0]), int(in_order[-1])],
                [f"(the smallest and the largest of {self.classes:,} classes)"],
            )
        names = self.names()
        width = max(len("class"), *(len(names[label]) for label in chosen))
        lines = [f"{'class':<{width}}" + "".join(f"{split:>12}" for split in SPLITS)]
        lines += [
            f"{names[label]:<{width}}" + "".join(f"{count:>12,}" for count in counts[:, label]) for label in chosen
        ]
        return lines + more

    def source(self, split: str, backend: Backend, margin: int) -> Source:
        """The batches of a split ("train", "validation" or "test"), on a backend, with the border for the sensor."""
        part = getattr(self, split)
        if self.scene:
            return GeneratedSource(part, self.scene, SPLITS.index(split), backend, margin)
        return Source(part, backend, margin)


def hold_out(train: Split, validation: int) -> tuple[Split, Split]:
    """Split off the last `validation` images of `train`: (the rest, those images).

    Raises:
        UsageError: no images would be left to train on.
    """
    if validation >= len(train):
        raise UsageError(f"--validation {validation} leaves no images to train on; there are {len(train)}")
    kept = len(train) - validation
    return train[:kept], train[kept:]
