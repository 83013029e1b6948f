"""Right implementations in the styles people write, and one line to change in each to plant a bug.

    python tests/planted_bugs.py

prints how many bugs are caught, and how many get the right diagnosis.
"""

import linecache
import sys
import types
from typing import NamedTuple

from ramnp.gradcheck.report import ERROR, WRONG
from ramnp.gradcheck.student.file import check_module

LINEAR = """
import numpy as np
class Linear:
    def __init__(self, n_in, n_out, rng):
        self.W, self.b = rng.standard_normal((n_in, n_out)), np.zeros(n_out)
        self.dW, self.db = np.zeros_like(self.W), np.zeros_like(self.b)
    def forward(self, x):
        return x @ self.W + self.b, x
    def backward(self, dy, cache):
        x = cache
        self.dW += x.T @ dy
        self.db += dy.sum(axis=0)
        dx = dy @ self.W.T
        return dx
"""

AFFINE = """
import numpy as np
def affine_forward(x, w, b):
    out = x.dot(w) + b
    return out, (x, w, b)
def affine_backward(dout, cache):
    x, w, b = cache
    dx = dout.dot(w.T)
    dw = x.T.dot(dout)
    db = np.sum(dout, axis=0)
    return dx, dw, db
"""

RELU = """
import numpy as np
def relu_forward(x):
    return np.maximum(0, x), x
def relu_backward(dout, cache):
    x = cache
    return dout * (x > 0)
"""

TANH = """
import numpy as np
class Tanh:
    def forward(self, x):
        self.out = np.tanh(x)
        return self.out
    def backward(self, dout):
        return dout * (1 - self.out**2)
"""

SIGMOID = """
import numpy as np
class Sigmoid:
    def forward(self, x):
        self.out = 1 / (1 + np.exp(-x))
        return self.out
    def backward(self, dout):
        return dout * self.out * (1 - self.out)
"""

SOFTMAX = """
import numpy as np
def softmax_loss(x, y):
    p = np.exp(x - x.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    n = len(x)
    loss = -np.log(p[np.arange(n), y]).mean()
    dx = p.copy()
    dx[np.arange(n), y] -= 1
    dx /= n
    return loss, dx
"""

RNN = """
import numpy as np
class RNN:
    def __init__(self, inputs, units, rng):
        self.W_gh = rng.standard_normal((inputs, units))
        self.W_hh = rng.standard_normal((units, units))
        self.b = np.zeros(units)
        self.dW_gh, self.dW_hh, self.db = np.zeros_like(self.W_gh), np.zeros_like(self.W_hh), np.zeros(units)
    def forward(self, g):
        T, R, _ = g.shape
        h = np.zeros((T + 1, R, len(self.b)))
        for t in range(T):
            h[t + 1] = np.maximum(g[t] @ self.W_gh + h[t] @ self.W_hh + self.b, 0)
        return h[1:], (g, h)
    def backward(self, dh, cache):
        g, h = cache
        T = len(g)
        dg, dh_next = np.zeros_like(g), 0
        for t in reversed(range(T)):
            total = dh[t] + dh_next
            dz = total * (h[t + 1] > 0)
            self.dW_gh += g[t].T @ dz
            self.dW_hh += h[t].T @ dz
            self.db += dz.sum(axis=0)
            dg[t] = dz @ self.W_gh.T
            dh_next = dz @ self.W_hh.T
        return dg
"""

