"""What a wrong gradient is, from its numbers alone: rows of a transformation and the words for it.

Each row computes from the right gradient, the upstream gradient, inputs, outputs and parameters what somebody gets who
makes one mistake, and fits if it agrees with what the code gave to within a percent, at every element. On random
numbers that is no accident.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ramnp.gradcheck.student import inputs
from ramnp.gradcheck.student.consistency import weights_of
from ramnp.gradcheck.student.judge import Judgement
from ramnp.gradcheck.student.state import fetch

FIT = 1e-3


class Evidence:
    """One wrong gradient and what its author had at hand.

    Attributes:
        name: the leaf.
        a, n: what the code gave, and finite differences.
        dy, y, x: upstream gradient, output and the leaf's own value.
        sizes: word -> number, for factors.
    """

    def __init__(self, found: Judgement, name: str) -> None:
        self.found, self.name = found, name
        finding = found.findings[name]
        self.known = ~np.isnan(finding.numeric)
        self.a = np.where(self.known, finding.analytic, 0.0)
        self.n = np.where(self.known, finding.numeric, 0.0)
        self.y = found.result.outputs[0]
        self.dy = np.broadcast_to(np.asarray(found.dys[0], dtype=np.float64), self.y.shape)
        self.x = np.asarray(fetch(found.world, found.reading.leaves[name]), dtype=np.float64)
        self.full = bool(self.known.all())

    def fits(self, candidate: Any, tolerance: float = FIT) -> bool:
        """Whether an array agrees with what the code gave."""
        candidate = np.asarray(candidate, dtype=np.float64)
        if candidate.shape != self.a.shape:
            return False
        scale = max(float(np.abs(self.a).max(initial=0)), float(np.abs(candidate[self.known]).max(initial=0)), 1e-12)
        difference = np.abs(candidate - self.a)[self.known]
        return bool(np.isfinite(difference).all()) and float(difference.max(initial=0)) <= tolerance * scale

    def sizes(self) -> dict[str, float]:
        """Numbers that a factor may be made of."""
        found: dict[str, float] = {}
        reading = self.found.reading
        for spec in reading.given.values():
            for axis in spec.axes.split():
                if axis in inputs.WORDS:
                    found[f"the number of {inputs.WORDS[axis]}"] = float(reading.sizes[axis])
        for size in (*self.x.shape, *self.y.shape):
            if size > 1 and float(size) not in found.values():
                found[f"a size of {size}"] = float(size)
        scalars = {k: v for k, v in self.found.world.args.items() if isinstance(v, float)}
        scalars |= {k: v for k, v in getattr(self.found.world.self, "__dict__", {}).items() if isinstance(v, float)}
        for key, item in scalars.items():
            if item not in (0.0, 1.0) and abs(item) not in found.values():
                found[key] = abs(item)
        return found


Row = Callable[[Evidence], str | None]


def zero(e: Evidence) -> str | None:
    if not e.a.any():
        return "it is all zero: nothing is written to it, or something it passes through is zero"
    if not e.n[e.known].any() or np.abs(e.n).max() < 1e-9 * max(1.0, np.abs(e.a).max()):
        return "it should be zero: this array has no influence, or stands for a constant"
    return None


def swapped(e: Evidence) -> str | None:
    for name, finding in e.found.findings.items():
        if name == e.name or np.shape(finding.numeric) != e.a.shape or np.isnan(finding.numeric).any():
            continue
        if e.fits(finding.numeric) and not np.allclose(finding.numeric, e.n):
            same = not finding.passed and finding.analytic.shape == e.n.shape
            if same and np.allclose(finding.analytic, e.n, rtol=FIT, atol=FIT * np.abs(e.n).max()):
                return f"d{e.name} and d{name} are swapped"
            return f"it is d{name}: d{name} stands where d{e.name} belongs"
    return None


def factor(e: Evidence) -> str | None:
    total = float((e.n * e.n).sum())
    if not total:
        return None
    ratio = float((e.a * e.n).sum()) / total
    if abs(ratio) < 1e-6 or not e.fits(ratio * e.n):
        return None
    return describe(ratio, e.sizes())


CAUSES = {
    "the number of rows": (
        "the 1/N of the mean over the rows is missing",
        "it is divided by the number of rows once too often: a mean stands where a sum belongs",
    ),
    "the number of time steps": (
        "it is counted once a time step, or a 1/T is missing",
        "it is divided by the number of time steps: averaged over time",
    ),
}


def describe(ratio: float, sizes: dict[str, float]) -> str:
    """A constant factor in words."""
    sign = "the sign is flipped, and " if ratio < 0 else ""
    size = abs(ratio)
    if abs(size - 1) < 2e-3:
        return "the sign is flipped"
    for name, number in sizes.items():
        high, low = CAUSES.get(name, (f"a division by {name} is missing", f"it is divided by {name} once too often"))
        if abs(size / number - 1) < 2e-3:
            return f"{sign}it is {number:g} times the right gradient ({name} is {number:g}): {high}"
        if abs(size * number - 1) < 2e-3:
            return f"{sign}it is 1/{number:g} of the right gradient ({name} is {number:g}): {low}"
    for number, high, low in (
        (2.0, "counted twice, or a factor 2 too many", "a factor 2 is missing, or 1/2 too many"),
        (4.0, "two factors of 2 too many", "two factors of 2 are missing"),
    ):
        if abs(size / number - 1) < 2e-3:
            return f"{sign}it is {number:g} times the right gradient: {high}"
        if abs(size * number - 1) < 2e-3:
            return f"{sign}it is 1/{number:g} of the right gradient: {low}"
    for (one, first), (two, second) in itertools.combinations_with_replacement(sizes.items(), 2):
        together = f"{one}^2" if one == two else f"{one} times {two}"
        if first * second != 1 and abs(size / (first * second) - 1) < 2e-3:
            return f"{sign}it is {size:.4g} times the right gradient: a division by {together} is missing"
        if first * second != 1 and abs(size * first * second - 1) < 2e-3:
            return f"{sign}it is {size:.4g} of the right gradient: it is divided by {together} once too often"
        for number, other, right, wrong in (
            (first / second, second / first, one, two),
            (second / first, first / second, two, one),
        ):
            if number != 1 and abs(size / number - 1) < 2e-3 and number < other:
                return (
                    f"{sign}it is {size:.4g} times the right gradient: "
                    f"it is divided by {wrong} where it should be divided by {right}"
                )
            if number != 1 and abs(size / number - 1) < 2e-3:
                return (
                    f"{sign}it is {size:.4g} times the right gradient: "
                    f"it is divided by {wrong} where it should be divided by {right}"
                )
    for name, number in sizes.items():
        for value, word in ((number**0.5, f"the square root of {name}"), (1 - number, f"1 - {name}")):
            if value > 0 and value != 1 and abs(size / value - 1) < 2e-3:
                return f"{sign}it is {value:.4g} times the right gradient: a division by {word} is missing"
            if value > 0 and value != 1 and abs(size * value - 1) < 2e-3:
                return f"{sign}it is {1 / value:.4g} of the right gradient: it is divided by {word} once too often"
    return f"{sign}it is {size:.4g} times the right gradient: a constant factor is wrong"


def rearranged(e: Evidence) -> str | None:
    """The right numbers in the wrong places."""
    if e.n.ndim < 1 or e.n.size < 2 or not e.full:
        return None
    if e.n.ndim == 2 and e.n.shape[0] == e.n.shape[1] and e.fits(e.n.T):
        return "it is transposed"
    if e.n.ndim == 2 and e.fits(e.n.T.reshape(e.n.shape)):
        return "it is transposed, and reshaped to fit"
    for axis in range(e.n.ndim):
        if e.n.shape[axis] > 1 and e.fits(np.flip(e.n, axis)):
            return f"it is in reversed order along axis {axis}"
    for count in (1, 2):
        for axes in itertools.combinations(range(e.n.ndim), count):
            for step in (1, -1):
                if shifted(e, axes, step):
                    word = " and ".join(map(str, axes))
                    return (
                        f"it is shifted by one place along axis {word}: "
                        "something is cut off, or added, at the wrong side"
                    )
    widths = {size for finding in e.found.findings.values() for size in finding.numeric.shape}
    # Gates: blocks as wide as a state that is among the arrays.
    blocks = [k for k in (4, 3, 2) if e.n.shape[-1] % k == 0 and e.n.shape[-1] // k in widths - {1}]
    for k in blocks:
        mine, right = np.split(e.a, k, axis=-1), np.split(e.n, k, axis=-1)
        wrong = [i for i in range(k) if not agree(mine[i], right[i])]
        if not 0 < len(wrong) < k:
            continue
        words = {
            i: f"block {i + 1} of {k} (columns {i * mine[0].shape[-1]} to {(i + 1) * mine[0].shape[-1] - 1})"
            for i in wrong
        }
        if len(wrong) == 2 and agree(mine[wrong[0]], right[wrong[1]]) and agree(mine[wrong[1]], right[wrong[0]]):
            return f"two gates are swapped: blocks {wrong[0] + 1} and {wrong[1] + 1} of {k}"
        for i, j in itertools.permutations(range(k), 2):
            if i in wrong and len(wrong) == 1 and agree(mine[i], right[j]):
                return (
                    f"{words[i]} holds the gradient of block {j + 1}: "
                    "one gate's derivative stands where another's belongs"
                )
        if len(wrong) == 1 and k > 2:
            return (
                f"only {words[wrong[0]]} is wrong, the other gates are right{of_block(mine[wrong[0]], right[wrong[0]])}"
            )
    return None


def of_block(mine: np.ndarray, right: np.ndarray) -> str:
    """More about one wrong gate."""
    if not mine.any():
        return ": it is all zero"
    total = float((right * right).sum())
    ratio = float((mine * right).sum()) / total if total else 0.0
    if ratio and agree(mine, ratio * right):
        return ": its sign is flipped" if abs(ratio + 1) < 2e-3 else f": it is {ratio:.3g} times the right one"
    return ""


def shifted(e: Evidence, axes: tuple[int, ...], step: int) -> bool:
    """Whether a is n moved by one place along some axes, whatever fills the end."""
    here, there = [slice(None)] * e.n.ndim, [slice(None)] * e.n.ndim
    for axis in axes:
        if e.n.shape[axis] < 3:
            return False
        here[axis], there[axis] = (
            (slice(step, None), slice(None, -step)) if step > 0 else (slice(None, step), slice(-step, None))
        )
    part = e.n[tuple(there)]
    return part.size > 2 and bool(part.any()) and agree(e.a[tuple(here)], part)


def agree(a: np.ndarray, b: np.ndarray) -> bool:
    scale = max(float(np.abs(a).max(initial=0)), float(np.abs(b).max(initial=0)), 1e-12)
    return a.shape == b.shape and float(np.abs(a - b).max(initial=0)) <= FIT * scale


def elementwise(e: Evidence) -> str | None:
    """A function of one number at a time: dx = dy f'(x)."""
    if e.x.shape != e.y.shape or not e.full or e.x.ndim == 0:
        return None
    _, jacobian = e.found.differences.take(e.name)
    if jacobian.shape[0] != jacobian.shape[1]:
        return None
    slope = np.diag(jacobian).reshape(e.x.shape)
    if np.abs(jacobian - np.diag(np.diag(jacobian))).max() > 1e-6 * max(1.0, np.abs(slope).max()) and e.fits(
        e.dy * slope
    ):
        return (
            "only the diagonal of the Jacobian is there: each output depends on the other inputs, too, "
            "and what comes back from it is missing"
        )
    if np.abs(jacobian - np.diag(np.diag(jacobian))).max() > 1e-6 * max(1.0, np.abs(slope).max()):
        return None
    dy, x, y = e.dy, e.x, e.y
    sigmoid, tanh = np.allclose(slope, y * (1 - y), atol=1e-6), np.allclose(slope, 1 - y * y, atol=1e-6)
    rows: list[tuple[str, Callable[[], Any]]] = []
    if sigmoid:
        rows = [
            ("one factor is missing: the derivative of the sigmoid is y (1 - y)", lambda: dy * y),
            ("one factor is missing: the derivative of the sigmoid is y (1 - y)", lambda: dy * (1 - y)),
            ("x is used where y belongs: it is y (1 - x)", lambda: dy * y * (1 - x)),
            ("x is used where y belongs: it is x (1 - x)", lambda: dy * x * (1 - x)),
            ("the sign in y (1 - y) is wrong", lambda: dy * y * (1 + y)),
        ]
    elif tanh:
        rows = [
            ("the square is missing: the derivative of tanh is 1 - y^2", lambda: dy * (1 - y)),
            ("x is used where y belongs: it is 1 - x^2", lambda: dy * (1 - x * x)),
            ("the derivative of the sigmoid, y (1 - y), is used for tanh", lambda: dy * y * (1 - y)),
            ("the sign in 1 - y^2 is wrong", lambda: dy * (1 + y * y)),
        ]
    rows += [
        ("the derivative of the function is missing: dy is passed on", lambda: dy),
        ("dy is forgotten: this is f'(x) alone", lambda: slope),
        ("dy is multiplied by x, not by the derivative", lambda: dy * x),
        ("dy is multiplied by y, not by the derivative", lambda: dy * y),
        ("the derivative is multiplied in twice: it is squared", lambda: dy * slope**2),
        ("the derivative is taken at y = f(x), not at x", lambda: dy * slope_at(e, y)),
        ("the derivative is taken at f(f(x)), not at x", lambda: dy * slope_at(e, forward_at(e, y))),
        ("the mask is taken from dy, not from x", lambda: dy * (dy > 0)),
        ("the mask is the wrong way round: dy passes where x < 0", lambda: dy * (x < 0)),
        ("backward applies the function to dy", lambda: forward_at(e, dy)),
        ("it is divided by the derivative, not multiplied", lambda: dy / slope),
        ("the sign of the derivative is lost: it is right only where f'(x) > 0", lambda: dy * np.abs(slope)),
        ("the sign of dy is lost", lambda: np.abs(dy) * slope),
        ("the two branches, x > 0 and x <= 0, are swapped", lambda: dy * slope_at(e, -x)),
        ("the derivative of the sigmoid, y (1 - y), is used for another function", lambda: dy * y * (1 - y)),
        ("the derivative of tanh, 1 - y^2, is used for another function", lambda: dy * (1 - y * y)),
        ("x stands for the derivative, and dy is forgotten", lambda: x),
        ("it returns the mask times x, and dy is forgotten", lambda: np.where(x > 0, x, 0)),
        ("the derivative is that of a ReLU: dy where x > 0, else 0", lambda: dy * (x > 0)),
        ("one term of the derivative is missing: it is off by dy", lambda: dy * (slope - 1)),
        ("one term too many: it is off by dy", lambda: dy * (slope + 1)),
    ]
    for words, make in rows:
        try:
            with np.errstate(all="ignore"):
                fitting = e.fits(make())
        except Exception:
            continue
        if fitting:
            return words
    return where_right(e)


