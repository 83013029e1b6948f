"""Somebody else's layers: find them in a file, call them as their author meant, check them.

What is looked for, and how each is called, is in docs/gradcheck.md. In short: classes with `forward` and `backward`,
and pairs of functions `name_forward`, `name_backward` (or `name`, `name_backward`), recognised by their names, such as
Linear, ReLU, RNN, LSTM, softmax_loss. Arguments are recognised by their names, too, and by position otherwise.

This module runs in a child process (`python -m ramnp.gradcheck.student FILE NAME SEED OUTPUT`), because it executes the
file: code that never ends, or that ends Python, ends the child alone.
"""

import copy
import importlib.util
import inspect
import json
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from ramnp.gradcheck import mistakes
from ramnp.gradcheck.diagnosis import close, diagnose
from ramnp.gradcheck.mistakes import HINTS, Arrays, Problem
from ramnp.gradcheck.numeric import check_gradient
from ramnp.gradcheck.problems import SHAPES, make_problem
from ramnp.gradcheck.report import ERROR, OK, SKIPPED, WRONG, Row, merge
from ramnp.gradcheck.whole import check_model
from ramnp.model import RecurrentAttentionModel

# Words in a name, longest first, that tell which part is meant.
WORDS = {
    "glimpse": "GlimpseNetwork",
    "reinforceloss": "Reinforce",
    "reinforce": "Reinforce",
    "policyloss": "PolicyLoss",
    "logprob": "LogProb",
    "logpi": "LogProb",
    "gaussianpolicy": "GaussianPolicy",
    "locationpolicy": "GaussianPolicy",
    "policy": "GaussianPolicy",
    "crossentropy": "CrossEntropy",
    "softmaxloss": "CrossEntropy",
    "softmaxce": "CrossEntropy",
    "softmaxwithloss": "CrossEntropy",
    "fullyconnected": "Linear",
    "affine": "Linear",
    "linear": "Linear",
    "dense": "Linear",
    "sigmoid": "Sigmoid",
    "logistic": "Sigmoid",
    "relu": "ReLU",
    "tanh": "Tanh",
    "lstm": "LSTM",
    "rnn": "RNN",
}

# Other names for parameters, inputs and constants.
SYNONYMS = {
    "W": ("W", "w", "weight", "weights", "kernel", "theta"),
    "b": ("b", "bias", "biases", "beta"),
    "W_hh": ("W_hh", "Whh", "Wh", "W_h", "U", "weight_hh", "w_hh", "wh"),
    "W_gh": ("W_gh", "Wgh", "Wx", "W_x", "Wxh", "W_xh", "W_ih", "Wih", "W_gx", "W", "weight_ih", "w_gh", "wx"),
    "x": ("x", "X", "inputs", "input", "inp", "z", "data"),
    "g": ("g", "x", "X", "xs", "inputs", "input", "gs"),
    "logits": ("logits", "scores", "x", "X", "z", "inputs", "logit"),
    "log_p": ("log_p", "logp", "log_probs", "log_prob"),
    "labels": ("labels", "y", "Y", "target", "targets", "label", "t", "y_true"),
    "mu": ("mu", "mean", "means", "mus"),
    "sample": ("sample", "samples", "l", "location", "locations", "action", "actions", "loc"),
    "std": ("std", "sigma", "stddev", "s"),
    "reward": ("reward", "rewards", "R", "r"),
    "baseline": ("baseline", "baselines", "b", "values", "value"),
    "advantage": ("advantage", "advantages", "adv"),
    "log_pi": ("log_pi", "log_prob", "log_probs", "logp", "logpi"),
    "rho": ("rho", "x", "patch", "patches", "glimpse"),
    "location": ("location", "l", "loc", "locations"),
    "h": ("h", "x", "hidden", "state"),
    "mean.W": ("mean.W", "W_mu", "W", "weight"),
    "mean.b": ("mean.b", "b_mu", "b", "bias"),
}