LSTM = """
import numpy as np
def sigmoid(z):
    return 1 / (1 + np.exp(-z))
class LSTM:
    def __init__(self, inputs, units, rng):
        self.n = units
        self.W_gh = rng.standard_normal((inputs, 4 * units))
        self.W_hh = rng.standard_normal((units, 4 * units))
        self.b = np.zeros(4 * units)
        self.dW_gh, self.dW_hh, self.db = np.zeros_like(self.W_gh), np.zeros_like(self.W_hh), np.zeros_like(self.b)
    def forward(self, g):
        T, R, _ = g.shape
        n = self.n
        h, c, steps = np.zeros((R, n)), np.zeros((R, n)), []
        hs = []
        for t in range(T):
            z = g[t] @ self.W_gh + h @ self.W_hh + self.b
            i, f, o, u = sigmoid(z[:, :n]), sigmoid(z[:, n:2*n]), sigmoid(z[:, 2*n:3*n]), np.tanh(z[:, 3*n:])
            c_prev, h_prev = c, h
            c = f * c_prev + i * u
            h = o * np.tanh(c)
            steps.append((g[t], h_prev, c_prev, i, f, o, u, c))
            hs.append(h)
        return np.stack(hs), steps
    def backward(self, dh, cache):
        T = len(cache)
        dg, dh_next, dc_next = [None] * T, 0, 0
        for t in reversed(range(T)):
            g, h_prev, c_prev, i, f, o, u, c = cache[t]
            total = dh[t] + dh_next
            tc = np.tanh(c)
            dc = dc_next + total * o * (1 - tc**2)
            do = total * tc
            di, df, du = dc * u, dc * c_prev, dc * i
            dzi = di * i * (1 - i)
            dzf = df * f * (1 - f)
            dzo = do * o * (1 - o)
            dzu = du * (1 - u**2)
            dz = np.concatenate([dzi, dzf, dzo, dzu], axis=1)
            self.dW_gh += g.T @ dz
            self.dW_hh += h_prev.T @ dz
            self.db += dz.sum(axis=0)
            dg[t] = dz @ self.W_gh.T
            dh_next = dz @ self.W_hh.T
            dc_next = dc * f
        return np.stack(dg)
"""

GLIMPSE = """
import numpy as np
from ramnp.network.glimpse import GlimpseNetwork
class MyGlimpse(GlimpseNetwork):
    def backward(self, dg, cache, input_gradient=True):
        rho, location, h, g = cache
        da = dg * (g > 0)
        dh = self.mix.backward(da, h)
        n = self.what_units
        d_what, d_where = dh[:, :n], dh[:, n:]
        d_what = d_what * (h[:, :n] > 0)
        d_where = d_where * (h[:, n:] > 0)
        drho = self.what.backward(d_what, rho)
        dlocation = self.where.backward(d_where, location)
        return drho, dlocation
"""

POLICY = """
import numpy as np
class GaussianPolicy:
    def __init__(self, units, std, rng):
        self.W_mu, self.b_mu, self.std = rng.standard_normal((units, 2)), np.zeros(2), std
        self.dW_mu, self.db_mu = np.zeros_like(self.W_mu), np.zeros(2)
    def forward(self, h):
        mu = np.tanh(h @ self.W_mu + self.b_mu)
        return mu, (h, mu)
    def backward(self, dmu, cache):
        h, mu = cache
        da = dmu * (1 - mu**2)
        self.dW_mu += h.T @ da
        self.db_mu += da.sum(axis=0)
        return da @ self.W_mu.T
    def log_prob(self, sample, mu):
        return -((sample - mu)**2).sum(axis=-1) / (2 * self.std**2) - np.log(2 * np.pi * self.std**2)
    def log_prob_backward(self, dlog_prob, sample, mu):
        return dlog_prob[..., None] * (sample - mu) / self.std**2
"""

REINFORCE = """
import numpy as np
def reinforce_loss(mu, sample, reward, baseline, std):
    advantage = reward - baseline
    n = advantage.shape[1]
    log_pi = -((sample - mu)**2).sum(axis=-1) / (2 * std**2) - np.log(2 * np.pi * std**2)
    loss = -(advantage * log_pi).sum() / n
    score = (sample - mu) / std**2
    dmu = -advantage[..., None] * score / n
    return loss, dmu
"""