def where_right(e: Evidence) -> str | None:
    """On which side of a condition an elementwise gradient is right."""
    right = np.abs(e.a - e.n) <= FIT * np.abs(e.n).max()
    for word, mask in (
        ("x > 0", e.x > 0),
        ("x < 0", e.x < 0),
        ("|x| < 1", np.abs(e.x) < 1),
        ("|x| > 1", np.abs(e.x) > 1),
        ("dy > 0", e.dy > 0),
    ):
        if mask.any() and not mask.all() and right[mask].all() and not right[~mask].any():
            other = e.a[~mask]
            tail = ""
            if not other.any():
                tail = "; elsewhere it is 0"
            elif agree(other, e.dy[~mask]):
                tail = "; elsewhere dy is passed on unchanged"
            elif agree(other, -e.n[~mask]):
                tail = "; elsewhere its sign is flipped"
            else:
                with np.errstate(all="ignore"):
                    ratio = other / e.n[~mask]
                    offset = (other - e.n[~mask]) / e.dy[~mask]
                if np.ptp(ratio) < FIT * np.abs(ratio).max():
                    tail = f"; elsewhere it is {ratio.mean():.3g} times what it should be"
                elif np.ptp(offset) < FIT * np.abs(offset).max():
                    tail = (
                        f"; elsewhere {offset.mean():+.3g} dy is left over: "
                        "a constant of the derivative is wrong or missing"
                    )
            return f"it is right only where {word}{tail}"
    return None


