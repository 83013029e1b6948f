"""The glimpse networks, linear and convolutional."""

import numpy as np
import pytest
from checking import named_arrays, wrong_gradients

from ramnp.errors import UsageError
from ramnp.network import glimpse
from ramnp.network.glimpse import ConvGlimpseNetwork, GlimpseNetwork

SHAPE = (2, 4, 4, 3)  # (K, g, g, C): every axis matters


class SmallFeatures(glimpse.GlimpseFeatures):
    filters = (3, 2)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Few filters, so that every weight can be perturbed."""
    monkeypatch.setattr(glimpse, "GlimpseFeatures", SmallFeatures)


def network(rng, xp=np, cls=GlimpseNetwork):
    made = cls(SHAPE, 3, 4, 5, rng, xp, np.float64)
    for name, owner, own in made.walk():
        if name.endswith(".b"):
            getattr(owner, own)[...] = xp.asarray(0.3 * rng.standard_normal(getattr(owner, own).shape))
    return made


def inputs(rng, backend=None, rows=7):
    asarray = backend.asarray if backend else np.asarray
    return {"rho": asarray(rng.random((rows, 96))), "location": asarray(rng.uniform(-1, 1, (rows, 2)))}


both = pytest.mark.parametrize("cls", [GlimpseNetwork, ConvGlimpseNetwork])


def test_its_equation(rng):
    net, x = network(rng), inputs(rng)
    h_g = np.maximum(x["rho"] @ net.what.W + net.what.b, 0)
    h_l = np.maximum(x["location"] @ net.where.W + net.where.b, 0)
    expected = np.maximum(h_g @ net.mix.W[:3] + h_l @ net.mix.W[3:] + net.mix.b, 0)
    np.testing.assert_allclose(net.forward(**x)[0], expected)


def test_the_features_of_the_convolutional_one(rng):
    """Channels are (scale, colour), convolutions are correlations."""
    net, x = network(rng, cls=ConvGlimpseNetwork), inputs(rng)
    image = np.concatenate([x["rho"].reshape(7, *SHAPE)[:, k] for k in range(SHAPE[0])], axis=-1)

    def convolve(image, layer):
        padded = np.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)))
        side, kernel = image.shape[1], layer.W.reshape(3, 3, image.shape[3], -1)
        windows = ((padded[:, i : i + side, j : j + side], kernel[i, j]) for i in range(3) for j in range(3))
        return np.maximum(sum(window @ w for window, w in windows) + layer.b, 0)

    first = convolve(image, net.features.first)
    pooled = first.reshape(7, 2, 2, 2, 2, -1).mean(axis=(2, 4))
    expected = convolve(pooled, net.features.second).reshape(7, -1)
    np.testing.assert_allclose(net.features.forward(x["rho"])[0], expected)
    h, g = GlimpseNetwork.buffers(net, 7)
    GlimpseNetwork.forward(net, expected, x["location"], out=(h, g))
    np.testing.assert_allclose(net.forward(**x)[0], g)


def test_an_odd_patch_cannot_be_pooled(rng):
    with pytest.raises(UsageError, match="--patch"):
        ConvGlimpseNetwork((1, 3, 3, 1), 3, 4, 5, rng)


@both
@pytest.mark.parametrize("rows", [1, 7])
def test_their_gradients(backend, rng, rows, cls):
    net = network(rng, backend.xp, cls)
    assert wrong_gradients(net, net.forward, net.backward, inputs(rng, backend, rows), rng) == []


def test_a_missing_relu_mask_is_caught(rng, monkeypatch):
    monkeypatch.setattr(glimpse, "relu_backward", lambda dy, y, out, xp: dy)
    net = network(rng)
    wrong = wrong_gradients(net, net.forward, net.backward, inputs(rng), rng)
    assert {"what.W", "where.W", "mix.W", "rho", "location"} <= set(wrong)


def test_bugs_planted_in_the_features_are_caught(rng, monkeypatch):
    right = glimpse.average_pool_backward
    monkeypatch.setattr(glimpse, "average_pool_backward", lambda dy, xp: 4 * right(dy, xp))
    net = network(rng, cls=ConvGlimpseNetwork)
    wrong = wrong_gradients(net, net.forward, net.backward, inputs(rng), rng)
    assert set(wrong) == {"features.first.W", "features.first.b", "rho"}


@both
def test_time_is_just_more_rows(rng, cls):
    """Two steps of three rows, written into time-major buffers, then one backward pass on six rows."""
    net, x = network(rng, cls=cls), inputs(rng, rows=6)
    buffers = net.buffers(2, 3)
    for t in range(2):
        rows = slice(3 * t, 3 * t + 3)
        net.forward(x["rho"][rows], x["location"][rows], out=tuple(buffer[t] for buffer in buffers))
    flat = tuple(buffer.reshape(6, *buffer.shape[2:]) for buffer in buffers)
    g, cache = net.forward(**x)
    np.testing.assert_allclose(flat[-1], g)
    drho, dlocation = net.backward(np.ones_like(g), (*x.values(), *flat))
    for here, there in zip((drho, dlocation), net.backward(np.ones_like(g), cache), strict=True):
        np.testing.assert_allclose(here, there)


@both
def test_input_gradients_can_be_left_out(rng, cls):
    net, x = network(rng, cls=cls), inputs(rng)
    g, cache = net.forward(**x)
    net.backward(np.ones_like(g), cache)
    expected = {name: gradient.copy() for name, (_, gradient) in named_arrays(net).items()}
    for _, gradient in named_arrays(net).values():
        gradient.fill(0)
    assert net.backward(np.ones_like(g), cache, input_gradient=False) == (None, None)
    for name, (_, gradient) in named_arrays(net).items():
        np.testing.assert_array_equal(gradient, expected[name])


@both
def test_inputs_and_caches_are_not_overwritten(rng, cls):
    net, x = network(rng, cls=cls), inputs(rng)
    for array in x.values():
        array.flags.writeable = False
    g, cache = net.forward(**x)
    for array in cache:
        array.flags.writeable = False
    net.backward(np.ones_like(g), cache)
