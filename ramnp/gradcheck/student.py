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
import itertools
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
from ramnp.gradcheck.mistakes import ELEMENTWISE, HINTS, Arrays, Problem
from ramnp.gradcheck.numeric import check_gradient
from ramnp.gradcheck.problems import SHAPES, make_problem
from ramnp.gradcheck.report import ERROR, OK, SKIPPED, WRONG, Row, merge
from ramnp.gradcheck.whole import check_model
from ramnp.model import RecurrentAttentionModel

# Words in a name that tell which part is meant. Where there are several, the first in this order counts.
WORDS = {
    "glimpse": "GlimpseNetwork",
    "reinforceloss": "Reinforce",
    "reinforce": "Reinforce",
    "policyloss": "PolicyLoss",
    "baselineloss": "BaselineLoss",
    "logprob": "LogProb",
    "logpi": "LogProb",
    "gaussianpolicy": "GaussianPolicy",
    "locationpolicy": "GaussianPolicy",
    "policy": "GaussianPolicy",
    "crossentropy": "CrossEntropy",
    "softmaxloss": "CrossEntropy",
    "softmaxce": "CrossEntropy",
    "softmaxwithloss": "CrossEntropy",
    "lstm": "LSTM",
    "rnn": "RNN",
    "fullyconnected": "Linear",
    "affine": "Linear",
    "linear": "Linear",
    "dense": "Linear",
    "sigmoid": "Sigmoid",
    "logistic": "Sigmoid",
    "relu": "ReLU",
    "tanh": "Tanh",
}

# Relatives of the above that are not among them.
OTHERS = ("leaky", "prelu", "relu6", "nonlinear", "gelu", "selu", "hardsigmoid", "hardtanh", "bilinear")

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
    "TanhRNN": ("g", "W_gh", "W_hh", "b"),
    "LSTM": ("g", "W_gh", "W_hh", "b"),
    "LogProb": ("sample", "mu", "std"),
    "PolicyLoss": ("advantage", "log_pi"),
    "BaselineLoss": ("baseline", "reward"),
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
    "TanhRNN": ("G", "N"),
    "LSTM": ("G", "N"),
    "GlimpseNetwork": ("D", "what", "where", "G"),
    "GaussianPolicy": ("N",),
}


MODEL = "RecurrentAttentionModel"
TOLERANCE = 1e-5  # larger than for our own code: a student may add 1e-7 inside a logarithm
KEPT = "kept by the instance"  # in place of a cache that forward does not return


class TroubleError(Exception):
    """Code that did not do what the protocol asks; the message is for its author."""


class UncheckedError(Exception):
    """Code that follows another protocol, and so cannot be checked; that says nothing against it."""


class Candidate(NamedTuple):
    """Something in a file that can be checked.

    Attributes:
        name: as its author calls it.
        part: in `mistakes.HINTS`, or None for a part of its author's own.
        cls: the class; or None, and then
        forward, backward: the functions; backward is None if forward returns the gradient as well.
        batch_first: whether a recurrent core has (rows, T, .) for (T, rows, .).
        gate_order: for an LSTM whose z is not [z_i | z_f | z_o | z_u], which of these stands first, second, ...
    """

    name: str
    part: str | None
    cls: type | None = None
    forward: Callable[..., Any] | None = None
    backward: Callable[..., Any] | None = None
    batch_first: bool = False
    gate_order: tuple[int, ...] = ()

    @property
    def alone(self) -> bool:
        """Whether this is a loss that returns its gradient together with its value."""
        return self.cls is None and self.backward is None and is_lone_loss(self.name, self.part)


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
    if any(word in plain for word in OTHERS):
        return None
    parts = [part for word, part in WORDS.items() if word in plain]
    if len(set(parts)) > 1 and set(parts) <= {"Linear", *ELEMENTWISE}:  # such as affine_relu: a part of its own
        return None
    return parts[0] if parts else None