MODEL = """
import numpy as np
from ramnp.network.model import RecurrentAttentionModel, flatten_time
from ramnp.network.reinforce import hybrid_loss
class MyModel(RecurrentAttentionModel):
    def backward(self, rollout, labels, rule):
        loss = hybrid_loss(rollout.log_p, self.tile(labels, rollout), rollout.decisions, self.policy, rule)
        dh = np.zeros_like(rollout.h)
        decisions = flatten_time(rollout.h[:-1])
        earlier = flatten_time(dh[:-1])
        dmu = loss.dmu
        dh[-1] = self.action.backward(loss.dlogits, rollout.h[-1])
        leak = self.baseline.backward(flatten_time(loss.dbaseline), decisions, input_gradient=True)
        cache = (decisions, *(flatten_time(b) for b in rollout.policy))
        into_core = self.policy.backward(flatten_time(dmu), cache)
        if rule.routing == "paper":
            earlier += into_core
        dg = self.core.backward(dh, (rollout.glimpse[-1], rollout.core))
        cache = tuple(flatten_time(a) for a in (rollout.rho, rollout.locations, *rollout.glimpse))
        self.glimpse.backward(flatten_time(dg), cache, input_gradient=False)
        return loss
"""

TORCH = """
import numpy as np
class TorchLinear:
    def __init__(self, in_features, out_features, bias=True):
        self.weight = np.random.randn(out_features, in_features)
        self.bias = np.zeros(out_features) if bias else None
        self.weight_grad, self.bias_grad = None, None
    def forward(self, input):
        self.input = input
        return input @ self.weight.T + self.bias
    def backward(self, grad_output):
        self.weight_grad = grad_output.T @ self.input
        self.bias_grad = grad_output.sum(axis=0)
        return grad_output @ self.weight
"""

DICTIONARY = """
import numpy as np
class Dense:
    def __init__(self, input_dim, output_dim):
        self.params = {"W": np.random.randn(input_dim, output_dim), "b": np.zeros((1, output_dim))}
        self.grads = {}
    def forward(self, X):
        self.X = X
        return X @ self.params["W"] + self.params["b"]
    def backward(self, dZ):
        self.grads["W"] = self.X.T @ dZ
        self.grads["b"] = dZ.sum(axis=0, keepdims=True)
        return dZ @ self.params["W"].T
"""

BATCH_FIRST = """
import numpy as np
def rnn_step_forward(x, prev_h, Wx, Wh, b):
    next_h = np.tanh(x @ Wx + prev_h @ Wh + b)
    return next_h, (x, prev_h, Wx, Wh, next_h)
def rnn_step_backward(dnext_h, cache):
    x, prev_h, Wx, Wh, next_h = cache
    da = dnext_h * (1 - next_h**2)
    return da @ Wx.T, da @ Wh.T, x.T @ da, prev_h.T @ da, da.sum(axis=0)
def rnn_forward(x, h0, Wx, Wh, b):
    h, caches, prev = [], [], h0
    for t in range(x.shape[1]):
        prev, cache = rnn_step_forward(x[:, t], prev, Wx, Wh, b)
        h.append(prev)
        caches.append(cache)
    return np.stack(h, axis=1), caches
def rnn_backward(dh, caches):
    dx, dWx, dWh, db, carry = [], 0, 0, 0, 0
    for t in reversed(range(dh.shape[1])):
        dx_t, carry, dWx_t, dWh_t, db_t = rnn_step_backward(dh[:, t] + carry, caches[t])
        dx.insert(0, dx_t)
        dWx, dWh, db = dWx + dWx_t, dWh + dWh_t, db + db_t
    return np.stack(dx, axis=1), carry, dWx, dWh, db
"""

LOSSES = """
import numpy as np
STD = 0.2
def cross_entropy(log_p, labels):
    return -log_p[np.arange(len(labels)), labels].mean()
def cross_entropy_backward(log_p, labels):
    d = np.exp(log_p)
    d[np.arange(len(labels)), labels] -= 1
    return d / len(labels)
def policy_loss(advantage, log_pi):
    return -(advantage * log_pi).sum() / advantage.shape[1]
def policy_loss_backward(advantage):
    return -advantage / advantage.shape[1]
def baseline_loss(baseline, reward):
    return ((baseline - reward)**2).mean()
def baseline_loss_backward(baseline, reward):
    return 2 * (baseline - reward) / baseline.size
def log_prob(sample, mu):
    return -((sample - mu)**2).sum(axis=-1) / (2 * STD**2) - np.log(2 * np.pi * STD**2)
def log_prob_backward(dlog_prob, sample, mu):
    return dlog_prob[..., None] * (sample - mu) / STD**2
"""

