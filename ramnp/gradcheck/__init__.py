"""Finite differences against hand-written gradients, and what a wrong one means. See docs/gradcheck.md."""

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
    "check_direction",
    "check_gradient",
    "eval_numerical_gradient",
    "eval_numerical_gradient_array",
    "numerical_gradient",
    "rel_error",
    "relative_error",
]
