"""What in somebody's file looks like a forward and a backward pass, or like a loss with its gradient.

Everything that the file defines is looked at: classes by their methods, functions by pairs of names. What is found
here is only called if it works (`call.py`); what looks like a gradient and is in no candidate is listed as unchecked.
"""

import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from ramnp.gradcheck.student import source
from ramnp.network.model import RecurrentAttentionModel

FORWARD = (
    "forward fprop forward_pass forward_prop forward_propagation forwardprop feedforward feed_forward propagate "
    "fwd f fn func apply call activate activation value evaluate compute output transform __call__ loss cost "
    "predict calculate compute_loss run"
)
BACKWARD = (
    "backward bprop backward_pass backward_prop backward_propagation backwardprop backprop back_prop "
    "back_propagate backpropagate backpropagation bwd back vjp gradient grad gradients derivative prime deriv "
    "df d backward_single backward_step differentiate activation_derivative activation_prime delta dactivate "
    "compute_gradient compute_gradients compute_grad backpass loss_prime get_gradient get_gradients "
    "gradient_wrt_input loss_grad loss_derivative cost_derivative"
)
BACK_WORDS = (
    "backward backprop bprop bwd gradient grad prime derivative deriv back vjp delta bw d pullback Backward "
    "Grad Prime Derivative Gradient Bwd der dx diff"
)
LOSS = re.compile(
    r"loss|cost|objective|criterion|nll|cross_?entropy|energy|backprop|value_and_grad|error_and|with_grad|lossfun", re.I
)
GRADIENT_WORD = re.compile(
    r"backward|backprop|bprop|_bwd|^bwd|grad(?!check)|_prime$|derivative|_deriv|_vjp|nabla", re.IGNORECASE
)
LOOKS = re.compile(r"forward|fprop|_fwd|^fwd|loss|(^|_)cost|criterion|feedforward|entropy", re.IGNORECASE)
FLAG = re.compile(
    r"^(derivative|deriv|grad|gradient|prime|backward|derive|deriv_|diff|dx|is_grad|return_grad|backprop)$",
    re.IGNORECASE,
)

# Checks, training, and the like: no part of a network.
OTHER = re.compile(
    "check|numeric|test|rel_error|train|main|plot|load|accuracy|update|step|descent|optimi|clip_grad|zero_grad|"
    "accumulate|generate|clear|flush|reset|history|print|no_grad|requires|init|buffer",
    re.IGNORECASE,
)


class Candidate(NamedTuple):
    """Something in a file that can be checked.

    Attributes:
        name: as its author calls it.
        forward, backward: functions; or, of a class, the names of its methods. No backward: forward, or the gradient's
            own function, returns the gradient as well.
        cls: the class, or None.
        kind: "pair"; "alone", a loss that returns its gradient; "closure", a forward that returns its backward;
            "flag", f(x, derivative=True); "model", a whole model of ramnp; "tape", an array that records what is done.
        flag: the name of the flag.
        instance: an instance to take in place of one made here, as in a notebook or in `gradcheck_cases`.
        values: the arguments of forward, where the file gives them.
    """

    name: str
    forward: Any
    backward: Any = None
    cls: type | None = None
    kind: str = "pair"
    flag: str = ""
    instance: Any = None
    values: tuple[Any, ...] | None = None

    def functions(self) -> list[Callable[..., Any]]:
        """Forward and backward as functions, for their text."""
        if self.cls is None:
            return [f for f in (self.forward, self.backward) if f is not None]
        named = [name for name in (self.forward, self.backward) if name]
        return [getattr(self.cls, name) for name in named if callable(getattr(self.cls, name, None))]


def load_module(path: Path) -> ModuleType:
    """Execute a file as a module, under a name that hides no other."""
    name = f"handin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.append(str(path.parent))
    spec.loader.exec_module(module)
    return module


def own_names(module: ModuleType) -> dict[str, Any]:
    """What a module defines itself, not what it imports."""
    return {
        name: value for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__
    }


