"""Linear and the elementwise pairs: values, gradients, and that nothing but `out` is written."""

import numpy as np
import pytest
from checking import failures, wrong_gradients

from ramnp.network import layers
from ramnp.network.layers import Linear

PAIRS = {
    "relu": (layers.relu, layers.relu_backward),
    "tanh": (layers.tanh, layers.tanh_backward),
    "sigmoid": (layers.sigmoid, layers.sigmoid_backward),
}


def linear(backend, rng, n_in=4, n_out=3):
    return Linear(n_in, n_out, rng, xp=backend.xp, dtype=np.float64)


@pytest.mark.parametrize("rows", [1, 5])
def test_linear(backend, rng, rows):
    layer = linear(backend, rng)
    layer.b[...] = backend.asarray(rng.standard_normal(3))
    x = backend.asarray(rng.standard_normal((rows, 4)))
    host = backend.to_host
    y, _ = layer.forward(x)
    np.testing.assert_allclose(host(y), host(x) @ host(layer.W) + host(layer.b))
    assert wrong_gradients(layer, layer.forward, layer.backward, {"x": x}, rng) == []


def test_linear_accumulates_and_skips_dx_when_told(rng):
    layer = Linear(4, 3, rng)
    x, dy = rng.standard_normal((5, 4)), rng.standard_normal((5, 3))
    layer.backward(dy, x)
    once = layer.dW.copy(), layer.db.copy()
    assert layer.backward(dy, x, input_gradient=False) is None
    np.testing.assert_allclose(layer.dW, 2 * once[0], rtol=1e-5)
    np.testing.assert_allclose(layer.db, 2 * once[1], rtol=1e-5)


class Transposed(Linear):
    def backward(self, dy, cache, input_gradient=True):
        self.dW += (cache.T @ dy).T.reshape(self.dW.shape)
        self.db += dy.sum(axis=0)
        return dy @ self.W.T


class MeanForSum(Linear):
    def backward(self, dy, cache, input_gradient=True):
        self.dW += cache.T @ dy
        self.db += dy.mean(axis=0)
        return dy @ self.W.T


@pytest.mark.parametrize(("bug", "found"), [(Transposed, ["W"]), (MeanForSum, ["b"])])
def test_planted_bugs_in_linear_are_caught(rng, bug, found):
    layer = bug(4, 3, rng, dtype=np.float64)
    assert wrong_gradients(layer, layer.forward, layer.backward, {"x": rng.standard_normal((5, 4))}, rng) == found


@pytest.mark.parametrize("name", PAIRS)
def test_elementwise_pairs(backend, rng, name):
    forward, backward = PAIRS[name]
    x = backend.asarray(rng.standard_normal((5, 4)))
    weights = backend.asarray(rng.standard_normal((5, 4)))
    options = {"xp": backend.xp} if name == "relu" else {}
    dx = backward(weights, forward(x, xp=backend.xp), **options)
    assert failures(lambda: float((forward(x, xp=backend.xp) * weights).sum()), {"x": (x, dx)}) == []


def test_sigmoid_neither_overflows_nor_rounds_away():
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_allclose(layers.sigmoid(np.array([-1000.0, 0, 1000])), [0, 0.5, 1])
        np.testing.assert_allclose(layers.sigmoid(np.array([-2.0, 3])), 1 / (1 + np.exp([2.0, -3])))


def test_log_softmax_and_cross_entropy(backend, rng):
    xp = backend.xp
    x = backend.asarray(rng.standard_normal((5, 4)))
    labels = backend.asarray(np.array([0, 3, 1, 1, 2]))
    weights = backend.asarray(rng.standard_normal((5, 4)))
    dx = layers.log_softmax_backward(weights, layers.log_softmax(x, xp), xp)
    assert failures(lambda: float((layers.log_softmax(x, xp) * weights).sum()), {"x": (x, dx)}) == []
    dx = layers.cross_entropy_backward(layers.log_softmax(x, xp), labels, xp)
    loss = lambda: float(layers.cross_entropy(layers.log_softmax(x, xp), labels, xp))  # noqa: E731
    assert failures(loss, {"x": (x, dx)}) == []
    assert failures(loss, {"x": (x, dx * 5)}) == ["x"]  # sum for mean
    several = xp.stack([layers.log_softmax(x, xp), layers.log_softmax(2 * x, xp)])
    apart = [
        (layers.cross_entropy(log_p, labels, xp), layers.cross_entropy_backward(log_p, labels, xp)) for log_p in several
    ]
    assert float(layers.cross_entropy(several, labels, xp)) == pytest.approx(float(apart[0][0] + apart[1][0]))
    together = layers.cross_entropy_backward(several, labels, xp)
    np.testing.assert_array_equal(*(backend.to_host(each) for each in (together, xp.stack([dx for _, dx in apart]))))


def test_log_softmax_of_large_values():
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_allclose(
            layers.log_softmax(np.array([[1e4, 0.0], [-1e4, -1e4]])), [[0, -1e4], [-np.log(2)] * 2]
        )


def test_out_is_written_and_inputs_are_not(rng):
    x = rng.standard_normal((5, 4))
    x.flags.writeable = False
    out = np.empty((5, 4))
    for forward, _ in PAIRS.values():
        assert forward(x, out=out) is out
        np.testing.assert_array_equal(out, forward(x))
    dy, y = rng.standard_normal((5, 4)), layers.relu(x)
    y.flags.writeable = False
    assert layers.relu_backward(dy, y, out=dy) is dy
