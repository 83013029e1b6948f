"""The glimpse network."""

import numpy as np
import pytest
from checking import named_arrays, wrong_gradients

from ramnp import glimpse
from ramnp.glimpse import GlimpseNetwork


def network(rng, xp=np, cls=GlimpseNetwork):
    made = cls(6, 3, 4, 5, rng, xp, np.float64)
    for layer in (made.what, made.where, made.mix):
        layer.b[...] = xp.asarray(rng.standard_normal(layer.b.shape))
    return made


def inputs(rng, backend=None, rows=7):
    asarray = backend.asarray if backend else np.asarray
    return {"rho": asarray(rng.random((rows, 6))), "location": asarray(rng.uniform(-1, 1, (rows, 2)))}


def test_its_equation(rng):
    net, x = network(rng), inputs(rng)
    h_g = np.maximum(x["rho"] @ net.what.W + net.what.b, 0)
    h_l = np.maximum(x["location"] @ net.where.W + net.where.b, 0)
    expected = np.maximum(h_g @ net.mix.W[:3] + h_l @ net.mix.W[3:] + net.mix.b, 0)
    np.testing.assert_allclose(net.forward(**x)[0], expected)


@pytest.mark.parametrize("rows", [1, 7])
def test_its_gradients(backend, rng, rows):
    net = network(rng, backend.xp)
    assert wrong_gradients(net, net.forward, net.backward, inputs(rng, backend, rows), rng) == []


def test_a_missing_relu_mask_is_caught(rng, monkeypatch):
    monkeypatch.setattr(glimpse, "relu_backward", lambda dy, y, out, xp: dy)
    net = network(rng)
    wrong = wrong_gradients(net, net.forward, net.backward, inputs(rng), rng)
    assert {"what.W", "where.W", "mix.W", "rho", "location"} <= set(wrong)


def test_input_gradients_can_be_left_out(rng):
    net, x = network(rng), inputs(rng)
    g, cache = net.forward(**x)
    net.backward(np.ones_like(g), cache)
    expected = {name: gradient.copy() for name, (_, gradient) in named_arrays(net).items()}
    for _, gradient in named_arrays(net).values():
        gradient.fill(0)
    assert net.backward(np.ones_like(g), cache, input_gradient=False) == (None, None)
    for name, (_, gradient) in named_arrays(net).items():
        np.testing.assert_array_equal(gradient, expected[name])


def test_inputs_and_caches_are_not_overwritten(rng):
    net, x = network(rng), inputs(rng)
    for array in x.values():
        array.flags.writeable = False
    g, cache = net.forward(**x)
    for array in cache:
        array.flags.writeable = False
    net.backward(np.ones_like(g), cache)