BOOK = """
import numpy as np
class Affine:
    def __init__(self, W, b):
        self.W, self.b, self.dW, self.db = W, b, None, None
    def forward(self, x):
        self.x = x
        return x @ self.W + self.b
    def backward(self, dout):
        self.dW, self.db = self.x.T @ dout, dout.sum(axis=0)
        return dout @ self.W.T
class SoftmaxWithLoss:
    def forward(self, x, t):
        y = np.exp(x - x.max(axis=1, keepdims=True))
        self.y, self.t = y / y.sum(axis=1, keepdims=True), t
        return -np.log(self.y[np.arange(len(t)), t] + 1e-7).mean()
    def backward(self, dout=1):
        dx = self.y.copy()
        dx[np.arange(len(self.t)), self.t] -= 1
        return dx / len(self.t)
def cross_entropy_error(y, t):
    return -np.log(y[np.arange(len(t)), t]).mean()
"""

LSTM_REORDERED = LSTM.replace(
    "i, f, o, u = sigmoid(z[:, :n]), sigmoid(z[:, n:2*n])", "f, i, o, u = sigmoid(z[:, :n]), sigmoid(z[:, n:2*n])"
).replace("[dzi, dzf, dzo, dzu]", "[dzf, dzi, dzo, dzu]")

# Parts of their author's own, of which the checker knows nothing but their forward pass.
EXPONENTIAL = """
import numpy as np
def exponential(x):
    return np.exp(x)
def exponential_backward(dy, y):
    return dy * y
"""

SCALE = """
import numpy as np
class Scale:
    def __init__(self, n):
        self.s, self.ds = np.ones(n), np.zeros(n)
    def forward(self, x):
        return x * self.s, x
    def backward(self, dy, cache):
        self.ds += (dy * cache).sum(axis=0)
        return dy * self.s
"""

TWO_LAYERS = (
    LINEAR
    + """
class Network:
    def __init__(self, n_in, n_out, rng, hidden=6):
        self.first, self.second = Linear(n_in, hidden, rng), Linear(hidden, n_out, rng)
    def forward(self, x):
        h, first_cache = self.first.forward(x)
        h = np.maximum(h, 0)
        y, second_cache = self.second.forward(h)
        return y, (first_cache, h, second_cache)
    def backward(self, dy, cache):
        first_cache, h, second_cache = cache
        dh = self.second.backward(dy, second_cache)
        return self.first.backward(dh * (h > 0), first_cache)
"""
)

RIGHT = {
    "TORCH": TORCH, "DICTIONARY": DICTIONARY, "BATCH_FIRST": BATCH_FIRST, "LOSSES": LOSSES, "BOOK": BOOK,
    "LSTM_REORDERED": LSTM_REORDERED,
    "LINEAR": LINEAR, "AFFINE": AFFINE, "RELU": RELU, "TANH": TANH, "SIGMOID": SIGMOID, "SOFTMAX": SOFTMAX,
    "RNN": RNN, "LSTM": LSTM, "GLIMPSE": GLIMPSE, "POLICY": POLICY, "REINFORCE": REINFORCE, "MODEL": MODEL,
    "EXPONENTIAL": EXPONENTIAL, "SCALE": SCALE, "TWO_LAYERS": TWO_LAYERS,
}  # fmt: skip


class Bug(NamedTuple):
    """One line of a right implementation, what it is changed to, and words the diagnosis must contain."""

    source: str
    old: str
    new: str
    words: str


