"""Every part once more in plain NumPy, and with the mistakes that people make.

`backward(part, problem)` is the reference: short, unoptimised, float64. `backward(part, problem, mistake)` computes
what somebody gets who makes that one mistake. The diagnosis (`diagnosis.py`) compares a wrong gradient with all
of them: the mistake whose gradients agree in every array is named.

A mistake is a word; `HINTS` says in one line what it means and which equation it breaks.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

Arrays = dict[str, np.ndarray]


class Hint(NamedTuple):
    """What a student reads.

    Attributes:
        text: the mistake.
        equation: the equation it breaks.
        tutorial: where that is derived.
    """

    text: str
    equation: str
    tutorial: str

    def __str__(self) -> str:
        return f"{self.text}: {self.equation} ({self.tutorial})"


class Problem(NamedTuple):
    """A part with concrete numbers.

    Attributes:
        parameters, inputs: what there is a gradient for.
        constants: what there is none for: labels, samples, rewards, std.
        dy: gradient of the output, (rows, .) or (T, rows, .); a 0-d 1 for a loss.
        sizes: the letters that a wrong factor may be made of, such as {"B": 5, "T": 3}.
    """

    parameters: Arrays
    inputs: Arrays
    constants: dict[str, np.ndarray | float]
    dy: np.ndarray
    sizes: dict[str, float]


ELEMENT, LINEAR, RELU, CORE, POLICY, LEARNING = (
    "tutorials/01",
    "tutorials/02",
    "tutorials/02",
    "tutorials/05",
    "tutorials/06",
    "tutorials/07",
)
GLIMPSE = "tutorials/04"
ELEMENTWISE = {"ReLU", "Tanh", "Sigmoid"}
CORES = {"RNN", "TanhRNN", "LSTM"}


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    return np.eye(classes)[labels]


# --- linear ----------------------------------------------------------------------------------------------------------

LINEAR_HINTS = {
    "bias not summed": Hint("the bias gradient is not summed over the rows", "db = sum over rows of dy", LINEAR),
    "bias averaged": Hint("the bias gradient is averaged over the rows", "db = sum over rows of dy", LINEAR),
    "bias summed over columns": Hint("the bias gradient is summed over the wrong axis", "db = dy.sum(axis=0)", LINEAR),
    "weights averaged": Hint("dW is divided by the number of rows", "dW = x^T dy", LINEAR),
    "all averaged": Hint("dW and db are divided by the number of rows", "dW = x^T dy, db = sum of dy", LINEAR),
    "dx through x": Hint("dx is made from x or dW where W belongs", "dx = dy W^T", LINEAR),
    "W transposed": Hint("W is not transposed in dx", "dx = dy W^T", LINEAR),
}


def linear_forward(p: Problem) -> np.ndarray:
    return p.inputs["x"] @ p.parameters["W"] + p.parameters["b"]


def linear_backward(p: Problem, mistake: str = "") -> Arrays:
    x, w, dy = p.inputs["x"], p.parameters["W"], p.dy
    rows = len(x)
    gradients = {"W": x.T @ dy, "b": dy.sum(axis=0), "x": dy @ w.T}
    if mistake == "bias not summed":
        gradients["b"] = dy[0]
    elif mistake == "bias averaged":
        gradients["b"] = dy.mean(axis=0)
    elif mistake == "bias summed over columns":
        gradients["b"] = np.resize(dy.sum(axis=1), gradients["b"].shape)
    elif mistake == "weights averaged":
        gradients["W"] = gradients["W"] / rows
    elif mistake == "all averaged":
        gradients["W"], gradients["b"] = gradients["W"] / rows, gradients["b"] / rows
    elif mistake == "dx through x":
        gradients["x"] = dy @ gradients["W"].T
    elif mistake == "W transposed" and w.shape[0] == w.shape[1]:
        gradients["x"] = dy @ w
    return gradients


# --- elementwise -----------------------------------------------------------------------------------------------------

ELEMENTWISE_HINTS = {
    "derivative missing": Hint("the derivative of the function is missing: dy is passed on", "dx = dy f'(x)", ELEMENT),
    "dy forgotten": Hint("dy is forgotten: this is f'(x) alone", "dx = dy f'(x)", ELEMENT),
    "mask from dy": Hint("the mask is taken from dy, not from x", "dx = dy where x > 0, else 0", RELU),
    "mask inverted": Hint("the mask is the wrong way round", "dx = dy where x > 0, else 0", RELU),
    "times x": Hint("dy is multiplied by x, not by the derivative", "dx = dy f'(x)", ELEMENT),
    "times y": Hint("dy is multiplied by y, not by the derivative", "dx = dy f'(x)", ELEMENT),
    "forward again": Hint("backward applies the function to dy", "dx = dy f'(x)", ELEMENT),
    "x for y": Hint(
        "the derivative is computed from x where y belongs", "tanh' = 1 - y^2, sigmoid' = y (1 - y)", ELEMENT
    ),
    "square missing": Hint("the square is missing", "tanh' = 1 - y^2", ELEMENT),
    "half the product": Hint("one factor is missing", "sigmoid' = y (1 - y)", ELEMENT),
}

FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "ReLU": lambda x: np.maximum(x, 0),
    "Tanh": np.tanh,
    "Sigmoid": sigmoid,
}
DERIVATIVES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "ReLU": lambda x, y: (y > 0) * 1.0,
    "Tanh": lambda x, y: 1 - y * y,
    "Sigmoid": lambda x, y: y * (1 - y),
}


def elementwise_backward(name: str, p: Problem, mistake: str = "") -> Arrays:
    x, dy = p.inputs["x"], p.dy
    f, derivative = FUNCTIONS[name], DERIVATIVES[name]
    y = f(x)
    dx = dy * derivative(x, y)
    if mistake == "derivative missing":
        dx = dy
    elif mistake == "dy forgotten":
        dx = derivative(x, y)
    elif mistake == "mask from dy" and name == "ReLU":
        dx = dy * (dy > 0)
    elif mistake == "mask inverted" and name == "ReLU":
        dx = dy * (x < 0)
    elif mistake == "times x":
        dx = dy * x
    elif mistake == "times y":
        dx = dy * y
    elif mistake == "forward again":
        dx = f(dy)
    elif mistake == "x for y" and name != "ReLU":
        dx = dy * derivative(x, x)
    elif (mistake == "square missing" and name == "Tanh") or (mistake == "half the product" and name == "Sigmoid"):
        dx = dy * (1 - y)
    return {"x": dx}


# --- softmax and cross-entropy ---------------------------------------------------------------------------------------

CROSS_ENTROPY_EQUATION = "dlogits = (softmax(logits) - onehot(label)) / B"
CROSS_ENTROPY_HINTS = {
    "one-hot missing": Hint("minus-one-hot is missing", CROSS_ENTROPY_EQUATION, LINEAR),
    "one-hot missing, sum": Hint("minus-one-hot and 1/B are missing", CROSS_ENTROPY_EQUATION, LINEAR),
    "sum for mean": Hint("the 1/B of the mean is missing", CROSS_ENTROPY_EQUATION, LINEAR),
    "softmax missing": Hint("the softmax is missing: logits are used as probabilities", CROSS_ENTROPY_EQUATION, LINEAR),
    "log p for p": Hint("log-probabilities are used as probabilities: exp is missing", CROSS_ENTROPY_EQUATION, LINEAR),
    "divided by classes": Hint("divided by the number of classes, not of rows", CROSS_ENTROPY_EQUATION, LINEAR),
    "whole columns": Hint(
        "1 is subtracted from whole columns: use [arange(rows), labels]", CROSS_ENTROPY_EQUATION, LINEAR
    ),
    "label column only": Hint("only the label's own column gets a gradient", CROSS_ENTROPY_EQUATION, LINEAR),
    "label as a number": Hint("the label is subtracted as a number, not one-hot", CROSS_ENTROPY_EQUATION, LINEAR),
    "divided by rows and classes": Hint("the mean is taken over classes as well", CROSS_ENTROPY_EQUATION, LINEAR),
}


def cross_entropy_forward(p: Problem) -> np.ndarray:
    q = softmax(p.inputs["logits"])
    return np.asarray(-np.log(q[np.arange(len(q)), p.constants["labels"]]).mean())


def cross_entropy_backward(p: Problem, mistake: str = "") -> Arrays:
    logits, labels = p.inputs["logits"], p.constants["labels"]
    rows, classes = logits.shape
    q, hot = softmax(logits), one_hot(labels, classes)
    d = (q - hot) / rows
    if mistake == "one-hot missing":
        d = q / rows
    elif mistake == "one-hot missing, sum":
        d = q
    elif mistake == "sum for mean":
        d = q - hot
    elif mistake == "softmax missing":
        d = (logits - hot) / rows
    elif mistake == "log p for p":
        d = (np.log(q) - hot) / rows
    elif mistake == "divided by classes":
        d = (q - hot) / classes
    elif mistake == "whole columns":
        d = (q - hot.max(axis=0)) / rows
    elif mistake == "label column only":
        d = hot * (q - hot) / rows
    elif mistake == "label as a number":
        d = (q - labels[:, None]) / rows
    elif mistake == "divided by rows and classes":
        d = (q - hot) / (rows * classes)
    return {"logits": p.dy * d}


# --- recurrent cores -------------------------------------------------------------------------------------------------

RECURRENCE = "dh_t += dz_{t+1} W_hh^T"
CELL = "dc_t += dh_t o_t (1 - tanh(c_t)^2)"
CORE_HINTS = {
    "recurrence dropped": Hint("the recurrence is dropped: only the last step is right", RECURRENCE, CORE),
    "first step skipped": Hint("the first time step is skipped", "sums over t run from 1 to T", CORE),
    "last step skipped": Hint("the last time step is skipped", "sums over t run from 1 to T", CORE),
    "h_t for h_{t-1}": Hint("h_t is used where h_{t-1} belongs", "dW_hh = sum over t of h_{t-1}^T dz_t", CORE),
    "overwritten": Hint(
        "weight gradients are overwritten at each step, not accumulated", "dW = sum over t of ...", CORE
    ),
    "overwritten forwards": Hint(
        "only the last time step counts in the weight gradients", "dW = sum over t of ...", CORE
    ),
    "averaged over time": Hint("weight gradients are averaged over time", "dW = sum over t of ...", CORE),
    "mask missing": Hint("the ReLU mask is missing", "dz_t = dh_t where h_t > 0, else 0", CORE),
    "mask of h_{t-1}": Hint("the ReLU mask is that of h_{t-1}", "dz_t = dh_t where h_t > 0, else 0", CORE),
    "square missing": Hint("the square is missing in the derivative of tanh", "dz_t = dh_t (1 - h_t^2)", CORE),
    "mask after recurrence": Hint(
        "what comes back from step t+1 is not masked", "dz_t = mask_t (dh_t + dz_{t+1} W_hh^T)", CORE
    ),
    "W_hh not transposed": Hint("W_hh is not transposed on the way back", RECURRENCE, CORE),
    "dh for dz": Hint("dh_{t+1} is carried back where dz_{t+1} belongs", RECURRENCE, CORE),
    "added up": Hint("what comes back is added up over the steps: it is new at each one", RECURRENCE, CORE),
    "only from later steps": Hint("the gradient from above is lost before the last step", "dh_t = above_t + ...", CORE),
    "bias of last step": Hint("the bias gradient is that of one step only", "db = sum over t and rows of dz_t", CORE),
    "cell dropped": Hint("dc is not carried to the step before", "dc_{t-1} = f_t dc_t", CORE),
    "cell without forget": Hint("dc is carried back without the forget gate", "dc_{t-1} = f_t dc_t", CORE),
    "cell not accumulated": Hint("dc from the later step is not added to that from h_t", CELL, CORE),
    "tanh(c) derivative": Hint("the derivative of tanh(c_t) is missing", CELL, CORE),
    "tanh(c) derivative of c": Hint("the derivative of tanh(c_t) is computed from c_t: tanh' = 1 - tanh^2", CELL, CORE),
    "gate o missing in dc": Hint("the output gate is missing on the way from h_t to c_t", CELL, CORE),
    "cell only accumulated": Hint("what c_t receives through h_t is missing", CELL, CORE),
    "dc for dh": Hint("dc is used where dh belongs: o acts on h_t alone", "dz_o = dh_t tanh(c_t) o (1 - o)", CORE),
    "sigmoid for tanh": Hint("u is a tanh, and the derivative of a sigmoid is used", "dz_u = dc i (1 - u^2)", CORE),
    "c for tanh(c)": Hint("c_t is used where tanh(c_t) belongs", "dz_o = dh_t tanh(c_t) o (1 - o)", CORE),
    "c_t for c_{t-1}": Hint("c_t is used where c_{t-1} belongs", "dz_f = dc_t c_{t-1} f (1 - f)", CORE),
    "input and forget swapped": Hint("input and forget gate are swapped", "z = [z_i | z_f | z_o | z_u]", CORE),
    "input and output swapped": Hint("input and output gate are swapped", "z = [z_i | z_f | z_o | z_u]", CORE),
    "forget and output swapped": Hint("forget and output gate are swapped", "z = [z_i | z_f | z_o | z_u]", CORE),
    "output and candidate swapped": Hint("output gate and candidate are swapped", "z = [z_i | z_f | z_o | z_u]", CORE),
    **{
        f"derivative of {gate}": Hint(f"the derivative of gate {gate} is missing", equation, CORE)
        for gate, equation in {
            "i": "dz_i = dc u i (1 - i)",
            "f": "dz_f = dc c_{t-1} f (1 - f)",
            "o": "dz_o = dh tanh(c) o (1 - o)",
            "u": "dz_u = dc i (1 - u^2)",
        }.items()
    },
    **{
        f"factor of {gate}": Hint(
            f"gate {gate} is multiplied by {factor} in the forward pass: that is missing", equation, CORE
        )
        for gate, factor, equation in (
            ("i", "u", "dz_i = dc u i (1 - i)"),
            ("f", "c_{t-1}", "dz_f = dc c_{t-1} f (1 - f)"),
            ("o", "tanh(c_t)", "dz_o = dh tanh(c) o (1 - o)"),
            ("u", "i", "dz_u = dc i (1 - u^2)"),
        )
    },
    "operands swapped": Hint("u and c_{t-1} are swapped", "dz_i = dc u i (1 - i), dz_f = dc c_{t-1} f (1 - f)", CORE),
    "loop forwards": Hint("the loop over time runs forwards", "t = T, ..., 1: " + RECURRENCE, CORE),
    "dg reversed": Hint("dg comes back in reversed time order", "dg_t = dz_t W_gh^T", CORE),
    "derivatives of all gates": Hint("the derivatives of the gates are missing", "dz_i = dc u i (1 - i), ...", CORE),
}


class Trace(NamedTuple):
    """The states of a core: h, c (T + 1, R, N), gates (T, R, width N), z the same before the gates."""

    h: np.ndarray
    c: np.ndarray
    gates: np.ndarray


def run_core(name: str, p: Problem) -> Trace:
    g, w_hh, w_gh, b = p.inputs["g"], p.parameters["W_hh"], p.parameters["W_gh"], p.parameters["b"]
    steps, rows, _ = g.shape
    n = len(w_hh)
    h, c = np.zeros((steps + 1, rows, n)), np.zeros((steps + 1, rows, n))
    gates = np.zeros((steps, rows, w_hh.shape[1]))
    for t in range(steps):
        z = h[t] @ w_hh + g[t] @ w_gh + b
        if name == "RNN":
            gates[t] = h[t + 1] = np.maximum(z, 0)
        elif name == "TanhRNN":
            gates[t] = h[t + 1] = np.tanh(z)
        else:
            i, f, o, u = np.split(z, 4, axis=1)
            i, f, o, u = sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(u)
            gates[t] = np.concatenate([i, f, o, u], axis=1)
            c[t + 1] = f * c[t] + i * u
            h[t + 1] = o * np.tanh(c[t + 1])
    return Trace(h, c, gates)


def core_backward(name: str, p: Problem, mistake: str = "") -> Arrays:
    g, w_hh, w_gh = p.inputs["g"], p.parameters["W_hh"], p.parameters["W_gh"]
    trace = run_core(name, p)
    steps, rows, _ = g.shape
    dz = np.zeros_like(trace.gates)
    dc = np.zeros((rows, len(w_hh)))
    back = np.zeros((rows, len(w_hh)))  # what step t + 1 sends to h_t
    for t in range(steps) if mistake == "loop forwards" else reversed(range(steps)):
        above = p.dy[t]
        if mistake == "only from later steps" and t + 1 < steps:
            above = 0 * above
        dh = above if mistake == "recurrence dropped" else above + back
        if name == "LSTM":
            dz[t], dc = lstm_gate_backward(dh, dc, t, trace, mistake)
        else:
            dz[t] = rnn_gate_backward(name, dh, above, back, t, trace, mistake)
        carried = dh if mistake == "dh for dz" and name != "LSTM" else dz[t]
        square = mistake == "W_hh not transposed" and name != "LSTM"
        sent = carried @ (w_hh if square else w_hh.T)
        back = back + sent if mistake == "added up" else sent
    first = 1 if mistake == "first step skipped" else 0
    last = steps - 1 if mistake == "last step skipped" else steps
    h = trace.h[1:] if mistake == "h_t for h_{t-1}" else trace.h[:-1]
    if mistake == "overwritten":  # a loop backwards ends at the first step
        last = 1
    elif mistake == "overwritten forwards":
        first = steps - 1
    gradients = {
        "W_hh": sum((h[t].T @ dz[t] for t in range(first, last)), np.zeros_like(w_hh)),
        "W_gh": sum((g[t].T @ dz[t] for t in range(first, last)), np.zeros_like(w_gh)),
        "b": dz[first:last].sum(axis=(0, 1)),
        "g": dz @ w_gh.T,
    }
    if mistake in ("first step skipped", "last step skipped"):
        kept = np.zeros_like(gradients["g"])
        kept[first:last] = gradients["g"][first:last]
        gradients["g"] = kept
    elif mistake == "averaged over time":
        gradients |= {name: gradients[name] / steps for name in ("W_hh", "W_gh", "b")}
    elif mistake == "dg reversed":
        gradients["g"] = gradients["g"][::-1]
    elif mistake == "bias of last step":
        gradients["b"] = dz[-1].sum(axis=0)
    return gradients


def rnn_gate_backward(
    name: str, dh: np.ndarray, above: np.ndarray, back: np.ndarray, t: int, trace: Trace, mistake: str
) -> np.ndarray:
    def slope(h: np.ndarray) -> np.ndarray:
        return 1 - h**2 if name == "TanhRNN" else h > 0

    if mistake == "mask missing":
        return dh
    if mistake == "mask of h_{t-1}":
        return dh * slope(trace.h[t])
    if mistake == "mask after recurrence":
        return above * slope(trace.h[t + 1]) + back
    if mistake == "square missing" and name == "TanhRNN":
        return dh * (1 - trace.h[t + 1])
    return dh * slope(trace.h[t + 1])


def lstm_gate_backward(
    dh: np.ndarray, dc: np.ndarray, t: int, trace: Trace, mistake: str
) -> tuple[np.ndarray, np.ndarray]:
    i, f, o, u = np.split(trace.gates[t], 4, axis=1)
    c = trace.c[t + 1]
    candidate = u
    tanh_c = c if mistake == "c for tanh(c)" else np.tanh(c)
    slope = {"tanh(c) derivative": 1, "tanh(c) derivative of c": 1 - c**2}.get(mistake, 1 - np.tanh(c) ** 2)
    through_h = dh * (1 if mistake == "gate o missing in dc" else o) * slope
    if mistake == "cell not accumulated":
        dc = through_h
    elif mistake != "cell only accumulated":
        dc = dc + through_h
    before = trace.c[t + 1] if mistake == "c_t for c_{t-1}" else trace.c[t]
    if mistake == "operands swapped":
        u, before = before, u
    above = {"i": dc, "f": dc, "o": dc if mistake == "dc for dh" else dh, "u": dc}
    factors = {"i": u, "f": before, "o": tanh_c, "u": i}
    derivatives = {gate: value * (1 - value) for gate, value in (("i", i), ("f", f), ("o", o))}
    derivatives["u"] = candidate * (1 - candidate) if mistake == "sigmoid for tanh" else 1 - candidate**2
    dz = {}
    for gate in "ifou":
        factor = 1 if mistake == f"factor of {gate}" else factors[gate]
        derivative = 1 if mistake in ("derivatives of all gates", f"derivative of {gate}") else derivatives[gate]
        dz[gate] = above[gate] * factor * derivative
    order = {
        "input and forget swapped": "fiou",
        "input and output swapped": "ofiu",
        "forget and output swapped": "iofu",
        "output and candidate swapped": "ifuo",
    }.get(mistake, "ifou")
    if mistake == "cell dropped":
        dc = np.zeros_like(dc)
    elif mistake != "cell without forget":
        dc = dc * f
    return np.concatenate([dz[gate] for gate in order], axis=1), dc


TANH_CORE_HINTS = CORE_HINTS | {
    "mask missing": Hint("the derivative of tanh is missing", "dz_t = dh_t (1 - h_t^2)", CORE),
    "mask of h_{t-1}": Hint("the derivative of tanh is taken at h_{t-1}", "dz_t = dh_t (1 - h_t^2)", CORE),
    "mask after recurrence": Hint(
        "what comes back from step t+1 misses the derivative of tanh",
        "dz_t = (1 - h_t^2) (dh_t + dz_{t+1} W_hh^T)",
        CORE,
    ),
}


# --- glimpse network -------------------------------------------------------------------------------------------------

GLIMPSE_EQUATION = "g = relu(h_g W_hg + h_l W_hl + b)"
GLIMPSE_HINTS = {
    "mask of g missing": Hint("the ReLU mask of g is missing", GLIMPSE_EQUATION, GLIMPSE),
    "mask of h missing": Hint("the ReLU masks of h_g and h_l are missing", "h_g = relu(rho W_g + b_g), ...", GLIMPSE),
    "mask of h_g missing": Hint("the ReLU mask of h_g is missing", "h_g = relu(rho W_g + b_g)", GLIMPSE),
    "mask of h_l missing": Hint("the ReLU mask of h_l is missing", "h_l = relu(l W_l + b_l)", GLIMPSE),
    "all masks missing": Hint("all ReLU masks are missing", GLIMPSE_EQUATION, GLIMPSE),
    "what and where swapped": Hint("h_g and h_l are swapped in dh", "h = [h_g | h_l]", GLIMPSE),
    "swapped behind the masks": Hint("h_g and h_l are swapped in dh", "h = [h_g | h_l]", GLIMPSE),
    "where not trained": Hint("the location's path gets no gradient", "h_l = relu(l W_l + b_l)", GLIMPSE),
    "what not trained": Hint("the patch's path gets no gradient", "h_g = relu(rho W_g + b_g)", GLIMPSE),
}


def glimpse_states(p: Problem) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    q = p.parameters
    h_g = np.maximum(p.inputs["rho"] @ q["what.W"] + q["what.b"], 0)
    h_l = np.maximum(p.inputs["location"] @ q["where.W"] + q["where.b"], 0)
    return h_g, h_l, np.maximum(np.concatenate([h_g, h_l], axis=1) @ q["mix.W"] + q["mix.b"], 0)


def glimpse_backward(p: Problem, mistake: str = "") -> Arrays:
    q = p.parameters
    h_g, h_l, g = glimpse_states(p)
    h, n = np.concatenate([h_g, h_l], axis=1), h_g.shape[1]
    da = p.dy if mistake in ("mask of g missing", "all masks missing") else p.dy * (g > 0)
    dh = da @ q["mix.W"].T
    d_g, d_l = dh[:, :n], dh[:, n:]
    if mistake == "what and where swapped" and h_g.shape == h_l.shape:
        d_g, d_l = d_l, d_g
    if mistake not in ("mask of h missing", "mask of h_g missing", "all masks missing"):
        d_g = d_g * (h_g > 0)
    if mistake not in ("mask of h missing", "mask of h_l missing", "all masks missing"):
        d_l = d_l * (h_l > 0)
    if mistake == "swapped behind the masks" and h_g.shape == h_l.shape:
        d_g, d_l = d_l, d_g
    d_l = 0 * d_l if mistake == "where not trained" else d_l
    d_g = 0 * d_g if mistake == "what not trained" else d_g
    return {
        "what.W": p.inputs["rho"].T @ d_g,
        "what.b": d_g.sum(axis=0),
        "where.W": p.inputs["location"].T @ d_l,
        "where.b": d_l.sum(axis=0),
        "mix.W": h.T @ da,
        "mix.b": da.sum(axis=0),
        "rho": d_g @ q["what.W"].T,
        "location": d_l @ q["where.W"].T,
    }


# --- policy and learning rule ----------------------------------------------------------------------------------------

LOG_PROB_EQUATION = "d log pi / d mu = (l - mu) / std^2"
LOG_PROB_HINTS = {
    "std missing": Hint("1/std^2 is missing", LOG_PROB_EQUATION, POLICY),
    "std for std^2": Hint("divided by std, not by std^2", LOG_PROB_EQUATION, POLICY),
    "std^4": Hint("std^2 is squared again: std is taken for a variance", LOG_PROB_EQUATION, POLICY),
    "clipped location": Hint(
        "the log-probability is taken at the clipped location", "log pi is that of the sample itself", POLICY
    ),
    "factor 2": Hint("the 1/2 of the exponent was lost", LOG_PROB_EQUATION, POLICY),
    "for the sample": Hint("the sign is that of the gradient for the sample, not the mean", LOG_PROB_EQUATION, POLICY),
    "mean for sum": Hint("averaged over the two coordinates", "log pi sums over x and y", POLICY),
    "mean ignored": Hint("mu is forgotten", LOG_PROB_EQUATION, POLICY),
    "score alone": Hint("dlog_prob is forgotten: this is the score alone", "dmu = dlog_prob (l - mu) / std^2", POLICY),
}


def log_prob_forward(p: Problem) -> np.ndarray:
    std = p.constants["std"]
    squares = ((p.constants["sample"] - p.inputs["mu"]) ** 2).sum(axis=-1)
    return -squares / (2 * std**2) - np.log(2 * np.pi * std**2)


def log_prob_backward(p: Problem, mistake: str = "") -> Arrays:
    sample, mu, std = p.constants["sample"], p.inputs["mu"], p.constants["std"]
    if mistake == "clipped location":
        sample = np.clip(sample, -1, 1)
    deviation = sample if mistake == "mean ignored" else sample - mu
    power = {"std missing": 0, "std for std^2": 1, "std^4": 4}.get(mistake, 2)
    factor = {"factor 2": 2, "for the sample": -1, "mean for sum": 0.5}.get(mistake, 1)
    dlog_prob = np.ones_like(p.dy) if mistake == "score alone" else p.dy
    return {"mu": factor * dlog_prob[..., None] * deviation / std**power}


MEAN_EQUATION = "mu = tanh(h W_mu + b_mu): da = dmu (1 - mu^2)"
BASELINE_EQUATION = "db = 2 (b_t - reward) / (number of all b_t)"
BASELINE_HINTS = {
    "factor 2 missing": Hint("the factor 2 of the square is missing", BASELINE_EQUATION, LEARNING),
    "sum for mean": Hint("the mean is missing", BASELINE_EQUATION, LEARNING),
    "mean over rollouts only": Hint("the mean is taken over rollouts, but not over time", BASELINE_EQUATION, LEARNING),
    "sign": Hint("the sign is wrong", BASELINE_EQUATION, LEARNING),
}


def baseline_forward(p: Problem) -> np.ndarray:
    return np.asarray(((p.inputs["baseline"] - p.constants["reward"]) ** 2).mean())


def baseline_backward(p: Problem, mistake: str = "") -> Arrays:
    b = p.inputs["baseline"]
    factors = {"factor 2 missing": 0.5, "sum for mean": b.size, "mean over rollouts only": len(b), "sign": -1}
    return {"baseline": factors.get(mistake, 1) * p.dy * 2 * (b - p.constants["reward"]) / b.size}


POLICY_LOSS_HINTS = {
    "sum for mean": Hint("the mean over rollouts is missing", "dlog_pi = -advantage / (number of rollouts)", POLICY),
    "mean over time": Hint("averaged over time, too", "dlog_pi = -advantage / (number of rollouts)", POLICY),
    "sign": Hint("the sign is wrong: the loss is minus the expected reward", "dlog_pi = -advantage / R", POLICY),
}


def policy_loss_forward(p: Problem) -> np.ndarray:
    advantage = p.constants["advantage"]
    return np.asarray(-(advantage * p.inputs["log_pi"]).sum() / advantage.shape[1])


def policy_loss_backward(p: Problem, mistake: str = "") -> Arrays:
    advantage = p.constants["advantage"]
    steps, rows = advantage.shape
    scale = {"sum for mean": rows, "mean over time": 1 / steps, "sign": -1.0}.get(mistake, 1.0)
    return {"log_pi": p.dy * scale * -advantage / rows}


POLICY_HINTS = {
    "squash missing": Hint("the derivative of the tanh is missing", MEAN_EQUATION, POLICY),
    "squash square": Hint("the square is missing in 1 - mu^2", MEAN_EQUATION, POLICY),
    "squash alone": Hint("dmu is forgotten: this is the derivative of the tanh alone", MEAN_EQUATION, POLICY),
    "bias averaged": LINEAR_HINTS["bias averaged"],
    "all averaged": LINEAR_HINTS["all averaged"],
    "weights averaged": LINEAR_HINTS["weights averaged"],
}


def policy_forward(p: Problem) -> np.ndarray:
    return np.tanh(p.inputs["h"] @ p.parameters["mean.W"] + p.parameters["mean.b"])


def policy_backward(p: Problem, mistake: str = "") -> Arrays:
    mu = policy_forward(p)
    squash = {"squash missing": np.ones_like(mu), "squash square": 1 - mu}.get(mistake, 1 - mu * mu)
    da = squash if mistake == "squash alone" else p.dy * squash
    inner = Problem({"W": p.parameters["mean.W"], "b": 0}, {"x": p.inputs["h"]}, {}, da, {})
    gradients = linear_backward(inner, mistake)
    return {"mean.W": gradients["W"], "mean.b": gradients["b"], "h": gradients["x"]}


REINFORCE_EQUATION = "dmu = -(reward - b) (l - mu) / std^2 / (number of rollouts)"
REINFORCE_HINTS = {
    "sign": Hint("the sign is wrong: the loss is minus the expected reward", REINFORCE_EQUATION, POLICY),
    "sum for mean": Hint("the mean over rollouts is missing", REINFORCE_EQUATION, POLICY),
    "mean over time": Hint("averaged over time, too", "sum over t of advantage_t log pi", POLICY),
    "baseline missing": Hint("the baseline is not subtracted", "advantage_t = reward - b_t", POLICY),
    "baseline added": Hint("the baseline is added", "advantage_t = reward - b_t", POLICY),
    "no reward": Hint("the advantage is missing: log pi alone is followed", REINFORCE_EQUATION, POLICY),
    "std missing": LOG_PROB_HINTS["std missing"],
    "std for std^2": LOG_PROB_HINTS["std for std^2"],
    "std^4": LOG_PROB_HINTS["std^4"],
    "factor 2": LOG_PROB_HINTS["factor 2"],
    "clipped location": LOG_PROB_HINTS["clipped location"],
    "mean for sum": LOG_PROB_HINTS["mean for sum"],
    "baseline not detached": Hint(
        "the policy's loss has a gradient for the baseline: a detach is missing", "advantage_t is a constant", LEARNING
    ),
}


def reinforce_forward(p: Problem) -> np.ndarray:
    advantage = p.constants["reward"] - p.constants["baseline"]
    return np.asarray(-(advantage * log_prob_forward(p)).sum() / advantage.shape[1])


def reinforce_backward(p: Problem, mistake: str = "") -> Arrays:
    reward, baseline = p.constants["reward"], p.constants["baseline"]
    advantage = {
        "baseline missing": reward + 0 * baseline,
        "baseline added": reward + baseline,
        "no reward": 1 + 0 * baseline,
    }.get(mistake, reward - baseline)
    steps, rows = baseline.shape
    scale = {"sign": 1.0, "sum for mean": -rows, "mean over time": -1 / steps}.get(mistake, -1.0)
    dlog_prob = p.dy * scale * advantage / rows
    inner = p._replace(dy=dlog_prob)
    return log_prob_backward(inner, mistake)


# --- all of them -----------------------------------------------------------------------------------------------------

HINTS: dict[str, dict[str, Hint]] = {
    "Linear": LINEAR_HINTS,
    **dict.fromkeys(sorted(ELEMENTWISE), ELEMENTWISE_HINTS),
    "CrossEntropy": CROSS_ENTROPY_HINTS,
    "RNN": CORE_HINTS,
    "TanhRNN": TANH_CORE_HINTS,
    "LSTM": CORE_HINTS,
    "GlimpseNetwork": GLIMPSE_HINTS,
    "GaussianPolicy": POLICY_HINTS,
    "LogProb": LOG_PROB_HINTS,
    "PolicyLoss": POLICY_LOSS_HINTS,
    "BaselineLoss": BASELINE_HINTS,
    "Reinforce": REINFORCE_HINTS,
}


def forward(part: str, p: Problem) -> np.ndarray:
    """The output of a part, by the reference."""
    if part in ELEMENTWISE:
        return FUNCTIONS[part](p.inputs["x"])
    if part in CORES:
        return run_core(part, p).h[1:]
    if part == "GlimpseNetwork":
        return glimpse_states(p)[2]
    return {
        "Linear": linear_forward,
        "CrossEntropy": cross_entropy_forward,
        "GaussianPolicy": policy_forward,
        "LogProb": log_prob_forward,
        "PolicyLoss": policy_loss_forward,
        "BaselineLoss": baseline_forward,
        "Reinforce": reinforce_forward,
    }[part](p)


def backward(part: str, p: Problem, mistake: str = "") -> Arrays:
    """The gradients of a part's parameters and inputs, by the reference; or with one mistake."""
    if part in ELEMENTWISE:
        return elementwise_backward(part, p, mistake)
    if part in CORES:
        return core_backward(part, p, mistake)
    return {
        "Linear": linear_backward,
        "CrossEntropy": cross_entropy_backward,
        "GlimpseNetwork": glimpse_backward,
        "GaussianPolicy": policy_backward,
        "LogProb": log_prob_backward,
        "PolicyLoss": policy_loss_backward,
        "BaselineLoss": baseline_backward,
        "Reinforce": reinforce_backward,
    }[part](p, mistake)


def mistaken(part: str, p: Problem) -> Iterator[tuple[str, Hint, Arrays]]:
    """Every known mistake with the gradients it gives, leaving out those that change nothing here."""
    right = backward(part, p)
    for mistake, hint in HINTS[part].items():
        wrong = backward(part, p, mistake)
        if any(not np.allclose(wrong[name], right[name], rtol=1e-6, atol=1e-12) for name in right):
            yield mistake, hint, wrong
