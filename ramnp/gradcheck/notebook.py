"""Checks of what was just written in a notebook, or anywhere else in this process.

    check(Linear)                         a class with forward and backward
    check(relu, relu_backward)            a pair of functions
    check(softmax_loss)                   a loss that returns its gradient with its value
    check_output(f, x, expected=...)      any other function
    check_answer(number, expected=...)    a number that was worked out
    require(condition, "...")             anything else

Each prints what it found. One that fails raises `CheckFailedError`, which a notebook shows as one short message
without a traceback, and which nbgrader counts as a failure.
"""

import copy
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ramnp.gradcheck.report import headline, passed, summary, table
from ramnp.gradcheck.student.check import Session, blame, check_candidate, code_file
from ramnp.gradcheck.student.find import Candidate, of_object
from ramnp.gradcheck.student.state import unchanged
from ramnp.gradcheck.student.stress import close

FAILURES: dict[str, int] = {}  # how often a check has failed in a row: the equation is shown the third time


class CheckFailedError(AssertionError):
    """A check failed; the message says why."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: its name for this hook of IPython is no choice of ours."""
        return [f"CHECK FAILED: {self}"]


def check(forward: Any, backward: Callable[..., Any] | None = None, seed: int = 0) -> None:
    """Check every gradient of a part against finite differences, and print the table.

    It is recognised and called as docs/gradcheck.md says.

    Args:
        forward: a class or an instance; the first of a pair of functions; a loss that returns its gradient, too.
        backward: the second of the pair.
        seed: of the numbers that are checked.

    Raises:
        CheckFailedError: a check failed, or something could not be checked.
    """
    candidate = candidate_of(forward, backward)
    own = {
        name: value
        for name, value in namespace(candidate.forward if callable(candidate.forward) else forward).items()
        if not name.startswith("__")
    }
    with np.errstate(all="ignore"):
        rows = check_candidate(candidate, Session(own, seed))
    name = candidate.name
    failed = not passed(rows)
    FAILURES[name] = FAILURES.get(name, 0) + 1 if failed else 0
    print(table(rows, explain=FAILURES[name] >= 3))
    print(summary(rows))
    if failed:
        raise CheckFailedError(headline(rows))


def candidate_of(forward: Any, backward: Callable[..., Any] | None) -> Candidate:
    """What `check` was given, as a candidate.

    Raises:
        CheckFailedError: it is nothing that has a forward and a backward.
    """
    if isinstance(forward, functools.partial):
        forward = plain(forward)
    if backward is not None:
        name = getattr(forward, "__name__", type(forward).__name__).removesuffix("_forward")
        return Candidate(name, forward, backward)
    found = of_object(forward, {})
    if found is None:
        name = getattr(forward, "__name__", type(forward).__name__)
        require(
            not inspect.isfunction(forward),
            f"{name}: there is no def {name.removesuffix('_forward')}_backward; give both: check({name}, ..._backward)",
        )
        raise CheckFailedError(f"{name}: there is no forward and backward in it")
    return found


def plain(part: functools.partial[Any]) -> Callable[..., Any]:
    """A function that does what a partial does, with the text of what it calls."""

    @functools.wraps(part.func)
    def called(*args: Any, **kwargs: Any) -> Any:
        return part(*args, **kwargs)

    called.__dict__["__signature__"] = inspect.signature(part)
    return called


def namespace(thing: Any) -> dict[str, Any]:
    """What stands beside a function or a class where it was defined."""
    function = inspect.unwrap(thing) if inspect.isfunction(thing) else None
    if function is not None:
        return function.__globals__
    cls = thing if inspect.isclass(thing) else type(thing)
    members = (getattr(member, "__func__", member) for member in vars(cls).values())
    return next((m.__globals__ for m in members if inspect.isfunction(m)), {})