# Arguments of functions, where their names say nothing.
ORDER = {
    "Linear": ("x", "W", "b"),
    "CrossEntropy": ("logits", "labels"),
    "RNN": ("g", "W_gh", "W_hh", "b"),
    "LSTM": ("g", "W_gh", "W_hh", "b"),
    "LogProb": ("sample", "mu", "std"),
    "PolicyLoss": ("advantage", "log_pi"),
    "Reinforce": ("mu", "sample", "reward", "baseline", "std"),
}
INITIAL_STATES = ("h0", "h_0", "prev_h", "h_prev", "h_init", "c0", "c_0")

# Sizes by the names that constructors give them, and their order where the names say nothing.
SIZE_NAMES = {
    "in": ("n_in", "in_features", "input_size", "input_dim", "in_dim", "inputs", "fan_in", "D", "nin", "dim_in"),
    "out": (
        "n_out",
        "out_features",
        "output_size",
        "output_dim",
        "out_dim",
        "outputs",
        "fan_out",
        "M",
        "nout",
        "dim_out",
    ),
    "G": ("inputs", "n_in", "input_size", "input_dim", "in_features", "G", "D", "units"),
    "N": ("units", "hidden_size", "hidden_dim", "n_hidden", "hidden", "n_out", "N", "H", "inputs", "n_in"),
    "D": ("sensor_size", "n_in", "D", "input_size"),
    "what": ("what_units", "h_g", "hg"),
    "where": ("where_units", "h_l", "hl"),
}
SIZE_ORDER = {
    "Linear": ("in", "out"),
    "RNN": ("G", "N"),
    "LSTM": ("G", "N"),
    "GlimpseNetwork": ("D", "what", "where", "G"),
    "GaussianPolicy": ("N",),
}


MODEL = "RecurrentAttentionModel"
KEPT = "kept by the instance"  # in place of a cache that forward does not return


class TroubleError(Exception):
    """Code that did not do what the protocol asks; the message is for its author."""


class Candidate(NamedTuple):
    """Something in a file that can be checked.

    Attributes:
        name: as its author calls it.
        part: in `mistakes.HINTS`, or None for a part of its author's own.
        cls: the class; or None, and then
        forward, backward: the functions; backward is None if forward returns the gradient as well.
    """

    name: str
    part: str | None
    cls: type | None = None
    forward: Callable[..., Any] | None = None
    backward: Callable[..., Any] | None = None


def load_module(path: Path) -> ModuleType:
    """Execute a file as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    sys.path.insert(0, str(path.parent))
    spec.loader.exec_module(module)
    return module


def part_of(name: str, cls: type | None = None) -> str | None:
    """Which part a name means, by the words in it; or a class, by what it is derived from."""
    if cls is not None and issubclass(cls, RecurrentAttentionModel):
        return MODEL
    for each in cls.__mro__ if cls is not None else ():
        if each.__module__.startswith("ramnp.") and each.__name__ in HINTS:
            return each.__name__
    plain = name.lower().replace("_", "")
    return next((part for word, part in WORDS.items() if word in plain), None)


def find_candidates(module: ModuleType) -> Iterator[Candidate]:
    """Classes and functions of a module that look like a forward and a backward pass.

    Only what the file defines itself counts, not what it imports.
    """
    own = {name: value for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__}
    for name, value in own.items():
        if inspect.isclass(value):
            part = part_of(name, value)
            if callable(getattr(value, "forward", None)) and callable(getattr(value, "backward", None)):
                yield Candidate(name, part, cls=value)
            if callable(getattr(value, "log_prob", None)) and callable(getattr(value, "log_prob_backward", None)):
                yield Candidate(name, "LogProb", cls=value)
    functions = {name: value for name, value in own.items() if inspect.isfunction(value) and not name.startswith("_")}
    for name, forward in functions.items():
        if name.endswith(("_backward", "_grad")):
            continue
        base = name.removesuffix("_forward")
        part = part_of(base)
        backward = functions.get(base + "_backward") or functions.get(base + "_grad")
        # A loss may return its gradient together with its value.
        if backward is not None or part in ("CrossEntropy", "Reinforce"):
            yield Candidate(base, part, forward=forward, backward=backward)


# --- calling ---------------------------------------------------------------------------------------------------------


def known_as(name: str, order: list[str]) -> str | None:
    """Which of our names in `order` an argument's name stands for, or None."""
    return next((ours for ours in order if name == ours or name in SYNONYMS.get(ours, ())), None)