BUGS = [
    Bug("LINEAR", "x.T @ dy", "x.T @ dy / len(x)", "it is divided by `len(x)`"),
    Bug("LINEAR", "x.T @ dy", "0 * x.T @ dy", "all zero"),
    Bug("LINEAR", "x.T @ dy", "-x.T @ dy", "sign is flipped"),
    Bug("LINEAR", "x.T @ dy", "2 * x.T @ dy", "the factor `2` does not belong"),
    Bug("LINEAR", "x.T @ dy", "0.5 * x.T @ dy", "the factor `0.5` does not belong"),
    Bug("LINEAR", "x.T @ dy", "len(x) * x.T @ dy", "the factor `len(x)` does not belong"),
    Bug("LINEAR", "x.T @ dy", "(dy.T @ x).reshape(self.W.shape)", "transposed"),
    Bug("LINEAR", "self.dW += x", "self.dW = x", "overwritten, not accumulated"),
    Bug("LINEAR", "dy.sum(axis=0)", "dy.mean(axis=0)", "a mean stands where a sum belongs"),
    Bug("LINEAR", "dy.sum(axis=0)", "dy[0]", "only the first row counts"),
    Bug("LINEAR", "dx = dy @ self.W.T", "dx = dy @ self.dW.T", "`self.dW` stands where `self.W` belongs"),
    Bug("LINEAR", "dx = dy @ self.W.T", "dx = -dy @ self.W.T", "sign is flipped"),
    Bug("LINEAR", "return dx", "return None", "is None"),
    Bug("LINEAR", "return dx", "return dx * np.nan", "NaN"),
    Bug("LINEAR", "return dx", "return dx.T", "has shape"),
    Bug("LINEAR", "return dx", "x *= 2; return dx", "overwrites"),
    Bug("LINEAR", "return x @ self.W + self.b, x", "return x @ self.W - self.b, x", "forward does not compute x W + b"),
    Bug("AFFINE", "db = np.sum(dout, axis=0)", "db = dout", "has shape"),
    Bug(
        "AFFINE",
        "db = np.sum(dout, axis=0)",
        "db = np.sum(dout, axis=0) / len(x)",
        "divided by `len(x)`, which does not belong",
    ),
    Bug("AFFINE", "dx = dout.dot(w.T)", "dx = dout.dot(w.T) / len(x)", "divided by `len(x)`, which does not belong"),
    Bug("RELU", "dout * (x > 0)", "dout", "derivative of the function is missing"),
    Bug("RELU", "dout * (x > 0)", "dout * (dout > 0)", "mask is taken from dy"),
    Bug("RELU", "dout * (x > 0)", "dout * (x < 0)", "wrong way round"),
    Bug("RELU", "dout * (x > 0)", "(x > 0) * 1.0", "dout is forgotten"),
    Bug("RELU", "dout * (x > 0)", "np.where(x > 0, x, 0)", ""),
    Bug("TANH", "1 - self.out**2", "1 - self.out", "square is missing"),
    Bug("TANH", "dout * (1 - self.out**2)", "1 - self.out**2", "dout is forgotten"),
    Bug("TANH", "dout * (1 - self.out**2)", "dout", "derivative of the function is missing"),
    Bug("SIGMOID", "self.out * (1 - self.out)", "(1 - self.out)", "factor is missing"),
    Bug("SIGMOID", "dout * self.out * (1 - self.out)", "dout", "derivative of the function is missing"),
    Bug("SOFTMAX", "dx[np.arange(n), y] -= 1", "pass", "minus one-hot is missing"),
    Bug("SOFTMAX", "dx /= n", "pass", "1/N of the mean over the rows is missing"),
    Bug("SOFTMAX", "dx /= n", "dx /= -n", "sign is flipped"),
    Bug("SOFTMAX", "dx /= n", "dx /= x.shape[1]", "where it should be divided by the number of rows"),
    Bug("SOFTMAX", "dx = p.copy()", "dx = np.log(p)", "exp is missing"),
    Bug("SOFTMAX", "dx = p.copy()", "dx = x.copy()", "the logits stand where their softmax belongs"),
    Bug("RNN", "total = dh[t] + dh_next", "total = dh[t]", "only the last time step is right: what comes back"),
    Bug("RNN", "reversed(range(T))", "reversed(range(1, T))", "the loop over `range(1, T)` skips steps"),
    Bug("RNN", "reversed(range(T))", "reversed(range(T - 1))", ""),
    Bug("RNN", "h[t].T @ dz", "h[t + 1].T @ dz", "`h[t + 1]` is one step off"),
    Bug("RNN", "total * (h[t + 1] > 0)", "total", "the mask `h[t + 1] > 0` is missing"),
    Bug("RNN", "total * (h[t + 1] > 0)", "total * (h[t] > 0)", "`h[t]` is one step off"),
    Bug("RNN", "total * (h[t + 1] > 0)", "dh[t] * (h[t + 1] > 0) + dh_next", "the mask `h[t] > 0` is missing"),
    Bug("RNN", "dh_next = dz @ self.W_hh.T", "dh_next = dz @ self.W_hh", "`self.W_hh` must be transposed"),
    Bug("RNN", "dh_next = dz @ self.W_hh.T", "dh_next = total @ self.W_hh.T", "`total` stands where `dz` belongs"),
    Bug("RNN", "self.dW_hh += h[t].T @ dz", "self.dW_hh[...] = h[t].T @ dz", "the term `self.dW_hh[...]` is missing"),
    Bug("RNN", "self.db += dz.sum(axis=0)", "self.db += dz.sum(axis=0) / T", "it is divided by `T`"),
    Bug("RNN", "self.db += dz.sum(axis=0)", "self.db += dz.mean(axis=0)", "a mean stands where a sum belongs"),
    Bug(
        "RNN",
        "self.dW_gh += g[t].T @ dz",
        "self.dW_gh += g[t].T @ dz / len(dz)",
        "divided by `len(dz)`, which does not belong",
    ),
    Bug("LSTM", "dzi = di * i * (1 - i)", "dzi = di", "the derivative of the sigmoid, `i (1 - i)`, is missing"),
    Bug("LSTM", "dzf = df * f * (1 - f)", "dzf = df", "the derivative of the sigmoid, `f (1 - f)`, is missing"),
    Bug("LSTM", "dzo = do * o * (1 - o)", "dzo = do", "the derivative of the sigmoid, `o (1 - o)`, is missing"),
    Bug("LSTM", "dzu = du * (1 - u**2)", "dzu = du", "the derivative of tanh, `1 - u**2`, is missing"),
    Bug("LSTM", "[dzi, dzf, dzo, dzu]", "[dzf, dzi, dzo, dzu]", "`dzf` and `dzi` are swapped"),
    Bug("LSTM", "[dzi, dzf, dzo, dzu]", "[dzi, dzo, dzf, dzu]", "`dzo` and `dzf` are swapped"),
    Bug("LSTM", "dc_next = dc * f", "dc_next = 0", "`dc_next = 0`: what belongs there"),
    Bug("LSTM", "dc_next = dc * f", "dc_next = dc", "the factor `f` is missing"),
    Bug("LSTM", "total * o * (1 - tc**2)", "total * o", "the derivative of tanh, `1 - tc**2`, is missing"),
    Bug("LSTM", "do = total * tc", "do = total * c", "`c` stands where `tc` belongs"),
    Bug("LSTM", "dc * c_prev", "dc * c", "`c` stands where `c_prev` belongs"),
    Bug("LSTM", "total = dh[t] + dh_next", "total = dh[t]", "only the last time step is right: what comes back"),
    Bug("LSTM", "h_prev.T @ dz", "(o * tc).T @ dz", "`o * tc` stands where `h_prev` belongs"),
    Bug("GLIMPSE", "da = dg * (g > 0)", "da = dg", "the mask `g > 0` is missing"),
    Bug("GLIMPSE", "d_what * (h[:, :n] > 0)", "d_what", ""),
    Bug("GLIMPSE", "d_where * (h[:, n:] > 0)", "d_where", "a mask is missing"),
    Bug("GLIMPSE", "d_what, d_where = dh[:, :n], dh[:, n:]", "d_where, d_what = dh[:, :n], dh[:, n:]", "are swapped"),
    Bug("GLIMPSE", "d_where = d_where *", "d_where = 0 * d_where *", "the factor `0` does not belong there"),
    Bug("POLICY", "da = dmu * (1 - mu**2)", "da = dmu", "the derivative of tanh, `1 - mu**2`, is missing"),
    Bug("POLICY", "(sample - mu) / self.std**2", "(sample - mu)", "the division by `self.std**2` is missing"),
    Bug("POLICY", "(sample - mu) / self.std**2", "(sample - mu) / self.std", "a square is missing: `self.std`"),
    Bug("POLICY", "(sample - mu) / self.std**2", "(mu - sample) / self.std**2", "sign"),
    Bug(
        "POLICY",
        "(sample - mu) / self.std**2",
        "(np.clip(sample, -1, 1) - mu) / self.std**2",
        "`np.clip(sample, -1, 1)` does not belong",
    ),
    Bug("REINFORCE", "* score / n", "* score", "1/N of the mean over the rows is missing"),
    Bug("REINFORCE", "-advantage[..., None] * score", "advantage[..., None] * score", "the sign is flipped"),
    Bug("REINFORCE", "-advantage[..., None] * score", "-(reward + 0 * baseline)[..., None] * score", ""),
    Bug("REINFORCE", "score = (sample - mu) / std**2", "score = (sample - mu)", "a division by std^2 is missing"),
    Bug("REINFORCE", "score = (sample", "score = (np.clip(sample, -1, 1)", "`np.clip(sample, -1, 1)` does not belong"),
    Bug("REINFORCE", "score / n", "score / n / len(mu)", "averaged over time"),
    Bug("MODEL", "dmu = loss.dmu", "earlier += leak; dmu = loss.dmu", "baseline's gradient leaks"),
    Bug("MODEL", 'if rule.routing == "paper":', "if True:", "policy's gradient reaches the core"),
    Bug("MODEL", 'if rule.routing == "paper":', "if False:", "does not reach the core"),
    Bug("MODEL", "dmu = loss.dmu", "dmu = loss.dmu * self.policy.std**2", "1/std^2 is missing"),
    Bug("MODEL", "dh[-1] = self", "dh[0] = self", ""),
    Bug("TORCH", "= grad_output.T @ self.input", "= -grad_output.T @ self.input", "sign is flipped"),
    Bug("TORCH", "return grad_output @ self.weight", "grad_output @ self.weight", "is None"),
    Bug("DICTIONARY", "self.X.T @ dZ", "self.X.T @ dZ / len(dZ)", "it is divided by `len(dZ)`"),
    Bug("DICTIONARY", "axis=0, keepdims=True", "axis=1", "wrong axis"),
    Bug("BATCH_FIRST", "dnext_h * (1 - next_h**2)", "dnext_h", "the derivative of tanh, `1 - next_h**2`, is missing"),
    Bug("BATCH_FIRST", "dh[:, t] + carry", "dh[:, t]", "only the last time step is right: what comes back"),
    Bug("BATCH_FIRST", "dx.insert(0, dx_t)", "dx.append(dx_t)", "reversed order"),
    Bug("BATCH_FIRST", "in reversed(range(dh.shape[1]))", "in range(dh.shape[1])", ""),
    Bug("LOSSES", "d[np.arange(len(labels)), labels] -= 1", "d -= labels[:, None]", "not one-hot"),
    Bug("LOSSES", "return d / len(labels)", "return d / d.size", "`d.size` stands where `len(labels)` belongs"),
    Bug(
        "LOSSES",
        "return -advantage / advantage.shape[1]",
        "return -advantage / advantage.size",
        "1/4 of the right gradient",
    ),
    Bug("LOSSES", "return 2 * (baseline", "return (baseline", "factor 2"),
    Bug(
        "LOSSES",
        "* (sample - mu) / STD**2",
        "* (np.clip(sample, -1, 1) - mu) / STD**2",
        "`np.clip(sample, -1, 1)` does not belong",
    ),
    Bug("BOOK", "dx[np.arange(len(self.t)), self.t] -= 1", "dx -= self.t[:, None]", "not one-hot"),
    Bug("LSTM_REORDERED", "dc_next = dc * f", "dc_next = dc", "the factor `f` is missing"),
    Bug(
        "LSTM",
        "di, df, du = dc * u, dc * c_prev",
        "di, df, du = dc * c_prev, dc * u",
        "`dc * c_prev` and `dc * u` are swapped",
    ),
    Bug("LSTM", "return np.stack(dg)", "return np.stack(dg[::-1])", "reversed order"),
    Bug("RNN", "in reversed(range(T))", "in range(T)", "runs forwards"),
    Bug("RNN", "dh_next = dz @", "dh_next = dh_next + dz @", "the term `dh_next` does not belong"),
    Bug("LSTM", "total * o * (1 - tc**2)", "total * o * (1 - c**2)", "`c` stands where `tc` belongs"),
    Bug("LSTM", "total * o * (1 - tc**2)", "total * (1 - tc**2)", "the factor `o` is missing"),
    Bug("LSTM", "dc_next + total * o * (1 - tc**2)", "dc_next + 0 * total", ""),
    Bug("LSTM", "do = total * tc", "do = dc * tc", ""),
    Bug("LSTM", "do = total * tc", "do = total", "the factor `tc` is missing"),
    Bug("LSTM", "di, df, du = dc * u, dc", "di, df, du = dc, dc", "another gate's"),
    Bug(
        "LSTM",
        "dzu = du * (1 - u**2)",
        "dzu = du * u * (1 - u)",
        "the derivative of the sigmoid stands where that of tanh belongs",
    ),
    Bug("SOFTMAX", "dx[np.arange(n), y] -= 1", "dx[:, y] -= 1", "from whole columns"),
    Bug("AFFINE", "db = np.sum(dout, axis=0)", "db = np.full(len(b), np.sum(dout))", "too many axes"),
    Bug("EXPONENTIAL", "dy * y", "dy", "derivative of the function is missing"),
    Bug("EXPONENTIAL", "dy * y", "y", "dy is forgotten"),
    Bug("EXPONENTIAL", "dy * y", "dy * np.log(y)", "multiplied by x"),
    Bug("EXPONENTIAL", "return dy * y", "y *= dy; return y.copy()", "overwrites what forward kept"),
    Bug("SCALE", "self.ds += ", "self.ds = ", "overwritten, not accumulated"),
    Bug("SCALE", "self.ds += (dy * cache).sum(axis=0)", "self.ds = dy * cache", ""),
    Bug("SCALE", "sum(axis=0)", "mean(axis=0)", "a mean stands where a sum belongs"),
    Bug("TWO_LAYERS", "dh * (h > 0)", "dh", ""),
    Bug("TWO_LAYERS", "return self.first.backward(dh", "self.first.dW += 1; return self.first.backward(dh", ""),
]