def check_output(
    function: Callable[..., Any],
    *arguments: Any,
    expected: Any,
    mistakes: Mapping[str, Any] | None = None,
    tolerance: float = 1e-6,
) -> None:
    """Check what a function returns, and that it leaves its arguments alone.

    Args:
        function: what to call, with `arguments`.
        expected: the right value. Where it is integers, integers will do.
        mistakes: message -> the wrong value of somebody who makes that mistake.
        tolerance: largest error allowed, relative to the largest expected value.

    Raises:
        CheckFailedError: another value, no value, an exception, or an argument was overwritten.
    """
    name, kept = function.__name__, copy.deepcopy(arguments)
    try:
        with np.errstate(all="ignore"):
            value = function(*arguments)
    except CheckFailedError:  # of a check within a check
        raise
    except Exception as error:
        raise CheckFailedError(f"{name}: {blame(error, {code_file(function)})}") from None
    require(unchanged(kept, arguments), f"{name} overwrites its arguments: put back, or copy, what you change")
    whole = np.asarray(expected).dtype.kind == "i"
    if whole and isinstance(value, np.ndarray) and value.dtype.kind == "i":
        value = value.astype(np.float64)
    expected = np.asarray(expected, dtype=np.float64)
    complaint = unfit(value, expected.shape, f"what {name} returns")
    require(complaint is None, str(complaint))
    value = np.asarray(value, dtype=np.float64)
    if not np.abs(value - expected).max(initial=0) <= tolerance * (np.abs(expected).max(initial=0) or 1.0):
        known = (text for text, wrong in (mistakes or {}).items() if close(value, wrong, 1e-4))
        raise CheckFailedError(f"{name}: {next(known, None) or first_wrong(value, expected)}")
    print(f"{name}: right")


def unfit(value: Any, shape: tuple[int, ...], what: str) -> str | None:
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


def first_wrong(value: np.ndarray, expected: np.ndarray) -> str:
    """Where a value is farthest from what is expected, in words."""
    where = np.unravel_index(np.abs(value - expected).argmax(), expected.shape)
    at = f" at [{', '.join(map(str, where))}]" if where else ""
    return f"it returns {value[where]:.6g}{at}, and {expected[where]:.6g} is right"


def check_answer(
    answer: Any, expected: Any, mistakes: Mapping[str, Any] | None = None, tolerance: float = 0.005
) -> None:
    """Check a number, or an array of numbers, that somebody worked out.

    Args:
        answer: the number; None stands for one that is still to come.
        expected: the right one.
        mistakes: message -> the number, to a hundredth, of somebody who makes that mistake.
        tolerance: largest error allowed, relative to the largest expected number; absolute if that is 0.

    Raises:
        CheckFailedError: it is another number, or none.
    """
    require(answer is not None, "not written yet: it is still None")
    wanted = np.asarray(expected, dtype=np.float64)
    what = "a number" if wanted.ndim == 0 else f"an array of shape {wanted.shape}"
    numeric = isinstance(answer, int | float | np.number | np.ndarray | list | tuple)
    try:
        value = np.asarray(answer if numeric else [], dtype=np.float64)
    except (TypeError, ValueError):
        value = np.empty(0)
    require(value.size == wanted.size and (wanted.ndim == 0 or value.shape == wanted.shape), f"it must be {what}")
    value = value.reshape(wanted.shape)
    shown = f"{float(value):.6g}" if value.ndim == 0 else "it"
    if not near(value, wanted, tolerance):  # so that NaN is wrong, too
        known = (
            text for text, wrong in (mistakes or {}).items() if near(value, np.asarray(wrong, dtype=np.float64), 0.01)
        )
        raise CheckFailedError(next(known, f"{shown} is not right"))
    print(f"{shown}: right" if value.ndim == 0 else "right")


def near(value: np.ndarray, wanted: np.ndarray, tolerance: float) -> bool:
    """Whether numbers agree, relative to the largest; absolutely if that is 0."""
    if value.shape != wanted.shape:
        return False
    scale = float(np.abs(wanted).max(initial=0)) or 1.0
    return bool((np.abs(value - wanted) <= tolerance * scale).all())


def require(condition: Any, message: str) -> None:
    """Raise a CheckFailedError with this message unless the condition holds."""
    if not condition:
        raise CheckFailedError(message)
