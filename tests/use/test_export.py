"""An exported model gives the answers and the paths of the model."""

import sys

import numpy as np
import pytest
from running import assert_fails, run_module
from tiny import tiny_model

import ramnp
from ramnp.errors import BackendError, UsageError
from ramnp.network.core import RNN
from ramnp.network.glimpse import GlimpseNetwork
from ramnp.network.policy import GaussianPolicy
from ramnp.use import export as exporting
from ramnp.use.export import export_onnx, graph_of

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")


def run_onnx(content, images, randomness):
    """(probabilities, locations) by onnxruntime; uint8 images become floats in [0, 1]."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    dtype = np.float64 if "double" in session.get_inputs()[0].type else np.float32
    inputs = {"images": images.astype(dtype) / dtype(255)}
    if len(session.get_inputs()) > 1:
        inputs["first_location"] = randomness[0].astype(dtype)
    return session.run(["probabilities", "locations"], inputs)


def assert_same(model, images, tolerance):
    network = model.network
    randomness = network.randomness(len(images), 1, 0, 0)
    rollout = network.forward(network.canvas(images), randomness)
    p, locations = run_onnx(graph_of(model).SerializeToString(), images, randomness)
    assert np.allclose(locations, rollout.locations.transpose(1, 0, 2), rtol=0, atol=tolerance)
    assert np.allclose(p, np.exp(rollout.log_p), rtol=0, atol=tolerance)
    assert np.ptp(rollout.locations[-1], axis=0).min() > 0 or model.config.policy == "centre"  # it looks about


@pytest.mark.parametrize("name", ["mnist-6", "cifar10-4-conv"])
def test_300_images_get_the_same_answers(name, rng):
    """Of digits, and of photographs, here random, by convolutions and an LSTM."""
    model = ramnp.load(name, "numpy")
    if name == "mnist-6":
        images = ramnp.data.load(model.config).test.images[:300]
    else:
        images = rng.integers(0, 256, (300, *model.image_shape), dtype=np.uint8)
    assert_same(model, images, 2e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"core": "rnn", "first_location": "uniform"},
        {"core": "lstm", "first_location": "centre"},
        {"core": "gru"},
        {"first_location": "learned", "squash": "clip"},
        {"squash": "linear", "policy_hidden": 0},
        {"scales": 3},
        {"scales": 2, "patch": 5},
        {"patch": 3},
        {"pixel_mean": 0.4, "pixel_std": 0.3},
        {"policy": "centre"},
        {"glimpses": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_kind_of_part_is_the_same_in_float64(changes, channels, rng):
    shape = (14, 11, channels)
    images = rng.integers(0, 256, (30, *shape), dtype=np.uint8)
    assert_same(tiny_model(shape, dtype="float64", **changes), images, 1e-12)


@pytest.mark.parametrize("channels", [1, 3])
def test_convolutions_are_the_same_in_float32(channels, rng):
    """onnxruntime has none in float64."""
    images = rng.integers(0, 256, (30, 14, 11, channels), dtype=np.uint8)
    assert_same(tiny_model((14, 11, channels), glimpse_network="conv", scales=2), images, 2e-5)
    with pytest.raises(UsageError, match="--dtype float32"):
        graph_of(tiny_model(glimpse_network="conv", dtype="float64"))


@pytest.mark.parametrize("planted", ["squash", "core", "sensor"])
def test_a_wrong_graph_is_noticed(planted, rng, monkeypatch):
    """The comparison can fail."""
    if planted == "squash":
        monkeypatch.setattr(exporting, "squash", lambda graph, part, a: a)
    elif planted == "core":
        monkeypatch.setitem(exporting.GATES, RNN, lambda graph, z, states: (graph.op("Tanh", z),))
    else:
        sensor = exporting.sensor
        monkeypatch.setattr(exporting, "sensor", lambda *args: sensor(*args[:3], args[3], (12, 11, 1)))  # H is 14
    images = rng.integers(0, 256, (30, 14, 11, 1), dtype=np.uint8)
    with pytest.raises(AssertionError):
        assert_same(tiny_model((14, 11, 1), dtype="float64"), images, 1e-12)


def test_the_command_writes_the_file(tmp_path, rng):
    tiny_model().save(tmp_path / "mine.npz")
    process = run_module(
        "ramnp.export", tmp_path / "mine.npz", "--to", "onnx", "--out", tmp_path / "mine.onnx", "--glimpses", 5
    )
    assert (process.returncode, process.stderr) == (0, "")
    images = rng.integers(0, 256, (4, 12, 10, 1), dtype=np.uint8)
    _, locations = run_onnx((tmp_path / "mine.onnx").read_bytes(), images, np.zeros((1, 4, 2)))
    assert locations.shape == (4, 5, 2)


def test_what_cannot_be_exported_is_said(tmp_path):
    for changes, said in (({"model": "fc"}, "only a recurrent attention model"), ({"policy": "random"}, "at random")):
        with pytest.raises(UsageError, match=said):
            graph_of(tiny_model(**changes))
    assert_fails(run_module("ramnp.export", tmp_path / "none.npz", "--to", "onnx"), 3, "none.npz")


@pytest.mark.parametrize(("kind", "part"), [("core", RNN), ("glimpse", GlimpseNetwork), ("policy", GaussianPolicy)])
def test_a_part_of_the_users_own_is_refused(kind, part):
    """It computes something else than ramnp's, even if it is a subclass."""
    mine = object.__new__(type("Mine", (part,), {}))
    with pytest.raises(UsageError, match="Mine is not one of ramnp's own"):
        getattr(exporting, kind)(exporting.Graph(np.dtype("float32")), mine, *["x"] * (1 if kind == "policy" else 2))


def test_without_onnx_it_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(BackendError, match=r"ramnp\[onnx\]"):
        export_onnx(tiny_model(), tmp_path / "x.onnx")