def required(function: Callable[..., Any]) -> list[str]:
    """The names of the positional arguments that a function cannot do without."""
    parameters = inspect.signature(function).parameters.values()
    positional = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.POSITIONAL_ONLY)
    return [p.name for p in parameters if p.kind in positional and p.default is p.empty]


class FunctionPart:
    """A pair of functions, or one that returns a loss and its gradient, as a part."""

    accumulates = False

    def __init__(self, candidate: Candidate, problem: Problem) -> None:
        self.candidate, self.problem = candidate, problem
        self.arrays = problem.inputs | problem.parameters
        self.order = list(ORDER.get(candidate.part, self.arrays))
        names = inspect.signature(candidate.forward).parameters
        if candidate.part == "CrossEntropy" and not names.keys().isdisjoint(SYNONYMS["log_p"]):
            self.order[0] = "log_p"
        self.names = self._match(list(names.values()))

    def _match(self, parameters: list[inspect.Parameter]) -> dict[str, str]:
        """Forward's arguments, in its order: its own name -> ours. By name, and what is left by position."""
        left = list(self.order)
        matched: dict[str, str] = {}
        for p in parameters:
            ours = "zeros" if p.name.lower() in INITIAL_STATES else known_as(p.name, left)
            if ours in left:
                left.remove(ours)
            if ours is not None:
                matched[p.name] = ours
        for p in parameters:
            if p.name in matched or p.default is not p.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
                continue
            if not left:
                raise TroubleError(f"forward wants '{p.name}', which does not follow the protocol (docs/gradcheck.md)")
            matched[p.name] = left.pop(0)
        return {p.name: matched[p.name] for p in parameters if p.name in matched}

    def _values(self) -> dict[str, Any]:
        """Everything an argument can stand for, at the present values of the arrays."""
        values = self.arrays | self.problem.constants
        if "logits" in values:
            values["log_p"] = np.log(mistakes.softmax(values["logits"]))
        if "g" in values and "W_hh" in values:
            values["zeros"] = np.zeros((values["g"].shape[1], len(values["W_hh"])))
        return values

    def forward(self) -> tuple[Any, Any]:
        """The output, and the cache; `KEPT` where forward returns none."""
        values = self._values()
        result = self.candidate.forward(**{theirs: values[ours] for theirs, ours in self.names.items()})
        if isinstance(result, tuple) and len(result) >= 2:
            self.output = result[0]
            return result[0], result[1:] if self.candidate.backward is None else result[-1]
        if self.candidate.backward is None:
            raise TroubleError(f"{self.candidate.name} must return (loss, gradient)")
        self.output = result
        return result, KEPT

    def backward(self, dy: np.ndarray, cache: Any) -> Arrays:
        """Gradients by our names."""
        backward = self.candidate.backward
        if backward is None:
            returned = cache
        elif cache is not KEPT and len(required(backward)) >= 2:
            returned = backward(dy, cache)
        elif cache is not KEPT:
            returned = backward(cache)
        else:
            returned = backward(**self._again(required(backward), dy))
        if isinstance(returned, dict):
            return _renamed(returned, self.arrays)
        returned = returned if isinstance(returned, tuple | list) else (returned,)
        targets = [ours for ours in self.names.values() if ours in (*self.arrays, "log_p", "zeros", "baseline")]
        if len(returned) < len(targets):
            targets = [ours for ours in targets if ours in (*self.arrays, "log_p")]
        found = dict(zip(targets, returned, strict=False))
        found.pop("zeros", None)
        if "log_p" in found:  # ours, as cross-entropy's usual backward, gives the gradient of the logits
            found["logits"] = found.pop("log_p")
        return found

    def _again(self, names: list[str], dy: np.ndarray) -> dict[str, Any]:
        """Arguments of a backward without a cache: dy, the output, and forward's arguments once more."""
        values, call = self._values(), {}
        for number, name in enumerate(names):
            ours = known_as(name, self.order)
            if ours is not None:
                call[name] = values[ours]
            elif number == 0:
                call[name] = dy
            elif number == 1:
                call[name] = self.output
            else:
                raise TroubleError(f"backward wants '{name}', which does not follow the protocol (docs/gradcheck.md)")
        return call

    def zero(self) -> None:
        """Functions return their gradients: there is nothing to zero."""


