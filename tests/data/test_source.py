"""The batches of a split."""

from itertools import chain

import numpy as np
import pytest
from checking import fills_slots

from ramnp.backend import NUMPY
from ramnp.data.source import Source, Split


def numbered(count, height=3, width=4, channels=2):
    """Images whose every value is their number plus 1, and whose label is their number."""
    images = np.arange(1, count + 1, dtype=np.uint8).repeat(height * width * channels)
    return Split(images.reshape(count, height, width, channels), np.arange(count))


def collect(source, size, rng=None):
    return [labels.tolist() for _, labels, *_ in source.batches(size, rng)]


@pytest.mark.parametrize("size", [1, 3, 5, 10, 11, 100])
def test_batches_in_order_hold_every_image_once(size):
    batches = collect(Source(numbered(10), NUMPY, 1), size)
    assert [*chain(*batches)] == list(range(10))
    assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    assert 1 <= len(batches[-1]) <= size


@pytest.mark.parametrize(("size", "count"), [(1, 10), (3, 3), (5, 2), (10, 1), (11, 0)])
def test_shuffled_batches_are_whole_and_repeat_nothing(size, count):
    batches = collect(Source(numbered(10), NUMPY, 1), size, np.random.default_rng(0))
    assert [len(batch) for batch in batches] == [size] * count
    chosen = [*chain(*batches)]
    assert len(set(chosen)) == len(chosen)
    assert set(chosen) <= set(range(10))


def test_the_order_depends_on_the_generator_alone():
    source = Source(numbered(50), NUMPY, 1)
    first, again, other = (collect(source, 50, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert first != collect(source, 50)


def test_batches_made_in_slots_are_the_same_and_stay_until_the_next():
    fills_slots(Source(numbered(10), NUMPY, 1), 3)


@pytest.mark.parametrize("rng", [None, np.random.default_rng(3)])
def test_canvases_hold_the_images_of_their_labels_inside_zeros(rng):
    for canvas, labels, *_ in Source(numbered(10), NUMPY, 2).batches(4, rng):
        assert canvas.margin == 2
        assert canvas.pixels.shape == (len(labels), 7, 8, 2)
        assert canvas.pixels.dtype == np.uint8
        expected = np.zeros_like(canvas.pixels)
        expected[:, 2:5, 2:6] = (labels + 1)[:, None, None, None]
        np.testing.assert_array_equal(canvas.pixels, expected)
