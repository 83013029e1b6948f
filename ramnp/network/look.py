"""A look at an image: where the model looked, what it saw there, and what it would have answered after each glimpse.

    for step in look.steps:
        step.location, step.patches, step.probabilities     l_t, the pixels of rho(x, l_t), softmax(h_t W_a + b_a)

These are host arrays, for people: to read, to plot or to write into a file. The answer after the last glimpse is the
model's. The earlier ones are what it would say if it stopped there; only models that are rewarded for gains are trained
to answer early (`reward` in the configuration).
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from ramnp.network.model import RecurrentAttentionModel, Rollout
from ramnp.network.sensor import corner, ruler

Floats: TypeAlias = npt.NDArray[np.floating[Any]]


class Step(NamedTuple):
    """One glimpse.

    Attributes:
        location: (2,) l_t as (x, y) in [-1, 1]; (-1, -1) is the image's top left corner.
        pixel: (2,) the same place as (column, row) in pixels. Whole numbers are the middles of pixels, as in an index
            or in matplotlib's `imshow`.
        boxes: (K, 4) whole pixels that each patch covers: left, top, right, bottom, the last two excluded, as Pillow's
            `crop` takes them. A patch may stick out of the image.
        patches: (K, g, g, C) what the sensor saw, from fine to coarse, as pixels in [0, 1].
        probabilities: (A,) of the classes, if the model answered now.
    """

    location: Floats
    pixel: Floats
    boxes: npt.NDArray[np.int64]
    patches: Floats
    probabilities: Floats

    @property
    def answer(self) -> int:
        """The likeliest class so far."""
        return int(self.probabilities.argmax())


@dataclass(frozen=True, eq=False)
class Look:
    """One image, and the T glimpses of it.

    Attributes:
        image: (H, W, C) the pixels, uint8 or floats in [0, 1].
        steps: the glimpses, in their order.
        class_names: names of the classes 0..A-1.
    """

    image: npt.NDArray[Any]
    steps: tuple[Step, ...]
    class_names: tuple[str, ...]

    @property
    def answer(self) -> int:
        """The model's answer: the likeliest class after the last glimpse."""
        return self.steps[-1].answer

    @property
    def probability(self) -> float:
        """The probability that the model gives its answer."""
        return float(self.steps[-1].probabilities[self.answer])

    @property
    def name(self) -> str:
        """The name of the answer."""
        return self.class_names[self.answer]


def looks(
    model: RecurrentAttentionModel, images: npt.NDArray[Any], rollout: Rollout, class_names: tuple[str, ...]
) -> list[Look]:
    """The looks of a rollout, one per row, at the host images (B, H, W, C) that it was made of."""
    height, width, channels = images.shape[1:]
    host, sensor = model.backend.to_host, model.sensor
    location = host(rollout.locations)
    patches = sensor.pixels(host(rollout.rho)).reshape(*location.shape[:2], *sensor.shape(channels))
    probabilities = np.exp(host(model.answers(rollout.h)))
    pixel = ruler(location, np.array([width, height])) - 0.5
    boxes = []
    for side in sensor.sides:
        left, top = corner(location[..., 0], width, side), corner(location[..., 1], height, side)
        boxes.append(np.stack([left, top, left + side, top + side], axis=-1))
    steps = (location, pixel, np.stack(boxes, axis=2), patches, probabilities)
    return [
        Look(
            images[b % len(images)],
            tuple(Step(*(array[t, b] for array in steps)) for t in range(len(location))),
            class_names,
        )
        for b in range(location.shape[1])
    ]
