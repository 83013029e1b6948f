"""The glimpse sensor rho(x, l): what the network sees of an image x when it looks at l.

K square patches centred on l, of sides g, 2g, 4g, ... pixels, each average-pooled to g x g: sharp in
the middle, coarse around it (paper, section 3.1, "Glimpse Sensor", and figure 1A). Outside the image
there are zeros.

**From location to pixel.** This is the only place that defines it. l = (x, y) lies in [-1, 1]^2; (-1, -1)
is the top left corner of the image, (0, 0) its centre, x runs along the width. Pixel column j covers
the interval [j, j + 1) of a ruler from 0 to W, on which l_x falls at

    p = (l_x + 1) / 2 * W,

and a patch of side s covers the s whole columns that start at floor(p - s / 2 + 1 / 2), which puts the
patch's centre within half a pixel of p. Rows are the same with l_y and H.

**Nesting.** If g is even, so are all sides, and every patch starts at floor(p + 1 / 2) - s / 2: all have one centre. A
pixel of scale k is then exactly four of scale k - 1, so that one crop of the widest patch holds all of them.

**Units.** Pixels go from 0 to 1; bytes are scaled to that. The sensor returns (pixel - mean) / std, with two
constants of the configuration. They are 0 and 1, except for photographs, whose pixels have a mean far from 0.

The sensor has no parameters, and a location is a sampled constant, so it has no backward pass.
"""

import math
import threading
from typing import Any, NamedTuple

import numpy as np

from ramnp.backend import Array
from ramnp.errors import UsageError
from ramnp.network.windows import windows