def slope_at(e: Evidence, at: np.ndarray) -> np.ndarray:
    return (forward_at(e, at + 1e-6) - forward_at(e, at - 1e-6)) / 2e-6


def forward_at(e: Evidence, at: np.ndarray) -> np.ndarray:
    """The output with the leaf at another value."""
    world = e.found.world.copied()
    fetch(world, e.found.reading.leaves[e.name])[...] = at
    return e.found.reading.forward(world).outputs[0]


# Axes of a statistic, by the number of axes: the rows of a matrix, the channels of images.
LINES: dict[int, tuple[tuple[Any, str], ...]] = {
    2: ((1, "row"), (0, "column")),
    3: ((2, "row"), ((0, 1), "column")),
    4: (((0, 2, 3), "channel"), ((1, 2, 3), "image"), ((2, 3), "channel of an image")),
}


def left_over(e: Evidence) -> str | None:
    """What the difference to the right gradient is made of: a missing path, a statistic held constant."""
    if not e.full or e.a.ndim == 0:
        return None
    rest = e.a - e.n
    if e.a.shape == e.y.shape:
        for word, array in (("dy", e.dy), ("x", e.x), ("y", e.y)):
            total = float((array * array).sum())
            c = float((rest * array).sum()) / total if total else 0.0
            if abs(c) > 1e-6 and agree(rest, c * array):
                if word == "dy" and abs(c + 1) < 5e-3:
                    return "it is off by dy: a path that passes x on (a skip connection) is missing"
                if word == "dy" and abs(c - 1) < 5e-3:
                    return "it is off by dy: dy is added once too often"
                return f"it is off by {c:.3g} {word}: a term is missing or too many"
    of_input = e.a.shape == e.y.shape or (e.y.ndim and e.found.reading.leaves[e.name][0][1] == "args")
    if min(e.a.shape) > 1 and e.a.size > 4 and of_input:
        for axis, line in LINES.get(e.a.ndim, ()):
            if same_along(rest, axis):
                return (
                    f"it is off by one number per {line}: what x does through the mean of its {line} is missing, "
                    "or taken as a constant"
                )
            arrays = {"x": e.x, "x less its mean": e.x - e.x.mean(axis=axis, keepdims=True)}
            arrays = ({"y": e.y} if e.a.shape == e.y.shape else {}) | arrays
            for word, array in arrays.items():
                with np.errstate(all="ignore"):
                    alike = same_along(rest / array, axis)
                if alike:
                    return (
                        f"it is off by {word} times one number per {line}: what x does through a sum over its {line} "
                        "(a norm, a variance, the softmax's normaliser) is missing, or taken as a constant"
                    )
    if e.a.ndim == 2 and min(e.a.shape) > 1:
        with np.errstate(all="ignore"):
            ratio = e.a / e.n
        for axis, line in ((1, "row"), (0, "column")):
            if np.isfinite(ratio).all() and same_along(ratio, axis):
                return (
                    f"each {line} is right but for a factor of its own: "
                    f"a factor that depends on the {line} is missing or too many"
                )
        if e.found.reading.candidate.kind == "alone" or e.y.ndim == 0:
            return None
    if e.a.shape == e.x.shape and e.x.ndim and e.y.ndim == 0:
        total = float((e.x * e.x).sum())
        c = float((rest * e.x).sum()) / total if total else 0.0
        if abs(c) > 1e-8 and agree(rest, c * e.x):
            return (
                f"it is off by {c:.3g} times {e.name}: "
                "the gradient of the regularisation has a wrong factor, or is missing"
            )
    return None


