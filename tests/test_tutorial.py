"""What the notebooks share: a reader's parts at work in the model, short trainings, films and drawings."""

import itertools
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest

import ramnp.layers
import ramnp.model
from ramnp.backend import NUMPY
from ramnp.config import Config
from ramnp.data.source import DataSet, Split
from ramnp.tutorial import figures
from ramnp.tutorial.animations import Film, animate_glimpses
from ramnp.tutorial.training import train_briefly
from ramnp.tutorial.using import using

CONFIG = Config(batch_size=8, glimpses=3, units=16, what_units=8, where_units=8, glimpse_units=16, policy_hidden=8)


@pytest.fixture
def dataset(rng):
    split = Split(rng.integers(0, 256, (24, 12, 12, 1), dtype=np.uint8), rng.integers(0, 10, 24))
    return DataSet("random", 10, split, split[:0], split)


class Linear:
    calls = 0

    def forward(self, x):
        Linear.calls += 1
        return x @ self.W + self.b, x

    def backward(self, dy, cache):
        Linear.calls += 1
        self.dW += cache.T @ dy
        self.db += dy.sum(axis=0)
        return dy @ self.W.T


calls = []


def relu_backward(dout, y):
    calls.append("relu_backward")
    return dout * (y > 0)


def log_softmax(z):
    calls.append("log_softmax")
    shifted = z - z.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def test_a_reader_s_parts_do_the_work(dataset):
    theirs = train_briefly(CONFIG, dataset, steps=4, every=1)
    Linear.calls = 0
    calls.clear()
    with using(Linear, relu_backward, log_softmax):
        yours = train_briefly(CONFIG, dataset, steps=4, every=1)
    for term in theirs.losses:
        np.testing.assert_allclose(yours.losses[term], theirs.losses[term], rtol=1e-5)
    assert Linear.calls > 40
    assert {"relu_backward", "log_softmax"} <= set(calls)


def test_a_wrong_part_shows(dataset):
    def relu_backward(dout, y):
        return 0 * dout

    theirs = train_briefly(CONFIG, dataset, steps=4, every=1)
    with using(relu_backward):
        yours = train_briefly(CONFIG, dataset, steps=4, every=1)
    assert abs(yours.losses["action"] - theirs.losses["action"]).max() > 1e-4


def test_afterwards_everything_is_as_it_was():
    before = vars(ramnp.layers.Linear)["forward"], ramnp.model.log_softmax
    with using(Linear, log_softmax):
        assert ramnp.model.log_softmax is not before[1]
    with pytest.raises(ZeroDivisionError), using(Linear, log_softmax):
        _ = 1 / 0
    assert (vars(ramnp.layers.Linear)["forward"], ramnp.model.log_softmax) == before


def test_what_ramnp_does_not_have_cannot_be_replaced():
    def no_such_part(x):
        return x

    with pytest.raises(NameError, match="ramnp has no no_such_part"), using(no_such_part):
        pass


def test_a_moment_of_training_goes_on_into_the_next_epoch(dataset):
    moment = train_briefly(CONFIG, dataset, steps=7, every=2)
    assert moment.steps.tolist() == [2, 4, 6]
    assert moment.error.shape == moment.losses["action"].shape == (3,)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_film_has_a_frame_a_glimpse(rng, channels, dtype):
    images = rng.integers(0, 256, (2, 12, 12, channels)).astype(dtype)
    images = images if dtype == np.uint8 else images / 255
    config = Config(**CONFIG.to_json() | {"scales": 2})
    model = ramnp.model.RecurrentAttentionModel(config, images.shape[1:], 10, NUMPY)
    html = animate_glimpses(model, images, np.array([3, 4])).data
    assert len(re.findall(r"frames\[\d+\] =", html)) == 3
    assert plt.get_fignums() == []


def test_a_film_shows_where_the_network_looked(rng):
    """The undimmed pixels of the last frame are those of the finest patches."""
    images = np.full((1, 12, 12, 1), 255, dtype=np.uint8)
    model = ramnp.model.RecurrentAttentionModel(Config(**CONFIG.to_json() | {"patch": 4}), (12, 12, 1), 10, NUMPY)
    film = Film(model, images, np.array([3]), None, 0)
    film.draw(2)
    shown = film.axes[0, 0].images[0].get_array()
    x, y = np.floor((film.locations[:, 0] + 1) * 6 + 0.5).astype(int).T
    seen = np.zeros((12, 12), dtype=bool)
    for column, row in zip(x, y, strict=True):
        seen[max(row - 2, 0) : row + 2, max(column - 2, 0) : column + 2] = True
    np.testing.assert_array_equal(shown == 1, seen)
    plt.close(film.figure)


@pytest.mark.parametrize("names", [None, ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", *"abc")])
def test_names_in_a_film_do_not_overlap(rng, names):
    images = rng.integers(0, 256, (4, 12, 12, 1), dtype=np.uint8)
    model = ramnp.model.RecurrentAttentionModel(CONFIG, (12, 12, 1), 10, NUMPY)
    film = Film(model, images, np.arange(4), names, 0)
    film.draw(0)
    boxes = [label.get_window_extent() for label in film.axes[2, 0].get_xticklabels()]
    assert not any(left.overlaps(right) for left, right in itertools.pairwise(boxes))
    assert min(box.y0 for box in boxes) >= 0
    plt.close(film.figure)


def test_drawings_are_returned_closed():
    chain = figures.draw_chain(["f", "g"], ["x", "y", "L"])
    product = figures.draw_product(("$x$", "rows", "in"), ("$W$", "in", "out"), "$y$", {"rows": 2, "in": 3, "out": 1})
    figure, axes = figures.blank(4, 2)
    figures.node(axes, 1, 1, "$h_1$")
    figures.arrow(axes, (1.5, 1), (2.5, 1), "$dh$", figures.BACKWARD)
    figures.stop(axes, 2, 1)
    for each in (chain, product, figure):
        each.canvas.draw()
    assert plt.get_fignums() == []
    assert {"$x$", "$dx$", "$L$", "$dL$"} <= {text.get_text() for text in chain.axes[0].texts}
    assert {"rows", "in", "out"} <= {text.get_text() for text in product.axes[0].texts}