def method(cls: type, names: Iterable[str]) -> str | None:
    """The first of these names that a class, or a base of it that is no builtin, has as a method."""
    for name in names:
        if name == "__call__" and "__call__" not in {key for each in cls.__mro__[:-1] for key in vars(each)}:
            continue
        if callable(getattr(cls, name, None)):
            return name
    return None


def find_candidates(module: ModuleType) -> Iterator[Candidate]:
    """Everything in a module that may be checked, once each."""
    own = own_names(module)
    cases = given_cases(module)
    yield from cases
    given = {candidate.name for candidate in cases}
    for name, cls in own.items():
        if inspect.isclass(cls) and name not in given and not issubclass(cls, BaseException):
            yield from of_class(name, cls)
    functions = {name: f for name, f in own.items() if inspect.isfunction(f)}
    yield from (c for c in of_functions(functions) if c.name not in given)


def of_class(name: str, cls: type) -> Iterator[Candidate]:
    """A class by its methods: forward and backward; a loss; or other pairs."""
    if issubclass(cls, RecurrentAttentionModel):
        yield Candidate(name, "forward", "backward", cls, "model")
        return
    if is_tape(cls):
        yield Candidate(name, "", "backward", cls, "tape")
        return
    forward, backward = method(cls, FORWARD.split()), method(cls, BACKWARD.split())
    used = set()
    if forward and backward and forward != backward:
        yield Candidate(name, forward, backward, cls)
        used = {forward, backward}
    methods = {
        key: value
        for each in reversed(cls.__mro__[:-1])
        for key, value in vars(each).items()
        if inspect.isfunction(value) or isinstance(value, staticmethod | classmethod)
    }
    plain = {
        key: getattr(cls, key)
        for key, value in methods.items()
        if not key.startswith("__") and key not in used and value.__module__ == cls.__module__
    }
    for candidate in of_functions(plain):
        if candidate.forward.__name__ in used:
            continue
        yield candidate._replace(
            name=f"{name}.{candidate.name}",
            cls=cls,
            forward=candidate.forward.__name__,
            backward=candidate.backward.__name__ if candidate.backward else None,
        )
        used.add(candidate.forward.__name__)
    if used:
        return
    if backward and not forward and backward not in {"d", "delta"}:
        yield Candidate(name, backward, None, cls, "alone")
    elif forward == "__call__" or (forward and LOSS.search(forward)):
        function = getattr(cls, forward)
        if flag := flag_of(function):
            yield Candidate(name, forward, None, cls, "flag", flag)
        elif forward != "__call__" and len(source.returned_names(function)) >= 2:
            yield Candidate(name, forward, None, cls, "alone")


def is_tape(cls: type) -> bool:
    """Whether a class records what is done to it, as autograd frameworks do: operators, a backward and a gradient."""
    operators = sum(name in vars(cls) for name in ("__add__", "__mul__", "__matmul__", "__sub__", "__rmul__"))
    return operators >= 2 and method(cls, ("backward", "backprop")) is not None