def same_along(array: np.ndarray, axis: Any) -> bool:
    """Whether an array is one number along an axis of more than two, or several, and not all zero."""
    if not np.isfinite(array).all() or array.size < 3 * array.max(axis=axis).size:
        return False
    spread = array.max(axis=axis) - array.min(axis=axis)
    return bool(spread.max() <= 5e-3 * np.abs(array).max()) and bool(np.abs(array).max() > 1e-9)


def slices(e: Evidence) -> str | None:
    """Which rows or time steps of the output count, and how often."""
    if e.y.ndim == 0 or not e.known.any():
        return None
    differences = e.found.differences
    indices, jacobian = differences.take(e.name)
    weights = weights_of(e.found.dys, differences.shapes)
    a = e.a.reshape(-1)[indices]
    for axis, size in enumerate(e.y.shape):
        if size < 2 or size > 40:
            continue
        parts = []
        for k in range(size):
            mask = np.zeros(e.y.shape)
            mask[(slice(None),) * axis + (k,)] = 1
            flat = np.zeros(len(weights))
            flat[: mask.size] = mask.reshape(-1)
            parts.append(jacobian @ (weights * flat))
        basis = np.array(parts).T
        if basis.shape[0] < size:
            # Fewer numbers than slices: only the simple cases can be told.
            counts = next((c for c in simple_counts(size) if agree(basis @ c, a)), None)
        else:
            solved, _, rank, _ = np.linalg.lstsq(basis, a, rcond=None)
            counts = solved if rank == size and agree(basis @ solved, a) else None
        if counts is None or np.allclose(counts, 1, atol=5e-3):
            continue
        if words := counted(counts, word_of(e, axis, size), size):
            return words
    return None


