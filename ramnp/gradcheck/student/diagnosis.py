"""From a wrong gradient to the mistake that made it.

A wrong array is compared with what each known mistake would give (`mistakes.py`), and with the simple
transformations of the right one: zero, a sign, a factor, a transposition, a missing row of a sum. A match needs all
elements to agree to `CLOSE`, so on random numbers it is no accident.
"""

from collections.abc import Mapping

import numpy as np

from ramnp.gradcheck.student.mistakes import ELEMENTWISE_HINTS, Arrays, Hint, Problem, backward, mistaken

CLOSE = 1e-4


def close(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays have one shape and agree to `CLOSE` of the larger one's largest value."""
    if a.shape != b.shape:
        return False
    largest = max(np.abs(a).max(initial=0), np.abs(b).max(initial=0))
    return bool(np.abs(a - b).max(initial=0) <= CLOSE * largest)


def diagnose(
    part: str | None, problem: Problem | None, analytic: Arrays, numeric: Arrays, wrong: list[str]
) -> dict[str, str]:
    """What fits, for each wrong array: name -> a line of text.

    A mistake that explains all arrays at once is preferred to one that explains this array alone.

    Args:
        part: its name in `mistakes.HINTS`, or None if it is none of those.
        problem: the numbers, or None.
        analytic, numeric: the gradients claimed, and by finite differences.
        wrong: names of the arrays that differ.
    """
    found: dict[str, str] = {}
    known, right = [], numeric
    if part is not None and problem is not None:
        known, right = list(mistaken(part, problem)), backward(part, problem)
    for _, hint, gradients in known:
        if all(close(analytic[name], gradients[name]) for name in analytic if name in gradients):
            return dict.fromkeys(wrong, str(hint))
    if part is None and problem is not None:
        known = own_mistakes(numeric, problem)
    for name in wrong:
        for _, hint, gradients in known:
            differs = name in gradients and not close(gradients[name], right[name])
            if differs and close(analytic[name], gradients[name]):
                found[name] = str(hint)
                break
        else:
            sizes = problem.sizes if problem is not None else {}
            found[name] = transformed(analytic[name], numeric[name], sizes) or "no known mistake fits"
    return found


def own_mistakes(right: Arrays, problem: Problem) -> list[tuple[str, Hint, Arrays]]:
    """What goes wrong in any elementwise function: for parts of their author's own, of which no more is known."""
    dy, x = problem.dy, problem.inputs["x"]
    if "x" not in right or x.shape != dy.shape:
        return []
    wrong = {"derivative missing": dy, "times x": dy * x, "dy forgotten": right["x"] / dy}
    return [(mistake, ELEMENTWISE_HINTS[mistake], {"x": value}) for mistake, value in wrong.items()]


def transformed(a: np.ndarray, n: np.ndarray, sizes: Mapping[str, float]) -> str | None:
    """What simple transformation of the right gradient n gives a, in words; or None."""
    if not np.isfinite(a).all():
        return "it holds NaN or infinity"
    if not a.any():
        return "it is all zero: nothing is written to it, or something it passes through is zero"
    if n.any():
        ratio = float((a * n).sum() / (n * n).sum())
        if close(a, ratio * n):
            return describe_factor(ratio, sizes)
    else:
        return "it should be zero: something flows here that is a constant, so a detach is missing"
    if a.ndim == 2 and a.shape[0] == a.shape[1] and close(a, n.T):
        return "it is transposed"
    if a.ndim == 2 and close(a, n.T.reshape(a.shape)):
        return "it is transposed, and reshaped to fit"
    if close(np.abs(a), np.abs(n)):
        return "some signs are flipped"
    if a.size > 1 and not np.ptp(a):
        return "all its elements are the same: a sum runs over too many axes"
    if a.ndim == 3 and a.shape[0] > 1:
        if close(a[1:], n[1:]) and not a[0].any():
            return "the first time step is missing"
        if close(a[:-1], n[:-1]) and not a[-1].any():
            return "the last time step is missing"
        if close(a[-1:], n[-1:]):
            return "only the last time step is right: what comes back from later steps is missing, or wrong"
    same = np.isclose(a, n, rtol=CLOSE, atol=CLOSE * np.abs(n).max())
    if same[a == 0].size == 0 and 0.2 < same.mean() < 1 and not n[~same].any():
        return "it is right where the true gradient is not zero: a mask is missing"
    if 0.2 < same.mean() < 1 and not a[~same].any():
        return "it is right where it is not zero: a mask cuts too much"
    return None


def describe_factor(ratio: float, sizes: Mapping[str, float]) -> str:
    """A constant factor in words: 2, B, T, B T, std, std^2, their inverses and negatives, or a number."""
    sign = "" if ratio > 0 else "the sign is flipped, and "
    size = abs(ratio)
    if abs(size - 1) < CLOSE:
        return "the sign is flipped" if ratio < 0 else "it is right to four digits: is something computed in float32?"
    factors: dict[str, float] = {"2": 2.0}
    factors |= {letter: sizes[letter] for letter in ("B", "T") if letter in sizes}
    if {"B", "T"} <= sizes.keys():
        factors["B T"] = sizes["B"] * sizes["T"]
    if "std" in sizes:
        factors |= {"std": sizes["std"], "std^2": sizes["std"] ** 2}
    causes = {
        "2": ("accumulated twice, or a factor 2 too many", "a factor 2 is missing, or 1/2 too many"),
        "B": ("the 1/B of a mean over the batch is missing", "divided by B once too often"),
        "T": ("counted once a time step, or a 1/T is missing", "divided by T: a mean over time in place of a sum"),
        "B T": ("the 1/(B T) of a mean is missing", "divided by B T: a mean in place of a sum"),
        "std": ("a factor std too many", "divided by std once too often"),
        "std^2": ("the 1/std^2 of the log-probability is missing", "divided by std^2 once too often"),
    }
    for name, factor in factors.items():
        if factor == 1:
            continue
        for index, value in enumerate((factor, 1 / factor)):
            if abs(size / value - 1) < CLOSE:
                shown = name if index == 0 else f"1/({name})" if " " in name else f"1/{name}"
                return f"{sign}it is {shown} times the right gradient: {causes[name][index]}"
    return f"{sign}it is {size:.4g} times the right gradient: a constant factor"
