"""A trained model as an ONNX graph, which other languages and devices run: the sensor, and the T glimpses unrolled.

The graph computes the deterministic path: each location is the mean of the policy. It is the forward pass of
`network/model.py`, written a second time in the operators of ONNX, one function per part.

| input            | shape        | meaning                                                                           |
|------------------|--------------|-----------------------------------------------------------------------------------|
| `images`         | (n, H, W, C) | floats in [0, 1]                                                                  |
| `first_location` | (n, 2)       | (x, y) in [-1, 1]; only of a model whose first location is uniform in the image   |

| output           | shape        |
|------------------|--------------|
| `probabilities`  | (n, A)       |
| `locations`      | (n, T, 2)    |

The metadata of the file say what else makes the model: `class_names` and `preparation`, JSON, which is how files were
prepared in training (`data/prepare.py`). `TrainedModel.prepare` does it.

A test holds it against onnxruntime. onnx is in the extra `onnx`: `pip install 'ramnp[onnx]'`.
"""

import json
import os
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from ramnp.backend import NUMPY
from ramnp.data.prepare import preparation
from ramnp.errors import BackendError, UsageError
from ramnp.files import expand, write_atomically
from ramnp.network.convolution import Conv2D
from ramnp.network.core import GRU, LSTM, RNN, Core
from ramnp.network.glimpse import ConvGlimpseNetwork, GlimpseNetwork
from ramnp.network.layers import Linear
from ramnp.network.model import RecurrentAttentionModel
from ramnp.network.policy import GaussianPolicy
from ramnp.network.sensor import GlimpseSensor
from ramnp.use.model import TrainedModel

Shape: TypeAlias = tuple[int | str, ...]  # a word for a size that is free
OPSET = 17
IR_VERSION = 8  # of the file; newer ones are unknown to older runtimes


