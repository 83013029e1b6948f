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
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ramnp.gradcheck.report import ERROR, WRONG, Row, passed, summary, table
from ramnp.gradcheck.student.check import blame, check_candidate, code_file, complain, unchanged
from ramnp.gradcheck.student.diagnosis import close
from ramnp.gradcheck.student.find import Candidate, part_of


class CheckFailedError(AssertionError):
    """A check failed; the message says why."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: its name for this hook of IPython is no choice of ours."""
        return [f"CHECK FAILED: {self}"]


def check(forward: Any, backward: Callable[..., Any] | None = None, seed: int = 0) -> None:
    """Check every gradient of a part against finite differences, and print the table.

    It is recognised and called as docs/gradcheck.md says.

    Args:
        forward: a class, or the first of a pair of functions, or a loss that returns its gradient, too.
        backward: the second of the pair.
        seed: of the numbers that are checked.

    Raises:
        CheckFailedError: a check failed, or nothing could be checked.
    """
    name = forward.__name__.removesuffix("_forward")
    if inspect.isclass(forward):
        candidate = Candidate(name, part_of(name, forward), cls=forward)
    else:
        candidate = Candidate(name, part_of(name), forward=forward, backward=backward)
    with np.errstate(all="ignore"):
        rows = check_candidate(candidate, seed)
    print(table(rows))
    print(summary(rows))
    if not passed(rows):
        raise CheckFailedError(complaint_of(rows))


def complaint_of(rows: list[Row]) -> str:
    """The first of what is wrong, in one line, with all arrays that it is said of."""
    row = next((row for row in rows if row.verdict in (WRONG, ERROR)), rows[0])
    names = [each.name for each in rows if (each.part, each.message) == (row.part, row.message)]
    return f"{row.part}: {', '.join(names)}: {row.message}"


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
    complaint = complain(value, expected.shape, f"what {name} returns")
    require(complaint is None, str(complaint))
    value = np.asarray(value, dtype=np.float64)
    if np.abs(value - expected).max(initial=0) > tolerance * np.abs(expected).max(initial=0):
        known = (text for text, wrong in (mistakes or {}).items() if close(value, np.asarray(wrong, dtype=np.float64)))
        raise CheckFailedError(f"{name}: {next(known, None) or first_wrong(value, expected)}")
    print(f"{name}: right")


def first_wrong(value: np.ndarray, expected: np.ndarray) -> str:
    """Where a value is farthest from what is expected, in words."""
    where = np.unravel_index(np.abs(value - expected).argmax(), expected.shape)
    at = f" at [{', '.join(map(str, where))}]" if where else ""
    return f"it returns {value[where]:.6g}{at}, and {expected[where]:.6g} is right"


def check_answer(
    answer: Any, expected: float, mistakes: Mapping[str, float] | None = None, tolerance: float = 0.005
) -> None:
    """Check a number that somebody worked out.

    Args:
        answer: the number; None stands for one that is still to come.
        expected: the right one.
        mistakes: message -> the number, to a tenth, of somebody who makes that mistake.
        tolerance: largest relative error allowed.

    Raises:
        CheckFailedError: it is another number, or none.
    """
    require(answer is not None, "not written yet: it is still None")
    require(isinstance(answer, int | float | np.number | np.ndarray) and np.size(answer) == 1, "it must be a number")
    value = float(answer)
    if not abs(value - expected) <= tolerance * abs(expected):  # so that NaN is wrong, too
        known = (text for text, wrong in (mistakes or {}).items() if np.isclose(value, wrong, rtol=0.1, atol=0))
        raise CheckFailedError(next(known, f"{value:.6g} is not right"))
    print(f"{value:.6g}: right")


def require(condition: Any, message: str) -> None:
    """Raise a CheckFailedError with this message unless the condition holds."""
    if not condition:
        raise CheckFailedError(message)