def is_lone_loss(name: str, part: str | None) -> bool:
    """Whether a function of this name may return a loss and its gradient."""
    return part in ("CrossEntropy", "Reinforce") and "loss" in name.lower()


def find_candidates(module: ModuleType) -> Iterator[Candidate]:
    """Classes and functions of a module that look like a forward and a backward pass.

    Only what the file defines itself counts, not what it imports.
    """
    own = {name: value for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__}
    for name, value in own.items():
        if inspect.isclass(value):
            part = part_of(name, value)
            if callable(getattr(value, "forward", None)):
                yield Candidate(name, part, cls=value)
            if callable(getattr(value, "log_prob", None)) and callable(getattr(value, "log_prob_backward", None)):
                yield Candidate(name, "LogProb", cls=value)
    functions = {name: value for name, value in own.items() if inspect.isfunction(value) and not name.startswith("_")}
    for name, forward in functions.items():
        if name.endswith(("_backward", "_grad")) or name + "_forward" in functions:
            continue
        base = name.removesuffix("_forward")
        part = part_of(base)
        backward = functions.get(base + "_backward") or functions.get(base + "_grad")
        if backward is not None or is_lone_loss(name, part) or name.endswith("_forward"):
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
    transposed: frozenset[str] = frozenset()
    std: float | None = None  # of a log-probability that does not ask for it

    def __init__(self, candidate: Candidate, problem: Problem) -> None:
        self.candidate, self.problem = candidate, problem
        self.arrays = problem.inputs | problem.parameters
        self.order = list(ORDER.get(candidate.part, self.arrays))
        names = inspect.signature(candidate.forward).parameters
        if candidate.part == "CrossEntropy" and not names.keys().isdisjoint(SYNONYMS["log_p"]):
            self.order[0] = "log_p"
        self.names = self._match(list(names.values()))
        if candidate.part == "LogProb" and "std" not in self.names.values():
            # It has a std of its own: the density at the mean tells which.
            peak = candidate.forward(**{theirs: np.zeros((1, 2)) for theirs in self.names})
            self.std = float(np.sqrt(np.exp(-np.asarray(peak).item()) / (2 * np.pi)))

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
                raise UncheckedError(
                    f"forward wants '{p.name}', which does not follow the protocol (docs/gradcheck.md)"
                )
            matched[p.name] = left.pop(0)
        return {p.name: matched[p.name] for p in parameters if p.name in matched}

    def _values(self) -> dict[str, Any]:
        """Everything an argument can stand for, at the present values of the arrays."""
        values = self.arrays | self.problem.constants
        if "logits" in values:
            values["log_p"] = np.log(mistakes.softmax(values["logits"]))
        if "g" in values and "W_hh" in values:
            rows = values["g"].shape[0 if self.candidate.batch_first else 1]
            values["zeros"] = np.zeros((rows, len(values["W_hh"])))
        return values

    def forward(self) -> tuple[Any, Any]:
        """The output, and the cache; `KEPT` where forward returns none."""
        values = self._values()
        result = self.candidate.forward(**{theirs: values[ours] for theirs, ours in self.names.items()})
        if isinstance(result, tuple) and len(result) >= 2:
            self.output = result[0]
            return result[0], result[1:] if self.candidate.backward is None else result[-1]
        if self.candidate.backward is None:
            raise UncheckedError("it returns no gradient with the loss")
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
        returned = several(returned)
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
                raise UncheckedError(f"backward wants '{name}', which does not follow the protocol (docs/gradcheck.md)")
        return call

    def zero(self) -> None:
        """Functions return their gradients: there is nothing to zero."""


def several(returned: Any) -> tuple[Any, ...]:
    """What backward returned, as a tuple. A list of arrays counts as several gradients, any other as one."""
    if isinstance(returned, list) and returned and all(isinstance(item, np.ndarray) for item in returned):
        return tuple(returned)
    return returned if isinstance(returned, tuple) else (returned,)