def flag_of(function: Callable[..., Any]) -> str:
    """The name of an argument that asks for the derivative, or ""."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return ""
    return next((p.name for p in parameters if FLAG.match(p.name) and (p.default in (False, None, 0))), "")


def of_functions(functions: Mapping[str, Callable[..., Any]]) -> Iterator[Candidate]:
    """Pairs among functions, and functions that need no partner."""
    used: set[str] = set()
    for name, backward in functions.items():
        if name.startswith("_"):
            continue
        for base, forward_name in partners(name):
            if forward_name in functions and forward_name != name and forward_name not in ("main",):
                used |= {name, forward_name}
                yield Candidate(base, functions[forward_name], backward)
                break
    for name, backward in functions.items():
        if name in used or not GRADIENT_WORD.search(name):
            continue
        if handed_on := handed_on_by(name, functions):
            used |= {name, handed_on}
            yield Candidate(name, functions[handed_on], backward)
    for name, function in functions.items():
        if name in used or name.startswith("__"):
            continue
        if source.returns_function(function) and not name.startswith("make_"):
            yield Candidate(name.removesuffix("_forward"), function, None, kind="closure")
        elif flag := flag_of(function):
            yield Candidate(name, function, None, kind="flag", flag=flag)
        elif not name.startswith("_") and (LOSS.search(name) or GRADIENT_WORD.search(name)) and not OTHER.search(name):
            returned = source.returned_names(function)
            if len(returned) >= 2 or (LOSS.search(name) and not source.tree(function)):
                yield Candidate(name, function, None, kind="alone")


def handed_on_by(name: str, functions: Mapping[str, Callable[..., Any]]) -> str | None:
    """The function that returns, by name, at least two of the arguments of this one: forward, by what it hands on."""
    wanted = set(inspect.signature(functions[name]).parameters)
    for other, function in functions.items():
        returned = {word for word in source.returned_names(function) if word}
        if other != name and len(wanted & returned - set(inspect.signature(function).parameters)) >= 2:
            return other
    return None


def partners(name: str) -> Iterator[tuple[str, str]]:
    """(base, name of the forward function) that a backward function of this name may belong to."""
    for back, forth in (
        ("backward", "forward"),
        ("bprop", "fprop"),
        ("bwd", "fwd"),
        ("backprop", "feedforward"),
        ("backprop", "forward"),
        ("back_prop", "forward_prop"),
        ("backpropagation", "forward"),
        ("back", "forward"),
        ("back", "forw"),
        ("Backward", "Forward"),
    ):
        if back in name:
            forward = name.replace(back, forth)
            yield re.sub(rf"_?{forth}_?", "", forward, count=1).strip("_") or name, forward
    if match := re.match(r"^(compute_|calc_|calculate_|get_|eval_)?(\w*?)_?(gradients?|grads?)(_\w+)?$", name):
        for word in ("cost", "loss", "objective", "error", "value"):
            for base in (f"{match[1] or ''}{match[2]}_{word}", f"{match[1] or ''}{word}", f"{match[2]}_{word}", word):
                yield base.strip("_"), base.strip("_") + (match[4] or "")
                yield base.strip("_"), base.strip("_")
    for word in BACK_WORDS.split():
        bases = []
        if name.endswith(word) and len(name) > len(word):
            bases.append(name.removesuffix(word).rstrip("_"))
        if name.startswith(word) and len(name) > len(word):
            bases.append(re.sub(r"^_*((of|wrt)_)?", "", name.removeprefix(word)))
        if f"_{word}_" in name:
            bases.append(name.replace(f"_{word}", "", 1))
        for base in bases:
            for pattern in (
                "{}_forward",
                "{}",
                "{}_fwd",
                "forward_{}",
                "{}Forward",
                "fwd_{}",
                "{}_fprop",
                "{}_fw",
                "{}_function",
                "{}_fn",
                "{}_loss",
            ):
                yield base, pattern.format(base)


def given_cases(module: ModuleType) -> list[Candidate]:
    """What the file itself says in `gradcheck_cases = [(Linear(4, 3), x), (f_forward, x, w), ...]`."""
    found = []
    for case in getattr(module, "gradcheck_cases", ()):
        what, *values = case if isinstance(case, tuple | list) else (case,)
        candidate = of_object(what, own_names(module))
        if candidate is not None:
            found.append(candidate._replace(values=tuple(values) or None))
    return found


def of_object(what: Any, own: dict[str, Any]) -> Candidate | None:
    """A class, an instance, a bound method or a function as a candidate; functions find their partner in `own`."""
    if inspect.isclass(what):
        return next(of_class(what.__name__, what), None)
    if inspect.isfunction(what):
        functions = {name: f for name, f in own.items() if inspect.isfunction(f)} | {what.__name__: what}
        return next((c for c in of_functions(functions) if what in (c.forward, c.backward)), None)
    if inspect.ismethod(what):
        what = what.__self__
    candidate = next(of_class(type(what).__name__, type(what)), None)
    return candidate._replace(instance=what) if candidate else None