def _renamed(returned: dict[str, Any], arrays: Arrays) -> Arrays:
    """Gradients in a dictionary, by our names: "dW", "W", "W_grad", ..."""
    found = {}
    for name in arrays:
        for synonym in (name, *SYNONYMS.get(name, ())):
            for key in (synonym, "d" + synonym, synonym + "_grad", "grad_" + synonym):
                if key in returned and name not in found:
                    found[name] = returned[key]
    return found


class ClassPart:
    """An instance of a class, with the problem's parameters put in."""

    def __init__(self, candidate: Candidate, problem: Problem, shape: dict[str, int]) -> None:
        self.candidate, self.problem, self.shape = candidate, problem, shape
        self.instance = self._construct()
        self.parameters: dict[str, tuple[Any, str]] = {}
        for name in problem.parameters:
            self._place(name)
        self.inputs = dict(problem.inputs)
        self.accumulates = bool(self.parameters) and all(self._gradient_place(name) for name in self.parameters)
        self.zero()

    def _construct(self) -> Any:
        cls, part = self.candidate.cls, self.candidate.part
        pool: dict[str, Any] = {
            "rng": np.random.default_rng(0),
            "seed": 0,
            "xp": np,
            "dtype": np.float64,
            "std": self.problem.constants.get("std", 0.3),
            "sigma": self.problem.constants.get("std", 0.3),
            "squash": "tanh",
            "hidden_units": 0,
        }
        part = "GaussianPolicy" if part == "LogProb" else part
        shape = self.shape if "N" in self.shape else self.shape | {"N": 4}
        order = SIZE_ORDER.get(part, ())
        for name, value in self.problem.parameters.items():
            pool |= dict.fromkeys(SYNONYMS.get(name, (name,)), value)
        sizes = {size: shape[size] for size in order if size in shape}
        signature = inspect.signature(cls)
        keywords, left = {}, list(sizes)
        for p in signature.parameters.values():
            size = next((s for s in left if p.name in SIZE_NAMES.get(s, ())), None)
            if size:
                keywords[p.name] = sizes[size]
                left.remove(size)
        for p in signature.parameters.values():
            if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) or p.name in keywords:
                continue
            if p.name in pool:
                value = pool[p.name]
                keywords[p.name] = value.copy() if isinstance(value, np.ndarray) else value
            elif p.default is p.empty:
                if not left:
                    raise TroubleError(f"its constructor wants '{p.name}', which does not follow the protocol")
                keywords[p.name] = sizes[left.pop(0)]
        has_var_args = any(p.kind == p.VAR_POSITIONAL for p in signature.parameters.values())
        if has_var_args and left:  # as in class Mine(RNN): def __init__(self, *args, **kwargs)
            return cls(*(sizes[size] for size in left), pool["rng"], dtype=np.float64)
        return cls(**keywords)

    def _owner(self, name: str) -> tuple[Any, str] | None:
        """Where the parameter `name` lives: the object, and the attribute."""
        for synonym in SYNONYMS.get(name, (name,)):
            owner, *path = self.instance, *synonym.split(".")
            for step in path[:-1]:
                owner = getattr(owner, step, None)
            if isinstance(getattr(owner, path[-1], None), np.ndarray):
                return owner, path[-1]
            if isinstance(getattr(owner, "params", None), dict) and path[-1] in owner.params:
                return owner.params, path[-1]
        if "." in name:  # e.g. mean.W kept by other names: nothing to fall back to
            return None
        return None

    def _place(self, name: str) -> None:
        """Put the problem's values of a parameter into the instance."""
        place = self._owner(name)
        if place is None:
            raise TroubleError(f"it has no array self.{name}")
        owner, attribute = place
        value = np.ascontiguousarray(self.problem.parameters[name], dtype=np.float64)
        old = owner[attribute] if isinstance(owner, dict) else getattr(owner, attribute)
        if np.size(old) != value.size:
            raise TroubleError(f"self.{attribute} has shape {np.shape(old)}; the protocol wants {value.shape}")
        value = value.reshape(np.shape(old)).copy()
        if isinstance(owner, dict):
            owner[attribute] = value
        else:
            setattr(owner, attribute, value)
        self.parameters[name] = (owner, attribute)

    def _gradient_place(self, name: str) -> tuple[Any, str] | None:
        owner, attribute = self.parameters[name]
        holder = self.instance if isinstance(owner, dict) else owner
        keys = ("d" + attribute, attribute + "_grad", "grad_" + attribute, "d_" + attribute, attribute)
        grads = getattr(holder, "grads", None)
        if isinstance(grads, dict):
            return next(((grads, key) for key in keys if key in grads), None)
        return next(((holder, key) for key in keys[:-1] if hasattr(holder, key)), None)

    @property
    def arrays(self) -> Arrays:
        """Everything that can be perturbed, by our names."""
        found = {}
        for name, (owner, attribute) in self.parameters.items():
            found[name] = owner[attribute] if isinstance(owner, dict) else getattr(owner, attribute)
        return self.inputs | found

    def forward(self) -> tuple[np.ndarray, Any]:
        """The output, and the cache; `KEPT` if the instance keeps it."""
        if self.candidate.part == "LogProb":
            return self.instance.log_prob(self.problem.constants["sample"], self.inputs["mu"]), KEPT
        values = [*self.inputs.values(), *(v for k, v in self.problem.constants.items() if k == "labels")]
        result = self.instance.forward(*values)
        return result if isinstance(result, tuple) and len(result) == 2 else (result, KEPT)

    def backward(self, dy: np.ndarray, cache: Any) -> Arrays:
        """Gradients by our names."""
        if self.candidate.part == "LogProb":
            dmu = self.instance.log_prob_backward(dy, self.problem.constants["sample"], self.inputs["mu"])
            return {"mu": dmu}
        wanted = [
            p
            for p in inspect.signature(self.instance.backward).parameters.values()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty
        ]
        if cache is not KEPT and len(wanted) >= 2:
            returned = self.instance.backward(dy, cache)
        elif cache is not KEPT and len(wanted) == 1 and dy.ndim == 0:
            returned = self.instance.backward(cache)
        elif not wanted:
            returned = self.instance.backward()
        else:
            returned = self.instance.backward(dy)
        returned = returned if isinstance(returned, tuple | list) else (returned,)
        found = dict(zip(self.inputs, returned, strict=False))
        rest = returned[len(self.inputs) :]
        for name, value in zip(self.parameters, rest, strict=False):
            found[name] = value
        for name in self.parameters:
            if name in found:
                continue
            place = self._gradient_place(name)
            if place is None:
                raise TroubleError(f"after backward there is no gradient self.d{self.parameters[name][1]}")
            owner, attribute = place
            found[name] = owner[attribute] if isinstance(owner, dict) else getattr(owner, attribute)
        return found

    def zero(self) -> None:
        """Zero the parameter gradients, where they are arrays that accumulate."""
        for name in self.parameters:
            place = self._gradient_place(name)
            if place is not None:
                owner, attribute = place
                array = owner[attribute] if isinstance(owner, dict) else getattr(owner, attribute)
                if isinstance(array, np.ndarray):
                    array.fill(0)


