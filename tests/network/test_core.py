"""The recurrent cores, and backpropagation through time."""

import numpy as np
import pytest
from checking import wrong_gradients

from ramnp.network.core import GRU, LSTM, RNN
from ramnp.registry import get, names


def make(cls, rng, xp=np):
    made = cls(3, 4, rng, xp, np.float64)
    for weights in (made.b, made.W_hh):  # the identity would hide a W_hh that is not transposed
        weights += xp.asarray(0.3 * rng.standard_normal(weights.shape))
    return made


def wrong(core, rng, steps=4, rows=3):
    g = core.xp.asarray(rng.standard_normal((steps, rows, 3)))
    return wrong_gradients(core, core.forward, core.backward, {"g": g}, rng)


@pytest.mark.parametrize("name", names("core"))
@pytest.mark.parametrize(("steps", "rows"), [(1, 1), (1, 3), (4, 1), (4, 3)])
def test_gradients(backend, rng, name, steps, rows):
    assert wrong(make(get("core", name), rng, backend.xp), rng, steps, rows) == []


def test_a_new_rnn_adds_up_what_it_sees(rng):
    core, g = RNN(3, 4, rng), rng.random((5, 2, 3)).astype(np.float32)
    core.W_gh = np.abs(core.W_gh)
    np.testing.assert_allclose(core.forward(g)[0][-1], g.sum(axis=0) @ core.W_gh, rtol=1e-5)


def test_the_rnn_equation(rng):
    core, g = make(RNN, rng), rng.standard_normal((4, 3, 3))
    h = np.zeros((3, 4))
    for t, h_t in enumerate(core.forward(g)[0]):
        h = np.maximum(h @ core.W_hh + g[t] @ core.W_gh + core.b, 0)
        np.testing.assert_allclose(h_t, h)


def test_the_lstm_equation(rng):
    core, g = make(LSTM, rng), rng.standard_normal((4, 3, 3))
    h, c = np.zeros((3, 4)), np.zeros((3, 4))
    for t, h_t in enumerate(core.forward(g)[0]):
        z_i, z_f, z_o, z_u = np.split(h @ core.W_hh + g[t] @ core.W_gh + core.b, 4, axis=1)
        i, f, o = (1 / (1 + np.exp(-z)) for z in (z_i, z_f, z_o))
        c = f * c + i * np.tanh(z_u)
        h = o * np.tanh(c)
        np.testing.assert_allclose(h_t, h)


def test_the_lstm_forget_gate_starts_open(rng):
    core = LSTM(3, 4, rng)
    np.testing.assert_array_equal(core.b, [0] * 4 + [1] * 4 + [0] * 8)


def test_the_gru_equation(rng):
    core, g = make(GRU, rng), rng.standard_normal((4, 3, 3))
    assert (core.W_hh.shape, core.W_gh.shape, core.b.shape) == ((4, 12), (3, 12), (16,))
    W_gn, W_gr, W_gk = np.split(core.W_gh, 3, axis=1)
    W_hr, W_hk, W_hn = np.split(core.W_hh, 3, axis=1)
    b_x, b_r, b_k, b_y = np.split(core.b, 4)
    h = np.zeros((3, 4))
    for t, h_t in enumerate(core.forward(g)[0]):
        r, k = (1 / (1 + np.exp(-(h @ W_h + g[t] @ W_g + b))) for W_h, W_g, b in ((W_hr, W_gr, b_r), (W_hk, W_gk, b_k)))
        n = np.tanh(g[t] @ W_gn + b_x + r * (h @ W_hn + b_y))
        h = k * h + (1 - k) * n
        np.testing.assert_allclose(h_t, h)


def test_a_new_gru_keeps_its_state(rng):
    core = GRU(3, 4, rng)
    np.testing.assert_array_equal(core.b, [0] * 8 + [1] * 4 + [0] * 4)


class WrongStep(RNN):
    """h_t used for h_{t-1} in the recurrent weight gradient: the same states, told one step late."""

    def backward(self, dh, cache):
        _, states = cache
        dg = super().backward(dh.copy(), cache)
        probe = RNN(self.units, self.units, np.random.default_rng(0), dtype=np.float64)
        probe.W_hh = self.W_hh
        probe.backward(dh, (states.h[1:], states))
        self.dW_hh[...] = probe.dW_gh
        return dg


