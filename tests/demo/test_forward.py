"""The forward pass in JavaScript is that of NumPy, and a mistake in it does not go unnoticed."""

import functools
import json

import numpy as np
import pytest

import ramnp
from ramnp.data.generate import Scene
from ramnp.data.mnist import MNIST
from ramnp.demo.page import encoded

COUNT = 300
LOOK = """([name, images, side, firsts]) => {
  const model = load(name), pixels = bytes_of(images), area = side * side;
  const started = performance.now();
  const found = firsts.map((first, i) =>
    look(model, { pixels: pixels.subarray(i * area, (i + 1) * area), height: side, width: side }, first));
  const milliseconds = (performance.now() - started) / firsts.length;
  const plain = found.map((steps) => steps.map(({ location, probabilities, boxes }) =>
    [[...location], [...probabilities], boxes.map(({ left, top }) => [left, top])]));
  return JSON.stringify({ milliseconds, plain });
}"""


@functools.cache
def images_of(name):
    """Test images as a model is for, (n, side, side, 1)."""
    digits = MNIST.read_split("t10k").images
    if name == "mnist-6":
        return digits[:COUNT]
    scene = Scene(size=60, pieces=4, piece_side=8)
    recipes = scene.draw(np.random.default_rng(0), np.arange(COUNT), digits.shape)
    return scene.render(digits, recipes, margin=0).pixels


def in_python(name, images, firsts):
    """(locations (T, n, 2), probabilities (T, n, A)), each location but the first the policy's mean."""
    model = ramnp.load(name, "numpy").network
    values = model.parameters.values
    values[...] = values.astype(np.float16)  # as in the page
    randomness = np.zeros((model.config.glimpses, len(images), 2), dtype=np.float32)
    randomness[0] = firsts
    rollout = model.forward(model.canvas(images), randomness)
    return rollout.locations, np.exp(model.answers(rollout.h))


def in_javascript(page, name, images, firsts):
    """The same, and milliseconds per image."""
    found = json.loads(page.evaluate(LOOK, [name, encoded(images), images.shape[1], firsts.tolist()]))
    locations, probabilities, _ = zip(*(zip(*steps, strict=True) for steps in found["plain"]), strict=True)
    return np.array(locations).swapaxes(0, 1), np.array(probabilities).swapaxes(0, 1), found["milliseconds"]


def agreement(page, name, count=COUNT):
    """Shares of the images whose answers are equal, whose paths and whose probabilities are close."""
    images = images_of(name)[:count]
    firsts = np.random.default_rng(1).uniform(-1, 1, (count, 2)).astype(np.float32)
    locations, p = in_python(name, images, firsts)
    js_locations, js_p, milliseconds = in_javascript(page, name, images, firsts)
    print(
        f"{name}: answers {(p[-1].argmax(-1) == js_p[-1].argmax(-1)).sum()} of {count}, "
        f"locations within {np.abs(locations - js_locations).max():.1e}, "
        f"probabilities within {np.abs(p - js_p).max():.1e}, {milliseconds:.1f} ms per image"
    )
    return (
        np.mean(p[-1].argmax(axis=-1) == js_p[-1].argmax(axis=-1)),
        np.mean(np.abs(locations - js_locations).max(axis=(0, 2)) < 1e-4),
        np.mean(np.abs(p - js_p).max(axis=(0, 2)) < 1e-3),
    )


@pytest.mark.parametrize("name", ["mnist-6", "cluttered60-8"])
def test_answers_are_numpys(page, name):
    """A location beside the border of two pixels may round to either, and that changes a path: one image may differ."""
    answers, paths, probabilities = agreement(page, name)
    assert answers == 1
    assert paths >= 1 - 1 / COUNT
    assert probabilities >= 1 - 1 / COUNT


BUGS = {
    "no ReLU": ("return relu(this.mix.forward(h));", "return this.mix.forward(h);"),
    "no ReLU in the core": ("return relu(z);", "return z;"),
    "no bias": ("return add(matmul(x, this.W, this.b.length), this.b);", "return matmul(x, this.W, this.b.length);"),
    "x and y swapped": ("corner(location[0], image.width, side);", "corner(location[1], image.width, side);"),
    "half a pixel off": ("side % 2 === 0 ? 0.5 : 0;", "0;"),
    "W transposed": ("x[i] * W[i * n_out + j]", "x[i] * W[j * x.length + i]"),
    "what and where swapped": (
        "...this.what.forward(rho), ...this.where.forward(location)",
        "...this.where.forward(location), ...this.what.forward(rho)",
    ),
    "sum, not mean": ("sum / (factor * factor) / 255", "sum / 255"),
    "h forgotten": ("h = this.core.step(g, h);", "h = this.core.step(g, this.core.initial());"),
    "no tanh": ("return tanh(this.mean.forward(x));", "return this.mean.forward(x);"),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_is_caught(opened, html, bug):
    right, wrong = BUGS[bug]
    assert html.count(right) == 1, "what is to be replaced has changed"
    with opened(html.replace(right, wrong), reduced_motion="reduce") as page:
        assert min(agreement(page, "cluttered60-8", 50)) < 0.9


def test_every_float16_is_decoded(page):
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)]
    decoded = json.loads(page.evaluate("(text) => JSON.stringify([...floats_of(text)])", encoded(halves)))
    assert np.array_equal(np.array(decoded), halves.astype(np.float64))


@pytest.mark.parametrize("name", ["mnist-6", "cluttered60-8"])
def test_float16_suffices_for_the_weights(name):
    values = ramnp.load(name, "numpy").network.parameters.values
    assert np.allclose(values.astype(np.float16), values, rtol=2**-11, atol=1e-7)