# --- checking --------------------------------------------------------------------------------------------------------


def check_candidate(candidate: Candidate, seed: int) -> list[Row]:
    """All rows about one candidate, over all shapes."""
    if candidate.part is None:
        return check_unknown(candidate, seed)
    if candidate.part == MODEL:
        return check_model(candidate.cls, candidate.name, seed)
    rows: list[Row] = []
    for number, shape in enumerate(SHAPES[candidate.part]):
        problem = make_problem(candidate.part, shape, np.random.default_rng([seed, number]))
        found = list(check_problem(candidate, problem, shape))
        rows += found
        if any(row.verdict == ERROR for row in found):
            break  # the next shapes would say the same
    return merge(rows)


def label(candidate: Candidate) -> str:
    """The candidate's own name, and the part it was taken for."""
    return (
        candidate.name
        if candidate.name == candidate.part or not candidate.part
        else f"{candidate.name} ({candidate.part})"
    )


def blame(error: BaseException, path: str | None) -> str:
    """An exception in one line, with the line of the student's file where it happened."""
    if isinstance(error, TroubleError):
        return str(error)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if path and frame.filename == path]
    at = f" (line {frames[-1].lineno}: {frames[-1].line})" if frames else ""
    text = (str(error).splitlines() or [""])[0]
    return f"raises {type(error).__name__}: {text}{at}"