def simple_counts(size: int) -> Iterator[np.ndarray]:
    for k in (0, size - 1):
        yield np.eye(size)[k]
        yield 1 - np.eye(size)[k]
    yield np.full(size, 1 / size)
    yield np.arange(1.0, size + 1)
    yield np.arange(float(size), 0, -1)


def word_of(e: Evidence, axis: int, size: int) -> str:
    """What one slice of an axis of the output is."""
    if size == e.found.reading.sizes["T"]:
        return "time step"
    if size == e.found.reading.sizes["N"]:
        return "row"
    return f"slice along axis {axis}"


def counted(counts: np.ndarray, word: str, size: int) -> str | None:
    """What it means that slice k counts counts[k] times."""
    ones = np.abs(counts - 1) < 5e-3
    zeros = np.abs(counts) < 5e-3
    if np.allclose(counts, 1 / size, atol=5e-3):
        return f"it is averaged over the {word}s, not summed"
    if (ones | zeros).all():
        if ones.sum() == 1:
            return f"only {which_of(ones, word)} counts: it is not summed over the {word}s, or overwritten at each"
        if zeros.sum() == 1:
            return f"{which_of(zeros, word)} is left out of the sum"
        return f"the {word}s {', '.join(map(str, np.flatnonzero(zeros)))} are left out"
    if np.allclose(counts, np.round(counts), atol=5e-3) and counts.max() > 1:
        return f"the {word}s are counted {', '.join(f'{c:.0f}' for c in counts)} times: it is added up once too often"
    if np.ptp(counts) > 5e-3 and "time" in word:
        return f"the {word}s are counted {', '.join(f'{c:.2g}' for c in counts)} times, not once each"
    return None


