"""Losses that a network may be trained by, where its backward is given the labels and the loss stands nowhere."""

import functools
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Loss = Callable[[np.ndarray, np.ndarray], float]


def squared(y: np.ndarray, t: np.ndarray) -> float:
    return float(((y - t) ** 2).sum())


def cross_entropy(y: np.ndarray, t: np.ndarray) -> float:
    return float(-(t * np.log(y)).sum())


def binary(y: np.ndarray, t: np.ndarray) -> float:
    return float(-(t * np.log(y) + (1 - t) * np.log(1 - y)).sum())


def of_scores(y: np.ndarray, t: np.ndarray) -> float:
    """Cross-entropy of the softmax of y, whose classes lie on the last axis."""
    shifted = y - y.max(axis=-1, keepdims=True)
    return float(-(t * (shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))).sum())


KNOWN = {
    "the squared error": squared,
    "the cross-entropy": cross_entropy,
    "the binary cross-entropy": binary,
    "the cross-entropy of the softmax": of_scores,
}


def one_hot(t: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Labels as rows of an identity, where they are whole numbers."""
    return np.eye(y.shape[-1])[t] if t.dtype.kind == "i" and y.ndim == 2 else t


def candidates(own: dict[str, Any], instance: Any, y: np.ndarray) -> Iterator[tuple[str, Loss]]:
    """Losses of an output y and a label: those of the file and of the instance, then those that are usual."""
    named = [(name, f) for name, f in own.items() if inspect.isfunction(f)]
    if instance is not None:
        named += [(name, getattr(instance, name)) for name in dir(type(instance)) if not name.startswith("__")]
    for name, function in named:
        if re.search(r"loss|cost|entropy|mse|error", name, re.IGNORECASE) and not re.search(
            r"backward|grad|prime|deriv|_d$", name, re.IGNORECASE
        ):
            yield f"{name}()", functools.partial(called, function)
            yield f"{name}()", functools.partial(called_turned, function)
    rows = y.shape[0] if y.ndim else 1
    for name, loss in KNOWN.items():
        for word, factor in (
            ("", 1.0),
            (", halved", 0.5),
            (", averaged over rows", 1 / rows),
            (", halved and averaged over rows", 0.5 / rows),
            (", averaged", 1 / max(y.size, 1)),
            (", averaged over columns", 1 / y.shape[-1] if y.ndim else 1.0),
        ):
            yield name + word, functools.partial(scaled, loss, factor)


def called(function: Callable[..., Any], y: np.ndarray, t: np.ndarray) -> float:
    """A loss of the file, given the output first."""
    return as_number(function(y, t))


def called_turned(function: Callable[..., Any], y: np.ndarray, t: np.ndarray) -> float:
    """A loss of the file, given the label first."""
    return as_number(function(t, y))


def scaled(loss: Loss, factor: float, y: np.ndarray, t: np.ndarray) -> float:
    """A usual loss, times a factor; labels may be whole numbers."""
    return factor * loss(y, one_hot(t, y))


def as_number(value: Any) -> float:
    """A loss that a function returns, first of several."""
    value = value[0] if isinstance(value, tuple) else value
    if np.size(value) != 1:
        raise ValueError("no loss")
    return float(np.ravel(value)[0])


def slope(loss: Loss, y: np.ndarray, t: np.ndarray) -> np.ndarray:
    """dloss/dy by centred differences."""
    found = np.zeros(y.size)
    for k in range(y.size):
        values = []
        for step in (1e-5, -1e-5):
            moved = y.copy()
            moved.reshape(-1)[k] += step
            values.append(loss(moved, t))
        found[k] = (values[0] - values[1]) / 2e-5
    return found.reshape(y.shape)