def source_path(candidate: Candidate) -> str | None:
    return inspect.getsourcefile(candidate.cls or candidate.forward)


def check_problem(candidate: Candidate, problem: Problem, shape: dict[str, int]) -> Iterator[Row]:
    """Rows about one candidate at one shape."""
    name, part = label(candidate), candidate.part
    path = source_path(candidate)
    # Its own copies, so that code that overwrites its inputs spoils nothing of ours.
    mine = problem._replace(**{k: copy.deepcopy(getattr(problem, k)) for k in ("parameters", "inputs", "constants")})
    try:
        subject = ClassPart(candidate, mine, shape) if candidate.cls else FunctionPart(candidate, mine)
        y, cache = subject.forward()
    except Exception as error:
        yield Row(name, "forward", verdict=ERROR, message=blame(error, path))
        return
    expected = mistakes.forward(part, problem)
    complaint = complain(y, expected.shape, "forward's output")
    if complaint:
        yield Row(name, "forward", verdict=ERROR, message=complaint)
        return
    y = np.array(y, dtype=np.float64)
    error = float(np.abs(y - expected).max() / max(np.abs(expected).max(), 1e-8))
    right = close(y, expected) and error < 1e-6
    yield Row(
        name, "forward", expected.shape, y.size, 0, error, None, OK if right else WRONG,
        "" if right else f"the output is not that of {part}: " + forward_equation(part),
    )  # fmt: skip
    changed = [key for key in problem.inputs if not np.array_equal(mine.inputs[key], problem.inputs[key])]
    if changed:
        yield Row(name, "inputs kept", verdict=WRONG, message=f"forward overwrites its input {changed[0]}")
        return
    yield from check_backward(candidate, subject, problem, mine, y, cache)


def forward_equation(part: str) -> str:
    """The equation of a part's forward pass."""
    return {
        "Linear": "y = x W + b",
        "ReLU": "y = max(x, 0)",
        "Tanh": "y = tanh(x)",
        "Sigmoid": "y = 1 / (1 + exp(-x))",
        "CrossEntropy": "the mean over rows of -log softmax(logits)[label]",
        "RNN": "h_t = relu(h_{t-1} W_hh + g_t W_gh + b), time on the first axis",
        "LSTM": "z_t = [z_i | z_f | z_o | z_u], c_t = f c_{t-1} + i u, h_t = o tanh(c_t), time on the first axis",
        "GlimpseNetwork": "g = relu(h_g W_hg + h_l W_hl + b), h_g = relu(rho W_g + b_g), h_l = relu(l W_l + b_l)",
        "GaussianPolicy": "mu = tanh(h W_mu + b_mu)",
        "LogProb": "log pi = -|l - mu|^2 / (2 std^2) - log(2 pi std^2)",
        "PolicyLoss": "-mean over rollouts of the sum over t of advantage_t log pi",
        "Reinforce": "-mean over rollouts of the sum over t of (reward - b_t) log pi",
    }[part]


