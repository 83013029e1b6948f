"""A part's gradients against finite differences of its own forward pass.

For each array that can be moved, the whole Jacobian of the outputs is taken by centred differences, at all of its
elements or at a sample, and once along a random direction through all of them. One Jacobian serves every upstream
gradient: random ones, and those of single rows and time steps, which say where a gradient is wrong.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ramnp.gradcheck.numeric import relative_error
from ramnp.gradcheck.student.call import Gradients, Reading, Result
from ramnp.gradcheck.student.state import World, fetch, store

EPS = 1e-5
TOLERANCE = 1e-5  # larger than for our own code: a student may add 1e-7 inside a logarithm
COARSE_EPS, COARSE_TOLERANCE = 4e-3, 4e-3  # where something is computed in float32
SAMPLE = 60  # elements of a large array that are moved one by one


class Precision(NamedTuple):
    """The step of a difference, and the error that it allows."""

    eps: float
    tolerance: float


FINE, COARSE = Precision(EPS, TOLERANCE), Precision(COARSE_EPS, COARSE_TOLERANCE)


class Finding(NamedTuple):
    """What became of one gradient.

    Attributes:
        analytic: what the code says, in the shape of the leaf.
        numeric: finite differences, NaN where none was taken.
        error: the largest relative error among the elements that count.
        where: the element that has it.
        checked, kinks: elements that count; at which the output bends, and the gradient lies between its slopes.
        complaint: why it cannot even be compared: no array, another shape, NaN.
        passed: whether it is right.
    """

    analytic: np.ndarray
    numeric: np.ndarray
    error: float = 0.0
    where: tuple[int, ...] | None = None
    checked: int = 0
    kinks: int = 0
    complaint: str = ""
    passed: bool = True


@dataclass
class Differences:
    """Finite differences of a reading's outputs at one world.

    Attributes:
        jacobians: leaf -> (flat indices moved, (indices, outputs) centred differences).
    """

    reading: Reading
    world: World
    precision: Precision = FINE
    jacobians: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    sample: int = SAMPLE

    def __post_init__(self) -> None:
        result = self.reading.forward(self.world.copied())
        self.shapes = [y.shape for y in result.outputs]
        self.base = flattened(result)
        if is_coarse(self.outputs_along, self.base):
            self.precision = COARSE

    def outputs_moved(self, name: str, index: int | None, step: float | np.ndarray) -> np.ndarray:
        """The outputs, flat, with one element of a leaf moved; or, with no index, the whole leaf moved by an array."""
        moved = self.world.copied()
        path = self.reading.leaves[name]
        item = fetch(moved, path)
        if not isinstance(item, np.ndarray):
            store(moved, path, item + float(np.ravel(step)[0]))
        elif index is None:
            item += np.asarray(step).astype(item.dtype)
        else:
            item[np.unravel_index(index, item.shape)] += step
        return flattened(self.reading.forward(moved))

    def outputs_along(self, step: float) -> np.ndarray:
        """The outputs with every leaf moved along one fixed random direction."""
        moved = self.world.copied()
        rng = np.random.default_rng(5)
        for path in self.reading.leaves.values():
            item = fetch(moved, path)
            if isinstance(item, np.ndarray):
                item += np.asarray(step * rng.standard_normal(item.shape), item.dtype)
        return flattened(self.reading.forward(moved))

    def take(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """The Jacobian of one leaf."""
        if name not in self.jacobians:
            item = fetch(self.world, self.reading.leaves[name])
            size, eps = np.size(item), self.precision.eps
            indices = np.arange(size)
            if size > 4 * self.sample:
                indices = np.sort(np.random.default_rng(2).choice(size, self.sample, replace=False))
            columns = [
                (self.outputs_moved(name, i, eps) - self.outputs_moved(name, i, -eps)) / (2 * eps)
                for i in map(int, indices)
            ]
            self.jacobians[name] = indices, np.array(columns)
        return self.jacobians[name]

    def gradient(self, name: str, dys: list[Any]) -> np.ndarray:
        """The numeric gradient for upstream gradients, in the shape of the leaf."""
        indices, jacobian = self.take(name)
        found = np.full(np.size(fetch(self.world, self.reading.leaves[name])), np.nan)
        found[indices] = jacobian @ weights_of(dys, self.shapes)
        return found.reshape(np.shape(fetch(self.world, self.reading.leaves[name])))

    def compare(self, name: str, analytic: Any, dys: list[Any]) -> Finding:
        """One gradient against the differences."""
        numeric = self.gradient(name, dys)
        problem = complain(analytic, numeric.shape, name)
        if problem:
            return Finding(np.asarray(np.nan), numeric, np.inf, None, 0, 0, problem, False)
        analytic = np.asarray(analytic, dtype=np.float64).reshape(numeric.shape)
        weights = weights_of(dys, self.shapes)
        value = abs(float(weights @ self.base))
        tolerance = self.precision.tolerance
        n, a = numeric.reshape(-1), analytic.reshape(-1)
        floor = floor_of(n, value, self.precision)
        errors = np.nan_to_num(relative_error(a, n, floor), nan=np.inf)
        errors[np.isnan(n)] = 0
        kinks = 0
        for i in np.flatnonzero(errors > tolerance):
            errors[i], kink = self._again(name, int(i), a[i], weights, floor)
            kinks += kink
        checked = int((~np.isnan(n)).sum()) - kinks
        if checked + kinks < n.size:  # the elements that were not moved one by one, all at once
            errors = np.append(errors, self._all_at_once(name, analytic, weights, value))
        worst = int(np.argmax(errors))
        if worst == n.size:
            left = np.where(np.isnan(n))[0]
            worst = int(left[0])
        error = float(errors.max())
        where = tuple(int(k) for k in np.unravel_index(worst, numeric.shape))
        return Finding(analytic, numeric, error, where, checked, kinks, "", error <= tolerance)

    def _again(self, name: str, i: int, a: float, weights: np.ndarray, floor: float) -> tuple[float, int]:
        """The error of one element with smaller steps, or between one-sided slopes: (error, whether it is a kink)."""
        f0, best = float(weights @ self.base), np.inf
        steps = (
            (self.precision.eps,) if self.precision is COARSE else (self.precision.eps / 10, self.precision.eps / 100)
        )
        for eps in steps:
            up, down = (float(weights @ self.outputs_moved(name, i, sign * eps)) for sign in (1, -1))
            error = float(
                np.nan_to_num(relative_error(np.array(a), np.array((up - down) / (2 * eps)), floor), nan=np.inf)
            )
            best = min(best, error)
            right, left = (up - f0) / eps, (f0 - down) / eps
            low, high = min(left, right), max(left, right)
            slack = self.precision.tolerance * max(floor, abs(a))
            # Curvature alone makes the slopes differ by eps f''; a kink by much more.
            if high - low > 1e-3 * max(abs(high), abs(low), floor) and low - slack <= a <= high + slack:
                rounding = 64 * np.finfo(float).eps * max(1.0, abs(f0)) / eps
                if self.precision is FINE and high - low > 4 * rounding and eps == steps[-1]:
                    return 0.0, 1
                if self.precision is COARSE and high - low > 0.02 * max(abs(high), abs(low)):
                    return 0.0, 1
        return (0.0 if best <= self.precision.tolerance else best), 0

    def _all_at_once(self, name: str, analytic: np.ndarray, weights: np.ndarray, value: float) -> float:
        """The error along a random direction through a whole leaf: the best of three steps, as one may cross a kink."""
        direction = np.random.default_rng(7).standard_normal(analytic.shape)
        direction /= np.sqrt((direction**2).sum())
        wanted = float((direction * analytic).sum())
        best = np.inf
        for eps in (self.precision.eps, self.precision.eps / 10, self.precision.eps / 100):
            up, down = (float(weights @ self.outputs_moved(name, None, s * eps * direction)) for s in (1, -1))
            slope = (up - down) / (2 * eps)
            floor = max(1e-4 * max(1.0, value), 1e-2 * float(np.sqrt((analytic**2).sum() / analytic.size)))
            best = min(best, float(np.nan_to_num(relative_error(np.array(wanted), np.array(slope), floor), nan=np.inf)))
        return best if best > 10 * self.precision.tolerance else 0.0


def floor_of(numeric: np.ndarray, value: float, precision: Precision) -> float:
    """Below this a difference decides nothing."""
    largest = float(np.nanmax(np.abs(numeric), initial=0))
    if precision is COARSE:
        return max(0.03 * largest, 1e-3 * max(1e-3, value))
    return max(1e-3 * largest, 1e-4 * max(1e-2, min(value, 1e4)))


def flattened(result: Result) -> np.ndarray:
    return np.concatenate([y.reshape(-1) for y in result.outputs])


def weights_of(dys: list[Any], shapes: list[tuple[int, ...]]) -> np.ndarray:
    """Upstream gradients as one flat vector."""
    return np.concatenate(
        [np.broadcast_to(np.asarray(dy, dtype=np.float64), s).reshape(-1) for dy, s in zip(dys, shapes, strict=True)]
    )


def is_coarse(outputs_along: Callable[[float], np.ndarray], base: np.ndarray) -> bool:
    """Whether the outputs are rounded more than float64 rounds: told by steps so small that they are straight lines."""
    step = 1e-7
    try:
        values = [outputs_along(k * step) for k in (-1, 1)]
    except Exception:
        return False
    bend = np.abs(values[0] - 2 * base + values[1])
    scale = float(np.abs(base).max(initial=0)) + 1e-12
    return bool(np.median(bend[bend > 0] if (bend > 0).any() else [0.0]) > 1e-11 * scale)


def complain(value: Any, shape: tuple[int, ...], name: str) -> str:
    """What is wrong with a gradient, short of its numbers; empty if it can be compared."""
    what = f"d{name}"
    if value is None:
        return f"{what} is None: is a return missing?"
    if isinstance(value, list | tuple):
        return f"{what} is a {type(value).__name__}, not an array"
    if not isinstance(value, np.ndarray | np.generic | float | int):
        return f"{what} is a {type(value).__name__}, not an array"
    theirs = np.shape(value)
    short = theirs
    while len(short) > len(shape) and short and short[0] == 1:
        short = short[1:]
    if short != shape and not (np.size(value) == 1 == int(np.prod(shape))):
        return f"{what} has shape {theirs}, not {shape}"
    if np.asarray(value).dtype.kind not in "f":
        kind = np.asarray(value).dtype
        return f"{what} has dtype {kind}, not a floating-point type" if kind.kind not in "iub" else ""
    if not np.isfinite(value).all():
        return f"{what} holds NaN or infinity"
    return ""


def directional(
    reading: Reading, world: World, gradients: Gradients, dys: list[Any], names: list[str]
) -> dict[str, float]:
    """The error of each gradient along one random direction: two runs a leaf, for cases beside the main one."""
    differences = Differences(reading, world)
    weights = weights_of(dys, differences.shapes)
    errors = {}
    for name in names:
        item = fetch(world, reading.leaves[name])
        problem = complain(gradients.found.get(name), np.shape(item), name)
        if problem:
            errors[name] = np.inf
            continue
        analytic = np.asarray(gradients.found[name], dtype=np.float64).reshape(np.shape(item))
        errors[name] = differences._all_at_once(name, analytic, weights, abs(float(weights @ differences.base)))
    return errors
