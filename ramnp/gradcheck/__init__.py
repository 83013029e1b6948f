"""Finite differences against hand-written gradients, and what a wrong one means. See docs/gradcheck.md."""

import ramnp.gradcheck.hidden  # noqa: F401  # before NumPy is imported
from ramnp.gradcheck.notebook import CheckFailedError, check, check_answer, check_output, require
from ramnp.gradcheck.numeric import (
    Check,
    check_direction,
    check_gradient,
    eval_numerical_gradient,
    eval_numerical_gradient_array,
    numerical_gradient,
    rel_error,
    relative_error,
)

__all__ = [
    "Check",
    "CheckFailedError",
    "check",
    "check_answer",
    "check_direction",
    "check_gradient",
    "check_output",
    "eval_numerical_gradient",
    "eval_numerical_gradient_array",
    "numerical_gradient",
    "rel_error",
    "relative_error",
    "require",
]