class FirstStepSkipped(RNN):
    """The loop stops at the second step."""

    def gate_backward(self, dh, dc, t, cache, dz):
        super().gate_backward(dh, dc, t, cache, dz)
        if t == 0:
            dz.fill(0)


class NoRecurrence(RNN):
    """dh is not carried to the step before."""

    def backward(self, dh, cache):
        kept, self.W_hh = self.W_hh, np.zeros_like(self.W_hh)
        dg = super().backward(dh, cache)
        self.W_hh = kept
        return dg


class NoMask(RNN):
    """The ReLU mask is missing."""

    def gate_backward(self, dh, dc, t, cache, dz):
        dz[...] = dh


class ForgottenCell(LSTM):
    """dc is not carried to the step before."""

    def gate_backward(self, dh, dc, t, cache, dz):
        super().gate_backward(dh, dc, t, cache, dz)
        dc.fill(0)


class SwappedGates(LSTM):
    """The gradients of input and forget gate are swapped."""

    def gate_backward(self, dh, dc, t, cache, dz):
        super().gate_backward(dh, dc, t, cache, dz)
        i, f, _, _ = self.split(dz)
        i[...], f[...] = f.copy(), i.copy()


class ForgottenState(GRU):
    """What is kept of the state is not carried to the step before."""

    def gate_backward(self, dh, dc, t, cache, dz):
        super().gate_backward(dh, dc, t, cache, dz)
        dc.fill(0)


class ResetTooEarly(GRU):
    """The gradient of y_n lacks the reset gate."""

    def gate_backward(self, dh, dc, t, cache, dz):
        super().gate_backward(dh, dc, t, cache, dz)
        dx_n, _, _, dy_n = self.split(dz)
        dy_n[...] = dx_n


class SwappedKeep(GRU):
    """k stands where 1 - k belongs."""

    def gate_backward(self, dh, dc, t, cache, dz):
        super().gate_backward(dh, dc, t, cache, dz)
        _, _, k, _ = self.split(cache.gates[t])
        for d in (self.split(dz)[0], self.split(dz)[3]):
            d *= k / (1 - k)


class StateOfTheWrongStep(GRU):
    """The gradient of the update gate has h_t for h_{t-1}."""

    def gate_backward(self, dh, dc, t, cache, dz):
        n, _, k, _ = self.split(cache.gates[t])
        wrong = (dh + dc) * (cache.h[t + 1] - n) * k * (1 - k)
        super().gate_backward(dh, dc, t, cache, dz)
        self.split(dz)[2][...] = wrong


@pytest.mark.parametrize(
    ("bug", "expected"),
    [
        (WrongStep, {"W_hh"}),
        (FirstStepSkipped, {"W_gh", "b", "g"}),  # h_0 = 0, so W_hh gets nothing from the first step
        (NoRecurrence, {"W_hh", "W_gh", "b", "g"}),
        (NoMask, {"W_hh", "W_gh", "b", "g"}),
        (ForgottenCell, {"W_hh", "W_gh", "b", "g"}),
        (SwappedGates, {"W_hh", "W_gh", "b", "g"}),
        (ForgottenState, {"W_hh", "W_gh", "b", "g"}),
        (ResetTooEarly, {"W_hh", "W_gh", "b", "g"}),
        (SwappedKeep, {"W_hh", "W_gh", "b", "g"}),
        (StateOfTheWrongStep, {"W_hh", "W_gh", "b", "g"}),
    ],
)
def test_planted_bugs_are_caught(rng, bug, expected):
    assert set(wrong(make(bug, rng), rng)) == expected


def test_inputs_and_caches_are_not_overwritten(rng):
    for cls in (RNN, LSTM, GRU):
        core, g = make(cls, rng), rng.standard_normal((4, 3, 3))
        g.flags.writeable = False
        h, (_, states) = core.forward(g)
        for array in states:
            if array is not None:
                array.flags.writeable = False
        core.backward(np.ones_like(h), (g, states))