def complain(value: Any, shape: tuple[int, ...], what: str) -> str | None:
    """What is wrong with a returned value, short of its being wrong; or None."""
    if value is None:
        return f"{what} is None: is a return missing?"
    if not isinstance(value, np.ndarray | np.generic | float | int):
        return f"{what} is a {type(value).__name__}, not an array"
    if np.shape(value) != shape:
        return f"{what} has shape {np.shape(value)}, not {shape}"
    if not np.issubdtype(np.asarray(value).dtype, np.floating):
        return f"{what} has dtype {np.asarray(value).dtype}, not a floating-point type"
    if not np.isfinite(value).all():
        return f"{what} holds NaN or infinity"
    return None


def check_backward(
    candidate: Candidate, subject: Any, problem: Problem, mine: Problem, y: np.ndarray, cache: Any
) -> Iterator[Row]:
    """Rows about the backward pass, whose forward pass has run."""
    name, part, path = label(candidate), candidate.part, source_path(candidate)
    before = copy.deepcopy(cache)
    try:
        subject.zero()
        gradients = {key: copy.deepcopy(value) for key, value in subject.backward(problem.dy.copy(), cache).items()}
    except Exception as error:
        yield Row(name, "backward", verdict=ERROR, message=blame(error, path))
        return
    arrays = subject.arrays
    changed = [key for key in problem.inputs if not np.array_equal(mine.inputs[key], problem.inputs[key])]
    if changed:
        yield Row(name, "inputs kept", verdict=WRONG, message=f"backward overwrites the input {changed[0]}")
        return
    if candidate.backward is not None or candidate.cls is not None:
        kept = unchanged(before, cache)
        yield Row(
            name, "cache kept", verdict=OK if kept else WRONG, message="" if kept else "backward overwrites the cache"
        )
    usable: Arrays = {}
    for key, array in arrays.items():
        row = Row(name, f"d{key}", array.shape)
        if key not in gradients:
            yield row._replace(verdict=SKIPPED, message="not returned")
            continue
        value = gradients[key]
        if isinstance(value, np.ndarray) and value.shape == (1, *array.shape):  # from keepdims
            value = value[0]
        complaint = complain(value, array.shape, f"d{key}")
        if complaint:
            yield row._replace(verdict=ERROR, message=complaint)
        else:
            usable[key] = np.asarray(value, dtype=np.float64)

    def f() -> float:
        return float((np.asarray(subject.forward()[0]) * problem.dy).sum())

    checks = {key: check_gradient(f, arrays[key], usable[key]) for key in usable}
    wrong = [key for key, check in checks.items() if not check.passed]
    if part == "Reinforce" and "baseline" in gradients and np.any(gradients["baseline"]):
        hint = HINTS["Reinforce"]["baseline not detached"]
        yield Row(name, "dbaseline", verdict=WRONG, message=str(hint))
    numeric = {key: check.numeric for key, check in checks.items()}
    hints = diagnose(part, problem, usable, numeric, wrong) if wrong else {}
    for key, check in checks.items():
        verdict = WRONG if key in wrong else OK
        yield Row(
            name, f"d{key}", arrays[key].shape, check.checked, check.kinks, check.error, check.where, verdict,
            hints.get(key, ""),
        )  # fmt: skip
    if subject.accumulates and not wrong and usable:
        yield from check_accumulation(candidate, subject, problem, usable)


