"""The whole model, its gradients and the optimizers against PyTorch; the model is that of `benchmarks/pytorch.py`."""

import math
from itertools import product

import numpy as np
import pytest

from ramnp.config import Config, LearningConfig, ModelConfig
from ramnp.network import build
from ramnp.network.convolution import Conv2D
from ramnp.network.layers import Linear
from ramnp.network.model import RecurrentAttentionModel
from ramnp.network.parameters import Parameters
from ramnp.network.reinforce import LearningRule
from ramnp.training import optim
from ramnp.training.optim import SGD, Adam, Muon, clip_gradients

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from benchmarks import pytorch  # noqa: E402

CLASSES = 3


def convolve(p, name, x, **options):
    """A convolution of maps (R, C, H, W) with weights kept as (k k C, F)."""
    w, b = p[name + ".W"], p[name + ".b"]
    k = math.isqrt(len(w) // x.shape[1])
    kernel = w.reshape(k, k, x.shape[1], len(b)).permute(3, 2, 0, 1)
    return torch.nn.functional.conv2d(x, kernel, b, **options).relu()


def flat(x):
    """Maps (R, C, H, W) as rows in the order (row, column, channel)."""
    return x.permute(0, 2, 3, 1).flatten(1)


def close(ours, theirs):
    """Assert equality up to rounding."""
    np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("glimpses", [1, 2, 4])
@pytest.mark.parametrize(
    ("core", "routing", "squash", "policy_hidden"),
    list(product(["rnn", "lstm", "gru"], ["detached", "paper"], ["tanh", "clip", "linear"], [0, 5])),
)
def test_model_agrees_with_pytorch(core, routing, squash, policy_hidden, glimpses):
    rng = np.random.default_rng([glimpses, policy_hidden, *f"{core} {routing} {squash}".encode()])
    options = {"core": core, "squash": squash, "policy_hidden": policy_hidden, "glimpses": glimpses}
    compare_model(rng, routing, patch=int(rng.choice([2, 3])), **options)


@pytest.mark.parametrize("routing", ["detached", "paper"])
@pytest.mark.parametrize("glimpses", [1, 3])
@pytest.mark.parametrize(
    "options",
    [
        {"glimpse_network": "conv", "pixel_mean": 0.4, "pixel_std": 0.25},
        {"first_location": "learned"},
        {"first_location": "learned", "squash": "clip", "policy_hidden": 5, "core": "lstm"},
        {"first_location": "centre"},
        {"reward": "gain", "discount": 0.6, "early_weight": 0.4},
        {"reward": "gain", "discount": 0.0, "first_location": "learned", "policy_hidden": 5},
        {"policy": "random", "core": "lstm"},
        {"policy": "centre", "glimpse_network": "conv"},
    ],
    ids=str,
)
def test_the_other_models_agree_with_pytorch(routing, glimpses, options):
    rng = np.random.default_rng([glimpses, *f"{routing} {options}".encode()])
    compare_model(rng, routing, patch=4, glimpses=glimpses, **options)


def compare_model(rng, routing, **options):
    policy_weight = float(rng.uniform(0.5, 2))
    config = Config(
        **options,
        routing=routing,
        policy_weight=policy_weight,
        scales=int(rng.choice([1, 3])),
        units=7,
        what_units=6,
        where_units=4,
        glimpse_units=8,
        std=float(rng.uniform(0.1, 0.6)),
        dtype="float64",
    )
    count, rollouts, channels = 4, int(rng.choice([1, 2])), int(rng.choice([1, 3]))
    height, width = (int(extent) for extent in rng.integers(5, 12, 2))
    images = rng.integers(0, 256, (count, height, width, channels), dtype=np.uint8)
    labels = rng.integers(0, CLASSES, count)
    model = RecurrentAttentionModel(config, (height, width, channels), CLASSES)
    model.parameters.values += rng.normal(0, 0.5, model.parameters.size)  # no zero biases; some means far off
    randomness = model.draw(rng, count * rollouts)

    canvas = model.canvas(images)
    rollout = model.forward(canvas, randomness)
    loss = model.backward(rollout, labels, LearningRule.of(config))
    assert len(rollout.samples) == (0 if config.control else config.glimpses - (config.first_location != "learned"))

    for sensor in (pytorch.Sensor, pytorch.LoopSensor):
        reference = pytorch.Ram(config, channels, CLASSES, model.margin, sensor).double()
        reference.load(model.parameters)
        expected = reference(*(torch.tensor(array) for array in (canvas.pixels, labels, randomness)))
        sum(expected.terms).backward()

        for name in ("log_p", "mu", "samples", "baseline"):
            close(getattr(rollout, name), getattr(expected, name))
        for ours, theirs in zip((*loss.terms.values(), loss.reward), (*expected.terms, expected.reward), strict=True):
            close(ours, theirs)
        gradients = reference.gradients()
        assert set(gradients) == set(model.parameters)
        for name, gradient in gradients.items():
            ours = model.parameters.gradient(name)
            np.testing.assert_allclose(ours, gradient.reshape(ours.shape), rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize(("channels", "stride", "padding"), [(1, 1, 1), (3, 2, 0), (2, 5, 1)])
def test_convolution_agrees_with_pytorch(channels, stride, padding):
    rng = np.random.default_rng([channels, stride, padding])
    layer = Conv2D(channels, 4, 3, rng, stride, padding, dtype="float64")
    x = rng.standard_normal((2, *rng.integers(5, 12, 2), channels))
    y, cache = layer.forward(x)
    y = np.maximum(y, 0)
    p = {"." + name: torch.tensor(getattr(layer, name), requires_grad=True) for name in ("W", "b")}
    pixels = torch.tensor(x, requires_grad=True)
    expected = convolve(p, "", pixels.permute(0, 3, 1, 2), stride=stride, padding=padding).permute(0, 2, 3, 1)
    close(y, expected)
    dy = rng.standard_normal(y.shape)
    (expected * torch.tensor(dy)).sum().backward()
    close(layer.backward(dy * (y > 0), cache), pixels.grad)
    close(layer.dW, p[".W"].grad)
    close(layer.db, p[".b"].grad)


@pytest.mark.parametrize("name", ["fc", "cnn"])
def test_comparison_models_agree_with_pytorch(name):
    rng = np.random.default_rng(len(name))
    model = build(ModelConfig(model=name, fc_units=6, dtype="float64"), (20, 15, 3), CLASSES)
    model.parameters.values += rng.normal(0, 0.1, model.parameters.size)
    images, labels = rng.integers(0, 256, (4, 20, 15, 3), dtype=np.uint8), rng.integers(0, CLASSES, 4)
    outcome = model.forward(model.canvas(images), model.draw(rng, 4))
    loss = model.backward(outcome, labels, LearningRule())
    p = {each: torch.tensor(model.parameters[each], requires_grad=True) for each in model.parameters}
    x = torch.tensor(images / 255)
    if name == "cnn":
        h = flat(convolve(p, "hidden.first", x.permute(0, 3, 1, 2), stride=5))
    else:
        h = (x.flatten(1) @ p["hidden.first.W"] + p["hidden.first.b"]).relu()
    h = (h @ p["hidden.second.W"] + p["hidden.second.b"]).relu()
    log_p = (h @ p["action.W"] + p["action.b"]).log_softmax(dim=1)
    expected = torch.nn.functional.nll_loss(log_p, torch.tensor(labels))
    expected.backward()
    close(outcome.log_p, log_p)
    close(loss.terms["action"], expected)
    for each, parameter in p.items():
        np.testing.assert_allclose(model.parameters.gradient(each), parameter.grad.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("ours", "theirs", "options"),
    [(SGD, torch.optim.SGD, {"momentum": 0.8}), (Adam, torch.optim.Adam, {})],
    ids=["sgd", "adam"],
)
def test_optimizers_agree_with_pytorch(ours, theirs, options):
    rng = np.random.default_rng(1)
    parameters = Parameters(Linear(5, 4, rng, dtype="float64"))
    values = torch.tensor(parameters.values, requires_grad=True)
    optimizer, reference = ours(parameters, LearningConfig(**options)), theirs([values], **options)
    scale = 10 ** rng.uniform(-10, 1, parameters.size)  # some gradients as small as Adam's epsilon
    for lr in rng.uniform(0.01, 0.1, 10):
        parameters.gradients[:] = rng.normal(0, scale)
        values.grad = torch.tensor(parameters.gradients)
        reference.param_groups[0]["lr"] = lr
        optimizer.step(lr)
        reference.step()
        np.testing.assert_allclose(parameters.values, values.detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize("shape", [(64, 96), (96, 64)])
def test_muon_agrees_with_pytorch(shape, monkeypatch):
    """Roughly: theirs multiplies in bfloat16, with one polynomial for all iterations."""
    monkeypatch.setattr(optim, "ITERATIONS", ((3.4445, -4.775, 2.0315),) * 5)
    rng = np.random.default_rng(1)
    parameters = Parameters(Linear(*shape, rng, dtype="float64"))
    W = torch.tensor(parameters["W"], requires_grad=True)
    ours = Muon(parameters, LearningConfig(lr=1, muon_lr=1, momentum=0.9))
    theirs = torch.optim.Muon([W], momentum=0.9, weight_decay=0)
    for lr in rng.uniform(0.01, 0.1, 5):
        before = parameters["W"].copy()
        parameters.gradient("W")[...] = rng.normal(size=shape)
        W.grad = torch.tensor(parameters.gradient("W"))
        theirs.param_groups[0]["lr"] = lr
        ours.step(lr)
        theirs.step()
        change = parameters["W"] - before
        assert np.abs(parameters["W"] - W.detach().numpy()).max() < 0.05 * np.abs(change).max()
        W.data = torch.tensor(parameters["W"])


@pytest.mark.parametrize("limit", [0.1, 5.0, 1e3])
def test_clipping_agrees_with_pytorch(limit):
    rng = np.random.default_rng(2)
    parameters = Parameters(Linear(5, 4, rng, dtype="float64"))
    parameters.gradients[:] = rng.normal(0, 3, parameters.size)
    tensors = [torch.zeros_like(torch.tensor(parameters[name]), requires_grad=True) for name in parameters]
    for name, tensor in zip(parameters, tensors, strict=True):
        tensor.grad = torch.tensor(parameters.gradient(name))

    clip_gradients(parameters, np.linalg.norm(parameters.gradients), limit)
    torch.nn.utils.clip_grad_norm_(tensors, limit)

    for name, tensor in zip(parameters, tensors, strict=True):
        np.testing.assert_allclose(parameters.gradient(name), tensor.grad.numpy(), rtol=1e-6)  # their epsilon is 1e-6
