"""The networks that see the whole image: equations, gradients, and the interface that the commands use."""

import dataclasses

import numpy as np
import pytest
from checking import failures, wrong_gradients

from ramnp.config import ModelConfig
from ramnp.errors import UsageError
from ramnp.network import build, reinforce
from ramnp.network import whole_image as baselines
from ramnp.network.layers import cross_entropy
from ramnp.network.model import RecurrentAttentionModel
from ramnp.network.reinforce import LearningRule
from ramnp.network.whole_image import Convolutional, FullyConnected

SHAPE = (7, 6, 3)  # (H, W, C)


class SmallConvolutional(Convolutional):
    filters, kernel, stride = 2, 3, 2


both = pytest.mark.parametrize("cls", [FullyConnected, SmallConvolutional])


def model(rng, cls, backend=baselines.NUMPY, shape=SHAPE, **config):
    made = cls(ModelConfig(fc_units=5, dtype="float64", **config), shape, 4, backend)
    made.parameters.values += backend.asarray(0.2 * rng.standard_normal(made.parameters.size))
    return made


def test_the_equation_of_the_fully_connected_one(rng):
    made, images = model(rng, FullyConnected), rng.random((3, *SHAPE))
    p, x = made.parameters, images.reshape(3, -1)
    h_1 = np.maximum(x @ p["hidden.first.W"] + p["hidden.first.b"], 0)
    h_2 = np.maximum(h_1 @ p["hidden.second.W"] + p["hidden.second.b"], 0)
    scores = np.exp(h_2 @ p["action.W"] + p["action.b"])
    outcome = made.forward(made.canvas(images), made.draw(rng, 3))
    np.testing.assert_allclose(np.exp(outcome.log_p), scores / scores.sum(axis=1, keepdims=True))


def test_the_convolutional_one_is_the_paper_s():
    made = Convolutional(ModelConfig(), (60, 60, 1), 10)
    shapes = {name: made.parameters[name].shape for name in made.parameters}
    assert shapes["hidden.first.W"] == (10 * 10 * 1, 8)
    assert made.hidden.first.stride == 5
    assert shapes["hidden.second.W"] == (11 * 11 * 8, 256)
    assert shapes["action.W"] == (256, 10)


@both
@pytest.mark.parametrize("rows", [1, 4])
def test_hidden_layers(backend, rng, cls, rows):
    hidden = model(rng, cls, backend).hidden
    x = backend.asarray(rng.random((rows, *model(rng, cls).input_shape)))
    assert wrong_gradients(hidden, hidden.forward, hidden.backward, {"x": x}, rng) == []


def claimed(made, images, labels):
    """The cross-entropy as a function of the parameters, and the gradients that `backward` claims."""
    canvas, randomness = made.canvas(images), made.draw(None, len(images))
    labels = made.backend.asarray(labels)
    made.parameters.gradients.fill(0)
    made.backward(made.forward(canvas, randomness), labels, LearningRule())
    loss = lambda: float(cross_entropy(made.forward(canvas, randomness).log_p, labels, made.xp))  # noqa: E731
    host = made.backend.to_host
    return loss, {name: (made.parameters[name], host(made.parameters.gradient(name))) for name in made.parameters}


@both
@pytest.mark.parametrize("channels", [1, 3])
def test_every_gradient(backend, rng, cls, channels):
    made = model(rng, cls, backend, (7, 6, channels))
    assert failures(*claimed(made, rng.random((3, 7, 6, channels)), rng.integers(0, 4, 3))) == []


@both
def test_every_gradient_where_classes_have_weights(backend, rng, cls):
    """The loss, written out: the mean of -w[label] log p[label]."""
    made, weights = model(rng, cls, backend), np.array([0.3, 2.0, 1.1, 0.6])
    images, labels = rng.random((3, *SHAPE)), np.array([1, 0, 1])
    canvas, randomness, host = made.canvas(images), made.draw(None, 3), backend.to_host
    rule = LearningRule(class_weights=backend.asarray(weights))
    told = made.backward(made.forward(canvas, randomness), backend.asarray(labels), rule).terms["action"]

    def loss():
        log_p = host(made.forward(canvas, randomness).log_p)
        return -(weights[labels] * log_p[np.arange(3), labels]).mean()

    assert float(told) == pytest.approx(loss())
    claimed = {name: (made.parameters[name], host(made.parameters.gradient(name))) for name in made.parameters}
    assert failures(loss, claimed) == []


@both
def test_a_missing_relu_mask_is_caught(rng, monkeypatch, cls):
    monkeypatch.setattr(baselines, "relu_backward", lambda dy, y, out, xp: dy)
    wrong = failures(*claimed(model(rng, cls), rng.random((3, *SHAPE)), rng.integers(0, 4, 3)))
    assert {"hidden.first.W", "hidden.second.W"} <= set(wrong)


@both
def test_a_sum_for_a_mean_is_caught(rng, monkeypatch, cls):
    right = reinforce.cross_entropy_backward
    monkeypatch.setattr(reinforce, "cross_entropy_backward", lambda *args: 3 * right(*args))
    wrong = failures(*claimed(model(rng, cls), rng.random((3, *SHAPE)), rng.integers(0, 4, 3)))
    assert "action.W" in wrong


@both
def test_caches_are_not_overwritten_by_backward(rng, cls):
    made, labels = model(rng, cls), rng.integers(0, 4, 3)
    canvas = made.canvas(rng.random((3, *SHAPE)))
    outcome = made.forward(canvas, made.draw(rng, 3))
    for array in (canvas.pixels, outcome.x, *outcome.hidden, outcome.log_p, labels):
        array.flags.writeable = False
    made.backward(outcome, labels, LearningRule())


@both
def test_pixels_are_scaled_and_the_border_of_a_canvas_is_not_seen(rng, cls):
    made, images = model(rng, cls), rng.integers(0, 256, (3, *SHAPE), dtype=np.uint8)
    bytes_, floats = (made.forward(made.canvas(each), None).log_p for each in (images, images / 255))
    np.testing.assert_allclose(bytes_, floats)
    made.margin = 2
    np.testing.assert_array_equal(made.forward(made.canvas(images), None).log_p, bytes_)


@both
def test_pixels_are_standardized(rng, cls):
    made, images = model(rng, cls, pixel_mean=0.4, pixel_std=0.25), rng.integers(0, 256, (3, *SHAPE), dtype=np.uint8)
    plain = type(made)(dataclasses.replace(made.config, pixel_mean=0.0, pixel_std=1.0), SHAPE, made.classes)
    expected = plain.forward(plain.canvas((images / 255 - 0.4) / 0.25), None)
    np.testing.assert_allclose(made.forward(made.canvas(images), None).x, expected.x)


@both
def test_storage_is_reused(rng, cls):
    made = model(rng, cls)
    storage = made.storage(3)
    for _ in range(2):
        canvas = made.canvas(rng.random((3, *SHAPE)))
        fresh = made.forward(canvas, None).log_p
        np.testing.assert_array_equal(made.forward(canvas, None, out=storage).log_p, fresh)


def test_an_image_smaller_than_a_filter_is_a_usage_error():
    with pytest.raises(UsageError, match="10x10"):
        Convolutional(ModelConfig(), (9, 28, 1), 10)


def test_models_are_built_by_name():
    for name, cls in (("ram", RecurrentAttentionModel), ("fc", FullyConnected), ("cnn", Convolutional)):
        assert type(build(ModelConfig(model=name), (28, 28, 1), 10)) is cls