class Canvas(NamedTuple):
    """Images inside a border of zeros, so that a patch never leaves the array.

    Attributes:
        pixels: (B, H + 2 margin, W + 2 margin, C); uint8 from 0 to 255, or floats.
        margin: width of the border in pixels.
    """

    pixels: Array
    margin: int

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the images, the border left out."""
        _, height, width, channels = self.pixels.shape
        return height - 2 * self.margin, width - 2 * self.margin, channels

    @property
    def images(self) -> Array:
        """(B, H, W, C) the images without the border: a view."""
        height, width, _ = self.image_shape
        return self.pixels[:, self.margin : self.margin + height, self.margin : self.margin + width]


def pad(images: Array, margin: int, xp: Any = np) -> Canvas:
    """Copy images (B, H, W, C) onto canvases with a border of `margin` zeros."""
    batch, height, width, channels = images.shape
    shape = (batch, height + 2 * margin, width + 2 * margin, channels)
    pixels = xp.zeros(shape, dtype=images.dtype)
    pixels[:, margin : margin + height, margin : margin + width] = images
    return Canvas(pixels, margin)


def standardize(x: Array, pixels: Array, mean: float, std: float) -> None:
    """Turn x, values of `pixels` in a float type, into (pixel - mean) / std in place; bytes are 255ths."""
    unit = std * (255 if pixels.dtype == np.uint8 else 1)
    if unit != 1:
        x *= 1 / unit
    if mean:
        x -= mean / std


def ruler(location: Array, extent: int | Array) -> Array:
    """p: where a location in [-1, 1] falls on the ruler from 0 to `extent` pixels, along one axis."""
    return (location + 1) * (extent / 2)


def corner(location: Array, extent: int, side: int, xp: Any = np) -> Array:
    """First pixel of a patch of `side` pixels centred on `location`, along one axis.

    floor(p - side / 2 + 1 / 2), with the whole part of side / 2 taken out of the floor: so no rounding can tear
    patches apart that nest.
    """
    half = 0.5 if side % 2 == 0 else 0.0
    return xp.floor(ruler(location, extent) + half).astype(np.int64) - side // 2


class GlimpseSensor:
    """Crops and pools the K patches of every row at once.

    Args:
        patch: side g of the finest patch, in pixels.
        scales: number K of patches; their sides are g, 2g, 4g, ...
        mean, std: what the pixels are standardized with.
    """

    def __init__(
        self,
        patch: int,
        scales: int,
        xp: Any = np,
        dtype: Any = np.float32,
        mean: float = 0.0,
        std: float = 1.0,
    ) -> None:
        self.patch = patch
        self.scales = scales
        self.mean, self.std = mean, std
        self.sides = [patch << k for k in range(scales)]
        self.margin = (self.sides[-1] + 1) // 2  # a patch centred on the image's edge sticks out this far
        self.xp = xp
        self.dtype = np.dtype(dtype)
        self._kept = threading.local()  # scratch: each thread has its own, so that threads can share a model

    def shape(self, channels: int) -> tuple[int, int, int, int]:
        """(K, g, g, C) of one glimpse."""
        return self.scales, self.patch, self.patch, channels

    def size(self, channels: int) -> int:
        """D, the number of values one glimpse yields: K g g C."""
        return math.prod(self.shape(channels))

    def forward(self, canvas: Canvas, location: Array, out: Array = None) -> Array:
        """rho: (R, D) from B canvases and locations (R, 2) in [-1, 1], with R a multiple of B.

        Row r looks at image r mod B, so M rollouts of a batch share its pixels. The D values of a row are ordered
        (scale, row, column, channel). Locations must lie in the image. This is not checked: on a GPU the host would
        have to wait for the answer.

        Raises:
            UsageError: the canvas' border is too narrow, R is not a multiple of B, or `out` is not for such glimpses.
        """
        xp, pixels = self.xp, canvas.pixels
        batch, channels, rows = pixels.shape[0], pixels.shape[3], location.shape[0]
        if canvas.margin < self.margin:
            raise UsageError(f"the sensor needs a border of {self.margin} pixels, got {canvas.margin}")
        if rows % batch:
            raise UsageError(f"{rows} locations do not share {batch} images evenly")
        if out is None:
            out = xp.empty((rows, self.size(channels)), dtype=self.dtype)
        elif out.shape != (rows, self.size(channels)):
            raise UsageError(f"{rows} glimpses of {self.size(channels)} values do not fit into {out.shape}")
        patches = out.reshape(rows, *self.shape(channels))
        if self.patch % 2 == 0:
            self.sense_nested(canvas, location, patches)
        else:
            self.sense(canvas, location, patches)
        standardize(out, pixels, self.mean, self.std)
        return out

    def pixels(self, rho: np.ndarray) -> np.ndarray:
        """The pixels in [0, 1] behind rho, on the host, for pictures."""
        return np.clip(rho * self.std + self.mean, 0, 1)

    def sense(self, canvas: Canvas, location: Array, patches: Array) -> None:
        """Write the patches (R, K, g, g, C) as they are defined: crop each, pool each."""
        for k, side in enumerate(self.sides):
            crop = self.crop(canvas, location, side)
            factor = side // self.patch
            blocks = crop.reshape(len(crop), self.patch, factor, self.patch, factor, -1)
            patches[:, k] = blocks.mean(axis=(2, 4), dtype=self.dtype) if factor > 1 else blocks[:, :, 0, :, 0]

    def sense_nested(self, canvas: Canvas, location: Array, patches: Array) -> None:
        """The same for even g, several times as fast: crop the widest patch, halve it K - 1 times.

        Halved k times, its middle g x g pixels are the patch of scale k.
        """
        xp, scene = self.xp, self.crop(canvas, location, self.sides[-1])
        halves = self.halves(scene)
        for k in range(self.scales):
            if k:
                rows, squares = halves[k - 1]  # rows first: they are contiguous
                xp.add(scene[:, ::2], scene[:, 1::2], out=rows, dtype=rows.dtype)
                scene = xp.add(rows[:, :, ::2], rows[:, :, 1::2], out=squares)
            start = (scene.shape[1] - self.patch) // 2
            middle = slice(start, start + self.patch)
            xp.multiply(scene[:, middle, middle], self.dtype.type(0.25**k), out=patches[:, k])

    def halves(self, scene: Array) -> list[tuple[Array, Array]]:
        """Room for the sums of 2 x 1 and of 2 x 2 pixels of each halving, kept for the next glimpse of this thread.

        Bytes add up to whole numbers, in the narrowest type that holds the sum of 4^(K - 1) of them.
        """
        count, side, _, channels = scene.shape
        sums = np.min_scalar_type(255 * 4 ** (self.scales - 1)) if scene.dtype == np.uint8 else self.dtype
        kept = self._kept
        if getattr(kept, "layout", None) != (scene.shape, sums):
            shapes = [(side >> k, side >> (k - 1)) for k in range(1, self.scales)]
            kept.layout = (scene.shape, sums)
            kept.halves = [
                (
                    self.xp.empty((count, half, whole, channels), dtype=sums),
                    self.xp.empty((count, half, half, channels), dtype=sums),
                )
                for half, whole in shapes
            ]
        return kept.halves

    def crop(self, canvas: Canvas, location: Array, side: int) -> Array:
        """(R, side, side, C) pixels around the locations: one gather for all rows."""
        height, width, _ = canvas.image_shape
        image = self.xp.arange(len(location)) % len(canvas.pixels)
        top = corner(location[:, 1], height, side, self.xp) + canvas.margin
        left = corner(location[:, 0], width, side, self.xp) + canvas.margin
        return windows(canvas.pixels, side, side, self.xp)[image, top, left]