def which_of(mask: np.ndarray, word: str) -> str:
    """The one slice that is marked, in words."""
    return f"the first {word}" if mask[0] else f"the last {word}" if mask[-1] else f"{word} {int(np.argmax(mask))}"


def over_time(e: Evidence) -> str | None:
    """At which time steps a gradient with a time axis is right."""
    steps = e.found.reading.sizes["T"]
    if not e.full or steps not in e.a.shape or e.a.ndim < 2 or e.y.ndim < 3:
        return None
    axis = e.a.shape.index(steps)
    mine, right = np.moveaxis(e.a, axis, 0), np.moveaxis(e.n, axis, 0)
    scale = np.abs(right).max()
    good = [bool(np.abs(a - b).max() <= FIT * scale) for a, b in zip(mine, right, strict=True)]
    if good[-1] and not any(good[:-1]):
        return "only the last time step is right: what comes back from later steps is missing, or wrong"
    if all(good[1:]) and not good[0]:
        return "only the first time step is wrong" + (
            "; it is zero: the loop stops before it" if not mine[0].any() else ""
        )
    if all(good[:-1]) and not good[-1]:
        return "only the last time step is wrong" + (
            "; it is zero: the loop starts after it" if not mine[-1].any() else ""
        )
    if sum(good) and not all(good):
        return f"it is right at time steps {', '.join(str(k) for k, g in enumerate(good) if g)} only"
    return None


