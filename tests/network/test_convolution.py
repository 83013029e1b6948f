"""Convolution and pooling: against a slow reference, their gradients, and that nothing is overwritten."""

from itertools import product

import numpy as np
import pytest
from checking import failures, wrong_gradients

from ramnp.errors import UsageError
from ramnp.network.convolution import Conv2D, average_pool, average_pool_backward

# (H, W, C, F, kernel, stride, padding): square and not, windows that overlap, touch, leave pixels out, stick out.
SHAPES = [
    (4, 5, 2, 3, 3, 1, 1),
    (5, 4, 1, 2, 3, 1, 0),
    (7, 6, 3, 2, 3, 2, 1),
    (8, 6, 1, 2, 2, 2, 0),
    (9, 8, 2, 2, 3, 4, 0),
]


def convolution(backend, rng, channels, filters, kernel, stride, padding, cls=Conv2D):
    layer = cls(channels, filters, kernel, rng, stride, padding, xp=backend.xp, dtype=np.float64)
    layer.b[...] = backend.asarray(rng.standard_normal(filters))
    return layer


def slow(x, w, b, kernel, stride, padding):
    """y, window by window."""
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    w = w.reshape(kernel, kernel, x.shape[3], -1)
    height, width = ((side - kernel) // stride + 1 for side in x.shape[1:3])
    y = np.empty((len(x), height, width, w.shape[3]))
    for i, j in product(range(height), range(width)):
        window = x[:, stride * i : stride * i + kernel, stride * j : stride * j + kernel]
        y[:, i, j] = np.einsum("rabc,abcf->rf", window, w) + b
    return y


@pytest.mark.parametrize(("height", "width", "channels", "filters", "kernel", "stride", "padding"), SHAPES)
def test_its_equation(backend, rng, height, width, channels, filters, kernel, stride, padding):
    layer = convolution(backend, rng, channels, filters, kernel, stride, padding)
    x = rng.standard_normal((3, height, width, channels))
    host = backend.to_host
    y, _ = layer.forward(backend.asarray(x))
    np.testing.assert_allclose(host(y), slow(x, host(layer.W), host(layer.b), kernel, stride, padding), atol=1e-12)


@pytest.mark.parametrize(("height", "width", "channels", "filters", "kernel", "stride", "padding"), SHAPES)
def test_its_gradients(backend, rng, height, width, channels, filters, kernel, stride, padding):
    layer = convolution(backend, rng, channels, filters, kernel, stride, padding)
    x = backend.asarray(rng.standard_normal((2, height, width, channels)))
    assert wrong_gradients(layer, layer.forward, layer.backward, {"x": x}, rng) == []


def test_gradients_accumulate_and_dx_can_be_left_out(rng):
    layer = Conv2D(2, 3, 3, rng, dtype=np.float64)
    x, dy = rng.standard_normal((2, 5, 5, 2)), rng.standard_normal((2, 3, 3, 3))
    layer.backward(dy, x)
    once = layer.dW.copy(), layer.db.copy()
    assert layer.backward(dy, x, input_gradient=False) is None
    np.testing.assert_allclose(layer.dW, 2 * once[0])
    np.testing.assert_allclose(layer.db, 2 * once[1])


class Overwriting(Conv2D):
    """Where windows overlap, the last one wins."""

    def add_windows(self, dwindows, shape):
        dx = np.zeros(shape)
        view = self.view(dx)
        for i, j in product(range(self.kernel), repeat=2):
            view[:, :, :, i, j] = dwindows.reshape(view.shape)[:, :, :, i, j]
        return dx


class Flipped(Conv2D):
    """The gradient of a convolution with the kernel the wrong way round."""

    def add_windows(self, dwindows, shape):
        k = self.kernel
        windows = dwindows.reshape(-1, k, k, shape[3])[:, ::-1, ::-1]
        return super().add_windows(np.ascontiguousarray(windows).reshape(dwindows.shape), shape)


@pytest.mark.parametrize("bug", [Overwriting, Flipped])
def test_planted_bugs_are_caught(rng, bug):
    layer = bug(2, 3, 3, rng, dtype=np.float64)
    x = rng.standard_normal((2, 5, 5, 2))
    assert wrong_gradients(layer, layer.forward, layer.backward, {"x": x}, rng) == ["x"]


def test_inputs_are_not_overwritten(rng):
    layer = Conv2D(2, 3, 3, rng, padding=1, dtype=np.float64)
    x, out = rng.standard_normal((2, 4, 4, 2)), np.empty((2, 4, 4, 3))
    x.flags.writeable = False
    y, cache = layer.forward(x, out=out)
    assert y is out
    dy = np.ones_like(y)
    dy.flags.writeable = False
    layer.backward(dy, cache)


def test_an_image_smaller_than_a_window_is_a_usage_error(rng):
    with pytest.raises(UsageError, match="10x10"):
        Conv2D(1, 8, 10, rng, stride=5).output_side(9)


def test_pooling(backend, rng):
    xp, host = backend.xp, backend.to_host
    x = rng.standard_normal((3, 4, 6, 2))
    expected = x.reshape(3, 2, 2, 3, 2, 2).mean(axis=(2, 4))
    x = backend.asarray(x)
    np.testing.assert_allclose(host(average_pool(x, xp=xp)), expected)
    weights = xp.asarray(rng.standard_normal(expected.shape))
    dx = average_pool_backward(weights, xp)
    pooled = lambda: float((average_pool(x, xp=xp) * weights).sum())  # noqa: E731
    assert failures(pooled, {"x": (x, dx)}) == []
    assert failures(pooled, {"x": (x, 4 * dx)}) == ["x"]  # a sum for a mean
