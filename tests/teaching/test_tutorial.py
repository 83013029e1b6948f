"""What the notebooks share: a reader's parts at work in the model, short trainings, films and drawings."""

import inspect
import itertools
import pkgutil
import re
from importlib import import_module

import matplotlib.pyplot as plt
import numpy as np
import pytest

import ramnp.network.core
import ramnp.network.layers
import ramnp.network.model
from ramnp.backend import NUMPY
from ramnp.config import Config
from ramnp.data.source import DataSet, Split
from ramnp.network.core import Core
from ramnp.teaching import figures
from ramnp.teaching.animations import Glimpses, animate_glimpses, film
from ramnp.teaching.recurrence import animate_unrolled, caption, draw_lstm, draw_time_as_rows, draw_unrolled
from ramnp.teaching.training import train_briefly
from ramnp.teaching.using import CONVENIENCES, using

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


class GlimpseNetwork:
    """Without `out`: its h and g are to reach the model's own storage."""

    calls = 0

    def forward(self, rho, location):
        GlimpseNetwork.calls += 1
        h_g, _ = self.what.forward(rho)
        h_l, _ = self.where.forward(location)
        h = np.maximum(np.concatenate([h_g, h_l], axis=1), 0)
        a, _ = self.mix.forward(h)
        return np.maximum(a, 0), (rho, location, h, a)  # its own business: only the signs of the last are used

    def backward(self, dg, cache):
        GlimpseNetwork.calls += 1
        rho, location, h, g = cache
        dh = self.mix.backward(dg * (g > 0), h) * (h > 0)
        return (
            self.what.backward(dh[:, : self.what_units], rho),
            self.where.backward(dh[:, self.what_units :], location),
        )


# A glimpse of 8 x 8 x 1 has 64 values: with as many hidden units, the gradient of one fits the scratch of the other.
@pytest.mark.parametrize("units", [8, 32])
def test_a_reader_s_glimpse_network_does_the_work(dataset, units):
    config = Config(**CONFIG.to_json() | {"what_units": units, "where_units": units})
    theirs = train_briefly(config, dataset, steps=4, every=1)
    GlimpseNetwork.calls = 0
    with using(GlimpseNetwork):
        yours = train_briefly(config, dataset, steps=4, every=1)
    for term in theirs.losses:
        np.testing.assert_allclose(yours.losses[term], theirs.losses[term], rtol=1e-5)
    assert GlimpseNetwork.calls == 4 * (config.glimpses + 1)


def test_a_reader_s_sensor_does_the_work(dataset):
    class GlimpseSensor:
        def forward(self, canvas, location):
            seen = np.zeros((len(location), self.size(1)))
            seen[:, 0] = 1
            return seen

    with using(GlimpseSensor):
        model = train_briefly(CONFIG, dataset, steps=1, every=1).model
        rollout = model.forward(model.canvas(dataset.train.images), model.draw(np.random.default_rng(0), 24))
    np.testing.assert_array_equal(rollout.rho[..., 0], 1)
    np.testing.assert_array_equal(rollout.rho[..., 1:], 0)


def functions_of(module):
    """The functions and methods that a module defines, but for what Python calls: (name, function)."""
    for name, value in vars(module).items():
        if getattr(value, "__module__", None) != module.__name__:
            continue
        for each, function in vars(value).items() if inspect.isclass(value) else [(name, value)]:
            if inspect.isfunction(function) and not each.startswith("__"):
                yield f"{module.__name__}.{name}.{each}", function


def test_what_a_reader_may_leave_out_comes_last():
    """Arguments after it would move into its place."""
    modules = [import_module(each.name) for each in pkgutil.iter_modules(ramnp.network.__path__, "ramnp.network.")]
    functions = [pair for module in modules for pair in functions_of(module)]
    assert len(functions) > 100
    for name, function in functions:
        arguments = list(inspect.signature(function).parameters)
        left_out = [argument in CONVENIENCES for argument in arguments]
        assert left_out == sorted(left_out), f"{name}: {arguments}"


def test_a_wrong_part_shows(dataset):
    def relu_backward(dout, y):
        return 0 * dout

    theirs = train_briefly(CONFIG, dataset, steps=4, every=1)
    with using(relu_backward):
        yours = train_briefly(CONFIG, dataset, steps=4, every=1)
    assert abs(yours.losses["action"] - theirs.losses["action"]).max() > 1e-4


class RNN(Core):
    width = 1

    def step(self, g, t, cache):
        calls.append("step")
        cache.h[t + 1] = np.maximum(cache.h[t] @ self.W_hh + g @ self.W_gh + self.b, 0)
        return cache.h[t + 1]

    def backward(self, dh, cache):
        calls.append("backward")
        g, h, dg, back = cache[0], cache[1].h, np.zeros_like(cache[0]), 0
        for t in reversed(range(len(g))):
            dz = (dh[t] + back) * (h[t + 1] > 0)
            self.dW_hh += h[t].T @ dz
            self.dW_gh += g[t].T @ dz
            self.db += dz.sum(axis=0)
            dg[t] = dz @ self.W_gh.T
            back = dz @ self.W_hh.T
        return dg


def test_a_reader_s_core_takes_the_place_of_inherited_methods(dataset):
    inherited = ramnp.network.core.RNN.step, ramnp.network.core.RNN.backward
    theirs = train_briefly(CONFIG, dataset, steps=4, every=1)
    calls.clear()
    with using(RNN):
        yours = train_briefly(CONFIG, dataset, steps=4, every=1)
        assert ramnp.network.core.LSTM.backward is inherited[1]
    np.testing.assert_allclose(yours.losses["action"], theirs.losses["action"], rtol=1e-5)
    assert calls.count("step") == 4 * CONFIG.glimpses
    assert calls.count("backward") == 4
    assert (ramnp.network.core.RNN.step, ramnp.network.core.RNN.backward) == inherited
    assert not {"step", "backward"} & set(vars(ramnp.network.core.RNN))