def reduced(e: Evidence) -> str | None:
    """A bias's gradient from dy by other sums; a weight's or an input's from other arrays."""
    dy = e.dy
    if e.a.size > 1 and np.ptp(e.a[e.known]) < 1e-9 * np.abs(e.a).max() and np.ptp(e.n[e.known]) > 1e-6:
        return "all its elements are the same: a sum runs over too many axes"
    short = e.a.reshape(-1)
    if dy.ndim == 2:
        for words, candidate in (
            ("it is summed over the columns, not over the rows: the wrong axis", dy.sum(axis=1)),
            ("it is dy summed over the rows: the other factor is missing", dy.sum(axis=0)),
            ("it is the mean of dy over the rows", dy.mean(axis=0)),
            ("it is the largest dy of each column, not the sum", dy.max(axis=0)),
        ):
            if candidate.shape == short.shape and agree(candidate, short):
                return words
            if (
                candidate.shape != short.shape
                and "wrong axis" in words
                and agree(np.resize(candidate, short.shape), short)
            ):
                return words
    if e.a.ndim != 2:
        return None
    named: list[tuple[str, np.ndarray]] = [("dy", dy), ("y", e.y)]
    for key, path in e.found.reading.leaves.items():
        named.append((key, np.asarray(fetch(e.found.world, path), dtype=np.float64)))
    flat = [(key, item.reshape(-1, item.shape[-1])) for key, item in named if item.ndim >= 2]
    flat += [
        (f"d{key}", finding.analytic)
        for key, finding in e.found.findings.items()
        if key != e.name and finding.analytic.ndim == 2
    ]
    for (one, a), (two, b) in itertools.permutations(flat, 2):
        for word, product in ((f"{one} {two}", (a, b)), (f"{one} {two}^T", (a, b.T)), (f"{one}^T {two}", (a.T, b))):
            left, right = product
            fitting = left.shape[1] == right.shape[0] and (left.shape[0], right.shape[1]) == e.a.shape
            if fitting and e.fits(left @ right):
                return f"it is {word}: a wrong array, or a factor left out"
    return None


def signs(e: Evidence) -> str | None:
    if e.fits(np.where(np.sign(e.a) == np.sign(e.n), e.n, -e.n)):
        return "some signs are flipped"
    same = np.abs(e.a - e.n) <= FIT * np.abs(e.n).max()
    known = e.known
    if same[known & (np.abs(e.a) < 1e-12)].size == 0 and 0.2 < same[known].mean() < 1 and not e.n[known & ~same].any():
        return "it is right where the true gradient is not zero: a mask is missing"
    if 0.2 < same[known].mean() < 1 and not e.a[known & ~same].any():
        return "it is right where it is not zero: a mask cuts too much, or something is overwritten"
    return None


