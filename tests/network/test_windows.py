"""Windows read and written at once: the view that NumPy uses against the plain way, and both against a loop."""

import numpy as np
import pytest

from ramnp.network import windows as module
from ramnp.network.windows import Windows, windows


@pytest.fixture
def corners(rng):
    """Of 3 x 5 windows in 4 images of 9 x 11 pixels, the edges among them."""
    image, top, left = rng.integers(0, 4, 30), rng.integers(0, 7, 30), rng.integers(0, 7, 30)
    top[:2], left[:2] = (0, 6), (0, 6)
    return image, top, left


@pytest.mark.parametrize("kind", [windows, Windows])
@pytest.mark.parametrize("channels", [1, 3])
def test_they_read_what_a_loop_reads(backend, rng, corners, kind, channels):
    pixels = rng.integers(0, 256, (4, 9, 11, channels), dtype=np.uint8)
    expected = [pixels[i, top : top + 3, left : left + 5] for i, top, left in zip(*corners, strict=True)]
    where = tuple(backend.asarray(each) for each in corners)
    found = kind(backend.asarray(pixels), 3, 5, backend.xp)[where]
    np.testing.assert_array_equal(backend.to_host(found), expected)


@pytest.mark.parametrize("kind", [windows, Windows])
def test_they_write_where_they_read(backend, rng, kind):
    pixels, values = np.zeros((4, 9, 11, 2)), rng.random((4, 3, 5, 2))
    image, top, left = np.arange(4), rng.integers(0, 7, 4), rng.integers(0, 7, 4)
    expected = pixels.copy()
    for i in range(4):
        expected[i, top[i] : top[i] + 3, left[i] : left[i] + 5] = values[i]
    target = backend.asarray(pixels)
    where = tuple(backend.asarray(each) for each in (image, top, left))
    kind(target, 3, 5, backend.xp)[where] = backend.asarray(values)
    np.testing.assert_array_equal(backend.to_host(target), expected)


def test_a_window_that_leaves_the_array_is_refused_and_one_number_serves_all_rows(rng):
    pixels = rng.random((4, 9, 11, 1))
    with pytest.raises(IndexError):
        windows(pixels, 3, 5)[np.arange(4), np.full(4, 7), np.zeros(4, int)]
    for kind in (windows, Windows):
        np.testing.assert_array_equal(kind(pixels, 3, 5)[np.arange(4), 2, 1], pixels[:, 2:5, 1:6])


def test_numpy_takes_the_view_of_contiguous_images_alone():
    pixels = np.zeros((2, 9, 11, 1))
    assert np.shares_memory(windows(pixels, 3, 5), pixels)
    assert isinstance(windows(pixels[:, ::2], 3, 5), module.Windows)
