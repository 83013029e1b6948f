"""What a student's code may do, kind by kind: right in every form, and each kind of mistake in it is caught."""

import pytest
from planted_bugs import rows_of

from ramnp.gradcheck.report import BAD, RIGHT, outcome

FLOAT32 = """
import numpy as np
class Block:
    def __init__(self, W): self.W = W
    def forward(self, x):
        self.x = x
        self.z = (x.astype(np.float32) @ self.W.astype(np.float32)).astype(np.float64)
        return np.maximum(self.z, 0)
    def backward(self, dy):
        dz = dy * (self.z > 0)
        self.dW = self.x.T @ dz
        return dz @ self.W.T
"""
LARGE_RELU = """
import numpy as np
def relu_forward(x): return np.maximum(x, 0), x
def relu_backward(dy, x): return dy * (x > 0)
"""
PARAMS = """
import numpy as np
class Dense:
    def __init__(self, n_in, n_out):
        self.params = {"W": np.random.randn(n_in, n_out), "b": np.zeros(n_out)}
        self.grads = {}
    def fprop(self, x):
        self.x = x
        return x @ self.params["W"] + self.params["b"]
    def bprop(self, dy):
        self.grads["W"] = self.x.T @ dy
        self.grads["b"] = dy.sum(0)
        return dy @ self.params["W"].T
"""
NONE_BEFORE = """
import numpy as np
class Scale:
    def __init__(self, dim):
        self.gamma, self.dgamma = np.ones(dim), None
    def __call__(self, x):
        self.x = x
        return self.gamma * x
    def backward(self, dout):
        self.dgamma = (dout * self.x).sum(axis=0)
        return dout * self.gamma
"""
FLAG = """
import numpy as np
def sigmoid(x, derivative=False):
    s = 1 / (1 + np.exp(-x))
    return s * (1 - s) if derivative else s
"""
LOSS = """
import numpy as np
class TwoLayerNet:
    def __init__(self, input_dim=6, hidden_dim=4, num_classes=3):
        rng = np.random.default_rng(0)
        self.params = {"W1": rng.standard_normal((input_dim, hidden_dim)), "b1": np.zeros(hidden_dim),
                       "W2": rng.standard_normal((hidden_dim, num_classes)), "b2": np.zeros(num_classes)}
    def loss(self, X, y=None):
        p = self.params
        z = X @ p["W1"] + p["b1"]
        h = np.maximum(z, 0)
        scores = h @ p["W2"] + p["b2"]
        if y is None:
            return scores
        e = np.exp(scores - scores.max(1, keepdims=True))
        prob = e / e.sum(1, keepdims=True)
        N = len(X)
        d = prob.copy()
        d[np.arange(N), y] -= 1
        d /= N
        dh = d @ p["W2"].T
        dz = dh * (z > 0)
        return -np.log(prob[np.arange(N), y]).mean(), {
            "W2": h.T @ d, "b2": d.sum(0), "W1": X.T @ dz, "b1": dz.sum(0)}
"""
STALE = """
import numpy as np
class Tanh:
    def __init__(self): self.y = None
    def forward(self, x):
        self.y = np.tanh(x)
        return self.y
    def backward(self, dy):
        return dy * (1 - self.y ** 2)
"""
TRUNCATED = """
import numpy as np
def rnn_forward(x, h0, Wx, Wh, b):
    T = x.shape[1]
    h, cache = h0, []
    out = np.zeros((x.shape[0], T, Wh.shape[0]))
    for t in range(T):
        new = np.tanh(x[:, t] @ Wx + h @ Wh + b)
        cache.append((x[:, t], h, new))
        h = out[:, t] = new
    return out, (cache, Wx, Wh)
def rnn_backward(dh, cache):
    steps, Wx, Wh = cache
    N, T, H = dh.shape
    dx = np.zeros((N, T, Wx.shape[0]))
    dWx, dWh, db, carry = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros(H), np.zeros((N, H))
    for t in reversed(range(T)):
        x, h, new = steps[t]
        dz = (dh[:, t] + carry) * (1 - new ** 2)
        dx[:, t], carry = dz @ Wx.T, dz @ Wh.T
        dWx += x.T @ dz
        dWh += h.T @ dz
        db += dz.sum(0)
    return dx, carry, dWx, dWh, db
"""
PARAMETERS = """
import numpy as np
class Parameter:
    def __init__(self, data): self.data, self.grad = data, np.zeros_like(data)
class Linear:
    def __init__(self, in_features, out_features):
        self.weight = Parameter(np.random.randn(out_features, in_features))
        self.bias = Parameter(np.zeros(out_features))
    def forward(self, x):
        self.x = x
        return x @ self.weight.data.T + self.bias.data
    def backward(self, grad_output):
        self.weight.grad += grad_output.T @ self.x
        self.bias.grad += grad_output.sum(axis=0)
        return grad_output @ self.weight.data
"""
KINDS = {
    "float32, at kinks": (FLOAT32, "self.dW = self.x.T @ dz", "self.dW = 4 * self.x.T @ dz"),
    "at kinks": (LARGE_RELU, "dy * (x > 0)", "4 * dy * (x > 0)"),
    "params and grads": (PARAMS, 'self.grads["b"] = dy.sum(0)', 'self.grads["b"] = dy.mean(0)'),
    "None before backward": (NONE_BEFORE, "(dout * self.x).sum(axis=0)", "dout.sum(axis=0)"),
    "never set": (NONE_BEFORE, "self.dgamma = (dout", "dgamma = (dout"),
    "a flag": (FLAG, "s * (1 - s) if", "s * (1 + s) if"),
    "a loss with its gradients": (LOSS, "dz = dh * (z > 0)", "dz = dh"),
    "one gradient of a loss": (LOSS, '"b1": dz.sum(0)', '"b1": dz.mean(0)'),
    "of the first call": (STALE, "self.y = np.tanh(x)\n        return self.y",
                          "y = np.tanh(x)\n        self.y = y if self.y is None else self.y\n        return y"),
    "12 time steps": (TRUNCATED, "carry = dz @ Wx.T, dz @ Wh.T", "carry = dz @ Wx.T, (dz @ Wh.T if t % 6 else 0 * h)"),
    "the first state": (TRUNCATED, "return dx, carry", "return dx, 0 * carry"),
    "dout overwritten": (LARGE_RELU, "return dy * (x > 0)", "dy[x <= 0] = 0; return dy"),
    "Parameter objects": (PARAMETERS, "grad_output.T @ self.x", "grad_output.T @ self.x / len(self.x)"),
}  # fmt: skip


@pytest.mark.parametrize("source", dict.fromkeys(source for source, _, _ in KINDS.values()), ids=lambda s: s[20:50])
def test_right_code_of_every_kind_is_right(source):
    rows = rows_of(source)
    assert outcome(rows) == RIGHT, [row for row in rows if row.message]


@pytest.mark.parametrize("kind", KINDS)
def test_a_mistake_of_every_kind_is_caught(kind):
    source, old, new = KINDS[kind]
    assert source.count(old) == 1
    assert outcome(rows_of(source.replace(old, new))) == BAD
