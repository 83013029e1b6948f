"""Linear, and the pairs relu / tanh / sigmoid / log-softmax, and cross-entropy.

A layer with parameters has `forward(x) -> (y, cache)` and `backward(dy, cache) -> dx`, where `dx` is the gradient of
the loss with respect to `x`. First axes are rows: a row is one rollout of one image, at one time step, or at all of
them. The functions need only their output `y` for the way back, so `f_backward(dy, y) -> dx`; the cross-entropy, which
ends the network, needs its input and the labels.

`out` names an array to write into instead of a new one. `xp` is the array module.
"""

from typing import Any

import numpy as np

from ramnp.backend import Array
from ramnp.network.parameters import Part

RELU_GAIN = np.sqrt(2)  # of a `Linear` before a ReLU: keeps the size of activations (He et al. 2015)


class Linear(Part):
    """y = x W + b, with x (rows, n_in), W (n_in, n_out), b (n_out,).

    W is drawn from a normal distribution with standard deviation `gain / sqrt(n_in)`, b uniformly between -`spread` and
    `spread`. Before a ReLU, a spread of 0 puts the kink of every unit at x = 0.
    """

    names = ("W", "b")
    W: Array
    b: Array
    dW: Array
    db: Array

    def __init__(
        self,
        n_in: int,
        n_out: int,
        rng: np.random.Generator,
        gain: float = 1.0,
        xp: Any = np,
        dtype: Any = np.float32,
        spread: float = 0.0,
    ) -> None:
        super().__init__(xp, dtype)
        self.add("W", rng.standard_normal((n_in, n_out)) * (gain / np.sqrt(n_in)))
        self.add("b", rng.uniform(-spread, spread, n_out))

    def forward(self, x: Array, /, out: Array | None = None) -> tuple[Array, Array]:
        """y = x W + b. The cache is x."""
        y = self.xp.matmul(x, self.W, out=out)
        y += self.b
        return y, x

    def backward(self, dy: Array, cache: Array, input_gradient: bool = True, out: Array | None = None) -> Array:
        """dW += x^T dy,  db += sum over rows of dy,  dx = dy W^T.

        Returns None in place of dx if `input_gradient` is false: a product saved.
        """
        x = cache
        self.dW += x.T @ dy
        self.db += dy.sum(axis=0)
        return self.xp.matmul(dy, self.W.T, out=out) if input_gradient else None


def flatten_time(array: Array) -> Array:
    """(T, R, ...) as (T R, ...): time is just more rows. A view."""
    return array.reshape(array.shape[0] * array.shape[1], *array.shape[2:])


def relu(x: Array, out: Array | None = None, xp: Any = np) -> Array:
    """y = max(x, 0). The cache is y."""
    return xp.maximum(x, 0, out=out)


def relu_backward(dy: Array, y: Array, out: Array | None = None, xp: Any = np) -> Array:
    """dx = dy where y > 0, else 0: y is positive exactly where x was."""
    return xp.multiply(dy, y > 0, out=out)


def tanh(x: Array, out: Array | None = None, xp: Any = np) -> Array:
    """y = tanh(x). The cache is y."""
    return xp.tanh(x, out=out)


def tanh_backward(dy: Array, y: Array) -> Array:
    """dx = dy (1 - y^2), since tanh' = 1 - tanh^2."""
    return dy * (1 - y * y)


def sigmoid(x: Array, out: Array | None = None, xp: Any = np) -> Array:
    """y = 1 / (1 + exp(-x)), written as (1 + tanh(x / 2)) / 2, which cannot overflow. The cache is y."""
    y = xp.multiply(x, 0.5, out=out)
    xp.tanh(y, out=y)
    y += 1
    y *= 0.5
    return y


def sigmoid_backward(dy: Array, y: Array) -> Array:
    """dx = dy y (1 - y), since sigmoid' = sigmoid (1 - sigmoid)."""
    return dy * (y * (1 - y))


def log_softmax(x: Array, xp: Any = np) -> Array:
    """log p = x - log sum exp x over the last axis, shifted by the maximum so that exp cannot overflow."""
    shifted = x - x.max(axis=-1, keepdims=True)
    return shifted - xp.log(xp.exp(shifted).sum(axis=-1, keepdims=True))


def log_softmax_backward(dy: Array, log_p: Array, xp: Any = np) -> Array:
    """dx = dy - p sum(dy): each x moves its own log p by 1, and every log p by -p.

    Training takes softmax and cross-entropy together (`cross_entropy_backward`), which is shorter.
    """
    return dy - xp.exp(log_p) * dy.sum(axis=-1, keepdims=True)


def cross_entropy(log_p: Array, labels: Array, xp: Any = np) -> Array:
    """L = -mean over rows of log p[row, label], with log_p (rows, A) and labels (rows,). A 0-d array.

    Of several answers of each row, (n, rows, A), L is the sum over them.
    """
    return -(log_p * one_hot(labels, log_p.shape[-1], xp)).sum() / log_p.shape[-2]


def cross_entropy_backward(log_p: Array, labels: Array, xp: Any = np) -> Array:
    """dlogits = (p - onehot(label)) / rows: through the cross-entropy and, beyond log p, through the log-softmax."""
    return (xp.exp(log_p) - one_hot(labels, log_p.shape[-1], xp)) / log_p.shape[-2]


def one_hot(labels: Array, classes: int, xp: Any = np) -> Array:
    """(rows, classes) booleans, true at the label: a comparison, which needs no scatter."""
    return labels[:, None] == xp.arange(classes)
