"""Centred differences in float64, and how far a gradient is from them.

    n_i = (f(x + eps e_i) - f(x - eps e_i)) / (2 eps)

The error of n_i is eps^2 |f'''| / 6 from the formula and about 1e-16 |f| / eps from rounding; eps = 1e-5 makes both
about 1e-11 for values near 1. With eps = 1e-3, right ReLU code fails at its kinks.

**Kinks.** Where f is piecewise smooth, a step may cross a point at which the slope jumps by J, and n_i is then
wrong by up to J / 2, through no fault of the gradient. The second difference D(e) = f(x + e) - 2 f(x) + f(x - e)
tells: for a smooth f it shrinks as e^2, so D(e) = 4 D(e/2) = 16 D(e/4), while a kink at a distance d < e adds
J (e - d), which does not follow that law at one of these three steps at least. Such a coordinate is skipped and
counted: neither passed nor failed.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ramnp.backend import Array

EPS = 1e-5
TOLERANCE = 1e-6


class Check(NamedTuple):
    """The outcome of comparing one array of gradients with finite differences.

    Attributes:
        error: largest relative error among the coordinates that count.
        where: index of the coordinate it was found at, or None if none counts.
        checked: coordinates that count.
        kinks: coordinates skipped because a difference crossed a kink.
        tolerance: what `error` may be at most.
        numeric: the finite differences, NaN where none was taken.
    """

    error: float
    where: tuple[int, ...] | None
    checked: int
    kinks: int
    tolerance: float
    numeric: np.ndarray

    @property
    def passed(self) -> bool:
        """Whether all that was checked is right, and something was checked or there was nothing to check."""
        return self.error <= self.tolerance and (self.checked > 0 or self.numeric.size == 0)


def relative_error(a: np.ndarray, n: np.ndarray, floor: float = 1e-8) -> np.ndarray:
    """|a - n| / max(|a|, |n|, floor), elementwise: symmetric, and 0 where both are 0. NaN and infinity give NaN."""
    a, n = np.asarray(a, dtype=np.float64), np.asarray(n, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return np.abs(a - n) / np.maximum(np.maximum(np.abs(a), np.abs(n)), floor)


def numerical_gradient(
    f: Callable[[], float], x: Array, eps: float = EPS, coordinates: np.ndarray | None = None
) -> np.ndarray:
    """df/dx by centred differences, on the host, in the shape of x.

    Args:
        f: takes nothing and reads x, which is changed in place, one element at a time, and put back.
        x: float64, contiguous, on any backend.
        eps: the step.
        coordinates: flat indices to differentiate at; NaN is left at the others. Default: all.

    Raises:
        ValueError: x is not float64, or not contiguous.
    """
    if x.dtype != np.float64 or not x.flags.c_contiguous:
        raise ValueError(f"finite differences need a contiguous float64 array, got {x.dtype}")
    flat = x.reshape(-1)
    gradient = np.full(x.size, np.nan)
    for i in range(x.size) if coordinates is None else coordinates:
        gradient[i] = (_shifted(f, flat, i, eps) - _shifted(f, flat, i, -eps)) / (2 * eps)
    return gradient.reshape(x.shape)


def check_gradient(
    f: Callable[[], float],
    x: Array,
    analytic: np.ndarray,
    eps: float = EPS,
    tolerance: float = TOLERANCE,
    sample: int | None = None,
    rng: np.random.Generator | None = None,
) -> Check:
    """Compare `analytic`, on the host, with finite differences of f with respect to x.

    Errors are relative to the larger of the two values, but at least to a thousandth of the array's largest
    finite difference and to 1e-4 max(1, |f|), below which rounding decides.

    Args:
        f, x, eps: as for `numerical_gradient`.
        analytic: in the shape of x.
        sample: check this many coordinates, chosen by `rng`. Default: all.

    Raises:
        ValueError: the shapes differ, or x is not a contiguous float64 array.
    """
    if np.shape(analytic) != x.shape:
        raise ValueError(f"a gradient of shape {np.shape(analytic)} for an array of shape {x.shape}")
    coordinates = np.arange(x.size)
    if sample is not None and sample < x.size:
        coordinates = np.sort((rng or np.random.default_rng(0)).choice(x.size, sample, replace=False))
    numeric = numerical_gradient(f, x, eps, coordinates)
    n, a = numeric.reshape(-1)[coordinates], np.asarray(analytic, dtype=np.float64).reshape(-1)[coordinates]
    f0 = f()
    floor = max(1e-3 * float(np.abs(n).max(initial=0)), 1e-4 * max(1.0, abs(f0)))
    errors = relative_error(a, n, floor)
    wrong = np.flatnonzero(~(errors <= tolerance))
    flat = x.reshape(-1)
    kinks = [k for k in wrong if _crosses_kink(f, flat, coordinates[k], eps, f0, tolerance * floor)]
    counted = np.delete(np.arange(len(coordinates)), kinks)
    if not counted.size:
        return Check(0.0, None, 0, len(kinks), tolerance, numeric)
    worst = counted[np.argmax(np.nan_to_num(errors[counted], nan=np.inf))]
    where = tuple(int(i) for i in np.unravel_index(coordinates[worst], x.shape))
    error = float(errors[worst]) if np.isfinite(errors[worst]) else float("inf")
    return Check(error, where, int(counted.size), len(kinks), tolerance, numeric)


def _shifted(f: Callable[[], float], flat: Array, i: int, step: float) -> float:
    """f with x_i moved by `step`."""
    before = float(flat[i])
    flat[i] = before + step
    try:
        return float(f())
    finally:
        flat[i] = before


def _crosses_kink(f: Callable[[], float], flat: Array, i: int, eps: float, f0: float, slack: float) -> bool:
    """Whether f bends within eps of x_i in a way that a smooth function cannot, by more than `slack` in slope."""
    d1, d2, d4 = (_shifted(f, flat, i, e) - 2 * f0 + _shifted(f, flat, i, -e) for e in (eps, eps / 2, eps / 4))
    excess = max(abs(d1 - 4 * d2), abs(d1 - 16 * d4)) / (2 * eps)
    rounding = 64 * np.finfo(np.float64).eps * max(1.0, abs(f0)) / (2 * eps)
    return excess > max(slack / 4, rounding)


def check_direction(
    f: Callable[[], float],
    arrays: dict[str, tuple[Array, np.ndarray]],
    rng: np.random.Generator,
    directions: int = 3,
    eps: float = EPS,
) -> float:
    """The largest relative error of a gradient along random directions through all arrays at once.

    (f(x + eps v) - f(x - eps v)) / (2 eps) against sum(gradient * v), with v normal and of length 1: two values of f
    for a whole model, where each coordinate would take two. It finds that something is wrong, not what.

    Args:
        f: as for `numerical_gradient`.
        arrays: name -> (x, float64 on NumPy, and its gradient).
    """
    worst = 0.0
    for _ in range(directions):
        steps = {name: rng.standard_normal(x.shape) for name, (x, _) in arrays.items()}
        length = np.sqrt(sum(float((v * v).sum()) for v in steps.values()))
        kept = {name: x.copy() for name, (x, _) in arrays.items()}
        values = []
        for sign in (1, -1):
            for name, (x, _) in arrays.items():
                x[...] = kept[name] + sign * eps / length * steps[name]
            values.append(f())
        for name, (x, _) in arrays.items():
            x[...] = kept[name]
        numeric = (values[0] - values[1]) / (2 * eps)
        analytic = sum(float((gradient * steps[name]).sum()) for name, (_, gradient) in arrays.items()) / length
        floor = 1e-4 * max(1.0, abs(values[0]))
        worst = max(worst, float(relative_error(np.array(analytic), np.array(numeric), floor)))
    return worst


def eval_numerical_gradient(f: Callable[[np.ndarray], float], x: np.ndarray, h: float = EPS) -> np.ndarray:
    """df/dx of a scalar f(x), by centred differences: the name and order of arguments that courses use."""
    return numerical_gradient(lambda: float(f(x)), x, h)


def eval_numerical_gradient_array(
    f: Callable[[np.ndarray], np.ndarray], x: np.ndarray, df: np.ndarray, h: float = EPS
) -> np.ndarray:
    """The gradient of sum(f(x) * df) with respect to x, for an f with an array for a value."""
    return numerical_gradient(lambda: float((f(x) * df).sum()), x, h)


def rel_error(a: np.ndarray, n: np.ndarray, floor: float = 1e-8) -> float:
    """The largest of `relative_error`, 0 for empty arrays."""
    return float(relative_error(a, n, floor).max(initial=0.0))
