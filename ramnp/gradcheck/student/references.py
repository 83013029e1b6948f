"""Forward passes of well-known parts, for remarks, and for who is to blame: forward or backward.

A gradient is judged against its author's own forward pass. Only if both disagree does a reference say which of the two
is meant: a backward that is the derivative of the reference stands beside a wrong forward.
"""

import re
from collections.abc import Callable
from typing import Any

import numpy as np

Values = dict[str, Any]


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def log_density(v: list[Any]) -> np.ndarray:
    mu, sample, std = v
    return -((sample - mu) ** 2).sum(axis=-1) / (2 * std**2)


def normalized(x: np.ndarray, axis: int) -> np.ndarray:
    centred = x - x.mean(axis=axis, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=axis, keepdims=True) + 1e-5)


def hot(t: np.ndarray, z: np.ndarray) -> np.ndarray:
    return np.eye(z.shape[-1])[t] if t.dtype.kind == "i" and t.ndim < z.ndim else t


# A pattern of names; what its forward computes, in words; the arguments by their patterns; and the function.
TABLE: list[tuple[str, str, tuple[str, ...], Callable[[list[Any]], np.ndarray]]] = [
    (
        r"log_?p(rob|i)?",
        "the sum over x and y of -(l - mu)^2 / (2 std^2)",
        (r"mus?|means?", r"samples?|locs?|locations?|l|actions?|a|x", r"std|sigma|stddev"),
        log_density,
    ),
    (
        r"mse|mean_?squared|squared_?error",
        "the mean of (prediction - target)^2",
        (r"y_?pred\w*|pred\w*|y_?hat|yhat|output|x|y|a", r"y_?true|targets?|t|y|labels?"),
        lambda v: np.asarray(((v[0] - v[1]) ** 2).mean()),
    ),
    (
        r"affine|linear|dense|fully_?connected|fc",
        "x W + b",
        (r"x|X|a|A|A_?prev|inputs?", r"w|W|weights?", r"b|bias"),
        lambda v: v[0] @ v[1] + v[2],
    ),
    (r"relu", "max(x, 0)", (r"x|z|Z|inputs?",), lambda v: np.maximum(v[0], 0)),
    (r"tanh", "tanh(x)", (r"x|z|Z|inputs?",), lambda v: np.tanh(v[0])),
    (r"log_?sigmoid", "log of 1 / (1 + exp(-x))", (r"x|z|Z",), lambda v: -np.logaddexp(0, -v[0])),
    (r"sigmoid|logistic", "1 / (1 + exp(-x))", (r"x|z|Z|inputs?",), lambda v: 1 / (1 + np.exp(-v[0]))),
    (r"log_?softmax", "log softmax of each row", (r"x|z|Z|logits|scores",), lambda v: np.log(softmax(v[0]))),
    (
        r"softmax_?(loss|cross|ce|with)|cross_?entropy",
        "the mean over rows of -log softmax(x)[label]",
        (r"x|z|logits|scores|o", r"y|t|labels?|targets?|y_?\w+"),
        lambda v: np.asarray(-(hot(v[1], v[0]) * np.log(softmax(v[0]))).sum() / len(v[0])),
    ),
    (r"softmax", "softmax of each row", (r"x|z|Z|logits|scores",), lambda v: softmax(v[0])),
    (
        r"layer_?norm\w*",
        "(x - mean) / std of each row, times gamma, plus beta",
        (r"x|X|inputs?", r"g|gamma|weight|scale", r"b|beta|bias|shift"),
        lambda v: normalized(v[0], -1) * v[1] + v[2],
    ),
    (
        r"batch_?norm\w*|bn\w*",
        "(x - mean) / std of each column, times gamma, plus beta",
        (r"x|X|inputs?", r"g|gamma|weight|scale", r"b|beta|bias|shift"),
        lambda v: normalized(v[0], 0) * v[1] + v[2],
    ),
    (
        r"self_?attention|attention|sdpa|scaled_dot\w*",
        "softmax(q k^T / sqrt(d)) v",
        (r"q|Q|query", r"k|K|key", r"v|V|value"),
        lambda v: softmax(v[0] @ np.swapaxes(v[1], -1, -2) / np.sqrt(v[0].shape[-1])) @ v[2],
    ),
    (
        r"baseline_?loss",
        "the mean of (b_t - reward)^2",
        (r"b|baselines?|values?", r"R|r|rewards?|returns?"),
        lambda v: np.asarray(((v[0] - v[1]) ** 2).mean()),
    ),
    (
        r"leaky_?relu",
        "x where x > 0, else alpha x",
        (r"x|z|Z", r"alpha|slope|negative_slope"),
        lambda v: np.where(v[0] > 0, v[0], v[1] * v[0]),
    ),
    (
        r"elu",
        "x where x > 0, else alpha (exp(x) - 1)",
        (r"x|z|Z", r"alpha|a"),
        lambda v: np.where(v[0] > 0, v[0], v[1] * (np.exp(np.minimum(v[0], 0)) - 1)),
    ),
    (
        r"gelu",
        "x Phi(x), or its approximation by tanh",
        (r"x|z",),
        lambda v: 0.5 * v[0] * (1 + np.tanh(np.sqrt(2 / np.pi) * (v[0] + 0.044715 * v[0] ** 3))),
    ),
    (
        r"hinge\w*|svm\w*",
        "the mean over rows of the sum of max(0, s_j - s_y + 1)",
        (r"x|scores|s|logits", r"y|labels?|t"),
        lambda v: np.asarray(
            (np.maximum(0, v[0] - v[0][np.arange(len(v[0])), v[1]][:, None] + 1) * (1 - hot(v[1], v[0]))).sum()
            / len(v[0])
        ),
    ),
    (
        r"bce\w*|binary_?cross\w*",
        "the mean of the binary cross-entropy of the logits",
        (r"x|z|logits?", r"y|t|targets?|labels?"),
        lambda v: np.asarray((np.logaddexp(0, v[0]) - v[0] * v[1]).mean()),
    ),
    (
        r"l2_?norm\w*|normali[sz]e\w*",
        "x / |x| of each row",
        (r"x",),
        lambda v: v[0] / np.sqrt((v[0] ** 2).sum(axis=-1, keepdims=True)),
    ),
    (
        r"(max_?pool|maxpool)\w*",
        "the largest of each 2 x 2 square",
        (r"x",),
        lambda v: v[0].reshape(*v[0].shape[:2], v[0].shape[2] // 2, 2, v[0].shape[3] // 2, 2).max(axis=(3, 5)),
    ),
]
NAMES = [
    (
        re.compile(
            rf"^(?:\w*\.)?_?(my_?|numpy_?|np_?|simple_?)?(?:{pattern})"
            r"(_?(layer|activation|function|loss|fn|forward|unit|1d))*$",
            re.IGNORECASE,
        ),
        words,
        [re.compile(rf"^(?:{a})$") for a in arguments],
        function,
    )
    for pattern, words, arguments, function in TABLE
]


def reference(name: str, values: Values) -> tuple[str, Callable[[Values], np.ndarray]] | None:
    """What a part of this name computes, in words, and as a function of its values by their names; or None."""
    for pattern, words, wanted, function in NAMES:
        if not pattern.match(name):
            continue
        picked: list[str] = []
        for each in wanted:
            found = next((key for key in values if key not in picked and each.match(key.split(".")[-1])), None)
            if found is None:
                break
            picked.append(found)
        if len(picked) == len(wanted):
            return words, lambda v, picked=tuple(picked), function=function: function([v[key] for key in picked])
    return None
