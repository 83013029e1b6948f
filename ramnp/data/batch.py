"""A batch: what a source yields, a trainer completes, and a training step takes."""

from typing import NamedTuple

from ramnp.backend import Array
from ramnp.network.sensor import Canvas


class Batch(NamedTuple):
    """B images and, for a training step, the random numbers of their rollouts and of their augmentation.

    Attributes:
        canvas: the images, with the border that the sensor needs.
        labels: (B,) integers.
        randomness: (T, R, 2) from `model.draw`. None as it comes from a source, which knows no model.
        slot: number of the slot that the pixels were written into, see `Source.batches`. None: memory of their own.
        maps: (B, 2, 3) from `Augmentation.draw`: how the step warps each image. None: not at all.
    """

    canvas: Canvas
    labels: Array
    randomness: Array = None
    slot: int | None = None
    maps: Array = None

    def share(self, images: slice) -> "Batch":
        """Some of the images, with their labels and their rows of the randomness. Views, but for the randomness."""
        steps, rows, _ = self.randomness.shape
        count = len(self.labels)
        by_image = self.randomness.reshape(steps, rows // count, count, 2)[:, :, images]  # row m B + b: rollout m of b
        mine = rows // count * by_image.shape[2]
        return Batch(
            Canvas(self.canvas.pixels[images], self.canvas.margin),
            self.labels[images],
            by_image.reshape(steps, mine, 2),
            self.slot,
            None if self.maps is None else self.maps[images],
        )
