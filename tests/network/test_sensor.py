"""The fast sensor against the plain one, and the nesting of the patches on which it relies."""

import numpy as np
import pytest

from ramnp.backend import NUMPY
from ramnp.errors import UsageError
from ramnp.network.sensor import GlimpseSensor, corner, pad


def both_ways(backend, images, patch, scales, locations, dtype):
    """What the plain and the fast sensor see, on the host."""
    sensor = GlimpseSensor(patch, scales, backend.xp, dtype)
    canvas = pad(backend.asarray(images), sensor.margin, backend.xp)
    locations = backend.asarray(locations)
    seen = []
    for sense in (sensor.sense, sensor.sense_nested):
        patches = backend.xp.zeros((len(locations), *sensor.shape(images.shape[3])), dtype=sensor.dtype)
        sense(canvas, locations, patches)
        seen.append(backend.to_host(patches))
    return seen


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("pixels", ["uint8", "float32"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scales", [1, 2, 3, 4])
def test_the_fast_sensor_sees_what_the_plain_one_sees(backend, rng, scales, channels, pixels, dtype):
    for patch in (2, 4, 6, 12):
        height, width = (int(side) for side in rng.integers(1, 40, 2))
        values = rng.integers(0, 256, (3, height, width, channels))
        images = values.astype(np.uint8) if pixels == "uint8" else (values / 255).astype(np.float32)
        locations = rng.uniform(-1, 1, (12, 2)).astype(dtype)
        plain, fast = both_ways(backend, images, patch, scales, locations, dtype)
        if pixels == "uint8":  # whole numbers, and divisors that are powers of two: exact
            np.testing.assert_array_equal(fast, plain)
        else:
            np.testing.assert_allclose(fast, plain, rtol=3e-6 if dtype == "float32" else 1e-14)


def test_it_is_the_fast_one_that_even_patches_use(rng, monkeypatch):
    used = []
    for name in ("sense", "sense_nested"):
        monkeypatch.setattr(GlimpseSensor, name, lambda *args, name=name: used.append(name))
    for patch in (3, 4):
        sensor = GlimpseSensor(patch, 2)
        sensor.forward(pad(np.zeros((1, 9, 9, 1)), sensor.margin), np.zeros((1, 2)))
    assert used == ["sense", "sense_nested"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_even_patches_nest_wherever_rounding_could_tear_them_apart(dtype):
    for extent in (7, 28, 60, 100, 1000):
        near = np.arange(-1, 2 * extent + 2) / extent - 1  # pixels and their halves, and their neighbours in floats
        near = np.concatenate([near, np.nextafter(near, -2), np.nextafter(near, 2)]).astype(dtype)
        centre = corner(near, extent, 2) + 1
        for side in (4, 12, 48, 96, 768):
            np.testing.assert_array_equal(corner(near, extent, side) + side // 2, centre)


@pytest.mark.parametrize("pixels", ["uint8", "float32"])
def test_pixels_are_standardized_with_those_outside_the_image(backend, rng, pixels):
    values = rng.integers(0, 256, (2, 9, 9, 3))
    images = values.astype(np.uint8) if pixels == "uint8" else (values / 255).astype(np.float32)
    locations = backend.asarray(rng.uniform(-1, 1, (4, 2)).astype(np.float32))
    plain, standard = (GlimpseSensor(4, 2, backend.xp, "float32", *each) for each in ((), (0.4, 0.25)))
    canvas = pad(backend.asarray(images), plain.margin, backend.xp)
    rho, z = (backend.to_host(sensor.forward(canvas, locations)) for sensor in (plain, standard))
    assert (rho == 0).any()
    np.testing.assert_allclose(z, (rho - 0.4) / 0.25, atol=1e-6)
    np.testing.assert_allclose(standard.pixels(z), rho, atol=1e-6)
    np.testing.assert_array_equal(plain.pixels(rho), rho)


def test_a_fast_sensor_that_takes_the_wrong_middle_is_caught(rng, monkeypatch):
    right = GlimpseSensor.crop
    monkeypatch.setattr(GlimpseSensor, "crop", lambda self, c, at, side: np.roll(right(self, c, at, side), side > 8, 1))
    plain, fast = both_ways(NUMPY, rng.random((2, 20, 20, 1)), 4, 3, rng.uniform(-1, 1, (4, 2)), "float64")
    assert np.abs(plain - fast).max() > 1e-3


def test_what_does_not_fit_the_sensor_is_said():
    sensor = GlimpseSensor(4, 2)
    gray, colour = (pad(np.zeros((2, 9, 9, channels), np.uint8), sensor.margin) for channels in (1, 3))
    places = np.zeros((4, 2), np.float32)
    for canvas, location, out, said in (
        (pad(np.zeros((2, 9, 9, 1), np.uint8), 3), places, None, "a border of 4 pixels, got 3"),
        (gray, places[:3], None, "3 locations do not share 2 images"),
        (colour, places, sensor.forward(gray, places), r"4 glimpses of 96 values do not fit into \(4, 32\)"),
    ):
        with pytest.raises(UsageError, match=said):
            sensor.forward(canvas, location, out)
