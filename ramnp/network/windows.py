"""Windows: rectangles read from many images or written into them, each row at a place of its own.

    windows(pixels, height, width, xp)[image, top, left]

is an array (R, height, width, C), and can be assigned to. `pixels` is (n, H, W, C), contiguous if it is written to.
`image`, `top` and `left` are integer arrays (R,), or one integer for all rows. Corners are (top, left) pixels, and
windows lie inside the images.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from ramnp.backend import Array


def windows(pixels: Array, height: int, width: int, xp: Any = np) -> "np.ndarray | Windows":
    """All windows of one size, to be indexed.

    On NumPy it is a view (n, H - height + 1, W - width + 1, height, width, C) in which neighbours overlap: an index
    into it copies whole rows of pixels, which for large windows is ten times as fast as `Windows`.
    """
    if xp is not np or not pixels.flags.c_contiguous:
        return Windows(pixels, height, width, xp)
    count, full_height, full_width, channels = pixels.shape
    shape = (count, full_height - height + 1, full_width - width + 1, height, width, channels)
    return np.ndarray(shape, pixels.dtype, pixels, strides=pixels.strides[:3] + pixels.strides[1:])


class Windows:
    """The same on every backend: one gather or scatter, with an index for every pixel."""

    def __init__(self, pixels: Array, height: int, width: int, xp: Any = np) -> None:
        _, self.full_height, self.full_width, channels = pixels.shape
        self.flat = pixels.reshape(-1)
        self.shape, self.pixel = (height, width, channels), channels
        self.offset = offsets(height, width * channels, self.full_width * channels, xp)

    def where(self, image: Array, top: Array | int, left: Array | int) -> Array:
        """Indices (R, height * width * C) into the flat images."""
        start = ((image * self.full_height + top) * self.full_width + left) * self.pixel
        return start[:, None] + self.offset

    def __getitem__(self, corner: tuple[Array, Array | int, Array | int]) -> Array:
        return self.flat.take(self.where(*corner)).reshape(-1, *self.shape)

    def __setitem__(self, corner: tuple[Array, Array | int, Array | int], values: Array) -> None:
        self.flat[self.where(*corner)] = values.reshape(len(values), -1)


@lru_cache
def offsets(height: int, width: int, full_width: int, xp: Any) -> Array:
    """(height * width,) where the values of a window lie in an image whose rows have `full_width`, from its first on.

    Kept, since a GPU would compute it for every glimpse and every piece of clutter.
    """
    return (xp.arange(height)[:, None] * full_width + xp.arange(width)).reshape(-1)