class Graph:
    """Nodes and constants as they are added. A value is known by its name, a string."""

    def __init__(self, dtype: np.dtype) -> None:
        try:
            import onnx
        except ImportError as error:
            raise BackendError("onnx cannot be imported: install it with `pip install 'ramnp[onnx]'`") from error
        self.onnx, self.dtype = onnx, dtype
        self.nodes: list[Any] = []
        self.constants: dict[tuple[bytes, str, tuple[int, ...]], Any] = {}

    def constant(self, value: Any, dtype: Any = None) -> str:
        """A constant of the model's type, unless another is given. Equal ones are stored once."""
        array = np.array(value, dtype=dtype or self.dtype)
        key = (array.tobytes(), array.dtype.str, array.shape)
        if key not in self.constants:
            self.constants[key] = self.onnx.numpy_helper.from_array(array, f"constant{len(self.constants)}")
        return self.constants[key].name

    def integers(self, *values: int | np.integer[Any]) -> str:
        """A constant of integers, for shapes and axes."""
        return self.constant(values, np.int64)

    def op(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Add an operator; the name of its output."""
        name = name or f"{kind}{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, [name], **attributes))
        return name

    def split(self, value: str, parts: int) -> list[str]:
        """The columns of a value in equal parts."""
        names = [f"Split{len(self.nodes)}_{part}" for part in range(parts)]
        self.nodes.append(self.onnx.helper.make_node("Split", [value], names, axis=1))
        return names

    def model(self, inputs: dict[str, Shape], outputs: dict[str, Shape], text: str) -> Any:
        """The checked model; inputs and outputs are shapes by name."""
        helper = self.onnx.helper
        kind = helper.np_dtype_to_tensor_dtype(self.dtype)
        ends = ([helper.make_tensor_value_info(n, kind, s) for n, s in each.items()] for each in (inputs, outputs))
        graph = helper.make_graph(
            self.nodes, "ramnp", *ends, initializer=list(self.constants.values()), doc_string=text
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], producer_name="ramnp", ir_version=IR_VERSION)
        self.onnx.checker.check_model(model, full_check=True)
        return model


def export_onnx(model: TrainedModel, path: str | os.PathLike[str]) -> None:
    """Write a recurrent attention model as an ONNX file.

    Raises:
        UsageError: it is of another kind, has a part of yours, or looks at random.
        BackendError: onnx is not installed.
        OutputError: the file cannot be written.
    """
    content = graph_of(model).SerializeToString()
    write_atomically(expand(path), lambda file: file.write(content))


def graph_of(trained: TrainedModel) -> Any:
    """The ONNX model.

    Raises:
        UsageError, BackendError: as `export_onnx`.
    """
    if type(trained.network) is not RecurrentAttentionModel:
        raise UsageError("only a recurrent attention model can be exported: no other kind has a sensor and a path")
    if trained.config.policy == "random":
        raise UsageError("a control that looks at random has no deterministic path to export")
    model = trained.checkpoint().model(NUMPY)
    assert isinstance(model, RecurrentAttentionModel)
    config, (height, width, channels) = model.config, model.image_shape
    graph = Graph(model.dtype)
    border = [0, model.margin, model.margin, 0]
    canvas = graph.op("Pad", "images", graph.integers(*border, *border))
    inputs: dict[str, Shape] = {"images": ("n", height, width, channels)}
    if not config.control and config.first_location == "uniform":
        inputs["first_location"] = ("n", 2)
        location = "first_location"
    else:
        first = model.policy.first if model.blind else np.zeros(2)
        rows = graph.op("Shape", "images", start=0, end=1)
        pairs = graph.op("Concat", rows, graph.integers(2), axis=0)
        location = graph.op("Expand", squash(graph, model.policy, graph.constant(first)), pairs)
    states = tuple[str, ...]()
    locations = []
    for t in range(config.glimpses):
        if t and not config.control:
            location = policy(graph, model.policy, states[0])
        locations.append(graph.op("Unsqueeze", location, graph.integers(1)))
        rho = sensor(graph, model.sensor, canvas, location, model.image_shape)
        states = core(graph, model.core, glimpse(graph, model.glimpse, rho, location), states)
    graph.op("Softmax", linear(graph, model.action, states[0]), name="probabilities", axis=1)
    graph.op("Concat", *locations, name="locations", axis=1)
    outputs: dict[str, Shape] = {"probabilities": ("n", model.classes), "locations": ("n", config.glimpses, 2)}
    made = graph.model(inputs, outputs, f"{config.preset}; classes: {', '.join(trained.class_names)}")
    more = {"class_names": list(trained.class_names), "preparation": preparation(config, model.image_shape)}
    graph.onnx.helper.set_model_props(made, {name: json.dumps(value) for name, value in more.items()})
    return made


def sensor(graph: Graph, part: GlimpseSensor, canvas: str, location: str, image_shape: tuple[int, int, int]) -> str:
    """rho (n, D): K crops around the location, each pooled to g x g, as `GlimpseSensor.sense` defines it."""
    height, width, channels = image_shape
    full = width + 2 * part.margin  # width of the canvas
    flat = graph.op("Reshape", canvas, graph.integers(0, -1, channels))
    ruler = graph.op("Mul", graph.op("Add", location, graph.constant(1)), graph.constant([width / 2, height / 2]))
    patches = []
    for side in part.sides:
        place = (
            graph.op("Floor", graph.op("Add", ruler, graph.constant(0.5)))
            if side % 2 == 0
            else graph.op("Floor", ruler)
        )
        place = graph.op("Cast", place, to=graph.onnx.TensorProto.INT64)
        place = graph.op("Add", place, graph.integers(part.margin - side // 2))
        # The number of the crop's first pixel on the canvas, row by row, and of all its pixels.
        start = graph.op("ReduceSum", graph.op("Mul", place, graph.integers(1, full)), graph.integers(1), keepdims=1)
        offsets = (np.arange(side)[:, None] * full + np.arange(side)).ravel()
        pixels = graph.op("Unsqueeze", graph.op("Add", start, graph.integers(*offsets)), graph.integers(2))
        crop = graph.op("GatherND", flat, pixels, batch_dims=1)
        factor = side // part.patch
        patches.append(pool(graph, crop, part.patch, factor, channels))
    rho = graph.op("Concat", *patches, axis=1) if len(patches) > 1 else patches[0]
    return graph.op("Mul", graph.op("Sub", rho, graph.constant(part.mean)), graph.constant(1 / part.std))


def pool(graph: Graph, x: str, side: int, factor: int, channels: int) -> str:
    """(n, side side channels): the means of factor x factor pixels."""
    if factor > 1:
        blocks = graph.op("Reshape", x, graph.integers(-1, side, factor, side, factor, channels))
        x = graph.op("ReduceMean", blocks, axes=[2, 4], keepdims=0)
    return graph.op("Reshape", x, graph.integers(-1, side * side * channels))


def linear(graph: Graph, part: Linear, x: str) -> str:
    """x W + b."""
    return graph.op("Add", graph.op("MatMul", x, graph.constant(part.W)), graph.constant(part.b))


def convolution(graph: Graph, part: Conv2D, x: str) -> str:
    """relu(conv(x)), with channels first, as ONNX has them."""
    k, p = part.kernel, part.padding
    weights = part.W.reshape(k, k, part.channels, part.filters).transpose(3, 2, 0, 1)
    y = graph.op(
        "Conv",
        x,
        graph.constant(weights),
        graph.constant(part.b),
        strides=[part.stride, part.stride],
        pads=[p, p, p, p],
    )
    return graph.op("Relu", y)


def glimpse(graph: Graph, part: GlimpseNetwork, rho: str, location: str) -> str:
    """g_t = relu([h_g | h_l] W + b), of rho or of its features."""
    if type(part) not in (GlimpseNetwork, ConvGlimpseNetwork):
        raise unknown("glimpse network", part)
    if isinstance(part, ConvGlimpseNetwork):
        if graph.dtype != np.float32:
            raise UsageError("onnxruntime has no convolutions in float64: train with --dtype float32")
        scales, side, _, colours = part.features.sensor_shape
        patches = graph.op("Reshape", rho, graph.integers(-1, scales, side, side, colours))
        image = graph.op("Transpose", patches, perm=[0, 1, 4, 2, 3])
        image = graph.op("Reshape", image, graph.integers(-1, scales * colours, side, side))
        maps = convolution(graph, part.features.first, image)
        maps = graph.op("AveragePool", maps, kernel_shape=[2, 2], strides=[2, 2])
        maps = graph.op("Transpose", convolution(graph, part.features.second, maps), perm=[0, 2, 3, 1])
        rho = graph.op("Reshape", maps, graph.integers(-1, part.features.size))
    h_g, h_l = linear(graph, part.what, rho), linear(graph, part.where, location)
    h = graph.op("Relu", graph.op("Concat", h_g, h_l, axis=1))
    return graph.op("Relu", linear(graph, part.mix, h))


def core(graph: Graph, part: Core, g: str, states: tuple[str, ...]) -> tuple[str, ...]:
    """h_t, and c_t of an LSTM, from g_t and the last states; none before the first glimpse, as h_0 = 0."""
    if type(part) not in GATES:
        raise unknown("core", part)
    apart = part.apart * part.units  # columns of z that come from g_t or from h_{t-1} alone: zeros for the other
    W_gh, W_hh = np.pad(part.W_gh, ((0, 0), (0, apart))), np.pad(part.W_hh, ((0, 0), (apart, 0)))
    z = graph.op("Add", graph.op("MatMul", g, graph.constant(W_gh)), graph.constant(part.b))
    if states:
        z = graph.op("Add", z, graph.op("MatMul", states[0], graph.constant(W_hh)))
    return GATES[type(part)](graph, z, states)


def rnn(graph: Graph, z: str, states: tuple[str, ...]) -> tuple[str, ...]:
    """h_t = relu(z)."""
    return (graph.op("Relu", z),)


def lstm(graph: Graph, z: str, states: tuple[str, ...]) -> tuple[str, ...]:
    """c_t = f c_{t-1} + i u,  h_t = o tanh(c_t)."""
    i, f, o, u = graph.split(z, 4)
    i, f, o = (graph.op("Sigmoid", each) for each in (i, f, o))
    c = graph.op("Mul", i, graph.op("Tanh", u))
    if states:
        c = graph.op("Add", c, graph.op("Mul", f, states[1]))
    return graph.op("Mul", o, graph.op("Tanh", c)), c


def gru(graph: Graph, z: str, states: tuple[str, ...]) -> tuple[str, ...]:
    """n = tanh(x_n + r y_n),  h_t = k h_{t-1} + (1 - k) n."""
    x_n, r, k, y_n = graph.split(z, 4)
    r, k = graph.op("Sigmoid", r), graph.op("Sigmoid", k)
    n = graph.op("Tanh", graph.op("Add", x_n, graph.op("Mul", r, y_n)))
    h = graph.op("Mul", graph.op("Sub", graph.constant(1), k), n)
    return (graph.op("Add", h, graph.op("Mul", k, states[0])) if states else h,)


GATES: dict[type[Core], Callable[[Graph, str, tuple[str, ...]], tuple[str, ...]]] = {RNN: rnn, LSTM: lstm, GRU: gru}


def policy(graph: Graph, part: GaussianPolicy, h: str) -> str:
    """l_{t+1} = mu_t, clipped to the image."""
    if type(part) is not GaussianPolicy:
        raise unknown("policy", part)
    if part.hidden_units:
        h = graph.op("Relu", linear(graph, part.hidden, h))
    return squash(graph, part, linear(graph, part.mean, h))


def squash(graph: Graph, part: GaussianPolicy, a: str) -> str:
    """mu from a, clipped to the image, whatever the squash."""
    mu = graph.op("Tanh", a) if part.squash == "tanh" else a
    return graph.op("Clip", mu, graph.constant(-1), graph.constant(1))


def unknown(kind: str, part: object) -> UsageError:
    """The error for a part that has no function here."""
    return UsageError(f"the {kind} {type(part).__name__} is not one of ramnp's own, and only these can be exported")