def of_labels(e: Evidence) -> str | None:
    """A cross-entropy of a softmax: its gradient is made of p and of the labels' places."""
    if e.y.ndim or e.x.ndim != 2 or not e.full:
        return None
    labels = next(
        (
            v
            for v in e.found.world.args.values()
            if isinstance(v, np.ndarray)
            and len(v) == len(e.x)
            and v is not e.x
            and (v.dtype.kind == "i" or v.shape == e.x.shape)
        ),
        None,
    )
    if labels is None:
        return None
    hot = np.eye(e.x.shape[1])[labels] if labels.dtype.kind == "i" and labels.ndim == 1 else labels
    if hot.shape != e.x.shape:
        return None
    z = e.x - e.x.max(axis=1, keepdims=True)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    scale = float((e.n * (p - hot)).sum() / ((p - hot) ** 2).sum())
    if not np.allclose(e.n, scale * (p - hot), atol=1e-6):
        if not np.allclose(np.exp(e.x).sum(axis=1), 1):
            return None
        scale = 1 / len(e.x)  # of log p: backward is to give the gradient of the logits before
    columns = np.zeros_like(hot) + hot.max(axis=0)
    numbers = labels[:, None] if labels.ndim == 1 else labels.argmax(axis=1)[:, None]
    rows = len(e.x)
    for words, array in (
        ("minus one-hot is missing: it is the softmax alone", p),
        ("the softmax is missing: it is minus one-hot alone", -hot),
        ("1 is subtracted from whole columns, not from each row's own label", p - columns),
        (
            "1 is subtracted from whole columns, not from each row's own label, "
            "and divided by the number of rows again",
            p - columns / rows,
        ),
        ("1/N is subtracted before the division by N: it is divided twice", p - hot / rows),
        ("the logits stand where their softmax belongs", e.x - hot),
        ("log-probabilities stand where probabilities belong: exp is missing", np.log(p) - hot),
        ("the label is subtracted as a number, not one-hot", p - numbers),
        ("only the label's own column gets a gradient", hot * (p - hot)),
        ("one-hot is added, not subtracted", p + hot),
        ("exp(logits) is not divided by its sum", np.exp(z) - hot),
        ("the label's own column gets no gradient", p * (1 - hot)),
    ):
        for factor, more in (
            (scale, ""),
            (1.0, ", and the 1/N of the mean is missing"),
            (-scale, ", and the sign is flipped"),
            (scale / rows, ", and it is divided by the number of rows once too often"),
        ):
            if e.fits(factor * array):
                return words + more
    return None


ROWS: tuple[Row, ...] = (
    zero,
    swapped,
    factor,
    of_labels,
    rearranged,
    elementwise,
    slices,
    over_time,
    left_over,
    reduced,
    signs,
)


def explain(found: Judgement, name: str) -> str | None:
    """The first row that fits one wrong gradient, in words."""
    if found.findings[name].complaint:
        return None
    evidence = Evidence(found, name)
    for row in ROWS:
        try:
            with np.errstate(all="ignore"):
                words = row(evidence)
        except Exception:
            continue
        if words:
            return words
    return None


def side_by_side(found: Judgement, name: str) -> str:
    """One pair of numbers: what the code gives, and what it should."""
    finding = found.findings[name]
    if finding.complaint or finding.where is None:
        return ""
    a, n = finding.analytic[finding.where], finding.numeric[finding.where]
    if np.isnan(n):
        best = np.nanargmax(np.abs(finding.numeric - finding.analytic))
        where = tuple(int(k) for k in np.unravel_index(best, finding.numeric.shape))
        a, n = finding.analytic[where], finding.numeric[where]
    else:
        where = finding.where
    at = f"[{','.join(map(str, where))}]" if where else ""
    return f"d{name}{at} is {a:.4g}, and finite differences give {n:.4g}"