def _renamed(returned: dict[str, Any], arrays: Arrays) -> Arrays:
    """Gradients in a dictionary, by our names: "dW", "W", "W_grad", ..."""
    found = {}
    for name in arrays:
        for synonym in (name, *SYNONYMS.get(name, ())):
            for key in (synonym, "d" + synonym, synonym + "_grad", "grad_" + synonym):
                if key in returned and name not in found:
                    found[name] = returned[key]
    return found


def _get(owner: Any, name: str) -> Any:
    """An entry of a dictionary, or an attribute of anything else."""
    return owner[name] if isinstance(owner, dict) else getattr(owner, name)


class ClassPart:
    """An instance of a class, with the problem's parameters put in."""

    def __init__(self, candidate: Candidate, problem: Problem, shape: dict[str, int]) -> None:
        self.candidate, self.problem, self.shape = candidate, problem, shape
        self.instance = self._construct()
        self.transposed = self._transposed()
        self.parameters: dict[str, tuple[Any, str]] = {}
        for name in problem.parameters:
            self._place(name)
        self.inputs = dict(problem.inputs)
        self.accumulates = bool(self.parameters) and all(map(self._has_gradient, self.parameters))
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
        settings = set(pool)
        part = "GaussianPolicy" if part == "LogProb" else part
        shape = self.shape if "N" in self.shape else self.shape | {"N": 4}
        order = SIZE_ORDER.get(part, ())
        for name, value in self.problem.parameters.items():
            pool |= dict.fromkeys(SYNONYMS.get(name, (name,)), value)
        if "D" in shape:
            pool["sensor_shape"] = (1, 1, 1, shape["D"])  # as our own glimpse network has it: K, g, g, C
        sizes = {size: shape[size] for size in order if size in shape}
        signature = inspect.signature(cls)
        keywords, left = {}, [size for size in sizes if size != "D" or "sensor_shape" not in signature.parameters]
        for p in signature.parameters.values():
            size = next((s for s in left if p.name in SIZE_NAMES.get(s, ())), None)
            if size:
                keywords[p.name] = sizes[size]
                left.remove(size)
        for p in signature.parameters.values():
            if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) or p.name in keywords:
                continue
            # A default stays, such as bias=True, unless it is one of the settings below.
            if p.name in (pool if p.default is p.empty else settings):
                value = pool[p.name]
                keywords[p.name] = value.copy() if isinstance(value, np.ndarray) else value
            elif p.default is p.empty:
                if not left:
                    raise UncheckedError(f"its constructor wants '{p.name}', which does not follow the protocol")
                keywords[p.name] = sizes[left.pop(0)]
        has_var_args = any(p.kind == p.VAR_POSITIONAL for p in signature.parameters.values())
        if has_var_args and left:  # as in class Mine(RNN): def __init__(self, *args, **kwargs)
            return cls(*(sizes[size] for size in left), pool["rng"], dtype=np.float64)
        return cls(**keywords)

    def _transposed(self) -> set[str]:
        """Weights kept as (out, in), as some frameworks do: told by an instance whose two sizes differ."""
        if self.candidate.part != "Linear" or "W" not in self.problem.parameters:
            return set()
        probe = copy.copy(self)
        probe.problem = self.problem._replace(parameters={"W": np.zeros((2, 3)), "b": np.zeros(3)})
        probe.shape = {"B": 1, "in": 2, "out": 3}
        probe.instance = probe._construct()
        place = probe._owner("W")
        return {"W"} if place is not None and np.shape(_get(*place)) == (3, 2) else set()

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
        return None
        return None

    def _place(self, name: str) -> None:
        """Put the problem's values of a parameter into the instance."""
        place = self._owner(name)
        if place is None:
            raise TroubleError(f"it has no array self.{name}")
        owner, attribute = place
        value = self.problem.parameters[name]
        value = np.ascontiguousarray(value.T if name in self.transposed else value, dtype=np.float64)
        old = _get(owner, attribute)
        if np.size(old) != value.size:
            raise UncheckedError(f"self.{attribute} has shape {np.shape(old)}; the protocol wants {value.shape}")
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

    def _has_gradient(self, name: str) -> bool:
        """Whether there is a gradient array before any backward pass, to be added to."""
        place = self._gradient_place(name)
        return place is not None and isinstance(_get(*place), np.ndarray)

    @property
    def arrays(self) -> Arrays:
        """Everything that can be perturbed, by our names."""
        found = {}
        for name, (owner, attribute) in self.parameters.items():
            found[name] = _get(owner, attribute)
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
        returned = several(returned)
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
            found[name] = _get(*place)
        return found

    def zero(self) -> None:
        """Zero the parameter gradients, where they are arrays that accumulate."""
        for name in self.parameters:
            place = self._gradient_place(name)
            if place is not None and isinstance(_get(*place), np.ndarray):
                _get(*place).fill(0)