def rows_of(source, seed=0):
    """What the checker says about a source text."""
    module = sys.modules["student"] = types.ModuleType("student")
    module.__file__ = "student.py"
    linecache.cache["student.py"] = (len(source), None, source.splitlines(keepends=True), "student.py")
    exec(compile(source, "student.py", "exec"), module.__dict__)
    rows = []
    check_module(module, "", seed, lambda part, found: rows.extend(found), set(), naming=6.0)
    return rows


def planted(bug):
    """The source text with the bug in it."""
    source = RIGHT[bug.source]
    if bug.old == "dmu = loss.dmu" and "leak" in bug.new:  # leak is known only further down
        source = source.replace("        cache = (decisions", "        earlier += leak\n        cache = (decisions", 1)
    else:
        assert source.count(bug.old) == 1, bug
        source = source.replace(bug.old, bug.new)
    return source


def outcome(bug):
    """(caught, rightly diagnosed). A bug without words has no family: to be caught is all it can ask."""
    bad = [row for row in rows_of(planted(bug)) if row.verdict in (WRONG, ERROR)]
    return bool(bad), bool(bad) and any(bug.words in row.message for row in bad)


def scores():
    """(bugs, caught, rightly diagnosed, [those that were not])."""
    outcomes = [(bug, *outcome(bug)) for bug in BUGS]
    missed = [bug for bug, caught, diagnosed in outcomes if not (caught and diagnosed)]
    named = [diagnosed for bug, _, diagnosed in outcomes if bug.words]
    return len(BUGS), sum(caught for _, caught, _ in outcomes), len(named), sum(named), missed


if __name__ == "__main__":
    bugs, caught, named, diagnosed, missed = scores()
    print(
        f"{caught} of {bugs} planted bugs are caught, {diagnosed} of {named} of known families get the right diagnosis"
    )
    for bug in missed:
        print(f"  {bug.source}: {bug.old!r} -> {bug.new!r}", file=sys.stderr)
        for row in rows_of(planted(bug)):
            if row.message:
                print(f"      {row.name}: {row.message}", file=sys.stderr)