def test_afterwards_everything_is_as_it_was():
    before = vars(ramnp.network.layers.Linear)["forward"], ramnp.network.model.log_softmax
    with using(Linear, log_softmax):
        assert ramnp.network.model.log_softmax is not before[1]
    with pytest.raises(ZeroDivisionError), using(Linear, log_softmax):
        _ = 1 / 0
    assert (vars(ramnp.network.layers.Linear)["forward"], ramnp.network.model.log_softmax) == before


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
    model = ramnp.network.model.RecurrentAttentionModel(config, images.shape[1:], 10, NUMPY)
    html = animate_glimpses(model, images, np.array([3, 4])).data
    assert len(re.findall(r"frames\[\d+\] =", html)) == 3
    assert plt.get_fignums() == []


@pytest.mark.parametrize("layout", [None, "none"])
def test_all_frames_of_a_film_have_the_layout_of_the_first(layout):
    with plt.rc_context():
        figures.use_style()
        figure, axes = plt.subplots(layout=layout)
        places = []

        def draw(number):
            axes.clear()
            axes.set_ylabel("\n" * number)  # which, laid out anew, would take more room
            places.append(axes.get_position().bounds)

        html = film(figure, draw, range(1, 4), 0.1).data
    assert len(re.findall(r"frames\[\d+\] =", html)) == 3
    assert (places[0] == places[1]) == (layout == "none")  # laid out if it is to be
    assert len(set(places[1:])) == 1


def test_a_film_shows_where_the_network_looked(rng):
    """The undimmed pixels of the last frame are those of the finest patches."""
    images = np.full((1, 12, 12, 1), 255, dtype=np.uint8)
    model = ramnp.network.model.RecurrentAttentionModel(
        Config(**CONFIG.to_json() | {"patch": 4}), (12, 12, 1), 10, NUMPY
    )
    shown = Glimpses(model, images, np.array([3]), None, 0)
    shown.draw(2)
    image = shown.axes[0, 0].images[0].get_array()
    x, y = np.floor((shown.locations[:, 0] + 1) * 6 + 0.5).astype(int).T
    seen = np.zeros((12, 12), dtype=bool)
    for column, row in zip(x, y, strict=True):
        seen[max(row - 2, 0) : row + 2, max(column - 2, 0) : column + 2] = True
    np.testing.assert_array_equal(image == 1, seen)
    plt.close(shown.figure)


@pytest.mark.parametrize("first_location", ["uniform", "learned"])
def test_a_film_follows_a_path_that_is_given(rng, first_location):
    images, path = rng.integers(0, 256, (2, 12, 12, 1), dtype=np.uint8), rng.uniform(-1, 1, (3, 2, 2))
    config = Config(**CONFIG.to_json() | {"first_location": first_location})
    model = ramnp.network.model.RecurrentAttentionModel(config, (12, 12, 1), 10, NUMPY)
    shown = Glimpses(model, images, np.array([3, 4]), None, 0, path)
    np.testing.assert_array_equal(shown.locations, path.astype(np.float32))
    plt.close(shown.figure)


@pytest.mark.parametrize("names", [None, ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", *"abc")])
def test_names_in_a_film_do_not_overlap(rng, names):
    images = rng.integers(0, 256, (4, 12, 12, 1), dtype=np.uint8)
    model = ramnp.network.model.RecurrentAttentionModel(CONFIG, (12, 12, 1), 10, NUMPY)
    shown = Glimpses(model, images, np.arange(4), names, 0)
    shown.draw(0)
    boxes = [label.get_window_extent() for label in shown.axes[2, 0].get_xticklabels()]
    assert not any(left.overlaps(right) for left, right in itertools.pairwise(boxes))
    assert min(box.y0 for box in boxes) >= 0
    plt.close(shown.figure)


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


def test_recurrence_is_drawn():
    drawings = {name: draw() for name, draw in {
        "forward": draw_unrolled,
        "both": lambda: draw_unrolled(3, backward=True),
        "rows": draw_time_as_rows,
        "lstm": draw_lstm,
    }.items()}  # fmt: skip
    texts = {}
    for name, figure in drawings.items():
        figure.canvas.draw()
        texts[name] = {text.get_text() for text in figure.axes[0].texts}
    assert plt.get_fignums() == []
    assert {"$h_0$", "$h_4$", "$g_4$", "$l_4$"} <= texts["forward"]
    assert not any("d" in text for text in texts["forward"] if text.startswith("$"))
    assert {"$dg_1$", "$dg_3$", "above$_1$", "above$_3$"} <= texts["both"]
    assert sum("W_{hh}^T" in text for text in texts["both"]) == 2
    assert {"$h_0^T$", "$dz_1$", "$h_2^T$", "$dz_3$"} <= texts["rows"]
    assert {"$f$", "$i$", "$u$", "$o$"} <= texts["lstm"]


def test_the_film_of_both_passes_has_a_frame_a_step_each_way():
    assert len(re.findall(r"frames\[\d+\] =", animate_unrolled(2).data)) == 4
    assert plt.get_fignums() == []
    forward, last, before = (caption(frame, 2)[0] for frame in (0, 2, 3))
    assert "h_1 = " in forward
    assert "dh_2 = \\mathrm{above}_2$" in last
    assert "dh_1 = \\mathrm{above}_1 + dz_2" in before