class BatchFirst:
    """A recurrent part with the batch on the first axis, as one with time there."""

    def __init__(self, subject: Any) -> None:
        self.subject = subject
        self.accumulates, self.zero, self.transposed = subject.accumulates, subject.zero, subject.transposed
        # Views: what is perturbed in ours is perturbed in theirs.
        self.g = subject.arrays["g"]
        inputs = subject.inputs if isinstance(subject, ClassPart) else subject.arrays
        inputs["g"] = self.g.swapaxes(0, 1)

    @property
    def arrays(self) -> Arrays:
        return self.subject.arrays | {"g": self.g}

    @property
    def parameters(self) -> dict[str, tuple[Any, str]]:
        return self.subject.parameters

    def forward(self) -> tuple[Any, Any]:
        y, cache = self.subject.forward()
        return np.swapaxes(y, 0, 1), cache

    def backward(self, dy: np.ndarray, cache: Any) -> Arrays:
        found = self.subject.backward(np.ascontiguousarray(dy.swapaxes(0, 1)), cache)
        if np.ndim(found.get("g")) == 3:
            found["g"] = np.swapaxes(found["g"], 0, 1)
        return found


# --- checking --------------------------------------------------------------------------------------------------------


def check_candidate(candidate: Candidate, seed: int) -> list[Row]:
    """All rows about one candidate, over all shapes."""
    if candidate.part is None:
        return check_unknown(candidate, seed)
    has_backward = any(callable(getattr(candidate.cls, name, None)) for name in ("backward", "log_prob_backward"))
    if not has_backward and candidate.backward is None and not candidate.alone:
        what = f"def {candidate.name}_backward" if candidate.cls is None else "method backward"
        return [Row(label(candidate), "backward", verdict=ERROR, message=f"there is a forward, but no {what}")]
    if "step" in candidate.name.lower():
        message = "a single step is not checked: check the pass over all steps"
        return [Row(label(candidate), "step", verdict=SKIPPED, message=message)]
    if candidate.part == MODEL:
        return check_model(candidate.cls, candidate.name, seed)
    rows: list[Row] = []
    for number, shape in enumerate(SHAPES[candidate.part]):
        problem = make_problem(candidate.part, shape, np.random.default_rng([seed, number]))
        if not rows:
            candidate = as_meant(candidate, problem, shape)
        found = list(check_problem(candidate, problem, shape))
        rows += found
        if any(row.verdict == ERROR for row in found):
            break  # the next shapes would say the same
    return merge(rows)


def as_meant(candidate: Candidate, problem: Problem, shape: dict[str, int]) -> Candidate:
    """A recurrent core as its author means it: with tanh for relu, the batch on the first axis, another gate order.

    The first variant whose output is right; if none is, the candidate as it stands.
    """
    if candidate.part not in ("RNN", "LSTM"):
        return candidate
    if candidate.part == "RNN":
        kinds = [candidate, candidate._replace(part="TanhRNN")]
    else:
        kinds = [candidate._replace(gate_order=order) for order in itertools.permutations(range(4))]
        kinds[0] = candidate
    for variant in (*kinds, *(kind._replace(batch_first=True) for kind in kinds)):
        try:
            y, _ = make_subject(variant, copied(problem), shape).forward()
        except Exception:
            continue
        expected = mistakes.forward(variant.part, problem)
        if np.shape(y) == expected.shape and close(np.asarray(y, dtype=np.float64), expected):
            return variant
    return candidate


