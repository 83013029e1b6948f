"""Augmentation: every time an image is trained on, it is moved, turned and distorted a little, at random.

One affine map for each image does all of it. With places in pixels from the middle of the image, the new image has at
place p what the old one has at

    q = R(rotate) [1 shear; 0 1] diag(flip) p / zoom + shift,

R(a) = [cos a, -sin a; sin a, cos a]. Between pixels the old image is interpolated (bilinear), and beyond its edge it
has the pixels of its edge: ink on white paper keeps a white ground, ink on black a black one. With fx, fy the parts of
q after the point, and a, b, c, d the four pixels around q,

    top = a + fx (b - a),    bottom = c + fx (d - c),    new[p] = top + fy (bottom - top).

`Augmentation.draw` draws the maps on the host, as the recipes of `generate.py` are drawn; a batch carries them to the
step as it carries the randomness of its rollouts. `warp` follows them on the backend, for all pixels at once. Each
worker warps its own share of a batch.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ramnp.backend import Array
from ramnp.config import AugmentConfig
from ramnp.network.sensor import Canvas

BLOCK = 1 << 16  # values that are warped at a time on the CPU: their arrays stay in its cache


@dataclass(frozen=True)
class Augmentation:
    """How far images are changed.

    Attributes:
        flip: "none", "horizontal" (left and right change places in half of the images) or "both" (top and bottom, too,
            in half of them).
        shift: largest shift along each axis, in pixels.
        zoom: largest change of size, as a share: factors from 1 / (1 + zoom) to 1 + zoom.
        rotate: largest angle, in degrees.
        shear: largest shift of a row against the next, in pixels.
    """

    flip: str = "none"
    shift: float = 0.0
    zoom: float = 0.0
    rotate: float = 0.0
    shear: float = 0.0

    @classmethod
    def of(cls, config: AugmentConfig) -> "Augmentation | None":
        """The augmentation that a configuration names, or None if it changes nothing."""
        chosen = cls(config.flip, config.shift, config.zoom, config.rotate, config.shear)
        return None if chosen == cls() else chosen

    def draw(self, rng: np.random.Generator, images: int) -> np.ndarray:
        """Draw the maps of a batch, (B, 2, 3) float32: the matrix, and the shift as its last column.

        All is uniform between minus and plus the largest; of the zoom, the logarithm. Each image uses seven random
        numbers, so that what happens to it does not depend on the batch size, nor on what else is switched on.
        """
        mirror_x, mirror_y, shift_x, shift_y, zoom, rotate, shear = 2 * rng.random((images, 7)).T - 1
        flip_x = np.where((mirror_x < 0) & (self.flip != "none"), -1, 1)
        flip_y = np.where((mirror_y < 0) & (self.flip == "both"), -1, 1)
        angle, slope = np.radians(self.rotate * rotate), self.shear * shear
        cos, sin, size = np.cos(angle), np.sin(angle), (1 + self.zoom) ** zoom
        maps = np.empty((images, 2, 3), dtype=np.float32)
        maps[:, 0, 0] = cos * flip_x / size
        maps[:, 0, 1] = (cos * slope - sin) * flip_y / size
        maps[:, 1, 0] = sin * flip_x / size
        maps[:, 1, 1] = (sin * slope + cos) * flip_y / size
        maps[:, 0, 2], maps[:, 1, 2] = self.shift * shift_x, self.shift * shift_y
        return maps


class Grid(NamedTuple):
    """The places of the pixels of an image.

    Attributes:
        places: (3, H W) of each pixel: x and y from the middle, and 1, which a map multiplies with its shift.
        end: (2, 1, 1) the last column and the last row.
        last: (2, 1, 1) the last that has a neighbour to the right, or below: an image may have a single one.
    """

    places: Array
    end: Array
    last: Array


@lru_cache
def grid(height: int, width: int, xp: Any) -> Grid:
    """The grid of images of one size. Kept, since a GPU would have to be sent it for every step."""
    y, x = np.mgrid[:height, :width].reshape(2, -1)
    places = np.stack([x - (width - 1) / 2, y - (height - 1) / 2, np.ones(height * width)])
    end = np.array([width - 1, height - 1]).reshape(2, 1, 1)
    return Grid(*(xp.asarray(array.astype(np.float32)) for array in (places, end, np.maximum(end - 1, 0))))


def warp(canvas: Canvas, maps: Array, xp: Any = np) -> Canvas:
    """New images, of the same type, by the maps (B, 2, 3) of `Augmentation.draw`. The canvas stays as it is."""
    height, width, channels = canvas.image_shape
    rows, columns = (slice(canvas.margin, canvas.margin + side) for side in (height, width))
    pixels = xp.zeros_like(canvas.pixels)
    images = len(pixels) if xp is not np else max(1, BLOCK // (height * width * channels))
    for start in range(0, len(pixels), images):
        block = slice(start, start + images)
        values = sample(Canvas(canvas.pixels[block], canvas.margin), maps[block], xp)
        if pixels.dtype == np.uint8:
            values += np.float32(0.5)  # the assignment rounds down
        pixels[block, rows, columns] = values.reshape(channels, -1, height, width).transpose(1, 2, 3, 0)
    return Canvas(pixels, canvas.margin)


def sample(canvas: Canvas, maps: Array, xp: Any = np) -> Array:
    """The interpolated values (C, B, H W), float32, of images at the places to which the maps lead.

    The channels come first, so that everything is computed in long rows.
    """
    height, width, channels = canvas.image_shape
    images, full_height, full_width, _ = canvas.pixels.shape
    places, end, last = grid(height, width, xp)
    q = xp.matmul(maps.transpose(1, 0, 2).reshape(-1, 3), places).reshape(2, images, height * width)
    q += end / 2
    xp.clip(q, 0, end, out=q)
    corner = xp.floor(xp.minimum(q, last))  # at the edge fx or fy is 1, and the neighbour is the pixel itself
    q -= corner
    fx, fy = q
    column, row = corner.astype(np.intp)
    first = (xp.arange(images, dtype=np.intp) * full_height + canvas.margin) * full_width + canvas.margin
    pixel = first[:, None] + row * full_width + column
    value = (pixel * channels + xp.arange(channels, dtype=np.intp)[:, None, None]).astype(np.intp)
    right = channels if width > 1 else 0
    below = full_width * channels if height > 1 else 0
    flat = canvas.pixels.reshape(-1)

    def neighbour(offset: int) -> Array:
        return flat[offset:].take(value).astype(np.float32)

    top = between(neighbour(0), neighbour(right), fx)
    bottom = between(neighbour(below), neighbour(below + right), fx)
    return between(top, bottom, fy)


def between(a: Array, b: Array, share: Array) -> Array:
    """a + share (b - a), written into b."""
    b -= a
    b *= share
    b += a
    return b
