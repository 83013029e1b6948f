"""What in somebody's file is a forward and a backward pass, and of which part.

Classes with `forward` and `backward`, and pairs of functions `name_forward`, `name_backward` (or `name`,
`name_backward`), recognised by the words in their names, such as Linear, ReLU, RNN, LSTM, softmax_loss; see
docs/gradcheck.md.
"""

import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from ramnp.gradcheck.student.mistakes import ELEMENTWISE, HINTS
from ramnp.network.model import RecurrentAttentionModel

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
MODEL = "RecurrentAttentionModel"


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