def make_subject(candidate: Candidate, problem: Problem, shape: dict[str, int]) -> Any:
    """The candidate with a problem's numbers put in."""
    if candidate.gate_order:
        reordered = {k: blocks(v, candidate.gate_order) for k, v in problem.parameters.items()}
        problem = problem._replace(parameters=reordered)
    made = ClassPart(candidate, problem, shape) if candidate.cls else FunctionPart(candidate, problem)
    return BatchFirst(made) if candidate.batch_first else made


def blocks(array: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """The four gates' columns of an array in another order."""
    gates = np.split(array, 4, axis=-1)
    return np.concatenate([gates[gate] for gate in order], axis=-1)


def copied(problem: Problem) -> Problem:
    """The problem with arrays of its own, so that code that overwrites its inputs spoils nothing of ours."""
    return problem._replace(**{k: copy.deepcopy(getattr(problem, k)) for k in ("parameters", "inputs", "constants")})


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


def called_with(problem: Problem) -> str:
    """The shapes that forward was called with."""
    return ", called with " + ", ".join(f"{k} {np.shape(v)}" for k, v in (problem.inputs | problem.parameters).items())


def check_problem(candidate: Candidate, problem: Problem, shape: dict[str, int]) -> Iterator[Row]:
    """Rows about one candidate at one shape."""
    name, part = label(candidate), candidate.part
    path = source_path(candidate)
    mine = copied(problem)
    try:
        subject = make_subject(candidate, mine, shape)
        before = copy.deepcopy(subject.arrays)
        y, cache = subject.forward()
        spoilt = overwritten(subject, before, problem, mine)
        again, _ = subject.forward()
    except UncheckedError as error:
        yield Row(name, "forward", verdict=SKIPPED, message=f"not checked: {error}")
        return
    except Exception as error:
        if candidate.cls is not None and candidate.cls.__subclasses__():
            yield Row(name, "forward", verdict=SKIPPED, message="not checked: a base class of others")
        else:
            yield Row(name, "forward", verdict=ERROR, message=blame(error, path) + called_with(problem))
        return
    if getattr(subject, "std", None) is not None:
        problem = problem._replace(constants=problem.constants | {"std": subject.std})
        mine = mine._replace(constants=mine.constants | {"std": subject.std})
    expected = mistakes.forward(part, problem)
    complaint = complain(y, expected.shape, "forward's output")
    if complaint:
        yield Row(name, "forward", verdict=ERROR, message=complaint)
        return
    if spoilt:
        yield Row(name, "inputs kept", verdict=WRONG, message=f"forward overwrites {spoilt}")
        return
    if unstable := unfit(y, again):
        yield Row(name, "forward", verdict=unstable[0], message=unstable[1])
        return
    y = np.array(y, dtype=np.float64)
    error = float(np.abs(y - expected).max() / max(np.abs(expected).max(), 1e-8))
    right = error < TOLERANCE
    message = "" if right else f"the output is not that of {part}: " + forward_equation(part)
    if not right and part in ("LogProb", "Reinforce"):
        clipped = problem._replace(
            constants=problem.constants | {"sample": np.clip(problem.constants["sample"], -1, 1)}
        )
        if close(y, mistakes.forward(part, clipped)):
            message = str(HINTS["LogProb"]["clipped location"])
    yield Row(name, "forward", expected.shape, y.size, 0, error, None, OK if right else WRONG, message)
    yield from check_backward(candidate, subject, problem, mine, y, cache)


def overwritten(subject: Any, before: Arrays, problem: Problem, mine: Problem) -> str | None:
    """The name of an input, a parameter or a constant that is no longer what it was; or None."""
    for name, value in subject.arrays.items():
        if not np.array_equal(value, before[name]):
            return f"the input {name}" if name in problem.inputs else f"the parameter {name}"
    for name, value in mine.constants.items():
        if not np.array_equal(value, problem.constants[name]):
            return f"the input {name}"
    return None


def unfit(y: Any, again: Any) -> tuple[str, str] | None:
    """Why finite differences of an output would mean nothing: (verdict, message), or None."""
    if not np.array_equal(y, again, equal_nan=True):
        return SKIPPED, "not checked: two calls on the same input differ; fix the seed, or the random mask"
    if np.size(y) > 1 and np.array_equal(y, np.asarray(y, dtype=np.float32)) and np.any(np.asarray(y) % 1):
        return ERROR, "it computes in float32, too coarse to check: keep the type of the input"
    return None


def forward_equation(part: str) -> str:
    """The equation of a part's forward pass."""
    return {
        "Linear": "y = x W + b",
        "ReLU": "y = max(x, 0)",
        "Tanh": "y = tanh(x)",
        "Sigmoid": "y = 1 / (1 + exp(-x))",
        "CrossEntropy": "the mean over rows of -log softmax(logits)[label]",
        "RNN": "h_t = relu(h_{t-1} W_hh + g_t W_gh + b), time on the first axis",
        "TanhRNN": "h_t = tanh(h_{t-1} W_hh + g_t W_gh + b)",
        "LSTM": "z_t = [z_i | z_f | z_o | z_u], c_t = f c_{t-1} + i u, h_t = o tanh(c_t), time on the first axis",
        "GlimpseNetwork": "g = relu(h_g W_hg + h_l W_hl + b), h_g = relu(rho W_g + b_g), h_l = relu(l W_l + b_l)",
        "GaussianPolicy": "mu = tanh(h W_mu + b_mu)",
        "LogProb": "log pi = -|l - mu|^2 / (2 std^2) - log(2 pi std^2)",
        "BaselineLoss": "the mean over rollouts and t of (b_t - reward)^2",
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
    kept, before = copy.deepcopy(cache), copy.deepcopy(subject.arrays)
    try:
        subject.zero()
        gradients = {key: copy.deepcopy(value) for key, value in subject.backward(problem.dy.copy(), cache).items()}
    except UncheckedError as error:
        yield Row(name, "backward", verdict=SKIPPED, message=f"not checked: {error}")
        return
    except Exception as error:
        yield Row(name, "backward", verdict=ERROR, message=blame(error, path) + called_with(problem))
        return
    arrays = subject.arrays
    if spoilt := overwritten(subject, before, problem, mine):
        yield Row(name, "inputs kept", verdict=WRONG, message=f"backward overwrites {spoilt}")
        return
    if cache is not KEPT and not candidate.alone:
        same = unchanged(kept, cache)
        message = "" if same else "backward overwrites the cache"
        yield Row(name, "cache kept", verdict=OK if same else WRONG, message=message)
    usable: Arrays = {}
    for key, array in arrays.items():
        row = Row(name, f"d{key}", array.shape)
        if key not in gradients:
            yield row._replace(verdict=ERROR, message=f"d{key} is not returned, nor kept as self.d{key}")
            continue
        value = gradients[key]
        if isinstance(value, np.ndarray) and value.shape == (1, *array.shape):  # from keepdims
            value = value[0]
        complaint = complain(value, array.shape, f"d{key}")
        if complaint and np.shape(value) != array.shape:
            complaint += likely_shape(np.shape(value), key, arrays, np.shape(y))
        if complaint:
            yield row._replace(verdict=ERROR, message=complaint)
        else:
            usable[key] = np.asarray(value, dtype=np.float64)

    def f() -> float:
        return float((np.asarray(subject.forward()[0]) * problem.dy).sum())

    checks = {key: check_gradient(f, arrays[key], usable[key], tolerance=TOLERANCE) for key in usable}
    wrong = [key for key, check in checks.items() if not check.passed]
    if part == "Reinforce" and "baseline" in gradients and np.any(gradients["baseline"]):
        hint = HINTS["Reinforce"]["baseline not detached"]
        yield Row(name, "dbaseline", verdict=WRONG, message=str(hint))
    hints: dict[str, str] = {}
    if wrong:

        def ours(key: str, array: np.ndarray) -> np.ndarray:
            if candidate.gate_order and key in problem.parameters:
                return blocks(array, tuple(np.argsort(candidate.gate_order)))
            return array.T if key in subject.transposed else array

        analytic = {key: ours(key, usable[key]) for key in checks}
        numeric = {key: ours(key, check.numeric) for key, check in checks.items()}
        hints = diagnose(part, problem, analytic, numeric, wrong)
    for key, check in checks.items():
        verdict = WRONG if key in wrong else OK
        if not check.checked and check.kinks:
            verdict, hints[key] = ERROR, "not one coordinate could be checked: at all of them the output jumps or bends"
        yield Row(
            name, f"d{key}", arrays[key].shape, check.checked, check.kinks, check.error, check.where, verdict,
            hints.get(key, ""),
        )  # fmt: skip
    # Parts that keep their cache themselves are called once a step, and may assign.
    if subject.accumulates and cache is not KEPT and not wrong and len(usable) == len(arrays):
        yield from check_accumulation(candidate, subject, problem)


def likely_shape(shape: tuple[int, ...], key: str, arrays: Arrays, output: tuple[int, ...]) -> str:
    """What a gradient of a wrong shape may be instead."""
    others = [other for other in arrays if other != key and shape == arrays[other].shape]
    if others:
        return f", but that of {others[0]}: are they swapped?"
    if len(shape) > 1 and shape == arrays[key].shape[::-1]:
        return ": it looks transposed"
    bias = arrays[key].ndim == 1 or arrays[key].shape[0] == 1
    if bias and shape == output:
        return ": it is to be summed over the rows"
    if bias and shape == output[:1]:
        return ": it is summed over the wrong axis"
    return ""


def unchanged(before: Any, after: Any) -> bool:
    """Whether all arrays in a cache are as they were."""
    if isinstance(before, np.ndarray):
        return isinstance(after, np.ndarray) and np.array_equal(before, after, equal_nan=before.dtype.kind == "f")
    if isinstance(before, tuple | list):
        return len(before) == len(after) and all(map(unchanged, before, after))
    if isinstance(before, dict):
        return before.keys() == after.keys() and all(unchanged(before[key], after[key]) for key in before)
    return True


def check_accumulation(candidate: Candidate, subject: ClassPart, problem: Problem) -> Iterator[Row]:
    """A second backward pass must add to the parameter gradients."""
    subject.zero()
    _, cache = subject.forward()
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
    wanted = [known_as(each, ["x", "W", "b"]) for each in (required(candidate.forward) if candidate.forward else ())]
    more = {"W": rng.standard_normal((4, 3)), "b": rng.standard_normal(3)} if {"W", "b"} <= set(wanted) else {}
    problem = Problem(more, {"x": x}, {}, np.ones(()), {"B": 5.0})
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
        if complaint := complain(y, np.shape(y), "forward's output"):
            return [Row(name, "forward", verdict=ERROR, message=complaint)]
        if unstable := unfit(y, subject.forward()[0]):
            return [Row(name, "forward", verdict=unstable[0], message=unstable[1])]
        mine = problem._replace(dy=rng.standard_normal(np.shape(y)))
        subject.problem = mine
        return merge(check_backward(candidate, subject, copied(mine), mine, np.asarray(y), cache))
    except Exception as error:
        message = str(error) if isinstance(error, UncheckedError) else blame(error, path) + called_with(problem)
        return [Row(name, "forward", verdict=SKIPPED, message=f"not checked: {message}")]


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