def unchanged(before: Any, after: Any) -> bool:
    """Whether all arrays in a cache are as they were."""
    if isinstance(before, np.ndarray):
        return isinstance(after, np.ndarray) and np.array_equal(before, after, equal_nan=before.dtype.kind == "f")
    if isinstance(before, tuple | list):
        return len(before) == len(after) and all(map(unchanged, before, after))
    if isinstance(before, dict):
        return before.keys() == after.keys() and all(unchanged(before[key], after[key]) for key in before)
    return True


def check_accumulation(candidate: Candidate, subject: ClassPart, problem: Problem, once: Arrays) -> Iterator[Row]:
    """A second backward pass must add to the parameter gradients."""
    _, cache = subject.forward()
    subject.backward(problem.dy.copy(), cache)
    _, cache = subject.forward()
    subject.zero()
    first = {k: np.array(v) for k, v in subject.backward(problem.dy.copy(), cache).items()}
    _, cache = subject.forward()
    twice = {k: np.array(v) for k, v in subject.backward(problem.dy.copy(), cache).items()}
    names = [name for name in subject.parameters if name in first]
    if all(close(twice[name], 2 * first[name]) for name in names):
        yield Row(label(candidate), "accumulation")
    else:
        message = (
            "parameter gradients are overwritten, not accumulated: dW += ..., since parts are called once a time step"
        )
        yield Row(label(candidate), "accumulation", verdict=WRONG, message=message)


def check_unknown(candidate: Candidate, seed: int) -> list[Row]:
    """A part of its author's own: no reference, but its gradients against its own forward pass.

    It is tried on inputs x (5, 4); a class is made without arguments, or with n_in = n_out = 4.
    """
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((5, 4)) + 0.05
    problem = Problem({}, {"x": x}, {}, np.ones(()), {"B": 5.0})
    shape = {"B": 5, "in": 4, "out": 4}
    path, name = source_path(candidate), candidate.name
    try:
        if candidate.cls:
            subject: Any = ClassPart(candidate._replace(part="Linear"), problem, shape)
            for attribute, value in vars(subject.instance).items():
                if isinstance(value, np.ndarray) and isinstance(
                    getattr(subject.instance, "d" + attribute, None), np.ndarray
                ):
                    setattr(subject.instance, attribute, rng.standard_normal(value.shape))
                    subject.parameters[attribute] = (subject.instance, attribute)
        else:
            subject = FunctionPart(candidate, problem)
        y, cache = subject.forward()
        problem = problem._replace(dy=rng.standard_normal(np.shape(y)))
        subject.problem = problem
        complaint = complain(y, np.shape(y), "forward's output")
        if complaint:
            return [Row(name, "forward", verdict=ERROR, message=complaint)]
        mine = problem._replace(inputs=copy.deepcopy(problem.inputs))
        return merge(check_backward(candidate, subject, mine, problem, np.asarray(y), cache))
    except Exception as error:
        return [Row(name, "forward", verdict=ERROR, message=blame(error, path))]


def main(path: str, only: str, seed: str, output: str) -> None:
    """Write {"names": [...]} of what the file offers, or, given a name, {"rows": [...]}; or {"error": text}."""
    sys.setrecursionlimit(2000)
    np.seterr(all="ignore")
    try:
        module = load_module(Path(path))
    except BaseException as error:  # it may even call sys.exit
        result: dict[str, Any] = {"error": blame(error, path)}
    else:
        candidates = {f"{c.name}:{c.part}": c for c in find_candidates(module)}
        if not only:
            result = {"names": list(candidates)}
        else:
            try:
                rows = check_candidate(candidates[only], int(seed))
            except BaseException as error:
                rows = [Row(candidates[only].name, "check", verdict=ERROR, message=blame(error, path))]
            result = {"rows": [row._asdict() for row in rows]}
    Path(output).write_text(json.dumps(result, default=float))


if __name__ == "__main__":
    main(*sys.argv[1:])
