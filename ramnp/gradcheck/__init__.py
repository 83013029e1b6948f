"""Finite differences against hand-written gradients."""

from ramnp.gradcheck.numeric import Check, check_gradient, numerical_gradient, relative_error

__all__ = ["Check", "check_gradient", "numerical_gradient", "relative_error"]
