"""The glimpse sensor against a slow reference: pixel by pixel, in exact coordinates, by the rule in its docstring."""

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from ramnp.network.sensor import GlimpseSensor, pad


def first_pixel(location, extent, side):
    """The first of the `side` columns (rows) around `location`, on an image of `extent` columns (rows)."""
    centre = (Fraction(float(location)) + 1) / 2 * extent
    return math.floor(centre - Fraction(side, 2) + Fraction(1, 2))


def sense(image, location, patch, scales):
    """What one image (H, W, C) shows from one location (x, y): (K, g, g, C)."""
    height, width, channels = image.shape
    brightness = image / 255 if image.dtype == np.uint8 else image
    seen = np.zeros((scales, patch, patch, channels))
    for k in range(scales):
        factor = 2**k
        left = first_pixel(location[0], width, patch * factor)
        top = first_pixel(location[1], height, patch * factor)
        for row, column in product(range(patch * factor), repeat=2):
            if 0 <= top + row < height and 0 <= left + column < width:
                pixel = brightness[top + row, left + column]
                seen[k, row // factor, column // factor] += pixel / factor**2
    return seen


def draw_locations(rng, rows):
    """Edges, centre and corners of the image, points on and between the pixel boundaries, and points anywhere."""
    special = np.array(list(product((-1, 0, 1), repeat=2)), dtype=float)
    eighths = rng.integers(-8, 9, (rows, 2)) / 8
    anywhere = rng.uniform(-1, 1, (rows, 2))
    return rng.permutation(np.concatenate([special, eighths, anywhere]))[:rows]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("pixels", ["uint8", "float32"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scales", [1, 2, 3, 4])
def test_sensor_agrees_with_the_slow_reference(scales, channels, pixels, dtype):
    rng = np.random.default_rng([scales, channels, *f"{pixels} {dtype}".encode()])
    for _ in range(5):
        patch, height, width = rng.integers(1, 6), rng.integers(1, 20), rng.integers(1, 20)
        images, rollouts = rng.integers(1, 4), rng.integers(1, 5)
        batch = rng.integers(0, 256, (images, height, width, channels)).astype(pixels)
        locations = draw_locations(rng, images * rollouts)
        sensor = GlimpseSensor(int(patch), scales, dtype=dtype)
        canvas = pad(batch, sensor.margin + int(rng.integers(0, 3)))
        out = np.full((len(locations), sensor.size(channels)), np.nan, dtype=dtype)

        seen = sensor.forward(canvas, locations, out=out)

        expected = [sense(batch[row % images], location, patch, scales) for row, location in enumerate(locations)]
        assert seen is out
        rtol = 1e-6 if dtype == "float32" else 1e-12
        np.testing.assert_allclose(seen, np.reshape(expected, seen.shape), rtol=rtol)


@pytest.mark.parametrize("patch", [1, 3, 4])
def test_x_runs_along_the_width_and_y_along_the_height(patch):
    """On an image whose pixels hold their own column and row, the mean of a patch says where it lies."""
    height, width, scales = 50, 90, 3
    image = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1)[None].astype(float)
    locations = np.random.default_rng(patch).uniform(-0.6, 0.6, (200, 2))  # where no patch leaves the image
    sensor = GlimpseSensor(patch, scales, dtype="float64")

    seen = sensor.forward(pad(image, sensor.margin), locations)

    means = seen.reshape(len(locations), scales, patch * patch, 2).mean(axis=2)
    for axis, extent in enumerate((width, height)):
        p = (locations[:, axis] + 1) / 2 * extent
        for k in range(scales):
            side = patch * 2**k
            first = np.floor(p - side / 2 + 1 / 2)
            np.testing.assert_allclose(means[:, k, axis], first + (side - 1) / 2, rtol=1e-12)
            centre = means[:, k, axis] + 1 / 2  # on the ruler, where pixel j covers [j, j + 1)
            assert np.abs(centre - p).max() <= 1 / 2
